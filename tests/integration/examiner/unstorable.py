"""Files that hold what Airflow's database refuses, and files that hold just not that.

Each by its name, which is its DAG's `dag_id` too. The isolated parser must hold exactly those that
a real PostgreSQL refuses: tests/e2e/compose/test_poisons.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from string import ascii_letters, digits

HEAD = """\
import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import (
    DAG, Asset, AssetAlias, AssetWatcher, AsyncCallback, CronPartitionTimetable, DeadlineAlert,
    DeadlineReference, MultipleCronTriggerTimetable, Param,
)

async def callback(**_): ...

def deadline(name, *, interval=datetime.timedelta(hours=1), **said):
    return DeadlineAlert(
        name=name,
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=interval,
        callback=AsyncCallback(f"{__name__}.callback", kwargs=said),
    )

def late(kwargs):
    alert = deadline("late", interval=datetime.timedelta(days=-1))
    alert.callback.kwargs = kwargs
    return alert
"""


def dag(dag_id: str, arguments: str = "", *, task: str = "") -> str:
    """Return a file with one DAG and its one task, with these further arguments."""
    return f"{HEAD}\nwith DAG({dag_id!r}, {arguments}):\n    EmptyOperator(task_id='t', {task})\n"


def mapped(dag_id: str, arguments: str) -> str:
    """Return a file with one DAG and its one mapped task, of whose arguments no type is checked."""
    return (
        f"{HEAD}\nwith DAG({dag_id!r}):\n"
        f"    EmptyOperator.partial(task_id='m', {arguments}).expand(doc=['a', 'b'])\n"
    )


CRON = " ".join(",".join(map(str, every)) for every in (range(60), range(24), range(1, 32)))
"""Its description has some 600 characters."""
TWO_CRONS = f"'{CRON} * *', '{CRON} 1 *'"
RANDOM = "".join(Random(1).choices(ascii_letters + digits, k=1360))  # noqa: S311  # no secret
"""Text that PostgreSQL can't compress."""


TOO_LONG = "Airflow's database takes {}: shorten it"
TOO_LARGE = "Airflow's database takes 2147483647 at most: mend it"
REMOVE = "Airflow's database takes none: remove it"
NUMBER = "Airflow's database takes no such number: replace it"

_REFUSED: Mapping[str, tuple[tuple[str, str], str]] = {
    # DAG's arguments, its task's, then the harm
    "owner": (
        ("", "owner='o' * 2001"),
        f"has owners of 2001 characters in DAG 'owner'; {TOO_LONG.format(2000)}",
    ),
    "owner_nul": (
        ("", r"owner='o\0'"),
        f"has owners with a NUL character in DAG 'owner_nul'; {REMOVE}",
    ),
    "owner_number": (
        ("", "owner=5"),
        "has 5 as the owner in task 't' of DAG 'owner_number': give one text",
    ),
    "owner_list": (
        ("", "owner=['o', 'p']"),
        "has ['o', 'p'] as the owner in task 't' of DAG 'owner_list': give one text",
    ),
    "display_name": (
        ("dag_display_name='d' * 2001", ""),
        "has a dag_display_name of 2001 characters in DAG 'display_name'; " + TOO_LONG.format(2000),
    ),
    "link": (
        ("owner_links={'me': 'https://a/' + 'x' * 491}", ""),
        f"has a link in owner_links of 501 characters in DAG 'link'; {TOO_LONG.format(500)}",
    ),
    "link_owner": (
        ("owner_links={'o' * 501: 'https://a/'}", ""),
        "has an owner in owner_links of 501 characters in DAG 'link_owner'; "
        + TOO_LONG.format(500),
    ),
    "description": (
        (r"description='a\0b'", ""),
        f"has a description with a NUL character in DAG 'description'; {REMOVE}",
    ),
    "doc": (
        (r"doc_md='a\0b'", ""),
        f"has a 'doc_md' with a NUL character in DAG 'doc'; {REMOVE}",
    ),
    "task_doc": (
        ("", r"doc='a\0b'"),
        f"has a 'doc' with a NUL character in task 't' of DAG 'task_doc'; {REMOVE}",
    ),
    "queue": (
        ("", r"queue='q\0'"),
        f"has a 'queue' with a NUL character in task 't' of DAG 'queue'; {REMOVE}",
    ),
    "tag": (
        (r"tags=['a\0b']", ""),
        f"has a tag with a NUL character in DAG 'tag'; {REMOVE}",
    ),
    "param": (
        (r"params={'a\0': 1}", ""),
        f"has a 'params' with a NUL character in task 't' of DAG 'param'; {REMOVE}",
    ),
    "broken_character": (
        (r"description='\ud800'", ""),
        r"has a description with the broken character '\ud800' in DAG 'broken_character'; "
        + REMOVE,
    ),
    "runs": (
        ("max_active_runs=2**31", ""),
        f"has a max_active_runs of 2147483648 in DAG 'runs'; {TOO_LARGE}",
    ),
    "tasks": (
        ("max_active_tasks=10**12", ""),
        f"has a max_active_tasks of 1000000000000 in DAG 'tasks'; {TOO_LARGE}",
    ),
    "failed_runs": (
        ("max_consecutive_failed_dag_runs=2**31", ""),
        f"has a max_consecutive_failed_dag_runs of 2147483648 in DAG 'failed_runs'; {TOO_LARGE}",
    ),
    "asset": (
        (r"schedule=[Asset(name='a\0')]", ""),
        rf"has an asset's name with a NUL character in asset 'a\x00'; {REMOVE}",
    ),
    "asset_of_a_task": (
        ("", r"outlets=[Asset(name='b', group='b\0')]"),
        f"has a group with a NUL character in asset 'b'; {REMOVE}",
    ),
    "asset_extra": (
        ("schedule=[Asset(name='c', extra={'x': float('nan')})]", ""),
        f"has a 'x' that holds nan in asset 'c'; {NUMBER}",
    ),
    "asset_index": (
        (f"schedule=[Asset(name={RANDOM!r}, uri='x://{RANDOM}')]", ""),
        (
            "has an asset's name and an asset's uri of 2725 bytes in all in asset "
            f"'{RANDOM[:39]}…'; Airflow's database takes 2680: shorten them"
        ),
    ),
    "alias": (
        ("", r"outlets=[AssetAlias(name='a\0')]"),
        f"has an asset alias's name with a NUL character; {REMOVE}",
    ),
    "reference": (
        ("schedule=[Asset.ref(name='r' * 1501)]", ""),
        f"has a name in Asset.ref of 1501 characters in DAG 'reference'; {TOO_LONG.format(1500)}",
    ),
    "deadline": (
        ("deadline=deadline('d' * 251)", ""),
        f"has a deadline's name of 251 characters; {TOO_LONG.format(250)}",
    ),
    "deadline_number": (
        ("deadline=deadline('d', x=float('inf'))", ""),
        f"has a 'x' that holds inf in DAG 'deadline_number'; {NUMBER}",
    ),
}

_REFUSED_OF_A_RUN: Mapping[str, tuple[tuple[str, str], str]] = {
    "retries": (
        ("default_args={'retries': 2**63 - 1}", ""),
        f"has retries of 9223372036854775807 in task 't' of DAG 'retries'; {TOO_LARGE}",
    ),
    "slots": (
        ("", "pool_slots=10**12"),
        f"has pool_slots of 1000000000000 in task 't' of DAG 'slots'; {TOO_LARGE}",
    ),
    "long_queue": (
        ("", "queue='q' * 257"),
        "has a queue of 257 characters in task 't' of DAG 'long_queue'; " + TOO_LONG.format(256),
    ),
    "pool": (
        ("", "pool='p' * 257"),
        f"has a pool of 257 characters in task 't' of DAG 'pool'; {TOO_LONG.format(256)}",
    ),
    "task_name": (
        ("", "task_display_name='d' * 2001"),
        "has a task_display_name of 2001 characters in task 't' of DAG 'task_name'; "
        + TOO_LONG.format(2000),
    ),
    "run_timeout": (
        ("dagrun_timeout=datetime.timedelta(days=10**6)", ""),
        (
            "has a dagrun_timeout in DAG 'run_timeout' that stops Airflow's scheduler "
            "(OverflowError: date value out of range): mend it"
        ),
    ),
    "deadline_time": (
        ("deadline=deadline('d', interval=datetime.timedelta(days=10**7))", ""),
        (
            "has a deadline in DAG 'deadline_time' that stops Airflow's scheduler "
            "(OverflowError: date value out of range): mend it"
        ),
    ),
    "deadline_nul": (
        (r"deadline=deadline('d', x='a\0')", ""),
        f"has a 'x' with a NUL character in DAG 'deadline_nul'; {REMOVE}",
    ),
    "run_id": (
        (
            (
                "schedule=CronPartitionTimetable('@daily', timezone='UTC', key_format='k' * 240), "
                "start_date=datetime.datetime(2026, 1, 1)"
            ),
            "",
        ),
        f"has a schedule with a run_id of 288 characters in DAG 'run_id'; {TOO_LONG.format(250)}",
    ),
    "deadline_list": (
        ("deadline=late([1, 2])", ""),
        (
            "has a deadline in DAG 'deadline_list' that stops Airflow's scheduler "
            "(TypeError: cannot convert dictionary update sequence element #0 to a sequence): "
            "mend it"
        ),
    ),
    "deadline_average": (
        (
            (
                "deadline=DeadlineAlert(reference=DeadlineReference.AVERAGE_RUNTIME(-5, 1), "
                "interval=datetime.timedelta(1), callback=AsyncCallback(f'{__name__}.callback'))"
            ),
            "",
        ),
        (
            "has a deadline in DAG 'deadline_average' that stops Airflow's scheduler "
            "(ValueError: max_runs is less than 0): mend it"
        ),
    ),
    "executor_config": (
        ("", "executor_config='large'"),
        (
            "has something in task 't' of DAG 'executor_config' that stops Airflow's scheduler "
            "(TypeError: executor_config='large' is no dict): mend it"
        ),
    ),
    "priority": (
        ("", "priority_weight=-2**31"),
        (
            "has something in task 't' of DAG 'priority' that stops Airflow's scheduler "
            "(OverflowError: -2147483648 as a priority can't be sorted): mend it"
        ),
    ),
    "retry_delay": (
        ("", "retries=1, retry_delay=datetime.timedelta(days=10**8)"),
        (
            "has a retry_delay in task 't' of DAG 'retry_delay' that stops Airflow's scheduler "
            "(OverflowError: date value out of range): mend it"
        ),
    ),
}

REFUSED_OF_A_RUN: Mapping[str, tuple[str, str]] = {
    **{
        name: (dag(name, of_dag, task=of_task), harm)
        for name, ((of_dag, of_task), harm) in _REFUSED_OF_A_RUN.items()
    },
    "mapped": (
        mapped("mapped", "retries=2**31"),
        f"has retries of 2147483648 in task 'm' of DAG 'mapped'; {TOO_LARGE}",
    ),
    "mapped_slots": (
        mapped("mapped_slots", "pool_slots=float('inf')"),
        (
            "has pool_slots of 'inf' in task 'm' of DAG 'mapped_slots'; Airflow's database takes "
            "whole numbers: mend it"
        ),
    ),
    "mapped_limit": (
        mapped("mapped_limit", "max_active_tis_per_dag='5'"),
        (
            "has something in task 'm' of DAG 'mapped_limit' that stops Airflow's scheduler "
            "(TypeError: '<=' not supported between instances of 'str' and 'int'): mend it"
        ),
    ),
    "mapped_limit_of_a_run": (
        mapped("mapped_limit_of_a_run", "max_active_tis_per_dagrun=[5]"),
        (
            "has something in task 'm' of DAG 'mapped_limit_of_a_run' that stops Airflow's "
            "scheduler (TypeError: '<=' not supported between instances of 'list' and 'int'): "
            "mend it"
        ),
    ),
    "grouped": (
        (
            f"{HEAD}from airflow.sdk import TaskGroup\nwith DAG('grouped'), "
            "TaskGroup('g', default_args={'pool': 'p' * 257}):\n    EmptyOperator(task_id='t')\n"
        ),
        f"has a pool of 257 characters in task 'g.t' of DAG 'grouped'; {TOO_LONG.format(256)}",
    ),
    "params": (
        (
            f"{HEAD}made = DAG('params', schedule=[Asset('p')])\n"
            "made.params['x'] = Param(type='string')\nEmptyOperator(task_id='t', dag=made)\n"
        ),
        (
            "has params in DAG 'params' with which Airflow makes no run "
            "(ParamValidationError: Invalid input for param x: No value passed): mend it"
        ),
    ),
    "operator": (
        (
            f"{HEAD}Long = type('L' * 1001, (EmptyOperator,), {{}})\nwith DAG('operator'):\n"
            "    Long(task_id='t')\n"
        ),
        "has an operator's name of 1001 characters in task 't' of DAG 'operator'; "
        + TOO_LONG.format(1000),
    ),
}
"""What the dag-processor stores, and what ends the scheduler as soon as the DAG runs."""

REFUSED: Mapping[str, tuple[str, str]] = {
    **{
        name: (dag(name, of_dag, task=of_task), harm)
        for name, ((of_dag, of_task), harm) in _REFUSED.items()
    },
    "error": (
        f"{HEAD}raise ValueError('a\\0b')\n",
        rf"has an error message with a NUL character in 'ValueError: a\x00b'; {REMOVE}",
    ),
    "broken_error": (
        f"{HEAD}raise ValueError('\\ud800')\n",
        r"has an error message with the broken character '\ud800' in 'ValueError: \ud800'; "
        + REMOVE,
    ),
    "schedule": (
        dag("schedule", f"schedule=MultipleCronTriggerTimetable({TWO_CRONS}, timezone='UTC')"),
        "has a schedule with a description of 1161 characters in DAG 'schedule'; "
        + TOO_LONG.format(1000),
    ),
}
"""Text of a file and its harm, by name."""

HELD: Mapping[str, tuple[str, str]] = {**REFUSED, **REFUSED_OF_A_RUN}

_TAKEN: Mapping[str, tuple[str, str]] = {
    "owner_just": ("", "owner='o' * 2000"),
    "display_name_just": ("dag_display_name='d' * 2000", ""),
    "link_just": ("owner_links={'me': 'https://a/' + 'x' * 490, 'o' * 500: 'https://a/'}", ""),
    "tag_just": ("tags=['a' * 100, 'æ' * 100]", ""),
    "runs_just": ("max_active_runs=2**31 - 1, max_active_tasks=2**31 - 1", ""),
    "below_nothing": ("max_active_runs=-2**31", ""),
    "description_long": ("description='x' * 100_000, doc_md='x' * 3_000_000", ""),
    "escaped": (r"description='\\u0000 \\ud800 NaN Infinity', doc_md='\\u0000 \\ud800 NaN'", ""),
    "odd_numbers": ("params={'x': float('nan'), 'y': 2**64 - 1, 'z': 1e308}", ""),
    "emoji": ("description='😀', doc_md='😀', dag_display_name='😀' * 2000", ""),
    "asset_just": ("schedule=[Asset(name='n' * 1500, uri='x://' + 'u' * 1000)]", ""),
    "asset_index_just": (
        f"schedule=[Asset(name={RANDOM[:1338]!r}, uri='x://{RANDOM[:1337]}')]",
        "",
    ),
    "reference_just": ("schedule=[Asset.ref(uri='x://' + 'r' * 1496)]", ""),
    "alias_just": ("", "outlets=[AssetAlias(name='a' * 1500, group='g' * 1500)]"),
    "watched": (
        (
            "schedule=[Asset('w', watchers=[AssetWatcher(name='w' * 1500, "
            "trigger=FileDeleteTrigger(filepath='/x'))])], is_paused_upon_creation=False"
        ),
        "",
    ),
    "deadline_just": ("deadline=deadline('d' * 250, x='a')", ""),
    "deadline_missed": ("deadline=late({'a': datetime.datetime(2026, 1, 1)})", ""),
    "run_id_just": (
        (
            "schedule=CronPartitionTimetable('@daily', timezone='UTC', key_format='k' * 202), "
            "start_date=datetime.datetime(2026, 1, 1)"
        ),
        "",
    ),
    "deadline_far": ("deadline=deadline('d', interval=datetime.timedelta(days=10**6))", ""),
    "params_asked_for": ("schedule=None, params={'x': Param(type='string')}", ""),
    "long_schedule": (f"schedule='{CRON} * *'", ""),
    "no_next_run": ("schedule='0 0 30 2 *', start_date=datetime.datetime(2026, 1, 1)", ""),
    "at_the_end_of_time": ("schedule='@daily', start_date=datetime.datetime(9999, 12, 31)", ""),
    "of_that_role": ("access_control={'Nobody': {'can_read'}}", ""),
    "task_just" + "_" * 241: ("", ""),
    "run_just": (
        "dagrun_timeout=datetime.timedelta(days=10**5)",
        (
            "retries=2**31 - 1, pool_slots=2**31 - 1, queue='q' * 256, pool='p' * 256, "
            "priority_weight=10**12, task_display_name='d' * 2000, "
            "retry_delay=datetime.timedelta(days=10**6), executor_config={'a': {'b'}}, "
            "max_active_tis_per_dag=2**31"
        ),
    ),
    "priority_just": ("", "priority_weight=1 - 2**31"),
    "delay_that_is_cut": (
        "",
        "retry_exponential_backoff=2, retry_delay=datetime.timedelta(days=10**8)",
    ),
}

TAKEN: Mapping[str, str] = {
    **{name: dag(name, of_dag, task=of_task) for name, (of_dag, of_task) in _TAKEN.items()},
    "other_encoding": "# -*- coding: latin-1 -*-\n" + dag("other_encoding"),
    "error_just": f"{HEAD}raise ValueError('\\\\0')\n",
    "nul_in_text": f"{HEAD}# \0\n",
}
"""Text of a file by name."""


def files() -> dict[str, str]:
    """Return the texts of all of them, by name."""
    return {name: text for name, (text, _) in HELD.items()} | dict(TAKEN)
