"""What is written into the journal and asked of it: functions of a connection, without a commit.

deliveries   many threads' deliveries in one commit to disk
deployments  what the worker writes
outbox       statuses owed to GitHub, until when it takes none
marks        what is live, what was refused, pools emptied, the heartbeat
reading      whole deployments
auditing     what is not as it must be at any moment
logins       who is let in, and the key that signs links
alerts       how the class stands, of which the teacher is told
pruning      what is old and decides nothing any more
"""
