"""What one deployment does: from the live tree and the tip to frozen steps.

plan             live tree + tip -> steps; what Airflow's search finds
packages         which packages the class is to run on, and where it runs on others
held             what is held though nobody parses it, and what stays live in its place
duplicates       files that claim a `dag_id` which another has
precheck         the same for a working copy: what a push of it would have judged
rollback         which earlier commit is gone back to
"""
