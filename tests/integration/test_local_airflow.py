"""The embedded Airflow and the class's bundle, for real: one Airflow for the whole session."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow_client.client.api.dag_api import DAGApi
from airflow_client.client.api.dag_version_api import DagVersionApi
from airflow_client.client.api_client import ApiClient

from deployer.edges.embedded.airflow import COMMANDS, LocalAirflow
from deployer.errors import DiskError, RequirementsRefused, ServicesError
from tests.integration.airflow_world import PATIENCE_S, World, broken_text, dag_text
from tests.integration.waiting import eventually

pytestmark = pytest.mark.airflow

BOUND_S = 240
PACKAGE = "cowsay==6.1"  # pure Python, one wheel, and nothing of Airflow's needs it


@pytest.fixture
def name() -> str:
    return f"l_{uuid4().hex[:8]}"


# -- the bundle


def client(world: World) -> ApiClient:
    world.airflow.pools()  # logs in
    return world.airflow._calls._client


def seen(world: World, dag_id: str) -> dict[str, Any]:
    """Return a DAG as Airflow's own pages show it."""
    api = DAGApi(client(world))
    found: dict[str, Any] = json.loads(api.get_dag_details_without_preload_content(dag_id).data)
    del found["last_parsed"]  # when the api-server read it; `last_parsed_time` is a parse's
    assert found["last_parsed_time"]
    return found


def test_a_file_that_did_not_change_is_not_parsed_again_and_keeps_its_release(
    world: World, name: str
) -> None:
    first = world.publish({f"dags/l/{name}/stays.py": dag_text(f"{name}_stays")})
    world.dag_from(first, f"{name}_stays")
    before = seen(world, f"{name}_stays")
    # A parse of it would have been stored before the second of these at the latest.
    for number in range(2):
        moves = dag_text(f"{name}_moves", body=f"return {number}")
        release = world.publish({f"dags/l/{name}/moves.py": moves})
        world.dag_from(release, f"{name}_moves")
        assert f"dags/l/{name}/stays.py" in world.hearing.listing(release)
    now = seen(world, f"{name}_stays")
    assert now == before
    assert f"/{first}/" in now["fileloc"]
    assert (now["bundle_version"], now["is_stale"]) == (first, False)


def test_one_word_shows_airflow_what_is_new_changed_broken_and_deleted(
    world: World, name: str
) -> None:
    folder = f"dags/l/{name}"
    before = world.publish(
        {f"{folder}/{n}.py": dag_text(f"{name}_{n}") for n in ("goes", "moves", "breaks")}
    )
    for n in ("goes", "moves", "breaks"):
        world.dag_from(before, f"{name}_{n}")
    release = world.publish(
        {
            f"{folder}/comes.py": dag_text(f"{name}_comes"),
            f"{folder}/moves.py": dag_text(f"{name}_moves", body="return 2"),
            f"{folder}/breaks.py": broken_text(),
            f"{folder}/goes.py": None,
        }
    )
    world.dag_from(release, f"{name}_comes")
    world.dag_from(release, f"{name}_moves")
    world.error_from(release, f"{folder}/breaks.py")
    assert f"{folder}/goes.py" not in world.hearing.listing(release)
    # What is told is stored.
    stale = {n: seen(world, f"{name}_{n}")["is_stale"] for n in ("comes", "moves", "goes")}
    assert stale == {"comes": False, "moves": False, "goes": True}


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(("one",), id="one-of-two-taken-out"),
        pytest.param(("one", "three"), id="one-of-two-renamed"),
        pytest.param((), id="both-taken-out"),
    ],
)
def test_a_dag_that_its_file_has_no_more_is_stale_as_soon_as_that_is_told(
    world: World, name: str, left: tuple[str, ...]
) -> None:
    path = f"dags/l/{name}/x.py"

    def publish(*dags: str) -> None:
        text = "# a DAG of airflow\n" + "".join(dag_text(f"{name}_{dag}") for dag in dags)
        release = world.publish({path: text})
        told = world.hearing.result(release, path)
        assert told.dag_ids == tuple(f"{name}_{dag}" for dag in dags)

    publish("one", "two")
    publish(*left)
    for dag in ("one", "two", *left):
        assert seen(world, f"{name}_{dag}")["is_stale"] == (dag not in left)


WARNED = {
    "a start that varies": (
        {"schedule=None": "schedule=None, start_date=datetime.now()"},
        "This Dag uses runtime-variable values in Dag construction. .* Line 4, .*datetime.now.*",
    ),
    "a pool that is not there": (
        {"@task\n": "@task(pool='nowhere')\n"},
        r"Dag '{name}' references non-existent pools: \['nowhere'\]: its tasks .*",
    ),
    "a mapped task in such a pool": (
        {
            "@task\n": "@task(pool='nowhere')\n",
            "def work():": "def work(x):",
            "    work()": "    work.expand(x=[1])",
        },
        r"Dag '{name}' references non-existent pools: \['nowhere'\]: its tasks .*",
    ),
    "an asset of another's name": (
        {"schedule=None": "schedule=[Asset('{name}', 'x://a'), Asset('{name}', 'x://b')]"},
        r"Asset\(name='{name}', uri='x://b/'\) conflicts with Asset\(name='{name}', .*",
    ),
    "an asset of another's address": (
        {"@task\n": "@task(outlets=[Asset('{name}', 'x://{name}'), Asset('b', 'x://{name}')])\n"},
        r"Asset\(name='b', uri='x://{name}/'\) conflicts with Asset\(name='{name}', .*",
    ),
    "a pool that is there": ({"@task\n": "@task(pool='default_pool', pool_slots=1)\n"}, None),
    "an asset in two places": (
        {
            "schedule=None": "schedule=[Asset('{name}', 'x://{name}'), Asset('b_{name}')]",
            "@task\n": "@task(outlets=[Asset('{name}', 'x://{name}')])\n",
        },
        None,
    ),
}


@pytest.mark.parametrize(("changes", "warning"), WARNED.values(), ids=WARNED)
def test_what_is_wrong_with_a_dag_that_is_stored_all_the_same_is_told(
    world: World, name: str, changes: dict[str, str], warning: str | None
) -> None:
    path = f"dags/l/{name}/x.py"
    text = dag_text(name, head="from datetime import datetime; from airflow.sdk import Asset")
    for old, new in changes.items():
        text = text.replace(old, new.format(name=name))
    told = world.hearing.result(world.publish({path: text}), path)
    assert (told.dag_ids, told.errors) == ((name,), {})
    if warning is None:
        assert told.warnings == ()
    else:
        assert any(re.fullmatch(warning.replace("{name}", name), w) for w in told.warnings), (
            told.warnings
        )


def test_include_is_imported_from_the_release_that_is_parsed(world: World, name: str) -> None:
    helper = f"include/{name}.py"
    text = dag_text(name, head=f"from include.{name} import SUFFIX").replace(
        f'dag_id="{name}"', f'dag_id="{name}_" + SUFFIX'
    )
    path = f"dags/l/{name}/uses.py"
    one = world.dag_from(world.publish({helper: "SUFFIX = 'one'\n", path: text}), f"{name}_one")
    two = world.dag_from(world.publish({helper: "SUFFIX = 'two'\n", path: text}), f"{name}_two")
    assert one.path == two.path == path
    assert one.release != two.release


def test_an_error_inside_include_names_the_release_and_both_files(world: World, name: str) -> None:
    path, helper = f"dags/l/{name}/uses.py", f"include/{name}.py"
    release = world.publish(
        {helper: broken_text(1), path: dag_text(name, head=f"import include.{name}")}
    )
    trace = world.error_from(release, path)
    assert f"/releases/{release}/{path}" in trace
    assert f"/releases/{release}/{helper}" in trace


def test_a_task_runs_the_release_of_its_run_with_the_include_of_that_release(
    world: World, name: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    text = dag_text(
        name,
        head=f"from include.{name} import WORD",
        body=f"open({str(told)!r}, 'w').write(WORD + ' ' + __file__)",
    )
    release = world.publish({f"include/{name}.py": "WORD = 'hello'\n", f"dags/l/{name}/t.py": text})
    world.dag_from(release, name)
    airflow(world, "dags", "unpause", "-y", name)
    airflow(world, "dags", "trigger", name)
    eventually(lambda: told.exists() and told.read_text().endswith("t.py"), PATIENCE_S)
    word, file = told.read_text().split()
    assert word == "hello"
    assert file.endswith(f"/releases/{release}/dags/l/{name}/t.py")


def test_airflow_links_a_version_to_its_commit(world: World, name: str) -> None:
    release = world.publish({f"dags/l/{name}/v.py": dag_text(name)})
    world.dag_from(release, name)
    api = DagVersionApi(client(world))
    said = json.loads(api.get_dag_versions_without_preload_content(name).data)
    (version,) = said["dag_versions"]
    assert version["bundle_version"] == release
    assert version["bundle_url"] == f"https://github.com/class/airflow-class/tree/{release}/dags"


# -- packages


def test_a_package_that_does_not_exist_is_refused_with_its_line(world: World) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        world.local.resolve("# ours\nsix\nno-such-package-anywhere-zz==1\n")
    assert caught.value.line == 3
    assert "no-such-package-anywhere-zz" in caught.value.reason


def test_a_version_that_airflows_own_pins_forbid_is_refused(world: World) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        world.local.resolve("jinja2<3\n")
    assert caught.value.line == 1
    assert "jinja2" in caught.value.reason


def test_resolving_too_long_is_given_up_and_the_authors_to_mend(world: World) -> None:
    hasty = LocalAirflow(
        world.local.layout.state.parent,
        root=world.releases.root,
        port=world.local.layout.port,
        resolve_timeout_s=0.001,
    )
    with pytest.raises(RequirementsRefused, match=r"did not resolve .* within 0\.001 s"):
        hasty.resolve(PACKAGE)


def test_resolving_changes_nothing(world: World) -> None:
    before, python = world.local.installed(), world.local.python
    assert "cowsay" in world.local.resolve(PACKAGE)
    assert (world.local.installed(), world.local.python) == (before, python)


def test_a_package_is_built_beside_and_put_back_until_airflow_was_healthy_with_it(
    world: World, name: str
) -> None:
    services = tuple(COMMANDS)
    path = f"dags/l/{name}/moo.py"
    text = dag_text(name, head="import cowsay")
    asked = f"{PACKAGE}  # moo\n"
    before = world.local.installed()

    assert "cowsay==6.1" in world.local.build(asked)
    assert world.local.installed() == before
    world.local.recreate(services)
    assert world.local.installed() is None  # not found healthy yet
    world.local.put_back(services)
    world.local.wait_healthy(services)
    assert world.local.installed() == before
    assert "cowsay" in world.error_from(world.publish({path: text}), path)

    world.local.build(asked)
    world.local.recreate(services)
    world.local.wait_healthy(services)
    assert world.local.installed() == asked
    world.dag_from(world.publish({path: f"{text}\n# again\n"}), name)


# -- processes


def test_services_whose_packages_can_not_be_moved_are_started_on_those_they_had(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise DiskError("No space left on device")

    service = "airflow-dag-processor"
    before = world.local.vitals(service).life
    with monkeypatch.context() as patch:
        patch.setattr(world.local._environments.slots, "advance", full)
        with pytest.raises(DiskError):
            world.local.recreate([service])
    assert world.local.vitals(service).life not in {before, None}
    world.local.wait_healthy([service])


def test_a_second_instance_takes_over_what_runs(world: World) -> None:
    again = LocalAirflow(
        world.local.layout.state.parent,
        root=world.releases.root,
        port=world.local.layout.port,
        repo_url=world.local.layout.repo_url,
    )
    before = {name: again._processes.running(name) for name in COMMANDS}
    again.start()
    assert {name: again._processes.running(name) for name in COMMANDS} == before
    assert None not in before.values()
    assert again.password == world.local.password


def test_secrets_are_readable_by_their_owner_alone(world: World) -> None:
    place = world.local.layout
    for file in (place.state / "secrets.json", place.passwords):
        assert file.stat().st_mode & 0o077 == 0


def test_a_service_that_is_not_ours_is_an_error_that_names_those_there_are(world: World) -> None:
    with pytest.raises(ServicesError, match="airflow-dag-processor"):
        world.local.recreate(["postgres"])


def airflow(world: World, *args: str) -> str:
    """Run one of Airflow's own commands beside it."""
    done = subprocess.run(
        [str(world.local.python), "-m", "airflow", *args],
        env=world.local.airflow_environment(),
        cwd=world.local.layout.home,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


BUNDLE = """
import json, os, shutil, sys
from pathlib import Path
from class_bundle import ClassBundle, ReleaseGone

root = Path(sys.argv[1])
def bundle(version=None):
    return ClassBundle(name="class", version=version, root=str(root), repo_url="https://h/o/n/")
def live(name):
    (root / "releases" / name / "dags").mkdir(parents=True, exist_ok=True)
    (root / "new").symlink_to(f"releases/{name}")
    (root / "new").replace(root / "current")
def importable():
    return [p.removeprefix(str(root)) for p in sys.path if p.startswith(str(root))]

said = {}
main = bundle()
main.initialize(); main.refresh()
said["before the first release"] = [os.listdir(main.path), main.get_current_version(), importable()]
live("a" * 40)
said["until it refreshes"] = main.get_current_version()
main.refresh()
said["after it"] = [str(main.path.relative_to(root)), main.get_current_version().version]
live("b" * 40 + "-2"); main.refresh()
said["importable"] = importable()
old = bundle("a" * 40); old.initialize(); old.refresh()
said["pinned"] = [str(old.path.relative_to(root)), importable()]
said["url"] = main.view_url("b" * 40 + "-2")
shutil.rmtree(root / "releases" / ("a" * 40))
try:
    bundle("a" * 40).initialize()
except ReleaseGone as gone:
    said["gone"] = str(gone)
print("\\n" + json.dumps(said))
"""


def test_the_bundle_follows_current_at_its_refresh_and_never_hands_out_the_link(
    world: World, tmp_path: Path
) -> None:
    done = subprocess.run(
        [str(world.local.python), "-c", BUNDLE, str(tmp_path)],
        env=world.local.airflow_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    a, b = "a" * 40, "b" * 40
    assert said["before the first release"] == [[], None, []]
    assert said["until it refreshes"] is None
    assert said["after it"] == [f"releases/{a}/dags", a]
    assert said["importable"] == [f"/releases/{b}-2"]
    # An old run's callback must not take the live release from the files parsed next.
    assert said["pinned"] == [f"releases/{a}/dags", [f"/releases/{b}-2"]]
    assert said["url"] == f"https://h/o/n/tree/{b}/dags"
    assert a in said["gone"]
    assert "no longer kept" in said["gone"]
