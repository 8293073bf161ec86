"""The class's Airflow in Docker Compose."""
