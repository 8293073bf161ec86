"""The embedded Airflow of the trial: an environment and processes of this user."""
