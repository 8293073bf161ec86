"""What one deployment does: from the live tree and the tip to a frozen plan.

plan             live tree + tip -> plan; what Airflow's search finds
packages         which packages the class is to run on, and where it runs on others
held             what is held though nobody parses it, or claims another's `dag_id`; what stays live
rollback         which earlier commit is gone back to
"""
