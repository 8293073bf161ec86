"""The values that everything else talks about.

All frozen. Times are timezone-aware UTC; durations are seconds and end in `_s`;
paths are relative to the repository's root with forward slashes.
"""

from deployer.core.model.deployments import Deployment, Pulse, State, StepName, StepRecord, Trigger
from deployer.core.model.histories import Authored, History
from deployer.core.model.plans import (
    Parse,
    Plan,
    Preflight,
    Publish,
    Recreate,
    RequirementsDiff,
    Resolve,
    Step,
)
from deployer.core.model.sights import AirflowHealth, Busy, Observation, SeenDag, SeenError, Vitals
from deployer.core.model.statuses import Status, StatusRecord, StatusState
from deployer.core.model.trees import (
    CANARY,
    CANARY_DAG_ID,
    COMPOSE_FILE,
    DAG_PROCESSOR,
    DAGS,
    INCLUDE,
    OPS_FOLDER,
    REQUIREMENTS,
    ROSTER,
    Facts,
    File,
    LeftOut,
    Live,
    Tree,
    folder_of,
)
from deployer.core.model.verdicts import Examined, Outcome, ParseError, Proof, Verdict

__all__ = [
    "CANARY",
    "CANARY_DAG_ID",
    "COMPOSE_FILE",
    "DAGS",
    "DAG_PROCESSOR",
    "INCLUDE",
    "OPS_FOLDER",
    "REQUIREMENTS",
    "ROSTER",
    "AirflowHealth",
    "Authored",
    "Busy",
    "Deployment",
    "Examined",
    "Facts",
    "File",
    "History",
    "LeftOut",
    "Live",
    "Observation",
    "Outcome",
    "Parse",
    "ParseError",
    "Plan",
    "Preflight",
    "Proof",
    "Publish",
    "Pulse",
    "Recreate",
    "RequirementsDiff",
    "Resolve",
    "SeenDag",
    "SeenError",
    "State",
    "Status",
    "StatusRecord",
    "StatusState",
    "Step",
    "StepName",
    "StepRecord",
    "Tree",
    "Trigger",
    "Verdict",
    "Vitals",
    "folder_of",
]
