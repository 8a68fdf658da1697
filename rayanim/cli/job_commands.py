"""Commands for videos that a job on a cluster renders: submit, status, logs, watch, stop, fetch."""

from __future__ import annotations

import contextlib
import functools
import getpass
import inspect
import json
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rayanim.cli.job_display import (
    JobDisplay,
    JobStatus,
    JsonDisplay,
    follow_job,
    print_table,
    stop_job,
    write_note,
)
from rayanim.cli.options import (
    NAME_HELP,
    SCRIPT_ARGUMENTS,
    Options,
    ScriptCommand,
    actor_options,
    common_options,
    going_on,
    json_option,
    json_text_option,
    page_options,
    script_arguments,
    video_options,
    with_options,
    words_again,
)
from rayanim.cli.printing import (
    FAILED,
    exiting_on_failure,
    preview,
    stopping_on_signals,
    write_text,
)
from rayanim.errors import JobError, OutputError, PackageError, SettingsError
from rayanim.jobs import client as jobs
from rayanim.jobs.client import JobsClient, SubmittedJob
from rayanim.jobs.fetch import Offer, check_free, fetch_video, targets
from rayanim.jobs.watch import JobEvent, read_log
from rayanim.progress.base import size_text
from rayanim.progress.reporters import can_show_bar
from rayanim.report import plural
from rayanim.storage.video_folder import is_folder

if TYPE_CHECKING:
    from rayanim.jobs.client import JobRequest
    from rayanim.jobs.package import Package

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _reporting_failures(command: Callable[..., int]) -> Callable[..., int]:
    """`command`, whose errors become a message and an exit code."""

    @functools.wraps(command)
    def carried_out(*args: Any, **given: Any) -> int:
        with exiting_on_failure(verbose=bool(given.get("verbose"))):
            return command(*args, **given)

    return carried_out


# rayanim submit

SUBMIT_EXIT_CODES = (
    "Exit codes: those of rayanim run, as the job ends with them on the cluster; and 3 where the "
    "cluster cannot be reached, refuses, or loses the job, 143 where somebody has stopped it."
)

ADDRESS_HELP = (
    "The cluster's dashboard: http://HEAD:8265. Default: $RAY_API_SERVER_ADDRESS, $RAY_ADDRESS, "
    "then a Ray cluster on this machine."
)

NOT_PASSED_ON = ("outputs", "preview", "as_json", "quiet", "videos_folder", "resume_command")
"""Options of `run` that mean something else, or nothing, on the cluster."""


_address = click.option("--address", metavar="URL", help=ADDRESS_HELP)


def submit_options(command: CommandT) -> CommandT:
    """Options of `submit` alone; those that Ray's ``ray job submit`` has are called as there."""
    return with_options(
        command,
        _address,
        click.option(
            "--fetch",
            is_flag=True,
            help="Bring the finished video here; -o is a file on this machine then.",
        ),
        click.option(
            "--working-dir",
            metavar="DIR",
            help="The folder that is sent, and that the script runs in; else the script's own.",
        ),
        click.option(
            "--exclude",
            "excludes",
            multiple=True,
            metavar="PATTERN",
            help="Leave these files out: .gitignore patterns; may be repeated.",
        ),
        click.option(
            "--pip",
            "packages",
            multiple=True,
            metavar="PACKAGE",
            help="Have this installed on every node, or all that a .txt file lists.",
        ),
        click.option("--runtime-env", metavar="FILE", help="A YAML file for Ray."),
        json_text_option("--runtime-env-json", "{}", "The same as JSON text."),
        click.option("--submission-id", metavar="ID", help="The job's name on the cluster."),
        click.option("--no-wait", is_flag=True, help="Print the job's name and end at once."),
        json_text_option("--metadata-json", "{}", "Metadata, a JSON object of strings."),
        click.option(
            "--entrypoint-num-cpus", type=float, metavar="N", help="CPUs of the job's driver."
        ),
        click.option(
            "--entrypoint-num-gpus", type=float, metavar="N", help="GPUs of the job's driver."
        ),
        click.option(
            "--entrypoint-memory", type=int, metavar="BYTES", help="Memory of the job's driver."
        ),
        json_text_option(
            "--entrypoint-resources", "{}", "Custom Ray resources of the job's driver."
        ),
        json_text_option("--entrypoint-label-selector", "{}", "Where the driver may run."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What `submit` was given: the script, the options of `run`, and its own by click's names."""

    script: Path
    options: Options
    words: Sequence[str]
    driver_resources: dict[str, Any]
    address: str | None
    fetch: bool
    working_dir: str | None
    excludes: Sequence[str]
    packages: Sequence[str]
    runtime_env: str | None
    runtime_env_json: dict[str, Any] | None
    submission_id: str | None
    no_wait: bool
    metadata_json: dict[str, Any] | None

    def check(self) -> None:
        """Refuse what makes no sense, before anything is sent."""
        if self.fetch and self.no_wait:
            raise SettingsError(
                "--fetch waits for the video and --no-wait does not. Leave one of them out; "
                "rayanim fetch JOB brings the video later."
            )
        output = self.options.output
        if self.fetch and len(self.options.outputs) > 1:
            raise SettingsError(
                "--fetch brings one file to where -o says. Leave --fetch out, and bring several "
                "with rayanim fetch JOB."
            )
        if self.fetch and output is not None and is_folder(output.name):
            raise SettingsError(
                f"--fetch brings one file, and {str(output)!r} has many. Leave it out, and write "
                "them to a store or a shared disk."
            )
        if self.fetch and output is not None and not isinstance(output, Path):
            raise OutputError(
                f"--fetch brings the video from the cluster, and {output} is a URL, which "
                "both sides can read. Leave one of them out."
            )
        if self.runtime_env is not None and self.runtime_env_json is not None:
            raise SettingsError("--runtime-env and --runtime-env-json exclude each other.")
        check_log(self.words)
        self.options.check(is_here=self.fetch)

    def read_runtime_env(self) -> dict[str, Any]:
        """The runtime environment that the user gives."""
        if self.runtime_env is None:
            return dict(self.runtime_env_json or {})
        import yaml  # type: ignore[import-untyped, unused-ignore]

        try:
            read = yaml.safe_load(Path(self.runtime_env).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise PackageError(
                f"The runtime environment {self.runtime_env!r} cannot be read: {error}"
            ) from error
        if not isinstance(read, dict):
            raise PackageError(
                f"The runtime environment {self.runtime_env!r} must be a YAML mapping, got "
                f"{read!r}."
            )
        return read


@click.command(cls=ScriptCommand, epilog=SUBMIT_EXIT_CODES)
@script_arguments
@submit_options
@common_options
@video_options
@actor_options
@click.pass_context
@_reporting_failures
def submit(ctx: click.Context, /, script: Path, **given: Any) -> int:
    """Render SCRIPT's video on a Ray cluster.

    SCRIPT's folder goes there as one package, and `rayanim run SCRIPT` runs as
    a job of Ray's, with all options of run. Progress and what the script prints
    show here. Ctrl-C asks whether to stop the job or to leave it; a second one
    leaves it, as does one without a terminal.

    A video whose path is relative goes to ~/rayanim/ on the node of the job's
    driver (RAYANIM_VIDEOS there names another folder); an absolute path is one
    on that node. --fetch brings it here.
    """
    for_driver = [name for name in given if name.startswith("entrypoint_")]
    driver_resources = {name: given.pop(name) for name in for_driver}
    own = {name: given.pop(name) for name in Submission.__dataclass_fields__ if name in given}
    passed_on = [name for name in given if name not in NOT_PASSED_ON]
    submission = Submission(
        script=script,
        words=words_again(ctx, passed_on),
        options=Options.of(given, ctx.meta[SCRIPT_ARGUMENTS], None),
        driver_resources={
            name: value for name, value in driver_resources.items() if value is not None
        },
        **own,
    )
    client, name = _submitted(submission)
    return 0 if submission.no_wait else _see_through(client, name, submission)


submit.help = f"{inspect.cleandoc(submit.help or '')}\n\n{NAME_HELP}"


def check_log(words: Sequence[str]) -> None:
    """Refuse a log in the folder where the script runs: Ray removes it with the job."""
    log = words[words.index("--log-json") + 1] if "--log-json" in words else "-"
    if log != "-" and not Path(log).is_absolute():
        raise SettingsError(
            f"--log-json {log} would be written on the cluster, into the copy of the script's "
            "folder that Ray removes. Name an absolute path there, or none: --log-json alone "
            "writes to standard error, which rayanim logs JOB shows."
        )


def _submitted(submission: Submission) -> tuple[JobsClient, str]:
    """Send the script's folder and start the job; gives the job's name."""
    from rayanim.cli.script import check_script, check_syntax
    from rayanim.jobs.package import folder_to_send, packed

    script, options = submission.script, submission.options
    check_script(script)
    check_syntax(script)
    submission.check()
    runtime_env = submission.read_runtime_env()
    working_dir = submission.working_dir or runtime_env.pop("working_dir", None)
    if working_dir is not None and ("://" in working_dir or working_dir.endswith(".zip")):
        # Packed already, by somebody who knows what is in it.
        runtime_env["working_dir"], folder = working_dir, None
    else:
        named = Path(working_dir) if working_dir else None
        folder = folder_to_send(named, script.resolve().parent)
    jobs.send_token_if_there()
    # A signal must leave no packages behind.
    with (
        stopping_on_signals(),
        packed(
            folder,
            excludes=submission.excludes,
            packages=submission.packages,
            runtime_env=runtime_env,
        ) as package,
    ):
        client = JobsClient(submission.address)
        if not options.quiet:
            for text in package.notes(_output_in(folder, options)):
                write_note(text)
        request = _request(submission, folder, package.runtime_env)
        if not options.quiet:
            write_note(
                f"sending {_described(package)} to {client.address} as {request.submission_id}"
            )
        name = _sent_off(client, request)
    if submission.no_wait:
        as_json = json.dumps({"event": "job", "job": name})
        write_text(sys.stdout, as_json if options.as_json else name)
    if not options.quiet:
        write_note(f"{name} was submitted")
    return client, name


def _output_in(folder: Path | None, options: Options) -> str | None:
    """The video to be made, relative to the folder that is sent; None where it lies elsewhere."""
    if folder is None or not isinstance(options.output, Path):
        return None
    target, parent = options.output.absolute(), folder.resolve()
    return target.relative_to(parent).as_posix() if target.is_relative_to(parent) else None


def _described(package: Package) -> str:
    if not package.files:
        return "the job"
    return f"{plural(len(package.files), 'file')} ({size_text(package.size_bytes)})"


def _request(
    submission: Submission, folder: Path | None, runtime_env: dict[str, Any]
) -> JobRequest:
    """The job whose driver runs ``rayanim run`` with the given options."""
    from rayanim import __version__

    script, options, words = submission.script, submission.options, list(submission.words)
    there = jobs.relative_script(script, folder) if folder else script.as_posix()
    outputs = options.outputs
    if submission.fetch:  # where they go and what they may replace is a matter of this machine
        outputs = tuple(replace(each, address=Path(each.address.name)) for each in outputs)
        words = [word for word in words if word != "--no-overwrite"]
    named = [word for each in outputs for word in ("-o", str(each))]
    line = ["--json", *named, *words, there]
    line += [options.name] if options.name else []
    line += ["--", *options.script_arguments] if options.script_arguments else []
    again, mark = going_on(sys.argv), f"[rayanim {secrets.token_hex(8)}] "
    given = {str(key): str(value) for key, value in (submission.metadata_json or {}).items()}
    name = submission.submission_id or jobs.make_submission_id(script, secrets.token_hex(4))
    return jobs.JobRequest(
        submission_id=jobs.check_submission_id(name),
        entrypoint=jobs.entrypoint(
            jobs.videos_folder(folder or script.resolve().parent, _owner()), line
        ),
        runtime_env=jobs.with_variables(runtime_env, again, mark),
        metadata={
            **given,
            jobs.METADATA_KEY: __version__,
            jobs.SCRIPT_KEY: there,
            jobs.RESUME_KEY: again,
            jobs.EVENTS_KEY: mark,
        },
        resources=submission.driver_resources,
    )


def _owner() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "user"
    return f"{user}@{socket.gethostname()}"


def _sent_off(client: JobsClient, request: JobRequest) -> str:
    """Submit the job; an interruption may come when it is there already."""
    try:
        return client.submit(request)
    except KeyboardInterrupt:
        name = request.submission_id
        write_note(
            f"{name} was perhaps submitted: see {client.command(f'status {name}')}. "
            f"To end it: {client.command(f'stop {name}')}"
        )
        raise


def _see_through(client: JobsClient, name: str, submission: Submission) -> int:
    """Follow the job to its end, and fetch its video where that is asked for."""
    options = submission.options
    display = JsonDisplay() if options.as_json else JobDisplay(quiet=options.quiet)
    code, job = follow_job(client, name, display)
    if job is None or code != 0:
        return code
    quiet = options.quiet or options.as_json
    if submission.fetch and not display.videos:
        write_note(f"error: {name} has finished no video that could be brought here.")
        return FAILED
    if submission.fetch:
        output = options.output if isinstance(options.output, Path) else None
        overwrite = options.arguments.get("overwrite") is not False
        for video in fetch_videos(
            client, job, display.videos, output, quiet=quiet, overwrite=overwrite
        ):
            if options.preview and (why_not := preview(video)):
                write_note(why_not)
    elif display.videos and not quiet:
        write_note(f"to bring the video here: {client.command(f'fetch {name}')}")
    return 0


# rayanim status

LOG_LINES = 200
"""The end of a log, in which a job's latest progress stands."""


@click.command()
@click.argument("job", required=False)
@_address
@json_option
@_reporting_failures
def status(job: str | None, address: str | None, as_json: bool) -> int:
    """Show rayanim's jobs on a cluster, or one JOB with its progress."""
    client = JobsClient(address)
    found = client.jobs() if job is None else [client.job(job)]
    known = [JobStatus(each) for each in found]
    for each in known:
        with contextlib.suppress(JobError):  # a log may be gone with its node
            each.learn(read_log(client.log(each.job, LOG_LINES), each.job.event_mark))
    if as_json:
        for each in known:
            write_text(sys.stdout, json.dumps(each.to_dict()))
    elif job is not None:
        write_text(sys.stdout, known[0].describe(client.command(f"fetch {job}")))
    else:
        print_table(known, client.address)
    return 0


# rayanim logs, rayanim watch and rayanim stop


@click.command()
@click.argument("job")
@_address
@click.option("-f", "--follow", is_flag=True, help="Follow it to its end; Ctrl-C leaves it.")
@json_option
@_reporting_failures
def logs(job: str, address: str | None, follow: bool, as_json: bool) -> int:
    """Show what JOB has printed and reported."""
    client = JobsClient(address)
    known = client.job(job)
    display = JsonDisplay() if as_json else JobDisplay(with_progress=follow)
    if follow:
        return follow_job(client, job, display, asks=lambda _: "leave")[0]
    for item in read_log(client.log(known), known.event_mark):
        display.show(item)
    display.end()
    return 0


@click.command()
@click.argument("job")
@_address
@page_options
@_reporting_failures
def watch(job: str, address: str | None, port: int | None, no_open: bool) -> int:
    """Show a page that plays what JOB has finished, with the report as it grows.

    It is the page of `rayanim run --watch`. What JOB prints shows here; Ctrl-C
    leaves it. When it has finished, its video is shown until the page is closed.
    """
    from rayanim.cli.watch_command import watch_job

    return watch_job(JobsClient(address), job, port=port or 0, opens=not no_open)


@click.command()
@click.argument("job")
@_address
@_reporting_failures
def stop(job: str, address: str | None) -> int:
    """Stop JOB; finished segments are kept for --resume."""
    write_text(sys.stdout, stop_job(JobsClient(address), job))
    return 0


# rayanim fetch


@click.command()
@click.argument("job")
@_address
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write here; else what the video is called there.",
)
@_reporting_failures
def fetch(job: str, address: str | None, output: Path | None) -> int:
    """Download JOB's finished video.

    It comes through the cluster's dashboard, is checked by its hash and then
    put into its place. A download that breaks starts again.
    """
    client = JobsClient(address)
    known = client.job(job)
    items = read_log(client.log(known), known.event_mark)
    events = [item for item in items if isinstance(item, JobEvent)]
    videos = [Offer.of(event.values) for event in events if event.kind == "video"]
    if not videos:
        yet = "" if known.has_ended else " yet"
        raise JobError(f"{job} ({known.status.lower()}) has finished no video{yet}.")
    fetch_videos(client, known, videos, output, quiet=False)
    return 0


COMMANDS = (submit, status, logs, watch, stop, fetch)


def fetch_videos(
    client: JobsClient,
    job: SubmittedJob,
    videos: Sequence[Offer],
    output: Path | None,
    *,
    quiet: bool,
    overwrite: bool = True,
) -> list[Path]:
    """Bring videos here; gives their files."""
    if job.node_id is None:
        raise JobError(
            f"Ray no longer knows which node has {videos[0].output}. Copy it from there by other "
            "means, or submit the script again."
        )
    found = targets(videos, output)
    if not overwrite:
        check_free(found, client.command(f"fetch {job.submission_id}"))
    for video, target in found:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A signal must leave no unfinished file behind.
        with (
            stopping_on_signals(),
            _bar(target, video.size_bytes, quiet=quiet) as on_bytes,
        ):
            fetch_video(client, job.node_id, video, target, on_bytes=on_bytes)
        if not quiet:
            write_note(f"{target} was fetched: {size_text(video.size_bytes)}, its hash is right.")
    return [target for _, target in found]


@contextlib.contextmanager
def _bar(target: Path, size_bytes: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    if quiet or not can_show_bar(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task(f"fetching {target.name}", total=size_bytes)
        yield lambda done_bytes: progress.update(task, completed=done_bytes)
