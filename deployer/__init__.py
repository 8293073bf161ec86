"""An event-driven deployer for a shared Airflow."""

__version__ = "0.2.0"
