"""Have the scheduler end when it is told to, and go on while tasks wait for a worker.

It is started again only once it has ended.

Airflow 3.3.2 (`airflow/executors/local_executor.py`, `LocalExecutor.end`) sends its workers as
many words to end as it finds alive, one worker after the other. One that takes such a word and
is gone before its own turn leaves another one without. For that one the scheduler waits for
ever: nothing of the class runs, and no policy of restarts sees it end. Nor does it read results
meanwhile, without which who has many can't end (github.com/apache/airflow/issues/67870).

The scheduler's own word to end raises SystemExit in a signal's handler, which Python drops
within its calls at a fork. So a scheduler that was told as it forked a worker went on.

Nor does the executor count what it hands out, until the scheduler's loop is held up by that.

Where its container's memory runs out, the kernel ends the largest process of all: the scheduler,
and with it everybody's tasks, where one task has started many programs that are smaller.
"""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGINT, SIGTERM, pthread_sigmask

from airflow.executors import local_executor
from airflow.executors.local_executor import LocalExecutor
from parser_connections import leave_servers

_LOOK_S = 0.1
"""How often results are read while a task goes on; who ends is seen at once."""


def mend() -> None:
    """Have Airflow's executor end whole, hear each word to end, and count what it hands out.

    Raises:
        AttributeError: another Airflow's has not what this builds on.
    """
    theirs, read_results = LocalExecutor.end, LocalExecutor._read_results  # noqa: SLF001  # nothing else reads them

    def end(self: LocalExecutor) -> None:
        for _ in self.workers:
            self.activity_queue.put(None)
        while alive := [worker.sentinel for worker in self.workers.values() if worker.is_alive()]:
            read_results(self)
            wait(alive, timeout=_LOOK_S)
        theirs(self)

    LocalExecutor.end = end
    _hand_out_no_more_than_can_run()
    _hear_words_that_come_at_a_fork()
    _let_tasks_go_first()


def _hand_out_no_more_than_can_run() -> None:
    """Have it count what waits for a worker: else it hands out tasks until their pipe is full.

    Some 40 wait in there, whatever is more urgent; the next one holds up the scheduler's loop
    until a task ends, and with it all DAGs and its heartbeat. (What a worker has taken is not
    counted: one that is killed would hold its place for ever.)
    """
    theirs = LocalExecutor.slots_available.fget

    def slots_available(self: LocalExecutor) -> int:
        return int(theirs(self) - self._unread_messages.value)

    LocalExecutor.slots_available = property(slots_available)


def _hear_words_that_come_at_a_fork() -> None:
    spawn, run, words = LocalExecutor._spawn_worker, local_executor._run_worker, {SIGTERM, SIGINT}  # noqa: SLF001  # likewise

    def spawn_first(self: LocalExecutor) -> None:
        before = pthread_sigmask(SIG_BLOCK, words)
        try:
            spawn(self)
        finally:
            pthread_sigmask(SIG_SETMASK, before)

    def run_unmasked(*args: object, **kwargs: object) -> None:
        pthread_sigmask(SIG_UNBLOCK, words)
        run(*args, **kwargs)

    LocalExecutor._spawn_worker = spawn_first  # noqa: SLF001  # likewise
    local_executor._run_worker = run_unmasked  # noqa: SLF001  # likewise


def _let_tasks_go_first() -> None:
    """Have the kernel end a task before its scheduler, and no task hold its connections."""
    run = local_executor._run_worker  # noqa: SLF001  # likewise

    def run_first_to_go(*args: object, **kwargs: object) -> None:
        with suppress(OSError):  # lower than what the teacher chose, say
            Path("/proc/self/oom_score_adj").write_text("500")
        leave_servers()
        run(*args, **kwargs)

    local_executor._run_worker = run_first_to_go  # noqa: SLF001  # likewise
