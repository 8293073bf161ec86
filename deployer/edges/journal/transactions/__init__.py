"""What is written into the journal and asked of it: functions of a connection, without a commit.

deliveries   many threads' deliveries in one commit to disk, and what they announce
deployments  what is written about deployments
outbox       statuses owed to GitHub, until when it takes none
marks        what is live, what was refused, pools emptied, freezes, the heartbeat
logins       who is let in, and the key that signs links
reading      whole deployments, and what is known of files by their verdicts
overview     how the class stands, how much there is, what is not as it must be
pruning      what is old and decides nothing any more
"""
