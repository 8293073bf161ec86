"""What use cases need of the world.

repository    the mirror of the class repository
releases      where releases are published
feed          what the class's dag-processor tells
airflow       the running Airflow
services      its packages and processes, the operator's compose file
examiner      the isolated parse
journal       the only truth about deployments
statuses      where commit statuses go
clock         time, and what cuts a wait short
messenger     what reaches the teacher
webhooks      those of the repository, and their deliveries
doctor        what `deployer doctor` asks beside these
working_copy  what `deployer check` asks

What a deployment needs has one real implementation in `deployer.edges` (`services` two), one shared
fake in `tests/fakes/`, and one contract test that all must pass. Every method is bounded in time
and may be called again after a crash.
"""

from deployer.ports.airflow import Airflow
from deployer.ports.clock import Bell, Clock, Listener
from deployer.ports.examiner import Examination, Examiner
from deployer.ports.feed import ParseFeed
from deployer.ports.journal import Announcement, Journal
from deployer.ports.messenger import Messenger
from deployer.ports.releases import Edits, Release, Releases
from deployer.ports.repository import Repository
from deployer.ports.services import (
    OtherAirflow,
    OwnStack,
    Packages,
    Processes,
    Recreation,
    Services,
)
from deployer.ports.statuses import Accepted, Posted, RefusedForGood, RetryLater, StatusBoard
from deployer.ports.webhooks import Webhooks
