"""The kill matrix: SIGKILL at each boundary of each effect, and a power cut there.

boundaries     where a process can die; how it is made to
forking        the processes: the deployer's own web and worker, forked
outside        what they meet beside GitHub: Airflow, its packages
dag_processor  a stand-in at the other end of the parse feed
parser         a stand-in for the isolated parser
power          what a power cut leaves
world          all of it together: pushes, starts, deaths
acts           what is pushed, and how it must end
invariants     what must hold when the dust has settled
matrix         one run that counts the boundaries, then a run for each

`scripts/soak kill` (`..kill`) runs all of it; `test_kill.py` a part, in CI.
"""
