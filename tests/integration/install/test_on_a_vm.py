"""scripts/install on a Debian with real systemd and Caddy, in the order of a VM's life."""

from __future__ import annotations

import http.client
import http.server
import itertools
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.demo.github import StandIn
from deployer.demo.student import Student
from deployer.edges.journal.schema import REVISIONS
from tests.integration.install.conftest import told as what_is_told
from tests.integration.install.vm import AIRFLOW, ENGINE, NAME, STACK, Answer, Vm
from tests.pages import of_install

pytestmark = pytest.mark.docker

SHA = "a" * 40
GITHUB = "https://github.com/OWNER/NAME.git"
UNITS = "/etc/systemd/system"
MOST_EXPOSED = {"deployer-web": 1.2, "deployer-worker": 2.2}
JOURNAL = "/var/lib/deployer/deployer.db"


# --- install ------------------------------------------------------------------


def test_without_a_terminal_nothing_is_asked_and_what_is_missing_is_named(vm: Vm) -> None:
    said = vm.install(check=False)
    assert "--repo OWNER/NAME and --name HOST" in said


def test_a_dry_run_tells_all_and_changes_nothing(vm: Vm, flags: list[str]) -> None:
    before = vm.root(f"getent passwd | wc -l; find /etc/deployer /opt {UNITS} 2>/dev/null | sort")
    said = vm.install(*flags, "--dry-run")
    assert "would do: user deployer-web" in said
    assert "would do: start deployer-worker.service" in said
    assert before == vm.root(
        f"getent passwd | wc -l; find /etc/deployer /opt {UNITS} 2>/dev/null | sort"
    )


def test_one_command_has_all_units_running(installed: Vm) -> None:
    units = "deployer-web.socket deployer-web deployer-worker caddy deployer-backup.timer"
    assert set(installed.root(f"systemctl is-active {units}").split()) == {"active"}
    assert installed.root("systemctl --failed --no-legend") == ""


def test_a_second_run_changes_nothing(installed: Vm, flags: list[str]) -> None:
    assert installed.install(*flags) == "nothing to change"
    assert installed.install() == "nothing to change"  # what was said once is kept


def test_what_the_teacher_wrote_into_the_settings_stays(installed: Vm) -> None:
    installed.root("echo AIRFLOW_PARALLELISM=3 >>/etc/deployer/.env")
    installed.root("echo DEPLOYER_KEEP_RELEASES=4 >>/etc/deployer/deployer-worker.env")
    assert installed.install() == "nothing to change"


def test_a_setting_with_which_nothing_would_start_stops_nothing_and_is_not_kept(
    installed: Vm,
) -> None:
    said = installed.install("--setting=DEPLOYER_PARSE_TIMEOUT=5", check=False)
    assert "DEPLOYER_PARSE_TIMEOUT_S" in said  # what was meant
    assert installed.install() == "nothing to change"


def test_owners_rights_and_files_that_are_gone_are_put_back_by_another_run(installed: Vm) -> None:
    listed = "cd /; stat -c '%n %U:%G %a' etc/deployer/* srv/class-airflow/feed var/lib/deployer"
    before = installed.root(listed)
    installed.root(
        "chown -R root:root /srv/class-airflow /var/lib/deployer; chmod 700 /var/lib/deployer\n"
        "chmod 600 /etc/deployer/*.env; rm /etc/deployer/docker-compose.yaml"
    )
    installed.install()
    assert installed.root(listed) == before
    assert installed.root("systemctl is-active deployer-web deployer-worker") == "active\nactive"


def test_each_student_has_a_password_and_the_teacher_a_sheet(installed: Vm) -> None:
    listed = dict(
        line.split(":", 1) for line in installed.root("cat /etc/deployer/students").split("\n")
    )
    assert listed.keys() == {"amy", "bob"}
    assert all(len(password) >= 8 for password in listed.values())
    sheet = installed.root("cat /etc/deployer/students-to-hand-out")
    assert f"https://{AIRFLOW}   account student-amy   password {listed['amy']}" in sheet


def test_another_student_gets_a_password_and_the_others_keep_theirs(installed: Vm) -> None:
    before = installed.root("cat /etc/deployer/students")
    said = installed.install("--students=<(echo cleo)")
    assert said.startswith("file /etc/deployer/students\n")
    now = installed.root("cat /etc/deployer/students")
    assert now.startswith(f"{before}\ncleo:")


def test_the_command_on_the_path_takes_user_and_settings(installed: Vm) -> None:
    assert "outbox" in installed.root("deployer status")
    owners = installed.root("stat -c %U /var/lib/deployer/*").split()
    assert owners
    assert set(owners) <= {"deployer", "deployer-web"}


def test_the_class_repository_is_begun_and_pushed_as_the_page_says(
    installed: Vm, github: StandIn
) -> None:
    address = of_install("git remote add").replace(GITHUB, github.git_url)
    said = installed.root(
        "cd /root\nset -e\n"
        f"{of_install('deployer new-class')}\n{of_install('cd class')}\n{address}\n"
        f"{of_install('git push')}"
    )
    assert "main -> main" in said


# --- units --------------------------------------------------------------------


def test_systemd_finds_nothing_amiss_in_the_units(installed: Vm) -> None:
    assert (
        installed.root(f"systemd-analyze verify {UNITS}/deployer-*.{{service,socket,timer}}") == ""
    )


@pytest.mark.parametrize("unit", MOST_EXPOSED)
def test_the_units_are_as_closed_as_they_were(installed: Vm, unit: str) -> None:
    said = installed.root(f"systemd-analyze security --offline=yes --no-pager {unit}.service")
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
    assert found
    assert float(found[1]) <= MOST_EXPOSED[unit]


# --- deliveries -----------------------------------------------------------------


def test_a_signed_delivery_through_tls_comes_to_a_status_on_github(
    installed: Vm, github: StandIn, tmp_path: Path
) -> None:
    student = Student.clone("amy", github.git_url, tmp_path)
    student.commit("first", {"dags/amy/first.py": "from airflow.sdk import DAG\n"})
    sha = student.push().sha
    answer = installed.deliverer()(sha)
    assert (answer.status, answer.json["result"]) == (202, "queued")
    github.wait_for_status(sha, "airflow/deploy", {"pending", "error"}, 60)
    assert sha[:7] in installed.root("deployer status")


def test_a_delivery_with_a_wrong_signature_is_refused_through_the_proxy(installed: Vm) -> None:
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={'0' * 64}"}
    assert installed.request("POST", "/webhook", b"{}", headers).status == 401


def test_a_body_over_githubs_limit_ends_at_the_proxy(installed: Vm) -> None:
    assert too_large(installed) == 413, installed.root("journalctl -u deployer-web -o cat -n 3")


def test_a_client_that_sends_slowly_holds_no_thread_of_the_web_process(installed: Vm) -> None:
    with slow_clients(installed, 40):  # it has 16
        assert installed.deliverer()(SHA).status == 202


@pytest.mark.parametrize("unit", MOST_EXPOSED)
def test_a_killed_process_is_back_at_once_and_a_delivery_waits_for_it(
    installed: Vm, unit: str
) -> None:
    before = installed.root(f"systemctl show {unit} -P MainPID")
    installed.root(f"kill -9 {before}")
    assert installed.deliverer()(SHA).status == 202
    installed.until(
        f"systemctl is-active -q {unit} && [ $(systemctl show {unit} -P MainPID) != {before} ]"
    )


def test_while_web_restarts_no_delivery_is_refused_or_lost(installed: Vm) -> None:
    with deliveries(installed) as sent:
        installed.root("for i in 1 2 3; do systemctl restart deployer-web; done")
    all_taken(installed, sent)


def test_after_a_reboot_all_is_there_again(installed: Vm) -> None:
    installed.reboot()
    installed.until("curl -sf http://127.0.0.1:9000/healthz >/dev/null")
    installed.until("systemctl is-active -q caddy deployer-worker")
    assert installed.deliverer()(SHA).status == 202


# --- what the page says to type, with an engine that nothing answers for ------------


@pytest.fixture(scope="module")
def told(vm: Vm) -> Iterator[list[str]]:
    """What comes to the teacher's chat."""
    messages: list[str] = []

    class Chat(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer((vm.gateway, 0), Chat) as server:
        threading.Thread(target=server.serve_forever).start()
        flag = of_install("scripts/install --setting").removeprefix("scripts/install ")
        vm.install(flag.replace("mailto://…", f"json://{vm.gateway}:{server.server_port}"))
        yield messages
        server.shutdown()


def test_the_teacher_is_told_at_the_address_that_the_page_has_set(
    installed: Vm, told: list[str]
) -> None:
    assert installed.root(of_install("deployer notify --test")) == "sent to 1 address"
    told.clear()
    installed.root("systemctl start deployer-notify")
    assert "Docker" in told[0]


def test_a_freeze_is_told_and_taken_back_by_hand(installed: Vm) -> None:
    assert "frozen: exam, until" in installed.root(of_install("deployer freeze"))
    assert "exam" in installed.root(of_install("deployer status"))
    assert "no longer frozen" in installed.root(of_install("deployer unfreeze"))
    assert "exam" not in installed.root(of_install("deployer status"))


def test_a_rollback_with_nothing_good_behind_says_so_and_freezes_nothing(installed: Vm) -> None:
    said = installed.root(of_install("deployer rollback"), check=False)
    assert "nothing good was live before" in said
    assert "helper broken" not in installed.root(of_install("deployer status"))


def test_the_link_that_login_prints_opens_the_pages_through_the_proxy(installed: Vm) -> None:
    link = installed.root(of_install("deployer login")).split()[0]
    assert installed.request("GET", link.partition(NAME)[2]).status == 200
    assert installed.request("GET", f"/login?token=dplr_{'a' * 43}").status == 403


def test_github_says_what_to_click_where_the_token_may_not(installed: Vm) -> None:
    said = installed.root(of_install("deployer github"), check=False)
    assert "passed\tGitHub token" in said
    assert f"Payload URL https://{NAME}/webhook" in said


def test_another_airflow_is_not_begun_without_docker(installed: Vm) -> None:
    before = installed.root("cat /etc/deployer/.env")
    said = installed.root(f"{of_install('deployer airflow-version')}; echo $?")
    assert "Docker" in said
    assert said.endswith("\n3")
    assert installed.root("cat /etc/deployer/.env") == before
    assert "frozen" not in installed.root(of_install("deployer status"))


def test_what_is_asked_when_it_breaks_says_where(installed: Vm) -> None:
    found = installed.root(of_install("deployer doctor"), check=False)
    assert re.search(r"^failed\tengine", found, re.MULTILINE), found
    assert "frozen" in installed.root(of_install("deployer logs"))
    assert "active (running)" in installed.root(of_install("systemctl status"))


def test_what_became_of_a_commit_is_explained(installed: Vm, github: StandIn) -> None:
    tip = installed.root(f"git ls-remote {github.git_url} main").split()[0]
    assert tip[:7] in installed.root(f"deployer explain {tip}")


def test_no_half_a_backup_is_left_where_an_engine_does_not_answer(installed: Vm) -> None:
    said = installed.root(of_install("deployer backup"), check=False)
    assert "Docker daemon" in said
    assert installed.root("ls /root | grep -c backup", check=False) == "0"


# --- rights ---------------------------------------------------------------------


def test_web_reaches_nothing_but_its_settings_and_the_state(installed: Vm) -> None:
    with docker_socket(installed):
        may = tried_inside(installed, "deployer-web")
    assert may == {
        "read /etc/deployer/deployer-web.env",
        "read /etc/deployer/webhook_secret",
        "write /var/lib/deployer",
        "write /tmp",
        "write /var/tmp",
    }


def test_the_worker_reaches_what_it_deploys_to_and_not_the_webhooks_secret(installed: Vm) -> None:
    with docker_socket(installed):
        may = tried_inside(installed, "deployer-worker")
    assert may == {
        "read /etc/deployer/deployer-worker.env",
        "read /etc/deployer/github_token",
        "read /etc/deployer/.env",
        "read /srv/class-airflow/mirror.git/HEAD",
        "write /var/lib/deployer",
        "write /srv/class-airflow",
        "write /tmp",
        "write /var/tmp",
        "connect /run/docker.sock",
        "connect 127.0.0.1:443",
        "connect 127.0.0.1:9000",
    }


# --- upgrade --------------------------------------------------------------------


@pytest.fixture(scope="module")
def newer(installed: Vm) -> str:
    """A checkout in which the journal has one more table."""
    copy_checkout(installed, "/root/newer")
    migration = f"""import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "{REVISIONS[-1]}"
branch_labels = depends_on = None
def upgrade(): op.create_table("newer", sa.Column("id", sa.Integer))
"""
    newest = str((*REVISIONS, "9999")).replace("'", '"')
    journal = "/root/newer/deployer/edges/journal"
    installed.root(f"""cat >{journal}/migrations/versions/v9999_newer.py <<'END'
{migration}
END
sed -i 's/^REVISIONS = .*/REVISIONS = {newest}/' {journal}/schema.py""")
    return "/root/newer"


def test_another_version_is_not_installed_without_being_asked_for(
    installed: Vm, newer: str
) -> None:
    assert "--upgrade" in installed.install(source=newer, check=False)


def test_an_upgrade_under_a_stream_of_deliveries_loses_none(installed: Vm, newer: str) -> None:
    with deliveries(installed) as sent:
        installed.install("--upgrade", source=newer)
    all_taken(installed, sent)
    assert tables(installed) >= {"newer"}
    assert installed.install("--upgrade", source=newer) == "nothing to change"


def test_a_file_of_etc_that_the_teacher_changed_stays_in_an_upgrade_and_is_named(
    installed: Vm,
) -> None:
    copy_checkout(installed, "/root/newest")
    installed.root("cp -r /root/newer/deployer /root/newest/")
    installed.root("echo '# mine' >>/etc/deployer/include/airflow/class_rules.toml")
    installed.root("echo '# theirs' >>/root/newest/include/airflow/class_rules.toml")
    said = installed.install("--upgrade", "--dry-run", source="/root/newest")
    assert "class_rules.toml is changed by you and stays" in said
    assert "would do: file /etc/deployer/include/airflow/class_rules.toml" not in said


def test_a_version_that_does_not_start_goes_back_by_itself(installed: Vm) -> None:
    running = installed.root("readlink /opt/deployer/current")
    installed.root("echo 'raise SystemExit(1)' >>/root/newest/deployer/__main__.py")
    said = installed.install("--upgrade", source="/root/newest", check=False)
    assert f"{running} runs again" in said
    assert installed.root("readlink /opt/deployer/current") == running
    assert installed.deliverer()(SHA).status == 202


def test_the_way_back_from_an_upgrade_takes_journal_and_files_along(
    installed: Vm, newer: str
) -> None:
    installed.install("--upgrade", source=newer)
    with deliveries(installed) as sent:
        installed.install("--rollback-upgrade", source=newer)
    assert {answer.status for answer in sent.values()} == {202}
    assert "newer" not in tables(installed)
    assert installed.install() == "nothing to change"


# --- to another machine -----------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """A class that moved to another machine.

    Attributes:
        judged: number of a deployment that ended on the old one.
        before: what was told of that there, and what lay in `/etc/deployer`.
    """

    there: Vm
    judged: str
    before: tuple[str, str]


@pytest.fixture(scope="module")
def moved(
    installed: Vm, github: StandIn, caches: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moved]:
    judged = pushed(github, tmp_path_factory.mktemp("judged"))
    assert installed.deliverer()(judged).status == 202
    github.wait_for_status(judged, "airflow/deploy", {"error"}, 60)
    with Vm(caches, like=installed) as there:
        try:
            installed.root(
                f"set -e; {STACK} up --detach --wait --no-deps postgres\n"
                f"{in_database('CREATE TABLE of_before ()')}\n"
                f"systemctl stop deployer-worker\n{of_install('deployer backup')}"
            )
            shown = installed.root(f"deployer show {judged}", check=False)
            number = shown.split()[1]
            before = what_is_known(installed, number)
            installed.root(f"{STACK} down --volumes --timeout 0")  # the old machine is given up
            there.install(*what_is_told(there, github, "zoe\n"))
            installed.give("/root/class.backup", there)
            there.root(
                f"set -e; {ENGINE}\n{of_install('systemctl stop deployer-worker')}\n"
                f"echo y | {of_install('deployer restore')}\n{of_install('systemctl restart')}"
            )
            yield Moved(there, number, before)
        finally:
            there.root(f"{STACK} down --volumes --timeout 0")


def test_on_another_machine_a_backup_brings_settings_verdicts_and_databases(moved: Moved) -> None:
    assert what_is_known(moved.there, moved.judged) == moved.before
    assert "of_before" in moved.there.root(in_database("\\dt"))
    assert moved.there.install() == "nothing to change"


def test_on_another_machine_the_next_push_comes_to_its_end(
    moved: Moved, installed: Vm, github: StandIn, tmp_path: Path
) -> None:
    sha = pushed(github, tmp_path)
    as_github_knows_it = installed.root("cat /etc/deployer/webhook_secret").encode()
    assert moved.there.deliverer(as_github_knows_it)(sha).status == 202
    github.wait_for_status(sha, "airflow/deploy", {"error"}, 60)
    assert sha[:7] in moved.there.root("deployer status")


# --- uninstall --------------------------------------------------------------------


def test_uninstalled_it_leaves_state_and_backups_alone(installed: Vm) -> None:
    installed.root("mkdir /etc/deployer.before_20260301T120000Z")  # as `restore` leaves it
    installed.root("systemd-run --quiet --wait --unit=deployer-failed false", check=False)
    installed.install("--uninstall")
    assert installed.root("systemctl list-units --all --no-legend 'deployer-*'") == ""
    left = installed.root("find / -xdev -iname '*deployer*' -not -path '/root/*' | sort").split()
    assert [
        path for path in left if not path.startswith(("/var/lib/deployer", "/var/backups"))
    ] == [path for path in left if path.startswith("/var/lib/caddy/")]
    assert installed.root("grep -c deployer /etc/passwd /etc/group", check=False) == (
        "/etc/passwd:0\n/etc/group:0"
    )
    assert "amy" in installed.root("cat /var/backups/deployer/etc/students")
    assert installed.root("cat /etc/caddy/Caddyfile | grep -c deployer", check=False) == "0"


def test_installed_again_it_goes_on_with_what_was_left(installed: Vm) -> None:
    before = installed.root("cat /var/backups/deployer/etc/webhook_secret")
    installed.install()
    assert installed.root("cat /etc/deployer/webhook_secret") == before
    assert installed.deliverer()(SHA).status == 202


def test_purged_it_leaves_nothing(installed: Vm) -> None:
    installed.install("--purge")
    left = installed.root("find / -xdev -iname '*deployer*' -not -path '/root/*'")
    assert left == ""
    assert installed.root("ls -d /srv/class-airflow", check=False).endswith(
        "No such file or directory"
    )


# --- how ----------------------------------------------------------------------------


@contextmanager
def deliveries(vm: Vm) -> Iterator[dict[str, Answer]]:
    """A stream of deliveries while the block runs; what became of each, by its id.

    Each of four clients sends three at least, however soon the block ends.
    """
    deliver, ending = vm.deliverer(), threading.Event()
    sent: dict[str, Answer] = {}

    def stream(name: int) -> None:
        for number in itertools.count():
            if ending.wait(0.05) and number >= 3:
                return
            guid = f"{id(sent):x}-{name}-{number}"
            try:
                sent[guid] = deliver(f"{number + 1:040x}", guid)
            except (OSError, http.client.HTTPException) as exc:
                sent[guid] = Answer(0, str(exc))

    threads = [threading.Thread(target=stream, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield sent
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def all_taken(vm: Vm, sent: dict[str, Answer]) -> None:
    assert len(sent) >= 12
    assert {guid: answer for guid, answer in sent.items() if answer.status != 202} == {}
    deliver = vm.deliverer()
    assert {deliver(SHA, guid).json["result"] for guid in sent} == {"duplicate"}


def pushed(github: StandIn, place: Path) -> str:
    """Push a file, which without an engine ends as `error`; return the commit."""
    student = Student.clone("amy", github.git_url, place)
    sha = student.commit("another", {f"dags/amy/{place.name}.py": "from airflow.sdk import DAG\n"})
    student.push()
    return sha


def in_database(statement: str) -> str:
    psql = f'PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U airflow -c "{statement}"'
    return f"{STACK} exec -T postgres sh -c '{psql}'"


def what_is_known(vm: Vm, deployment: str) -> tuple[str, str]:
    """Return what is told of a deployment, and all that lies in `/etc/deployer`."""
    files = "find . ! -name . -exec stat -c '%n %U:%G %a' {} + -type f -exec sha256sum {} +"
    return vm.root(f"deployer show {deployment}", check=False), vm.root(
        f"cd /etc/deployer; {files} | sort"
    )


def tables(vm: Vm) -> set[str]:
    read = """import sqlite3, sys
names = sqlite3.connect(sys.argv[1]).execute("SELECT name FROM sqlite_master")
print(*(name for name, in names))"""
    return set(vm.root(f"python3 -c '{read}' {JOURNAL}").split())


def copy_checkout(vm: Vm, place: str) -> None:
    left_out = " ".join(f"--exclude={name}" for name in ("./.git", "./.venv", "./dist", "*cache*"))
    vm.root(f"mkdir {place} && tar -C /src {left_out} -c . | tar -C {place} -x")


def too_large(vm: Vm) -> int:
    """Return what is answered to a body over 25 MiB; 502 if it hangs up."""
    try:
        return vm.request("POST", "/webhook", b" " * (26 * 2**20)).status
    except (ConnectionError, ssl.SSLError):
        return 502


@contextmanager
def slow_clients(vm: Vm, count: int) -> Iterator[None]:
    """Clients that began to send a body and do not go on."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    address = vm._inspect("{{.NetworkSettings.IPAddress}}")
    head = f"POST /webhook HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000\r\n\r\n{{"
    held = []
    for _ in range(count):
        client = tls.wrap_socket(socket.create_connection((address, 443)), server_hostname=NAME)
        client.sendall(head.encode())
        held.append(client)
    try:
        yield
    finally:
        for client in held:
            client.close()


@contextmanager
def docker_socket(vm: Vm) -> Iterator[None]:
    """A socket where Docker's would be, with its rights."""
    vm.root(
        "systemd-run --quiet --unit=as-docker --socket-property=ListenStream=/run/docker.sock"
        " --socket-property=SocketGroup=docker --socket-property=SocketMode=0660"
        " --socket-property=Accept=no /bin/sleep 60"
    )
    yield
    vm.root("systemctl stop as-docker.socket as-docker.service; rm -f /run/docker.sock")


PROBE = r"""
import json, os, socket, uuid
may = []
def tried(what, do):
    try:
        do()
    except OSError:
        return
    may.append(what)
def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(3)
        one.connect(address)
def write(folder):
    place = os.path.join(folder, uuid.uuid4().hex)
    open(place, "w").close()
    os.unlink(place)
etc = "/etc/deployer/"
for name in ("deployer-web.env", "webhook_secret", "deployer-worker.env", "github_token", ".env",
             "students", "students-to-hand-out", "install.conf"):
    tried("read " + etc + name, lambda: open(etc + name).read())
for path in ("/srv/class-airflow/mirror.git/HEAD", "/etc/shadow", "/root/token"):
    tried("read " + path, lambda: open(path).read())
for folder in ("/etc/deployer", "/opt/deployer", "/srv/class-airflow", "/var/lib/deployer", "/usr",
               "/etc/systemd/system", "/var/backups/deployer", "/tmp", "/var/tmp", "/run", "/root"):
    tried("write " + folder, lambda: write(folder))
tried("connect /run/docker.sock", lambda: connect(socket.AF_UNIX, "/run/docker.sock"))
for port in (443, 9000):
    tried(f"connect 127.0.0.1:{port}", lambda: connect(socket.AF_INET, ("127.0.0.1", port)))
print(json.dumps(may))
"""


def tried_inside(vm: Vm, unit: str) -> set[str]:
    """Return what a program may do that runs under the very settings of `unit`.

    Beside it, as a unit whose name begins with `deployer-` too.
    """
    vm.root(f"""cat >/opt/probe.py <<'END'
{PROBE}
END
sed -e 's#^ExecStart=.*#ExecStart=/usr/bin/python3 /opt/probe.py#' -e '/^Type=/d' \\
    -e 's/^Restart=.*/Restart=no\\nType=oneshot\\nStandardOutput=file:\\/run\\/probe.json/' \\
    {UNITS}/{unit}.service >{UNITS}/deployer-probe.service
systemctl daemon-reload
systemctl start deployer-probe.service; status=$?
rm {UNITS}/deployer-probe.service
systemctl daemon-reload
exit $status""")
    found: list[str] = json.loads(vm.root("cat /run/probe.json; rm /run/probe.json /opt/probe.py"))
    return set(found)
