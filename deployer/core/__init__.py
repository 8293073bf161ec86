"""Pure rules: no clock, disk, network or environment in here.

model         the values that everything else talks about
webhook       a delivery -> push, ping, ignored
tree          what a commit holds, and what of it can be published
dependencies  which DAG files are read anew when a file moves
requirements  what a `requirements.txt` installs, and may ask for
planning      live tree + tip -> plan; what is held
verdicts      what the dag-processor tells -> verdicts
reporting     an ending -> statuses, JSON; when to post
precheck      what a push of a working copy would be told, and how to mend it
doctor        a line of `deployer doctor`; what a compose file must say; what GitHub was told
invariants    what the journal must hold at any moment
access        who may see what
alerts        what the teacher is told without having asked
hooks         what the webhook has to be; which deliveries are asked for again
stack         the operator's compose file, by which way packages come into its services, and how
              another copy differs
counts        numbers and times in words: `1 file`, `2 files`
settings      texts of settings, read
new_class     what a class's own repository begins with
airflow_version  the image of another Airflow
backup        what a backup holds, and which one is refused
"""
