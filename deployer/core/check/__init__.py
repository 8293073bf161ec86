"""What `deployer check` says: what a push of a working copy would be told, and how to mend it.

precheck         which files would be judged, and the verdicts that need no Airflow of the class
mendings         how the commonest errors are mended
"""
