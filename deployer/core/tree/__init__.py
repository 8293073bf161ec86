"""What a commit holds: which of it can be published, what its files are, what Airflow would find.

publishable      names, kinds and sizes that a release may hold; the rest is left out, with why
limits           how much of it, and which folder is to blame
contents         what the contents of files decide about a tree
facts            one file's text -> what it imports and mentions, whether it may hold a DAG
ignores          `.airflowignore`, as Airflow reads it
"""
