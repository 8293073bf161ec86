"""What is written into the journal and asked of it: functions of a connection, without a commit.

deliveries   many threads' deliveries in one commit to disk, and what they announce
deployments  what is written about deployments
outbox       statuses owed to GitHub, until when it takes none
marks        what is live, what was refused, pools emptied, freezes, the heartbeat, who is let in
reading      whole deployments, and what is known of files by their verdicts
upkeep       how the class stands, how much there is, what is not as it must be, what is old
"""
