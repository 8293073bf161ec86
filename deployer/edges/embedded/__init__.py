"""The embedded Airflow of the trial: an environment and processes of this user.

airflow        `LocalAirflow`: implements `ports.Services` with processes
processes      start, watch, stop them
environment    the one that they run in, and the next
settings       theirs, as environment variables
uv             uv, as it is run for them
airflow_there  the Airflow on a student's machine, for `deployer check`
new_packages   packages beside its own, for a trial
"""
