"""Everything that can't be made anew, in one file, and back out of it.

snapshot    what goes in, while everything runs; what is looked at first, replaced, kept aside
archive     the file: whole or not there; nothing of it is trusted before all of it is checked
journal     a copy of it, a SQLite file also of PostgreSQL, and how it becomes the journal again
databases   Airflow's and the class's own, through the containers that they run in

What a backup may hold, and which one is refused, is said in `core/backup.py`.
"""
