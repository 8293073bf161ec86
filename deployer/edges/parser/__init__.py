"""The isolated parse: what would hurt others is found before it goes live.

A warm Airflow, started when it is first needed, forks one process a file
(`include/airflow/preflight.py`). What it finds is of two kinds:

- *harm*: the file crashes, ends or hangs its parser, or takes too much memory. In Airflow
  such a parse leaves no trace but a DAG that goes stale, so this is the last word on it.
- *an ordinary error*: a hint. Airflow has variables and connections that are missing here,
  and says the last word itself.

examiner        `IsolatedExaminer`, the port's one real implementation; an examination, which goes
                on by itself; how it is found out which file did what; how one who waits hears of
                it, or is nudged
warm_parser     one parser kept warm, and one aside; where it runs, embedded: as this user
parser_process  a parser as a child process, asked by several threads
protocol        what is said to it and by it; what is to be said of a file whose parse ended so
container       where the parser runs in Compose: a container of the class's image, cut off

The embedded parser runs students' code as the same user as the deployer, as Airflow itself
does there; it sees an environment without the deployer's secrets.
"""
