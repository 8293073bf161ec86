"""Airflow: its REST API, and the worker's end of the parse feed.

rest        `AirflowRest`, the port's one real implementation
calls       the official client; lists page after page
session     log in, send a call, tell errors apart
health      what it says of its own parts, without a token
parse_feed  the worker's end of the feed
files       where the files are that Airflow runs on our behalf
"""
