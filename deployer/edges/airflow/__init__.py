"""Airflow: its REST API, and the worker's end of the parse feed."""
