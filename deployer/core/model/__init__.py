"""The values that everything else talks about.

All frozen. Times are timezone-aware UTC; durations are seconds and end in `_s`;
paths are relative to the repository's root with forward slashes.
"""

from deployer.core.model.deployments import (
    Deployment,
    Heard,
    Origin,
    Pulse,
    Running,
    StepName,
    StepRecord,
    Trigger,
)
from deployer.core.model.endings import Duplicate, Ending, State
from deployer.core.model.freezes import Freeze
from deployer.core.model.parses import (
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
    Told,
)
from deployer.core.model.plans import (
    Parse,
    Plan,
    Preflight,
    Publish,
    Recreate,
    Refusal,
    RequirementsDiff,
    Resolve,
    Step,
)
from deployer.core.model.sights import Busy, Vitals
from deployer.core.model.statuses import Closed, Owed, Status, StatusRecord, StatusState
from deployer.core.model.trees import (
    COMPOSE_FILE,
    DAG_PROCESSOR,
    DAGS,
    INCLUDE,
    REQUIREMENTS,
    ROSTER,
    WHOLE_DIRECTORY,
    Authored,
    Facts,
    File,
    History,
    LeftOut,
    Live,
    Tree,
    folder_of,
)
from deployer.core.model.verdicts import Examined, Outcome, ParseError, Proof, Verdict

__all__ = [
    "COMPOSE_FILE",
    "DAGS",
    "DAG_PROCESSOR",
    "INCLUDE",
    "REQUIREMENTS",
    "ROSTER",
    "WHOLE_DIRECTORY",
    "Authored",
    "Busy",
    "Closed",
    "Deployment",
    "Duplicate",
    "Ending",
    "Examined",
    "Facts",
    "File",
    "Freeze",
    "Heard",
    "History",
    "LeftOut",
    "Listed",
    "Live",
    "Origin",
    "Outcome",
    "Owed",
    "Parse",
    "ParseEnd",
    "ParseError",
    "ParseResult",
    "Plan",
    "Preflight",
    "ProcessorCame",
    "ProcessorLeft",
    "Proof",
    "Publish",
    "Pulse",
    "Recreate",
    "Refusal",
    "RequirementsDiff",
    "Resolve",
    "Running",
    "State",
    "Status",
    "StatusRecord",
    "StatusState",
    "Step",
    "StepName",
    "StepRecord",
    "Told",
    "Tree",
    "Trigger",
    "Verdict",
    "Vitals",
    "folder_of",
]
