"""The class's Airflow in Docker Compose.

services       `ComposeServices`: implements `ports.Services`
ways/          the two ways in which packages get into containers
other_airflow  another version of Airflow: its `.env`, its database
containers     the project's, looked at and judged
engine         a client of it; what goes wrong on the way there
runner         Compose's command lines, run never twice at a time; the file as it understands it
"""
