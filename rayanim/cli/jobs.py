"""The commands for films that a job on a Ray cluster renders."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rayanim.cli.cluster_options import actor_options
from rayanim.cli.options import Options, common_options, film_options, with_options
from rayanim.cli.script_command import NAME_HELP, SCRIPT_ARGUMENTS, ScriptCommand, words_again

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

SUBMIT_EXIT_CODES = (
    "Exit codes: those of rayanim run, as the job ends with them on the cluster; and 3 where the "
    "cluster cannot be reached, refuses, or loses the job, 143 where somebody has stopped it."
)

ADDRESS_HELP = (
    "The cluster's dashboard: http://HEAD:8265. Else RAY_API_SERVER_ADDRESS or RAY_ADDRESS counts, "
    "then a Ray on this machine."
)

NOT_PASSED_ON = ("output", "preview", "as_json", "quiet", "films_folder", "resume_command")
"""Options of `run` that mean something else, or nothing, on the cluster."""


def _address(command: CommandT) -> CommandT:
    return click.option("--address", metavar="URL", help=ADDRESS_HELP)(command)


def _read_json(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
    """An option that Ray's own command takes as JSON."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON ({error}): {text!r}.") from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"must be a JSON object such as {{}}, got {text!r}.")
    return value


def _json_option(name: str, metavar: str, help: str) -> Callable[[CommandT], CommandT]:
    return click.option(name, metavar=metavar, callback=_read_json, help=help)


def submit_options(command: CommandT) -> CommandT:
    """Options of `submit` alone; those that Ray's ``ray job submit`` has are called as there."""
    return with_options(
        command,
        _address,
        click.option(
            "--fetch",
            is_flag=True,
            help="Bring the finished film here; -o is a file on this machine then.",
        ),
        click.option(
            "--working-dir",
            metavar="DIR",
            help="The folder that travels, and that the script runs in; else the script's own.",
        ),
        click.option(
            "--exclude",
            "excludes",
            multiple=True,
            metavar="PATTERN",
            help="What of it stays here, as .gitignore would name it; may be given again.",
        ),
        click.option(
            "--pip",
            "packages",
            multiple=True,
            metavar="PACKAGE",
            help="Have this installed on every node, or all that a .txt file lists.",
        ),
        click.option("--runtime-env", metavar="FILE", help="A YAML file for Ray."),
        _json_option("--runtime-env-json", "JSON", "The same, in place."),
        click.option("--submission-id", metavar="ID", help="The job's name on the cluster."),
        click.option("--no-wait", is_flag=True, help="Print the job's name and end at once."),
        _json_option("--metadata-json", "JSON", "Texts by name to keep with the job."),
        click.option("--entrypoint-num-cpus", type=float, metavar="N", help="For the driver."),
        click.option("--entrypoint-num-gpus", type=float, metavar="N", help="For the driver."),
        click.option("--entrypoint-memory", type=int, metavar="BYTES", help="For the driver."),
        _json_option("--entrypoint-resources", "JSON", "For the driver."),
        _json_option("--entrypoint-label-selector", "JSON", "Where the driver may run."),
    )


@click.command(cls=ScriptCommand, epilog=SUBMIT_EXIT_CODES)
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@submit_options
@common_options
@film_options
@actor_options
@click.pass_context
def submit(ctx: click.Context, /, script: Path, **given: Any) -> int:
    """Render SCRIPT's film on a Ray cluster.

    SCRIPT's folder goes there as one package, and `rayanim run SCRIPT` runs as
    a job of Ray's, with all options of run. Progress and what the script prints
    show here. Ctrl-C asks whether to stop the job or to leave it; a second one
    leaves it, as does one without a terminal.

    A film whose path is relative goes to ~/rayanim/ on the node of the job's
    driver (RAYANIM_FILMS there names another folder); an absolute path is one
    on that node. --fetch brings it here.
    """
    from rayanim.cli.submitting import Submission, submit_script

    own = {name: given.pop(name) for name in Submission.__dataclass_fields__ if name in given}
    run_names = [each.name for each in ctx.command.params if each.name in given and each.name]
    words = words_again(ctx, [name for name in run_names if name not in NOT_PASSED_ON])
    options = Options.of(given, ctx.meta[SCRIPT_ARGUMENTS], None)
    return submit_script(script, Submission(**own), options, words)


submit.help = f"{inspect.cleandoc(submit.help or '')}\n\n{NAME_HELP}"


@click.command()
@click.argument("job", required=False)
@_address
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")
def status(job: str | None, address: str | None, as_json: bool) -> int:
    """Show rayanim's jobs on a cluster, or one JOB with its progress."""
    from rayanim.cli.job_commands import show_status

    return show_status(address, job, as_json=as_json)


@click.command()
@click.argument("job")
@_address
@click.option("-f", "--follow", is_flag=True, help="Follow it to its end; Ctrl-C leaves it.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")
def logs(job: str, address: str | None, follow: bool, as_json: bool) -> int:
    """Show what JOB has printed and reported."""
    from rayanim.cli.job_commands import show_logs

    return show_logs(address, job, follow=follow, as_json=as_json)


@click.command()
@click.argument("job")
@_address
def stop(job: str, address: str | None) -> int:
    """Stop JOB; finished segments are kept for --resume."""
    from rayanim.cli.job_commands import stop_job

    return stop_job(address, job)


@click.command()
@click.argument("job")
@_address
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write here; else what the film is called there.",
)
def fetch(job: str, address: str | None, output: Path | None) -> int:
    """Bring the film that JOB has finished here.

    It comes through the cluster's dashboard, is checked by its hash and then
    put into its place. A fetch that has broken is gone on from.
    """
    from rayanim.cli.job_commands import fetch_job

    return fetch_job(address, job, output)


COMMANDS = (submit, status, logs, stop, fetch)
