"""One deployment, from its first step to its last verdict.

run              gather, plan, apply, judge
published        what there is before it
holding          what is held of it, and why
rollout          packages: prove, drain pools to 0 and back, swap, healthy or back
publication      make a release live, have it judged; take back what the dag-processor dies of
watching         the wait for its verdicts: ask, listen, stop
dag_processor    what is wrong with it, and how it comes back
steps            write down how each step went
parts            what goes in, and what comes out

What is deployed next, and who is told, is decided in `worker`.
"""
