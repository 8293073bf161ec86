"""The process that owns git, Airflow and GitHub's token; it hears the parse feed and a doorbell.

process      the loop: hear the bell, reconcile, beat, stop
intake       what was announced gets its place, and is told why it waits
reconciler   what is deployed next
tip          what git says it is, and where announced commits stand to it
deploying    deploy one tip, end it, owe its statuses
covered      what commits changed; how those end that get no deployment of their own
carried      deployments that were cut short
maintenance  between two passes: packages, old releases, what must hold at any moment
outbox       post what is owed
"""
