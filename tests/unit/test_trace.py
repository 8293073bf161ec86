"""Tracebacks: samples made with Airflow 3.3.2 on Python 3.11, under neutral paths."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.verdicts import trace

SHA = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5"
PATH = "dags/lasse/x.py"
FILE = f"/srv/class/releases/{SHA}/{PATH}"

IMPORTER = """\
Traceback (most recent call last):
  File "/usr/lib/airflow/dag_processing/importers/python_importer.py", line 238, in parse
    loader.exec_module(new_module)
  File "<frozen importlib._bootstrap_external>", line 940, in exec_module
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
"""

MISSING = f"""\
{IMPORTER}  File "{FILE}", line 12, in <module>
    import pandas
ModuleNotFoundError: No module named 'pandas'
"""

NOT_QUOTED = f"""\
{IMPORTER}  File "{FILE}", line 12, in <module>
    raise ValueError
ValueError
"""

IN_HELPER = f"""\
{IMPORTER}  File "{FILE}", line 4, in <module>
    from lasse import helper
  File "/srv/class/releases/{SHA}/dags/lasse/helper.py", line 2, in <module>
    import alsonosuch
ModuleNotFoundError: No module named 'alsonosuch'
"""

SYNTAX = f"""\
{IMPORTER}  File "{FILE}", line 2
    x = f(1,
         ^
SyntaxError: '(' was never closed
"""

SYNTAX_IN_HELPER = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    from lasse import helper
  File "/srv/class/releases/{SHA}/dags/lasse/helper.py", line 41
    def f(:
          ^
SyntaxError: invalid syntax
"""

NUL = f"""\
{IMPORTER}SyntaxError: source code string cannot contain null bytes
"""

BAD_ARGUMENT = f"""\
{IMPORTER}  File "{FILE}", line 4, in <module>
    BashOperator(task_id='x', bash_command='a', nonsense=1)
  File "/usr/lib/airflow/sdk/bases/operator.py", line 567, in apply_defaults
    result = func(self, **kwargs, default_args=default_args)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/airflow/sdk/bases/operator.py", line 1121, in __init__
    raise TypeError(
TypeError: Invalid arguments were passed to BashOperator (task_id: x). Invalid arguments were:
**kwargs: {{'nonsense': 1}}
"""

TOO_DEEP = """\
Traceback (most recent call last):
  File "/usr/lib/airflow/sdk/bases/decorator.py", line 555, in __call__
    op = self.operator_class(
         ^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/airflow/sdk/definitions/_internal/node.py", line 49, in validate_key
    raise ValueError(
ValueError: The key 'b!' has to be made of alphanumeric characters
"""

FROM = f"""\
Traceback (most recent call last):
  File "{FILE}", line 4, in g
    1/0
    ~^~
ZeroDivisionError: division by zero

The above exception was the direct cause of the following exception:

{IMPORTER}  File "{FILE}", line 8, in <module>
    g()
  File "{FILE}", line 6, in g
    raise ValueError('line one\\nline two') from e
ValueError: line one
line two
"""

DURING = f"""\
Traceback (most recent call last):
  File "{FILE}", line 3, in <module>
    {{}}['a']
    ~~^^^^^
KeyError: 'a'

During handling of the above exception, another exception occurred:

{IMPORTER}  File "{FILE}", line 5, in <module>
    raise RuntimeError('x: y')
RuntimeError: x: y
"""

SERIALIZATION = f"""\
Traceback (most recent call last):
  File "/usr/lib/airflow/serialization/helpers.py", line 67, in serialize_object
    serialized_pairs = [(normalize_dict_key(k), serialize_object(v)) for k, v in obj.items()]
                                                                                 ^^^^^^^^^^^
  File "{FILE}", line 4, in items
    def items(self): raise RuntimeError('never')
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^
RuntimeError: never

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/airflow/dag_processing/processor.py", line 283, in _serialize_dags
    data = DagSerialization.to_dict(dag)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/airflow/serialization/serialized_objects.py", line 1781, in serialize_dag
    raise SerializationError(f"Failed to serialize DAG {{dag.dag_id!r}}: {{e}}") from e
airflow.exceptions.SerializationError: Failed to serialize DAG 'ser': never
"""

GROUP = f"""\
  + Exception Group Traceback (most recent call last):
  |   File "/usr/lib/airflow/dag_processing/importers/python_importer.py", line 238, in parse
  |     loader.exec_module(new_module)
  |   File "{FILE}", line 9, in <module>
  |     raise ExceptionGroup('many', [ValueError('a'), TypeError('b')])
  | ExceptionGroup: many (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "{FILE}", line 3, in <module>
    |     raise ValueError('a')
    | ValueError: a
    +---------------- 2 ----------------
    | TypeError: b
    +------------------------------------
"""

GROUP_UNTOLD = """\
ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
"""

RECURSION = f"""\
Traceback (most recent call last):
  File "{FILE}", line 2, in f
    def f(): f()
             ^^^
  File "{FILE}", line 2, in f
    def f(): f()
             ^^^
  [Previous line repeated 8 more times]
RecursionError: maximum recursion depth exceeded
"""

SLOW = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    time.sleep(60)
  File "/usr/lib/airflow/dag_processing/importers/python_importer.py", line 65, in handle_timeout
    raise AirflowTaskTimeout(error_message)
airflow.sdk.exceptions.AirflowTaskTimeout: DagBag import timeout for {FILE} after 15.0s.
Please take a look at these docs to improve your DAG import time:
* https://airflow.apache.org/docs/apache-airflow/3.3.2/best-practices.html, PID: 16723
"""

PYDANTIC = f"""\
{IMPORTER}  File "{FILE}", line 5, in <module>
    M(a='x', c=[1, 'k'])
pydantic_core._pydantic_core.ValidationError: 2 validation errors for M
a
  Input should be a valid integer [type=int_parsing, input_value='x', input_type=str]
    For further information visit https://errors.pydantic.dev/2.14/v/int_parsing
c.1
  Input should be a valid integer [type=int_parsing, input_value='k', input_type=str]
    For further information visit https://errors.pydantic.dev/2.14/v/int_parsing
"""

PYDANTIC_ROOT = f"""\
{IMPORTER}  File "{FILE}", line 5, in <module>
    TypeAdapter(int).validate_python("x")
pydantic_core._pydantic_core.ValidationError: 1 validation error for int
  Input should be a valid integer [type=int_parsing, input_value='x', input_type=str]
"""

YAML = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    yaml.safe_load(Path("/srv/class/releases/{SHA}/include/conf.yaml").open())
yaml.parser.ParserError: while parsing a flow sequence
  in "/srv/class/releases/{SHA}/include/conf.yaml", line 2, column 4
expected ',' or ']', but got ':'
  in "/srv/class/releases/{SHA}/include/conf.yaml", line 3, column 2
"""

YAML_TEXT = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    yaml.safe_load("a: b: c")
yaml.scanner.ScannerError: mapping values are not allowed here
  in "<unicode string>", line 1, column 5:
    a: b: c
        ^
"""

YAML_NUL = f"""\
{IMPORTER}yaml.reader.ReaderError: unacceptable character #x0000: special characters are not allowed
  in "<unicode string>", position 3
"""

JSONSCHEMA = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    jsonschema.validate(conf, SCHEMA)
jsonschema.exceptions.ValidationError: 'x' is not of type 'integer'

Failed validating 'type' in schema['properties']['a']['properties']['b']:
    {{'type': 'integer'}}

On instance['a']['b']:
    'x'
"""

JSONSCHEMA_ROOT = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    jsonschema.validate(conf, SCHEMA)
jsonschema.exceptions.ValidationError: 'b' is a required property

Failed validating 'required' in schema:
    {{'type': 'object', 'required': ['b']}}

On instance:
    {{'a': 1}}
"""

INI = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    config.read(HERE / "c.ini")
configparser.MissingSectionHeaderError: File contains no section headers.
file: '/srv/class/releases/{SHA}/dags/lasse/c.ini', line: 1
'a = 1\\n'
"""

INI_LINE = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    config.read(HERE / "c.ini")
configparser.ParsingError: Source contains parsing errors: 'c.ini'
\t[line  2]: 'oops\\n'
"""

OWN_CLASS = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    raise Weird('no')
unusual_prefix_957a8a3eab525f9ce1c6f496b954bedd9859b092_x.f.<locals>.Weird: no
"""

NO_MESSAGE = f"""\
{IMPORTER}  File "{FILE}", line 2, in <module>
    assert False
AssertionError
"""

EXIT = f"""\
{IMPORTER}  File "{FILE}", line 2, in <module>
    exit()
  File "<frozen _sitebuiltins>", line 26, in __call__
SystemExit: None
"""

NOT_WRITTEN = f"""\
{IMPORTER}  File "{FILE}", line 4, in <module>
    from lasse import helper
  File "/srv/class/releases/{SHA}/dags/lasse/helper.py", line 2, in <module>
    raise NotImplementedError
NotImplementedError
"""

NO_SOURCE = f"""\
{IMPORTER}AssertionError
"""

BLANK_FIRST_LINE = f"""\
{IMPORTER}  File "{FILE}", line 2, in <module>
    raise ValueError('\\nsecond')
ValueError:\N{SPACE}
second
"""

QUOTES_ANOTHER = f"""\
{IMPORTER}  File "{FILE}", line 7, in <module>
    raise RuntimeError(remote)
RuntimeError: the other side said:
Traceback (most recent call last):
  File "/elsewhere/y.py", line 99, in <module>
KeyError: 'not this one'
"""

VARIABLE = f"""\
{IMPORTER}  File "{FILE}", line 3, in <module>
    x = Variable.get('x')
        ^^^^^^^^^^^^^^^^^
  File "/usr/lib/airflow/sdk/execution_time/context.py", line 353, in _get_variable
    raise AirflowRuntimeError(
airflow.sdk.exceptions.AirflowRuntimeError: VARIABLE_NOT_FOUND: {{'message': 'Variable x'}}
"""

CYCLE = "AirflowDagCycleException: Cycle detected in Dag: cyc. Faulty task: b"
POLICY = f"""\
AirflowClusterPolicyViolation: dag_id 'x' must begin with 'lasse_': call it 'lasse_x'; \
DAG 'x' has no tag 'student:lasse': add it to its tags=[…]
in {FILE}"""
SEGFAULT = f"Received SIGSEGV signal while processing {FILE}."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            MISSING, ("ModuleNotFoundError", "No module named 'pandas'", 12), id="missing import"
        ),
        pytest.param(
            IN_HELPER,
            ("ModuleNotFoundError", "No module named 'alsonosuch'", 4),
            id="missing import inside a helper",
        ),
        pytest.param(SYNTAX, ("SyntaxError", "'(' was never closed", 2), id="syntax"),
        pytest.param(
            SYNTAX_IN_HELPER, ("SyntaxError", "invalid syntax", 3), id="syntax of a helper"
        ),
        pytest.param(
            NUL, ("SyntaxError", "source code string cannot contain null bytes", None), id="nul"
        ),
        pytest.param(
            BAD_ARGUMENT,
            (
                "TypeError",
                (
                    "Invalid arguments were passed to BashOperator (task_id: x). Invalid arguments "
                    "were: **kwargs: {'nonsense': 1}"
                ),
                4,
            ),
            id="message that goes on after a colon",
        ),
        pytest.param(
            TOO_DEEP,
            ("ValueError", "The key 'b!' has to be made of alphanumeric characters", None),
            id="trace too short to reach the file",
        ),
        pytest.param(FROM, ("ValueError", "line one", 6), id="raised from another"),
        pytest.param(DURING, ("RuntimeError", "x: y", 5), id="raised while handling another"),
        pytest.param(
            SERIALIZATION,
            ("SerializationError", "Failed to serialize DAG 'ser': never", 4),
            id="serialization",
        ),
        pytest.param(
            GROUP, ("ExceptionGroup", "many (2 sub-exceptions): ValueError: a", 9), id="group"
        ),
        pytest.param(
            GROUP_UNTOLD, ("ExceptionGroup", "many (1 sub-exception)", None), id="group cut short"
        ),
        pytest.param(
            RECURSION, ("RecursionError", "maximum recursion depth exceeded", 2), id="recursion"
        ),
        pytest.param(
            SLOW,
            ("AirflowTaskTimeout", f"DagBag import timeout for {PATH} after 15.0s.", 3),
            id="import timeout",
        ),
        pytest.param(
            PYDANTIC,
            (
                "ValidationError",
                (
                    "2 validation errors for M: a: Input should be a valid integer; "
                    "c.1: Input should be a valid integer"
                ),
                5,
            ),
            id="fields",
        ),
        pytest.param(
            PYDANTIC_ROOT,
            ("ValidationError", "1 validation error for int: Input should be a valid integer", 5),
            id="a value that is no field",
        ),
        pytest.param(
            YAML,
            (
                "ParserError",
                "expected ',' or ']', but got ':' in \"include/conf.yaml\", line 3, column 2",
                3,
            ),
            id="YAML of a file",
        ),
        pytest.param(
            YAML_TEXT,
            (
                "ScannerError",
                'mapping values are not allowed here in "<unicode string>", line 1, column 5',
                3,
            ),
            id="YAML of a text",
        ),
        pytest.param(
            YAML_NUL,
            (
                "ReaderError",
                (
                    "unacceptable character #x0000: special characters are not allowed "
                    'in "<unicode string>", position 3'
                ),
                None,
            ),
            id="YAML with a NUL",
        ),
        pytest.param(
            JSONSCHEMA,
            ("ValidationError", "'x' is not of type 'integer', on instance['a']['b']", 3),
            id="property",
        ),
        pytest.param(
            JSONSCHEMA_ROOT,
            ("ValidationError", "'b' is a required property", 3),
            id="a whole document",
        ),
        pytest.param(
            INI,
            (
                "MissingSectionHeaderError",
                "File contains no section headers. file: 'dags/lasse/c.ini', line: 1",
                3,
            ),
            id="an INI file",
        ),
        pytest.param(
            INI_LINE,
            (
                "ParsingError",
                "Source contains parsing errors: 'c.ini' [line  2]: 'oops\\n'",
                3,
            ),
            id="a line of an INI file",
        ),
        pytest.param(OWN_CLASS, ("Weird", "no", 3), id="a class of the file's own"),
        pytest.param(NO_MESSAGE, ("AssertionError", "assert False", 2), id="no message"),
        pytest.param(EXIT, ("SystemExit", "exit()", 2), id="None for a message"),
        pytest.param(
            NOT_WRITTEN,
            ("NotImplementedError", "raise NotImplementedError", 4),
            id="no message, in a helper",
        ),
        pytest.param(
            NO_SOURCE, ("AssertionError", "no reason given", None), id="no message, no code"
        ),
        pytest.param(BLANK_FIRST_LINE, ("ValueError", "second", 2), id="blank first line"),
        pytest.param(
            QUOTES_ANOTHER,
            ("RuntimeError", "the other side said: Traceback (most recent call last):", 7),
            id="message that quotes a traceback",
        ),
        pytest.param(
            VARIABLE,
            ("AirflowRuntimeError", "VARIABLE_NOT_FOUND: {'message': 'Variable x'}", 3),
            id="variable",
        ),
        pytest.param(
            CYCLE,
            ("AirflowDagCycleException", "Cycle detected in Dag: cyc. Faulty task: b", None),
            id="cycle",
        ),
        pytest.param(
            POLICY,
            (
                "AirflowClusterPolicyViolation",
                (
                    "dag_id 'x' must begin with 'lasse_': call it 'lasse_x'; "
                    "DAG 'x' has no tag 'student:lasse': add it to its tags=[…]"
                ),
                None,
            ),
            id="policy",
        ),
        pytest.param(
            SEGFAULT,
            ("DagImportError", f"Received SIGSEGV signal while processing {PATH}.", None),
            id="bare sentence",
        ),
        pytest.param("", ("DagImportError", "no reason given", None), id="nothing"),
        pytest.param(IMPORTER, ("DagImportError", "no reason given", None), id="frames alone"),
    ],
)
def test_type_message_and_own_line_come_out_of_a_trace(
    text: str, expected: tuple[str, str, int | None]
) -> None:
    error = trace.read(text, PATH)

    assert (error.type, error.message, error.line) == expected
    assert error.trace == text


def test_a_neighbours_file_of_the_same_ending_is_not_ones_own() -> None:
    assert trace.read(MISSING.replace("/dags/lasse/", "/x-dags/lasse/"), PATH).line is None


@pytest.mark.parametrize("path", ['dags/la"sse/x.py', 'dags/lasse/", line 3, y.py'])
def test_a_quote_in_a_name_hides_no_line(path: str) -> None:
    error = trace.read(NOT_QUOTED.replace(PATH, path), path)

    assert (error.message, error.line) == ("raise ValueError", 12)


@pytest.mark.parametrize("piece", ['File "', 'dags/"', '", line 1', '\n  File "dags/', "\n  File"])
def test_no_trace_of_many_places_takes_long(piece: str) -> None:
    text = f'{IMPORTER}  File "/dags/{piece * 20_000}\nValueError\n'
    began = time.process_time()
    trace.read(text, PATH)
    assert time.process_time() - began < 2


def test_a_line_that_no_file_has_is_cut() -> None:
    assert trace.read(MISSING.replace("line 12", f"line {'9' * 5_000}"), PATH).line == 999_999_999


def test_a_zips_line_is_that_of_the_module_inside() -> None:
    text = MISSING.replace(PATH, "dags/lasse/pack.zip/inner.py")

    assert trace.read(text, "dags/lasse/pack.zip").line == 12


def test_a_folder_that_looks_like_ones_own_file_is_not_it() -> None:
    assert trace.read(MISSING.replace(PATH, f"{PATH}/inner.py"), PATH).line is None


def test_another_files_path_in_a_message_loses_the_servers_part() -> None:
    text = f"FileNotFoundError: /srv/class/releases/{SHA}/include/sql/a.sql is missing"

    assert trace.read(text, PATH).message == "include/sql/a.sql is missing"


@pytest.mark.parametrize(
    "said",
    [
        "https://github.com/example/tool/releases/download/v1.2/tool.zip",
        f"https://github.com/example/tool/releases/{SHA}/tool.zip",
        f"https://github.com/example/class/blob/main/{PATH}",
        f"file:///srv/class/releases/{SHA}/{PATH}",
        "/home/lasse/releases/v1.2/tool.zip",
        "releases/v1.2/tool.zip",
    ],
)
def test_an_address_and_a_place_that_is_no_release_stay_whole(said: str) -> None:
    message = f"cannot open '{said}' or {said}: gone"

    assert trace.read(f"OSError: {message}", PATH).message == message


@pytest.mark.parametrize("name", [SHA, f"{SHA}-2", ".tmp-x1y2z3"])
def test_a_path_in_any_release_loses_the_servers_part_beside_an_address(name: str) -> None:
    text = f"OSError: https://example.org/a: /srv/x/releases/{name}/include/a.sql in /srv/{PATH}"

    assert trace.read(text, PATH).message == f"https://example.org/a: include/a.sql in {PATH}"


def test_a_file_name_is_taken_literally() -> None:
    path = r"dags/lasse/a+(b)\1.py"

    assert trace.read(f"OSError: cannot read /srv/{path}", path).message == f"cannot read {path}"


def test_a_huge_name_of_an_error_is_cut() -> None:
    assert trace.read(f"{'A' * 20_000}: no\n", PATH).type == "A" * trace.MAX_TYPE


def test_a_password_in_an_address_is_shown_neither_in_the_message_nor_in_the_trace() -> None:
    error = trace.read(MISSING + "X: no https://me:hunter2@host/a?month=2026-01\n", PATH)
    assert "hunter2" not in repr(error)
    error = trace.read("OperationalError: postgresql://me:hunter2@host/a?month=2026-01\n", PATH)
    assert error.message == "postgresql://****@host/a?month=2026-01"


def test_a_huge_message_is_cut_before_it_costs_time() -> None:
    error = trace.read("ValueError: " + "/a" * 1_000_000, PATH)

    assert len(error.message) == trace.MAX_MESSAGE


@given(st.text(), st.sampled_from([PATH, "dags/amy/pack.zip"]))
def test_no_text_makes_reading_fail(text: str, path: str) -> None:
    error = trace.read(text, path)

    assert "\n" not in error.message


@pytest.mark.parametrize("piece", [" ", "_", "_.", "A.", "\u2502", "|", "x: "])
def test_no_trace_takes_long(piece: str) -> None:
    text = "ValueError: " + piece * (40_000 // len(piece))
    began = time.process_time()
    trace.read(text, PATH)
    assert time.process_time() - began < 2


LOG = """
  File "/home/airflow/site-packages/psycopg2/__init__.py", line 122, in connect
    conn = _connect(dsn, connection_factory=connection_factory, **kwasync)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) no host
(Background on this error at: a page)
""".strip("\n")


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (LOG, f"{LOG.splitlines()[3]}\n{LOG}"),
        ("begins\nends", "ends\nbegins\nends"),
        ("ImportError: broken", "ImportError: broken"),
    ],
    ids=["a trace", "no trace", "one line"],
)
def test_what_a_program_ended_of_stands_in_the_first_line(log: str, told: str) -> None:
    assert trace.ended("it ended", log) == f"it ended: {told}"


def test_what_ended_without_a_word_is_told_without_one() -> None:
    assert trace.ended("it ended", "") == "it ended"
