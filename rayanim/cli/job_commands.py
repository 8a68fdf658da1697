"""The commands for videos that a job on a Ray cluster renders."""

from __future__ import annotations

import contextlib
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
from types import FrameType
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
    ExpectedTexts,
    ending_signals,
    exiting_on_failure,
    preview,
    stopping_on_signals,
    write_text,
)
from rayanim.errors import JobError, OutputError, PackageError, SettingsError
from rayanim.jobs.client import STOP_WAIT_S, JobsClient, SubmittedJob
from rayanim.jobs.fetch import Offer, fetch_video
from rayanim.jobs.watch import JobEvent, JobWatch, Text, how_to_go_on, outcome_of, read_log
from rayanim.progress import NoProgress, Progress, ProgressState, choose_progress
from rayanim.progress.base import QuietStream, count, duration, is_terminal, percent, sentence
from rayanim.progress.reporters import BarProgress, can_show_bar
from rayanim.report import size_text

if TYPE_CHECKING:
    from rayanim.jobs.client import JobRequest
    from rayanim.jobs.package import Baggage, PackagePlan

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

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
            help="Bring the finished video here; -o is a file on this machine then.",
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
@video_options
@actor_options
@click.pass_context
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

    return show_status(address, job, as_json=as_json)


@click.command()
@click.argument("job")
@_address
@click.option("-f", "--follow", is_flag=True, help="Follow it to its end; Ctrl-C leaves it.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")
def logs(job: str, address: str | None, follow: bool, as_json: bool) -> int:
    """Show what JOB has printed and reported."""

    return show_logs(address, job, follow=follow, as_json=as_json)


@click.command()
@click.argument("job")
@_address
def stop(job: str, address: str | None) -> int:
    """Stop JOB; finished segments are kept for --resume."""

    return stop_job(address, job)


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
def fetch(job: str, address: str | None, output: Path | None) -> int:
    """Bring the video that JOB has finished here.

    It comes through the cluster's dashboard, is checked by its hash and then
    put into its place. A fetch that has broken is gone on from.
    """

    return fetch_job(address, job, output)


COMMANDS = (submit, status, logs, stop, fetch)


def targets(videos: Sequence[Offer], output: Path | None) -> list[tuple[Offer, Path]]:
    """Where each video goes on this machine.

    Of a video that its job has made again, the last one counts.
    """
    videos = list({video.output: video for video in videos}.values())
    if output is None:
        return _apart([(video, below_here(video)) for video in videos])
    if len(videos) > 1:
        names = ", ".join(video.relative for video in videos)
        raise SettingsError(f"The job has made more than one video ({names}): leave -o out.")
    return [(videos[0], output)]


def _apart(found: list[tuple[Offer, Path]]) -> list[tuple[Offer, Path]]:
    """`found` itself, once each video is known to have a file of its own."""
    taken: dict[Path, Offer] = {}
    for video, target in found:
        first = taken.setdefault(target, video)
        if first is not video:
            raise SettingsError(
                f"{first.output} and {video.output} would both be {str(target)!r} here. They are "
                "still on the cluster; give them different names in the script, or paths that "
                "are relative."
            )
    return found


def below_here(video: Offer) -> Path:
    """Where `video` goes below the current folder.

    Any program of a job can write what its log says: a path that leads out of
    the folder counts for its name alone.
    """
    path = PurePosixPath(video.relative)
    if not path.name or "\0" in video.relative or path.name == "..":
        raise SettingsError(f"The job offers {video.relative!r}, which names no file: give -o.")
    return Path(path.name) if path.is_absolute() or ".." in path.parts else Path(path)


def fetch_videos(
    client: JobsClient,
    job: SubmittedJob,
    videos: Sequence[Offer],
    output: Path | None,
    *,
    quiet: bool,
    overwrite: bool = True,
) -> list[Path]:
    """Bring videos here."""
    brought = []
    found = targets(videos, output)
    if not overwrite:
        check_free(found, client.command(f"fetch {job.submission_id}"))
    for video, target in found:
        if job.node_id is None:
            raise JobError(f"Ray does not know any more on which node {video.output} lies.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _bar(target, video.size_bytes, quiet=quiet) as on_bytes:
            fetch_video(client, job.node_id, video, target, on_bytes=on_bytes)
        brought.append(target)
        if not quiet:
            told = (
                f"rayanim: {target} was fetched: {size_text(video.size_bytes)}, its hash is right."
            )
            write_text(sys.stderr, told)
    return brought


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
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"fetching {target.name}", total=size_bytes)
        yield lambda done_bytes: progress.update(task, completed=done_bytes)


Answer = Literal["stop", "leave", "watch"]

QUESTION = "rayanim: stop the job, leave it running, or go on watching? [s/l/w] "

OWN_LINE = "rayanim: "
"""How each line begins that rayanim writes for people."""


class Shown:
    """Shows people what a job does: a listener of `rayanim.jobs.watch.Watch`."""

    def __init__(self, *, quiet: bool = False, with_progress: bool = True) -> None:
        self.videos: list[Offer] = []
        self.error: dict[str, Any] | None = None
        self._quiet = quiet
        self._progress: Progress = NoProgress()
        if with_progress and not quiet:
            self._progress = choose_progress()
        self._reports = ExpectedTexts()
        self._label = ""
        self._state: ProgressState | None = None
        self._has_bar = False

    def text(self, text: str) -> None:
        """What the script prints goes to standard output, what rayanim says to standard error."""
        self._reports.printed(text)
        QuietStream(sys.stderr if text.startswith(OWN_LINE) else sys.stdout).write(text)

    def event(self, event: JobEvent) -> None:
        """Show or remember what rayanim reports."""
        tell = {
            "start": self._start,
            "progress": self._update,
            "message": self._message,
            "finish": self._finish,
            "fail": self._fail,
            "report": self._report,
            "video": self._video,
            "error": self._error,
        }
        tell[event.kind](event.values)

    def notice(self, text: str) -> None:
        """Something about the job."""
        if self._quiet:
            return
        if self._state is not None:
            self._progress.message(f"rayanim: {text}")
        else:
            write_text(sys.stderr, f"rayanim: {text}")

    def pause(self) -> None:
        """Free the terminal: how far the job is stands there in words, in the bar's place."""
        if self._state is None or not self._has_bar:
            return
        self._has_bar = False
        if isinstance(self._progress, BarProgress):
            self._progress.leave()
            write_text(sys.stderr, sentence(self._state, self._label))

    def go_on(self) -> None:
        """Show the bar again."""
        if self._state is not None:
            self._has_bar = True
            self._progress.start(self._state.total, self._label, self._state.done)

    def end(self) -> None:
        """The job has ended: say what it has reported."""
        self.pause()
        for text in self._reports.take_unprinted():  # others the script has printed itself
            if not self._quiet:
                write_text(sys.stdout, text)

    def _start(self, values: dict[str, Any]) -> None:
        self._label = values.get("label") or ""
        self._state = state_of(values)
        self.go_on()

    def _update(self, values: dict[str, Any]) -> None:
        self._state = state_of(values)
        self._progress.update(self._state)

    def _message(self, values: dict[str, Any]) -> None:
        self._progress.message(str(values.get("text")))

    def _finish(self, values: dict[str, Any]) -> None:
        self._state = None
        self._progress.finish(state_of(values))

    def _fail(self, values: dict[str, Any]) -> None:
        self._state = None
        self._progress.fail()

    def _report(self, values: dict[str, Any]) -> None:
        self._reports.expect(str(values.get("text") or values.get("output")))

    def _video(self, values: dict[str, Any]) -> None:
        self.videos.append(Offer.of(values))

    def _error(self, values: dict[str, Any]) -> None:
        # The job has written the same for people, beside this event.
        self.error = values


class ShownAsJson(Shown):
    """Passes a job's events on to a program, and all else to standard error."""

    def __init__(self) -> None:
        super().__init__(with_progress=False)

    def text(self, text: str) -> None:
        """Standard output is the program's."""
        QuietStream(sys.stderr).write(text)

    def event(self, event: JobEvent) -> None:
        """A line of its own."""
        super().event(event)
        write_text(sys.stdout, json.dumps({"event": event.kind, **event.values}))

    def end(self) -> None:
        """Nothing: every report was passed on."""


def state_of(values: dict[str, Any]) -> ProgressState:
    """How far a job is, as an event tells it."""
    known = {each.name for each in fields(ProgressState)}
    return ProgressState(**{name: value for name, value in values.items() if name in known})


class Interruption:
    """Remembers a signal, for whoever looks at it at the next good moment."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number

    def has_come(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    def forget(self) -> None:
        """Wait for another one."""
        self.number = None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended."""
        return 128 + (self.number or signal.SIGINT)


@contextlib.contextmanager
def remembering_signals() -> Iterator[Interruption]:
    """Remember SIGINT, SIGTERM and SIGHUP inside, where they would end this process."""
    interruption = Interruption()
    before: dict[int, Any] = {}
    for number in map(int, ending_signals()):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interruption)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask(interruption: Interruption) -> Answer:
    """Ask what a signal is to do to the job.

    Only Ctrl-C asks, and only where somebody can answer; all else leaves the
    job running, as does another Ctrl-C in place of an answer.
    """
    asks = interruption.number == signal.SIGINT
    if not asks or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return "leave"
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _answer()
    except (KeyboardInterrupt, EOFError):
        write_text(sys.stderr, "\n")
        return "leave"
    finally:
        signal.signal(signal.SIGINT, handler)


def _answer() -> Answer:
    answers: dict[str, Answer] = {"s": "stop", "l": "leave", "w": "watch"}
    sys.stderr.write("\n")
    while True:
        sys.stderr.write(QUESTION)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return "leave"
        if line.strip().lower()[:1] in answers:
            return answers[line.strip().lower()[:1]]


STOP_LIMIT_S = STOP_WAIT_S + 20.0
"""After it Ray has ended the driver's processes one by one, if it can do so at all."""


def see_through(
    client: JobsClient, name: str, shown: Shown, asks: Callable[[Interruption], Answer] = ask
) -> SubmittedJob | int:
    """Follow a job until it ends, or somebody has had enough, and tell all of it."""
    watch = JobWatch(client, name, shown)
    with remembering_signals() as interruption:
        while (job := _followed(watch, client, name, shown, interruption)) is None:
            answer, code = asks(interruption), interruption.exit_code
            interruption.forget()
            if answer == "watch":
                shown.go_on()
                continue
            told = stopped(client, name) if answer == "stop" else how_to_come_back(client, name)
            write_text(sys.stderr, f"rayanim: {told}")
            return code
    shown.end()
    outcome = outcome_of(job, shown.error)
    if outcome.text:
        write_text(sys.stderr, f"rayanim: error: {outcome.text}")
    return outcome.exit_code or job


def _followed(
    watch: JobWatch, client: JobsClient, name: str, shown: Shown, interruption: Interruption
) -> SubmittedJob | None:
    try:
        return watch.follow(interruption.has_come)
    except JobError as error:
        again = client.command(f"logs -f {name}")
        raise JobError(f"{error.message} If {name} still runs: {again}") from error
    finally:
        shown.pause()


def how_to_come_back(client: JobsClient, name: str) -> str:
    """What to say of a job that nobody watches any more, in a few lines."""
    return (
        f"{name} goes on.\n"
        f"  to see it:       {client.command(f'logs -f {name}')}\n"
        f"  to end it:       {client.command(f'stop {name}')}\n"
        f"  to bring a video: {client.command(f'fetch {name}')}"
    )


def stopped(client: JobsClient, name: str) -> str:
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
        return f"{name} was stopped.{how_to_go_on(job)}"
    return f"{name} had ended before: {job.status.lower()}."


_WITH_STATE = ("start", "progress", "message", "finish", "fail")


@dataclass(slots=True)
class Known:
    """What is known of a job."""

    job: SubmittedJob
    label: str = ""
    state: ProgressState | None = None
    reports: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    error: str = ""

    def learn(self, told: Iterable[Text | JobEvent]) -> None:
        """Take in what a job's log says."""
        for each in told:
            if isinstance(each, JobEvent):
                self._learn(each.kind, each.values)

    def _learn(self, kind: str, values: dict[str, Any]) -> None:
        if kind in _WITH_STATE:
            self.label, self.state = values.get("label") or "", state_of(values)
        elif kind == "report":
            self.reports.append(str(values.get("text")))
        elif kind == "video":
            self.videos.append(str(values.get("output")))
        elif kind == "error":
            self.error = str(values.get("text"))

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
        elif job.has_ended and (again := how_to_go_on(job)):
            lines.append(again.strip())
        return "\n".join(lines)


def print_table(jobs: Sequence[Known], address: str) -> None:
    """Print a table of jobs to standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Cell

    table = Table("job", "status", "script", "frames", "when", box=None, pad_edge=False)
    for known in jobs:
        job = known.job
        cells = (job.submission_id, job.status.lower(), job.script, _frames(known), _times(job))
        table.add_row(*(Cell(each, overflow="fold") for each in cells))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    console.print(table if jobs else f"rayanim has submitted no job to {address}.")


def _frames(known: Known) -> str:
    if known.state is None:
        return ""
    share = percent(known.state)
    return count(known.state) + (f" ({share})" if share else "")


def _times(job: SubmittedJob) -> str:
    if job.started_s is None:
        return "not started"
    began = datetime.fromtimestamp(job.started_s)
    text = f"since {began:%Y-%m-%d %H:%M:%S}"
    if job.ended_s is not None:
        text = f"{began:%Y-%m-%d %H:%M:%S}, took {duration(job.ended_s - job.started_s)}"
    return text


LINES_LOOKED_AT = 200
"""The end of a log, in which a job's latest progress stands."""


def show_status(address: str | None, name: str | None, *, as_json: bool) -> int:
    """Show all jobs, or one."""
    with exiting_on_failure():
        client = JobsClient(address)
        jobs = [Known(job) for job in (client.jobs() if name is None else [client.job(name)])]
        for known in jobs:
            with contextlib.suppress(JobError):  # a log may be gone with its node
                known.learn(read_log(client.log(known.job, LINES_LOOKED_AT)))
        if as_json:
            for known in jobs:
                write_text(sys.stdout, json.dumps(known.to_dict()))
        elif name is not None:
            write_text(sys.stdout, jobs[0].describe(client.command(f"fetch {name}")))
        else:
            print_table(jobs, client.address)
    return 0


def show_logs(address: str | None, name: str, *, follow: bool, as_json: bool) -> int:
    """Show a job's log, as far as it is or to the job's end."""
    with exiting_on_failure():
        client = JobsClient(address)
        job = client.job(name)
        shown = ShownAsJson() if as_json else Shown(with_progress=follow)
        if follow:
            ended = see_through(client, name, shown, asks=lambda _: "leave")
            return ended if isinstance(ended, int) else 0
        for each in read_log(client.log(job)):
            if isinstance(each, Text):
                shown.text(each.text)
            else:
                shown.event(each)
        shown.end()
    return 0


def stop_job(address: str | None, name: str) -> int:
    """Stop a job, and say how to go on."""
    with exiting_on_failure():
        write_text(sys.stdout, stopped(JobsClient(address), name))
    return 0


def fetch_job(address: str | None, name: str, output: Path | None) -> int:
    """Bring the videos that a job has finished here."""
    with exiting_on_failure():
        client = JobsClient(address)
        job = client.job(name)
        told = read_log(client.log(job))
        videos = [
            Offer.of(each.values)
            for each in told
            if not isinstance(each, Text) and each.kind == "video"
        ]
        if not videos:
            yet = "" if job.has_ended else " yet"
            raise JobError(f"{name} ({job.status.lower()}) has finished no video{yet}.")
        fetch_videos(client, job, videos, output, quiet=False)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What `submit` was given beside the options of `run`; names as on the command line."""

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
    entrypoint_num_cpus: float | None
    entrypoint_num_gpus: float | None
    entrypoint_memory: int | None
    entrypoint_resources: dict[str, Any] | None
    entrypoint_label_selector: dict[str, Any] | None

    @property
    def resources(self) -> dict[str, Any]:
        """What the driver takes, by the names of Ray's Jobs API."""
        names = [name for name in self.__dataclass_fields__ if name.startswith("entrypoint_")]
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    def check(self, options: Options) -> None:
        """Refuse what excludes each other."""
        if self.fetch and self.no_wait:
            raise SettingsError(
                "--fetch waits for the video and --no-wait does not. Leave one of them out; "
                "rayanim fetch JOB brings the video later."
            )
        if self.fetch and options.output is not None and not isinstance(options.output, Path):
            raise OutputError(
                f"--fetch brings the video from the cluster, and {options.output} is a URL, which "
                "both sides can read. Leave one of them out."
            )
        if self.runtime_env is not None and self.runtime_env_json is not None:
            raise SettingsError("--runtime-env and --runtime-env-json exclude each other.")


def submit_script(
    script: Path, submission: Submission, options: Options, words: Sequence[str]
) -> int:
    """Submit `script`, and see the job through where that is wanted."""
    with exiting_on_failure(verbose=options.verbose):
        return _submit(script, submission, options, words)


def _submit(script: Path, submission: Submission, options: Options, words: Sequence[str]) -> int:
    from rayanim.cli.script import check_script, check_syntax
    from rayanim.jobs.client import JobsClient
    from rayanim.jobs.package import packed

    check_script(script)
    check_syntax(script)
    submission.check(options)
    check_log(words)
    options.check(is_here=submission.fetch)
    baggage = _baggage(script, submission)
    # A signal must leave no packages behind.
    with stopping_on_signals(), packed(baggage) as package:
        if package.plan is not None and not options.quiet:
            for note in package.plan.notes(_target_in(baggage.folder, options)):
                write_text(sys.stderr, f"rayanim: {note}")
        client = JobsClient(submission.address)
        request = _request(script, submission, options, words, baggage.folder, package.runtime_env)
        if not options.quiet:
            told = f"sending {_sent(package.plan)} to {client.address} as {request.submission_id}"
            write_text(sys.stderr, f"rayanim: {told}")
        name = _sent_off(client, request)
    _tell_submitted(name, submission, options)
    if submission.no_wait:
        return 0
    return _see_through(client, name, submission, options)


def _sent_off(client: JobsClient, request: JobRequest) -> str:
    """Submit the job; whoever interrupts that is told that it may be there all the same."""
    try:
        return client.submit(request)
    except KeyboardInterrupt:
        name = request.submission_id
        told = f"{name} was perhaps submitted: {client.command(f'status {name}')} tells."
        write_text(sys.stderr, f"rayanim: {told} To end it: {client.command(f'stop {name}')}")
        raise


def _see_through(client: JobsClient, name: str, submission: Submission, options: Options) -> int:

    shown = ShownAsJson() if options.as_json else Shown(quiet=options.quiet)
    job = see_through(client, name, shown)
    if isinstance(job, int):
        return job
    quiet = options.quiet or options.as_json
    if submission.fetch and not shown.videos:
        told = f"rayanim: error: {name} has finished no video that could be brought here."
        write_text(sys.stderr, told)
        return FAILED
    if submission.fetch:
        output = options.output if isinstance(options.output, Path) else None
        overwrite = options.arguments.get("overwrite") is not False
        for video in fetch_videos(
            client, job, shown.videos, output, quiet=quiet, overwrite=overwrite
        ):
            if options.preview and (why_not := preview(video)):
                write_text(sys.stderr, f"rayanim: {why_not}")
    elif shown.videos and not quiet:
        again = client.command(f"fetch {name}")
        write_text(sys.stderr, f"rayanim: to bring the video here: {again}")
    return 0


def _target_in(folder: Path | None, options: Options) -> PurePosixPath | None:
    """The video to be made, relative to the folder that travels; None where it lies elsewhere."""
    if folder is None or not isinstance(options.output, Path):
        return None
    target, parent = options.output.absolute(), folder.resolve()
    return PurePosixPath(target.relative_to(parent)) if target.is_relative_to(parent) else None


def _sent(plan: PackagePlan | None) -> str:
    if plan is None:
        return "the job"
    many = "1 file" if len(plan.entries) == 1 else f"{len(plan.entries)} files"
    return f"{many} ({size_text(sum(each.size_bytes for each in plan.entries))})"


def _tell_submitted(name: str, submission: Submission, options: Options) -> None:
    if submission.no_wait:
        write_text(
            sys.stdout, json.dumps({"event": "job", "job": name}) if options.as_json else name
        )
    if not options.quiet:
        write_text(sys.stderr, f"rayanim: {name} was submitted")


def _baggage(script: Path, submission: Submission) -> Baggage:
    from rayanim.jobs.package import Baggage, of_its_own

    runtime_env = _runtime_env(submission)
    working_dir = submission.working_dir or runtime_env.pop("working_dir", None)
    if working_dir is not None and ("://" in working_dir or working_dir.endswith(".zip")):
        # Packed already, by somebody who knows what is in it.
        runtime_env["working_dir"], folder = working_dir, None
    else:
        folder = Path(working_dir) if working_dir else of_its_own(script.resolve().parent)
    return Baggage(
        folder=folder,
        excludes=submission.excludes,
        packages=submission.packages,
        runtime_env=runtime_env,
    )


def _runtime_env(submission: Submission) -> dict[str, Any]:
    if submission.runtime_env is None:
        return dict(submission.runtime_env_json or {})
    import yaml  # type: ignore[import-untyped, unused-ignore]

    try:
        read = yaml.safe_load(Path(submission.runtime_env).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PackageError(
            f"The runtime environment {submission.runtime_env!r} cannot be read: {error}"
        ) from error
    if not isinstance(read, dict):
        raise PackageError(
            f"The runtime environment {submission.runtime_env!r} must be a YAML mapping, "
            f"got {read!r}."
        )
    return read


def _request(
    script: Path,
    submission: Submission,
    options: Options,
    words: Sequence[str],
    folder: Path | None,
    runtime_env: dict[str, Any],
) -> JobRequest:
    from rayanim import __version__
    from rayanim.jobs import client as jobs

    there = jobs.relative_script(script, folder) if folder else script.as_posix()
    name = submission.submission_id or jobs.make_submission_id(script, secrets.token_hex(4))
    output = options.output
    if output is not None and submission.fetch:
        output = Path(output.name)  # here it goes where -o says
    if submission.fetch:  # what may be replaced is here, not there
        words = [word for word in words if word != "--no-overwrite"]
    line = ["--json", *(["-o", str(output)] if output else []), *words, there]
    line += [options.name] if options.name else []
    line += ["--", *options.script_arguments] if options.script_arguments else []
    again = going_on(sys.argv)
    own = {jobs.METADATA_KEY: __version__, jobs.SCRIPT_KEY: there, jobs.RESUME_KEY: again}
    videos = jobs.videos_folder(folder or script.resolve().parent, _owner())
    return jobs.JobRequest(
        submission_id=jobs.check_submission_id(name),
        entrypoint=jobs.entrypoint(videos, line),
        runtime_env=jobs.with_variables(runtime_env, again),
        metadata={str(key): str(value) for key, value in (submission.metadata_json or {}).items()}
        | own,
        resources=submission.resources,
    )


def check_log(words: Sequence[str]) -> None:
    """Refuse a log in the folder where the script runs: Ray removes it with the job."""
    log = words[words.index("--log-json") + 1] if "--log-json" in words else "-"
    if log != "-" and not Path(log).is_absolute():
        raise SettingsError(
            f"--log-json {log} would be written on the cluster, into the copy of the script's "
            "folder that Ray removes. Name an absolute path there, or none: --log-json alone "
            "writes to standard error, which rayanim logs JOB shows."
        )


def _owner() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "user"
    return f"{user}@{socket.gethostname()}"
