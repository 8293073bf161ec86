"""What use cases need of the world.

repository  the mirror of the class repository, where its releases are published; a student's
            working copy of it
airflow     the running Airflow, the parse feed of its dag-processor, the isolated parse; its
            packages and processes, the operator's compose file
journal     the only truth about deployments
host        where commit statuses go; the repository's webhooks and their deliveries; what
            reaches the teacher
clock       time, and what cuts a wait short
doctor      what `deployer doctor` asks beside these

What a deployment needs has one real implementation in `deployer.edges` (`Services` two), one shared
fake in `tests/fakes/`, and one contract test that all must pass. Every method is bounded in time
and may be called again after a crash.
"""

from deployer.ports.airflow import Airflow, Examination, Examiner, OtherAirflow, ParseFeed, Services
from deployer.ports.clock import Bell, Clock, Listener
from deployer.ports.host import (
    Accepted,
    Messenger,
    Posted,
    RefusedForGood,
    RetryLater,
    StatusBoard,
    Webhooks,
)
from deployer.ports.journal import Announcement, Journal
from deployer.ports.repository import Edits, Release, Releases, Repository
