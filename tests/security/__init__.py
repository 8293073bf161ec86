"""What somebody hostile would try, each with what must come of it.

serving      a web process of the test's own, and HTTP written by hand
fuzz         inputs by machine; `python -m tests.security.fuzz N` for as many as you like
classroom    web and worker with GitHub's stand-in and no Airflow
"""
