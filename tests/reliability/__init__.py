"""Machines that try to make the deployer lose what was announced (docs/reliability.md).

invariants   what must hold once the dust has settled; pure, for every harness
history      what happens to a simulated class: one seed, one list of events
texts        what a file of that class says, and what Airflow makes of it
machine      the real worker over the fakes, with a clock, a scheduler and faults of its own
simulation   play a history, gather the evidence, make a failing one smaller
planted      faults that the simulation must find
simulate     the command: `scripts/soak simulate`
texts_decide texts that decide through what they reach, and what is known of a class of such
text_world   the real worker over fakes that read these texts
pushes       what is pushed there: drawn from one seed
oracle       what must hold of it; pure, and without the deployer's rules
verdicts     the command: `scripts/soak verdicts`
working_copies  what a student does in a clone before a push: drawn from one seed
parity       the command: `scripts/soak parity`, in which `deployer check` and the push answer alike
"""
