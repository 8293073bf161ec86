"""What is made of what uv and pip say."""

from __future__ import annotations

import time

import pytest

from deployer.edges.packages.installer_output import (
    added,
    last_line,
    pins,
    reason_of,
    reason_of_pip,
    refusal,
)

# Each as uv 0.13.9 or 0.9.0 printed it, shortened where `…` stands.
NOT_FOUND = """\
Using Python 3.11.7 environment at: v
error: No solution found when resolving dependencies
  cause: Because nosuch-zz was not found in the package registry and you require nosuch-zz, \
we can conclude that your requirements are unsatisfiable.
"""
TREE = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because there is no version of pandas==99.1 and you require
      pandas==99.1, we can conclude that your requirements are
      unsatisfiable.

      hint: something else
"""
CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because you require jinja2<3 and jinja2==3.1.6, we can conclude that your requirements \
are unsatisfiable.
"""
DEPENDS = """\
error: No solution found when resolving dependencies
  cause: Because great-expectations==0.15.0 depends on urllib3>=1.25.4,<1.27 and urllib3==2.8.0, \
we can conclude that great-expectations==0.15.0 cannot be used.
         And because you require great-expectations==0.15.0, we can conclude that your \
requirements are unsatisfiable.
"""
AIRFLOW = """\
Using Python 3.11.2 environment at: /home/airflow/.local
error: No solution found when resolving dependencies
  cause: Because you require apache-airflow==1.10 and apache-airflow==3.3.2, we can conclude \
that your requirements are unsatisfiable.
"""
DBT = """\
Using Python 3.11.2 environment at: /home/airflow/.local
error: No solution found when resolving dependencies
  cause: Because dbt-core==1.10.14 was yanked (reason: Issues with jsonschema bundling) and \
dbt-core>=1.12.0b1,<=1.13.0b1 depends on pathspec>=0.9,<1.1, we can conclude that all of:
             dbt-core==1.10.14
             dbt-core>=1.12.0b1,<=1.13.0b1
         depend on pathspec>=0.9,<1.1.
         And because …
"""
UNREADABLE = """\
error: Couldn't parse requirement in `/tmp/class-requirements.txt` at position 0
  cause: expected version to start with a number, but no leading ASCII digits were found
         six===what
            ^^^^^^^
"""
BUILD = """\
Resolved 131 packages in 648ms
   Building mysqlclient==2.1.0
error: Failed to build `mysqlclient==2.1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed \
(exit status: 1)

         [stdout]
         mysql_config --version
         mysql_config --libs

         [stderr]
         /bin/sh: 1: mysql_config: not found
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
           …
             raise OSError("{} not found".format(_mysql_config_path))
         OSError: mysql_config not found

hint: Build failures usually indicate a problem with the package or the build environment
"""
BUILD_TREE = """\
  \u00d7 Failed to build `mysqlclient==2.1.0`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit
      status: 1)

      [stderr]
      /bin/sh: 1: mysql_config: not found
      Traceback (most recent call last):
        File
      "/tmp/.cache/uv/sdists-v9/pypi/mysqlclient/2.1.0/zm4Z/src/setup_posix.py",
      line 31, in mysql_config
          raise OSError("{} not found".format(_mysql_config_path))
      OSError: mysql_config not found

      hint: This usually indicates a problem with the package or the build
      environment.
"""
BUILD_IN_WORDS = """\
error: Failed to build `sklearn==0.0.post12`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed \
(exit status: 1)

         [stderr]
         The 'sklearn' PyPI package is deprecated, use 'scikit-learn'
         rather than 'sklearn' for pip commands.

hint: `sklearn` is often confused for `scikit-learn`.
"""
# As pip 23.0 printed it in Airflow's entrypoint.
PIP_BUILD = """\
Collecting six==1.17.0
Collecting mysqlclient==2.1.0
  Preparing metadata (setup.py): finished with status 'error'
  error: subprocess-exited-with-error

  \u00d7 python setup.py egg_info did not run successfully.
  │ exit code: 1
  ╰─> [18 lines of output]
      /bin/sh: 1: mysql_config: not found
      Traceback (most recent call last):
        File "<string>", line 2, in <module>
          raise OSError("{} not found".format(_mysql_config_path))
      OSError: mysql_config not found
      mysql_config --libs
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

hint: See above for details.
"""
# pip 23.0 without the package `wheel`, as Debian 12 has it.
PIP_LEGACY = """\
Collecting cowsay==6.1
Installing collected packages: fails-zz, cowsay
  Running setup.py install for fails-zz: started
  Running setup.py install for fails-zz: finished with status 'error'
  error: subprocess-exited-with-error

  Running setup.py install for fails-zz did not run successfully.
  ╰─> [3 lines of output]
      running install
      running build_py
      error: command 'gcc' failed: No such file
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: legacy-install-failure
"""
PIP_NOT_FOUND = """\
ERROR: Could not find a version that satisfies the requirement nosuch-zz==1 (from versions: none)
ERROR: No matching distribution found for nosuch-zz==1
"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (NOT_FOUND, "nosuch-zz was not found in the package registry and you require nosuch-zz"),
        (TREE, "there is no version of pandas==99.1 and you require pandas==99.1"),
        (CONFLICT, "you require jinja2<3 and jinja2==3.1.6"),
        (AIRFLOW, "you require apache-airflow==1.10 and apache-airflow==3.3.2"),
        (
            DBT,
            (
                "dbt-core==1.10.14 was yanked (reason: Issues with jsonschema bundling) and "
                "dbt-core>=1.12.0b1,<=1.13.0b1 depends on pathspec>=0.9,<1.1"
            ),
        ),
        (
            UNREADABLE,
            (
                "expected version to start with a number, but no leading ASCII digits were found "
                "six===what"
            ),
        ),
        (BUILD, "Failed to build `mysqlclient==2.1.0`: OSError: mysql_config not found"),
        (BUILD_TREE, "Failed to build `mysqlclient==2.1.0`: OSError: mysql_config not found"),
        (
            BUILD_IN_WORDS,
            (
                "Failed to build `sklearn==0.0.post12`: "
                "The 'sklearn' PyPI package is deprecated, use 'scikit-learn'"
            ),
        ),
        ("error: something new", "something new"),
        ("", "uv gave no reason"),
    ],
)
def test_uvs_complaint_is_cut_to_the_sentence_that_says_why(said: str, reason: str) -> None:
    assert reason_of(said) == reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (PIP_BUILD, "Failed to build mysqlclient==2.1.0: OSError: mysql_config not found"),
        (PIP_LEGACY, "Failed to build fails-zz: error: command 'gcc' failed: No such file"),
        (PIP_NOT_FOUND, "No matching distribution found for nosuch-zz==1"),
        ("Collecting six\nKilled\n\n", "Killed"),
    ],
)
def test_pips_complaint_is_cut_to_the_sentence_that_says_why(said: str, reason: str) -> None:
    assert reason_of_pip(said) == reason


@pytest.mark.parametrize("said", [BUILD, BUILD_TREE])
def test_a_refusal_names_the_line_of_the_package_whose_build_fails(said: str) -> None:
    assert refusal("six\nmysqlclient==2.1.0\n", said).line == 2


def test_a_refusal_names_the_line_of_the_package_that_is_required() -> None:
    assert refusal("six\n# why\nNoSuch_zz>=1\n", NOT_FOUND).line == 3


@pytest.mark.parametrize(
    ("text", "said", "reason"),
    [
        ("jinja2<3\n", CONFLICT, "you require jinja2<3 and jinja2==3.1.6 (Airflow's own pin)"),
        (
            "apache-airflow==1.10\n",
            AIRFLOW,
            "you require apache-airflow==1.10 and apache-airflow==3.3.2 (Airflow's own pin)",
        ),
        (
            "great-expectations==0.15.0\n",
            DEPENDS,
            (
                "great-expectations==0.15.0 depends on urllib3>=1.25.4,<1.27 and urllib3==2.8.0 "
                "(Airflow's own pin)"
            ),
        ),
        ("Jinja2<3\njinja2==3.1.6\n", CONFLICT, "you require jinja2<3 and jinja2==3.1.6"),
    ],
)
def test_a_pin_of_airflows_is_called_so_where_the_text_does_not_ask_for_it(
    text: str, said: str, reason: str
) -> None:
    refused = refusal(text, said)
    assert (refused.reason, refused.line) == (reason, 1)


@pytest.mark.parametrize("piece", ["a.", "_", "a/", "a and ", "a<b and "])
def test_no_refusal_takes_long(piece: str) -> None:
    name = piece * (20_000 // len(piece))
    said = NOT_FOUND.replace("nosuch-zz", name)
    began = time.process_time()
    refusal("six\n", said)
    assert time.process_time() - began < 2


def test_a_refusal_about_no_line_of_the_text_has_none() -> None:
    assert refusal("six\n", NOT_FOUND).line is None


ADDED = """\
Would install 3 packages
 + cowsay==6.1
 + six==1.17.0 (from https://host.example/six.whl)
 + iniconfig @ https://host.example/iniconfig.whl
 - old==1
"""


def test_what_uv_adds_is_read_from_its_list() -> None:
    assert added(ADDED) == (
        "cowsay==6.1",
        "six==1.17.0",
        "iniconfig @ https://host.example/iniconfig.whl",
    )


def test_pip_is_given_just_what_uv_adds_from_where_uv_had_it() -> None:
    assert pins("cowsay", ADDED) == (
        "cowsay==6.1\n"
        "six @ https://host.example/six.whl\n"
        "iniconfig @ https://host.example/iniconfig.whl\n"
    )


# As uv 0.13.9 printed it, of what is in the text below it.
ADDED_MASKED = """\
 + six @ https://someone:****@host.example/six.whl?token=abc
 + tool==1.0 (from https://****@host.example/tool.zip)
"""
WITH_CREDENTIALS = """\
Six @ https://someone:hunter2@host.example/six.whl?token=abc
six @ https://host.example/other.whl ; python_version < "3"
tool @ https://hunter2@host.example/tool.zip
"""


def test_pip_is_given_the_credentials_that_uv_masks() -> None:
    assert pins(WITH_CREDENTIALS, ADDED_MASKED) == (
        "six @ https://someone:hunter2@host.example/six.whl?token=abc\n"
        "tool @ https://hunter2@host.example/tool.zip\n"
    )


def test_what_uv_adds_is_shown_without_credentials() -> None:
    assert added(ADDED_MASKED) == (
        "six @ https://****@host.example/six.whl?token=****",
        "tool==1.0",
    )


# As uv 0.13.9 printed it.
NOT_AN_ARCHIVE = """\
error: Couldn't parse requirement in `r.txt` at position 0
  cause: Expected direct URL (`https://****@host.example/tool-1.0.exe`) to end in a supported file \
extension: `.whl`
         tool @ https://ghp_AAAABBBBCCCC@host.example/tool-1.0.exe
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
NOT_THERE = """\
error: Failed to download `tool @ https://host.example/tool-1.0-py3-none-any.whl?token=hunter2`
  cause: Request failed after 3 retries in 5.1s
"""


@pytest.mark.parametrize("said", [NOT_AN_ARCHIVE, NOT_THERE])
def test_a_refusal_shows_no_credential_that_uv_quotes(said: str) -> None:
    refused = refusal("six\ntool @ https://host.example/tool-1.0.exe\n", said)
    assert "hunter2" not in str(refused)
    assert "ghp_" not in str(refused)


@pytest.mark.parametrize(("text", "line"), [("a\n b \n\n", "b"), ("\n", "no output")])
def test_the_last_line_is_the_last_that_says_something(text: str, line: str) -> None:
    assert last_line(text) == line
