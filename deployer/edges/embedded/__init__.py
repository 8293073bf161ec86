"""The embedded Airflow of the trial: an environment and processes of this user.

airflow           `LocalAirflow`: implements `ports.Services` with processes
processes         start, watch, stop them
environment       the one that they run in, and the next; uv, as it is run for them
airflow_settings  theirs, as environment variables
students_machine  for `deployer check`: the Airflow that is there, new packages beside its own
"""
