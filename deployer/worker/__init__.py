"""The process that owns git, Airflow and GitHub's token, and listens to nobody."""
