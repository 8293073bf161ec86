"""The values that everything else talks about.

All frozen. Times are timezone-aware UTC; durations are seconds and end in `_s`;
paths are relative to the repository's root with forward slashes.

deployments  what one deployment does, how the journal holds it and its commit statuses, what was
             heard of commits, a freeze, how the worker stands
endings      how one file ended, and what proves it; how a deployment ended: what all commits are
             told that it answers
sights       what is seen of the running Airflow, and what its dag-processor tells
trees        what a commit holds, what of it is live, how it came out of an older one
"""

from deployer.core.model.deployments import (
    Closed,
    Deployment,
    Freeze,
    Heard,
    Origin,
    Owed,
    Plan,
    Pulse,
    Refusal,
    RequirementsDiff,
    Running,
    Status,
    StatusRecord,
    StatusState,
    StepName,
    StepRecord,
    Tally,
    Trigger,
)
from deployer.core.model.endings import (
    Duplicate,
    Ending,
    Examined,
    Outcome,
    ParseError,
    Proof,
    State,
    Verdict,
)
from deployer.core.model.sights import (
    ContainerState,
    Health,
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
    TaskInstance,
    Told,
    Vitals,
)
from deployer.core.model.trees import (
    ANYTHING,
    COMPOSE_FILE,
    DAG_PROCESSOR,
    DAGS,
    INCLUDE,
    REQUIREMENTS,
    ROSTER,
    SCHEDULER,
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
