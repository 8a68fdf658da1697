"""Commands for videos that a job on a Ray cluster renders: submit, status, logs, stop, fetch."""

from __future__ import annotations

import contextlib
import functools
import getpass
import inspect
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from rayanim.cli.options import (
    NAME_HELP,
    SCRIPT_ARGUMENTS,
    Options,
    ScriptCommand,
    actor_options,
    common_options,
    going_on,
    video_options,
    with_options,
    words_again,
)
from rayanim.cli.printing import (
    FAILED,
    ending_signals,
    preview,
    stopping_on_signals,
    told_failures,
    write_text,
)
from rayanim.errors import JobError, OutputError, PackageError, SettingsError
from rayanim.jobs import client as jobs
from rayanim.jobs.client import JobsClient, SubmittedJob
from rayanim.jobs.fetch import Offer, fetch_video
from rayanim.jobs.watch import (
    JobEvent,
    JobNotice,
    JobWatch,
    Text,
    how_to_resume,
    outcome_of,
    read_log,
)
from rayanim.progress import NoProgress, Progress, ProgressState, choose_progress
from rayanim.progress.base import QuietStream, count, duration, is_terminal, percent, sentence
from rayanim.progress.reporters import BarProgress, can_show_bar
from rayanim.report import size_text

if TYPE_CHECKING:
    from rayanim.jobs.client import JobRequest
    from rayanim.jobs.package import Package

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _reporting_failures(command: Callable[..., int]) -> Callable[..., int]:
    """`command`, whose errors become a message and an exit code."""

    @functools.wraps(command)
    def carried_out(*args: Any, **given: Any) -> int:
        with told_failures(verbose=bool(given.get("verbose"))) as codes:
            codes.append(command(*args, **given))
        return codes[-1]

    return carried_out


def _note(text: str) -> None:
    """Write a line of rayanim's own to standard error."""
    write_text(sys.stderr, f"{OWN_LINE}{text}")


OWN_LINE = "rayanim: "
"""How each line begins that rayanim writes for people, here and on the cluster."""


# rayanim submit

SUBMIT_EXIT_CODES = (
    "Exit codes: those of rayanim run, as the job ends with them on the cluster; and 3 where the "
    "cluster cannot be reached, refuses, or loses the job, 143 where somebody has stopped it."
)

ADDRESS_HELP = (
    "The cluster's dashboard: http://HEAD:8265. Else RAY_API_SERVER_ADDRESS or RAY_ADDRESS counts, "
    "then a Ray on this machine."
)

NOT_PASSED_ON = ("output", "preview", "as_json", "quiet", "videos_folder", "resume_command")
"""Options of `run` that mean something else, or nothing, on the cluster."""


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


def _json_option(name: str, help: str) -> Callable[[CommandT], CommandT]:
    return click.option(name, metavar="JSON", callback=_read_json, help=help)


_address = click.option("--address", metavar="URL", help=ADDRESS_HELP)
_json = click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")


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
        _json_option("--runtime-env-json", "The same, in place."),
        click.option("--submission-id", metavar="ID", help="The job's name on the cluster."),
        click.option("--no-wait", is_flag=True, help="Print the job's name and end at once."),
        _json_option("--metadata-json", "Texts by name to keep with the job."),
        click.option("--entrypoint-num-cpus", type=float, metavar="N", help="For the driver."),
        click.option("--entrypoint-num-gpus", type=float, metavar="N", help="For the driver."),
        click.option("--entrypoint-memory", type=int, metavar="BYTES", help="For the driver."),
        _json_option("--entrypoint-resources", "For the driver."),
        _json_option("--entrypoint-label-selector", "Where the driver may run."),
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
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("name", required=False)
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
        if not options.quiet:
            for text in package.notes(_output_in(folder, options)):
                _note(text)
        client = JobsClient(submission.address)
        request = _request(submission, folder, package.runtime_env)
        if not options.quiet:
            _note(f"sending {_described(package)} to {client.address} as {request.submission_id}")
        name = _sent_off(client, request)
    if submission.no_wait:
        as_json = json.dumps({"event": "job", "job": name})
        write_text(sys.stdout, as_json if options.as_json else name)
    if not options.quiet:
        _note(f"{name} was submitted")
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
    many = "1 file" if len(package.files) == 1 else f"{len(package.files)} files"
    return f"{many} ({size_text(package.size_bytes)})"


def _request(
    submission: Submission, folder: Path | None, runtime_env: dict[str, Any]
) -> JobRequest:
    """The job whose driver runs ``rayanim run`` with the given options."""
    from rayanim import __version__

    script, options, words = submission.script, submission.options, list(submission.words)
    there = jobs.relative_script(script, folder) if folder else script.as_posix()
    output = options.output
    if submission.fetch:  # where it goes and what it may replace is a matter of this machine
        output = Path(output.name) if output is not None else None
        words = [word for word in words if word != "--no-overwrite"]
    line = ["--json", *(["-o", str(output)] if output else []), *words, there]
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
        _note(
            f"{name} was perhaps submitted: see {client.command(f'status {name}')}. "
            f"To end it: {client.command(f'stop {name}')}"
        )
        raise


def _see_through(client: JobsClient, name: str, submission: Submission) -> int:
    """Follow the job to its end, and fetch its video where that is asked for."""
    options = submission.options
    shown = ShownAsJson() if options.as_json else Shown(quiet=options.quiet)
    code, job = follow_job(client, name, shown)
    if job is None or code != 0:
        return code
    quiet = options.quiet or options.as_json
    if submission.fetch and not shown.videos:
        _note(f"error: {name} has finished no video that could be brought here.")
        return FAILED
    if submission.fetch:
        output = options.output if isinstance(options.output, Path) else None
        overwrite = options.arguments.get("overwrite") is not False
        for video in fetch_videos(
            client, job, shown.videos, output, quiet=quiet, overwrite=overwrite
        ):
            if options.preview and (why_not := preview(video)):
                _note(why_not)
    elif shown.videos and not quiet:
        _note(f"to bring the video here: {client.command(f'fetch {name}')}")
    return 0


# What a job does, as it is shown here

PRINTED_CHARS = 10_000
"""How much of what the script printed last is looked at for a report, which has some 500."""


class Shown:
    """Shows people what a job does."""

    def __init__(self, *, quiet: bool = False, with_progress: bool = True) -> None:
        self.videos: list[Offer] = []
        self.error: dict[str, Any] | None = None
        self._quiet = quiet
        has_progress = with_progress and not quiet
        self._progress: Progress = choose_progress() if has_progress else NoProgress()
        self._printed = ""
        self._unprinted: list[str] = []
        self._label = ""
        self._state: ProgressState | None = None
        self._has_bar = False

    def show(self, item: Text | JobEvent | JobNotice) -> None:
        """Show a line of the log, or a word about the job."""
        if isinstance(item, Text):
            self._text(item.text)
        elif isinstance(item, JobEvent):
            self._event(item.kind, item.values)
        elif self._quiet:
            return
        elif self._state is not None:
            self._progress.message(f"{OWN_LINE}{item.text}")
        else:
            _note(item.text)

    def pause(self) -> None:
        """Free the terminal: a sentence takes the bar's place."""
        if self._state is None or not self._has_bar:
            return
        self._has_bar = False
        if isinstance(self._progress, BarProgress):
            self._progress.leave()
            write_text(sys.stderr, sentence(self._state, self._label))

    def resume(self) -> None:
        """Show the bar again."""
        if self._state is not None:
            self._has_bar = True
            self._progress.start(self._state.total, self._label, self._state.done)

    def end(self) -> None:
        """The job has ended: print the reports that the script has not printed itself."""
        self.pause()
        unprinted, self._unprinted = self._unprinted, []
        for text in unprinted:
            if not self._quiet:
                write_text(sys.stdout, text)

    def _text(self, text: str) -> None:
        """What the script prints goes to standard output, what rayanim says to standard error."""
        if self._unprinted:
            self._printed = (self._printed + text)[-PRINTED_CHARS:]
            self._unprinted = [each for each in self._unprinted if each not in self._printed]
        QuietStream(sys.stderr if text.startswith(OWN_LINE) else sys.stdout).write(text)

    def _event(self, kind: str, values: dict[str, Any]) -> None:
        if kind == "start":
            self._label, self._state = values.get("label") or "", state_of(values)
            self.resume()
        elif kind == "progress":
            self._state = state_of(values)
            self._progress.update(self._state)
        elif kind == "message":
            self._progress.message(values["text"])
        elif kind == "finish":
            self._state = None
            self._progress.finish(state_of(values))
        elif kind == "fail":
            self._state = None
            self._progress.fail()
        elif kind == "report":
            self._printed = ""
            self._unprinted.append(values["text"])
        elif kind == "video":
            self.videos.append(Offer.of(values))
        elif kind == "error":
            self.error = values  # the job has written the same for people


class ShownAsJson(Shown):
    """Passes a job's events on to a program, and all else to standard error."""

    def __init__(self) -> None:
        super().__init__(with_progress=False)

    def _text(self, text: str) -> None:
        QuietStream(sys.stderr).write(text)

    def _event(self, kind: str, values: dict[str, Any]) -> None:
        super()._event(kind, values)
        write_text(sys.stdout, json.dumps({"event": kind, **values}))

    def end(self) -> None:
        """Nothing: every report was passed on."""


def state_of(values: dict[str, Any]) -> ProgressState:
    """How far a job is, of an event's values."""
    known = {each.name for each in fields(ProgressState)}
    return ProgressState(**{name: value for name, value in values.items() if name in known})


Answer = Literal["stop", "leave", "watch"]

QUESTION = "rayanim: stop the job, leave it running, or go on watching? [s/l/w] "

STOP_LIMIT_S = jobs.STOP_WAIT_S + 20.0
"""By then Ray has killed the driver's processes one by one, if it can at all."""


def ask(number: int) -> Answer:
    """Ask what a signal is to do to the job.

    Only Ctrl-C asks, and only where somebody can answer; all else leaves the
    job running, as does another Ctrl-C in place of an answer.
    """
    if number != signal.SIGINT or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return "leave"
    answers: dict[str, Answer] = {"s": "stop", "l": "leave", "w": "watch"}
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write("\n")
        while True:
            sys.stderr.write(QUESTION)
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                return "leave"
            if line.strip().lower()[:1] in answers:
                return answers[line.strip().lower()[:1]]
    except (KeyboardInterrupt, EOFError):
        write_text(sys.stderr, "\n")
        return "leave"
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Note SIGINT, SIGTERM and SIGHUP in a list, where they would end this process."""
    noted: list[int] = []
    before: dict[int, Any] = {}
    for number in map(int, ending_signals()):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow_job(
    client: JobsClient, name: str, shown: Shown, asks: Callable[[int], Answer] = ask
) -> tuple[int, SubmittedJob | None]:
    """Show a job until it ends or a signal comes; gives an exit code, and the job if it ended."""
    items = JobWatch(client, name).follow()
    try:
        with noted_signals() as signals:
            while True:
                item = next(items)
                if signals:
                    number = signals[-1]
                    shown.pause()
                    answer = asks(number)
                    signals.clear()
                    if answer != "watch":
                        _note(stop_job(client, name) if answer == "stop" else _left(client, name))
                        return 128 + number, None
                    shown.resume()
                if isinstance(item, SubmittedJob):
                    break
                if item is not None:
                    shown.show(item)
    except JobError as error:
        again = client.command(f"logs -f {name}")
        raise JobError(f"{error.message} If {name} still runs: {again}") from error
    finally:
        shown.pause()
    shown.end()
    outcome = outcome_of(item, shown.error)
    if outcome.text:
        _note(f"error: {outcome.text}")
    return outcome.exit_code, item


def _left(client: JobsClient, name: str) -> str:
    """How to come back to a job that nobody watches any more."""
    return (
        f"{name} goes on.\n"
        f"  to see it:       {client.command(f'logs -f {name}')}\n"
        f"  to end it:       {client.command(f'stop {name}')}\n"
        f"  to bring a video: {client.command(f'fetch {name}')}"
    )


def stop_job(client: JobsClient, name: str) -> str:
    """Stop a job, wait until it has ended, and say what came of it."""
    client.stop(name)
    deadline_s = time.monotonic() + STOP_LIMIT_S
    while not (job := client.job(name)).has_ended:
        if time.monotonic() > deadline_s:
            raise JobError(
                f"{name} has not ended {STOP_LIMIT_S:.0f} s after it was told to. "
                f"Look at it: {client.command(f'status {name}')}"
            )
        time.sleep(0.5)
    if job.status == "STOPPED":
        return f"{name} was stopped.{how_to_resume(job)}"
    return f"{name} had ended before: {job.status.lower()}."


# rayanim status

LOG_LINES = 200
"""The end of a log, in which a job's latest progress stands."""


@dataclass(slots=True)
class JobStatus:
    """What is known of a job."""

    job: SubmittedJob
    label: str = ""
    state: ProgressState | None = None
    reports: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    error: str = ""

    def learn(self, items: Iterable[Text | JobEvent]) -> None:
        """Take in what a job's log says."""
        for item in items:
            if isinstance(item, Text):
                continue
            if "done" in item.values:
                self.label, self.state = item.values.get("label") or "", state_of(item.values)
            elif item.kind == "report":
                self.reports.append(item.values["text"])
            elif item.kind == "video":
                self.videos.append(item.values["output"])
            elif item.kind == "error":
                self.error = item.values["text"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        job, state = self.job, self.state
        return {
            "job": job.submission_id,
            "status": job.status,
            "script": job.script,
            "started_s": job.started_s,
            "ended_s": job.ended_s,
            "exit_code": job.exit_code,
            "label": self.label,
            "done": state.done if state else None,
            "total": state.total if state else None,
            "videos": self.videos,
            "error": self.error or None,
        }

    def describe(self, fetching: str) -> str:
        """All of it, in lines for people."""
        job = self.job
        lines = [f"{job.submission_id}: {job.status.lower()}, {job.script}, {_times(job)}"]
        if self.state is not None and not self.reports:
            lines.append(sentence(self.state, self.label))
        lines += self.reports
        if self.error:
            lines.append(f"error: {self.error}")
        elif job.message and job.status in ("PENDING", "FAILED"):
            lines.append(job.message.splitlines()[0])
        if self.videos:
            lines.append(f"To bring it here: {fetching}")
        elif job.has_ended and (again := how_to_resume(job)):
            lines.append(again.strip())
        return "\n".join(lines)


@click.command()
@click.argument("job", required=False)
@_address
@_json
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
        _print_table(known, client.address)
    return 0


def _print_table(known: Sequence[JobStatus], address: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Cell

    table = Table("job", "status", "script", "frames", "when", box=None, pad_edge=False)
    for each in known:
        job, frames = each.job, ""
        if each.state is not None:
            share = percent(each.state)
            frames = count(each.state) + (f" ({share})" if share else "")
        cells = (job.submission_id, job.status.lower(), job.script, frames, _times(job))
        table.add_row(*(Cell(text, overflow="fold") for text in cells))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    console.print(table if known else f"rayanim has submitted no job to {address}.")


def _times(job: SubmittedJob) -> str:
    if job.started_s is None:
        return "not started"
    began = f"{datetime.fromtimestamp(job.started_s):%Y-%m-%d %H:%M:%S}"
    if job.ended_s is None:
        return f"since {began}"
    return f"{began}, took {duration(job.ended_s - job.started_s)}"


# rayanim logs and rayanim stop


@click.command()
@click.argument("job")
@_address
@click.option("-f", "--follow", is_flag=True, help="Follow it to its end; Ctrl-C leaves it.")
@_json
@_reporting_failures
def logs(job: str, address: str | None, follow: bool, as_json: bool) -> int:
    """Show what JOB has printed and reported."""
    client = JobsClient(address)
    known = client.job(job)
    shown = ShownAsJson() if as_json else Shown(with_progress=follow)
    if follow:
        return follow_job(client, job, shown, asks=lambda _: "leave")[0]
    for item in read_log(client.log(known), known.event_mark):
        shown.show(item)
    shown.end()
    return 0


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
    """Bring the video that JOB has finished here.

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


COMMANDS = (submit, status, logs, stop, fetch)


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
        raise JobError(f"Ray does not know any more on which node {videos[0].output} lies.")
    found = targets(videos, output)
    if not overwrite:
        check_free(found, client.command(f"fetch {job.submission_id}"))
    for video, target in found:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _bar(target, video.size_bytes, quiet=quiet) as on_bytes:
            fetch_video(client, job.node_id, video, target, on_bytes=on_bytes)
        if not quiet:
            _note(f"{target} was fetched: {size_text(video.size_bytes)}, its hash is right.")
    return [target for _, target in found]


def targets(videos: Sequence[Offer], output: Path | None) -> list[tuple[Offer, Path]]:
    """Where each video goes on this machine.

    Of a video that its job has made again, the last one counts.
    """
    videos = list({video.output: video for video in videos}.values())
    if output is not None and len(videos) > 1:
        names = ", ".join(video.relative for video in videos)
        raise SettingsError(f"The job has made more than one video ({names}): leave -o out.")
    found: dict[Path, Offer] = {}
    for video in videos:
        target = output or _below_here(video)
        if target in found:
            raise SettingsError(
                f"{found[target].output} and {video.output} would both be {str(target)!r} here. "
                "They are still on the cluster; give them different names in the script, or "
                "paths that are relative."
            )
        found[target] = video
    return [(video, target) for target, video in found.items()]


def _below_here(video: Offer) -> Path:
    """Where `video` goes below the current folder, which its path must not lead out of."""
    path = PurePosixPath(video.relative)
    if not path.name or "\0" in video.relative or path.name == "..":
        raise SettingsError(f"The job offers {video.relative!r}, which names no file: give -o.")
    return Path(path.name) if path.is_absolute() or ".." in path.parts else Path(path)


def check_free(found: Sequence[tuple[Offer, Path]], again: str) -> None:
    """See that no video would replace a file."""
    for _, target in found:
        if target.exists():
            raise OutputError(
                f"{str(target)!r} exists, and --no-overwrite keeps it. The video is still on the "
                f"cluster: {again} -o FILE"
            )


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
