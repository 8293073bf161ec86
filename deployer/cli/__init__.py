"""The command line: one module for the processes, one for wishes, one for questions.

Exit status: 0 success, 1 the thing asked about failed, 2 wrong use or settings,
3 a part that is needed is out of reach.
"""

from __future__ import annotations

import sys

import click

from deployer import __version__
from deployer.cli import asking, following, processes, wishes
from deployer.errors import DeployerError, OperatorError, SettingsError, WorkerRunning

EXIT_FAILED, EXIT_USE, EXIT_OUT_OF_REACH = 1, 2, 3


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="deployer")
def commands() -> None:
    """Deploy the class repository to the class's Airflow, and say how it went.

    Settings are environment variables DEPLOYER_…, or stand in the file that
    DEPLOYER_ENV_FILE names; the README lists them.
    """


for command in (
    processes.web,
    processes.worker,
    processes.demo,
    wishes.deploy,
    asking.status,
    asking.show,
    following.logs,
):
    commands.add_command(command)


def main() -> None:
    """Run a command; every error of ours becomes one readable line and its exit status."""
    try:
        commands(prog_name="deployer")
    except SettingsError as exc:
        for mistake in exc.mistakes:
            click.echo(f"deployer: {mistake}", err=True)
        sys.exit(EXIT_USE)
    except (OperatorError, WorkerRunning) as exc:
        click.echo(f"deployer: {exc}", err=True)
        sys.exit(EXIT_OUT_OF_REACH)
    except DeployerError as exc:
        click.echo(f"deployer: {exc}", err=True)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:  # `deployer logs | head`
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
