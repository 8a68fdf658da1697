"""One submission: the script's folder travels, the job is watched, the film comes back."""

from __future__ import annotations

import getpass
import json
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rayanim.cli.command_line import going_on
from rayanim.cli.failures import FAILED, told_failures
from rayanim.cli.options import Options
from rayanim.cli.output import preview, write_text
from rayanim.cli.signals import stopping_on_signals
from rayanim.errors import OutputError, PackageError, SettingsError
from rayanim.report import size_text

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient
    from rayanim.jobs.request import JobRequest
    from rayanim.travel import Baggage, PackagePlan


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
        """Refuse what excludes each other.

        Raises
        ------
        SettingsError
            If it does.
        """
        if self.fetch and self.no_wait:
            raise SettingsError(
                "--fetch waits for the film and --no-wait does not. Leave one of them out; "
                "rayanim fetch JOB brings the film later."
            )
        if self.fetch and options.output is not None and not isinstance(options.output, Path):
            raise OutputError(
                f"--fetch brings the film from the cluster, and {options.output} is a URL, which "
                "both sides can read. Leave one of them out."
            )
        if self.runtime_env is not None and self.runtime_env_json is not None:
            raise SettingsError("--runtime-env and --runtime-env-json exclude each other.")


def submit_script(
    script: Path, submission: Submission, options: Options, words: Sequence[str]
) -> int:
    """Submit `script`, and see the job through where that is wanted.

    Parameters
    ----------
    script
        A script on this machine.
    submission, options
        What the command was given.
    words
        The options of `run` that go to the cluster, as they were written.

    Returns
    -------
    int
        The exit code; every failure has been told.
    """
    with told_failures(verbose=options.verbose) as codes:
        codes.append(_submit(script, submission, options, words))
    return codes[-1]


def _submit(script: Path, submission: Submission, options: Options, words: Sequence[str]) -> int:
    from rayanim.jobs.client import JobsClient
    from rayanim.scripting import check_script, check_syntax
    from rayanim.travel import packed

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
    from rayanim.cli.fetching import fetch_films
    from rayanim.cli.following import see_through
    from rayanim.cli.watching import Shown, ShownAsJson

    shown = ShownAsJson() if options.as_json else Shown(quiet=options.quiet)
    job = see_through(client, name, shown)
    if isinstance(job, int):
        return job
    quiet = options.quiet or options.as_json
    if submission.fetch and not shown.films:
        told = f"rayanim: error: {name} has finished no film that could be brought here."
        write_text(sys.stderr, told)
        return FAILED
    if submission.fetch:
        output = options.output if isinstance(options.output, Path) else None
        overwrite = options.arguments.get("overwrite") is not False
        for film in fetch_films(client, job, shown.films, output, quiet=quiet, overwrite=overwrite):
            if options.preview and (why_not := preview(film)):
                write_text(sys.stderr, f"rayanim: {why_not}")
    elif shown.films and not quiet:
        again = client.command(f"fetch {name}")
        write_text(sys.stderr, f"rayanim: to bring the film here: {again}")
    return 0


def _target_in(folder: Path | None, options: Options) -> PurePosixPath | None:
    """The film to be made, relative to the folder that travels; None where it lies elsewhere."""
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
    from rayanim.travel import Baggage
    from rayanim.travel.luggage import of_its_own

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
    from rayanim.jobs import request as jobs

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
    films = jobs.films_folder(folder or script.resolve().parent, _owner())
    return jobs.JobRequest(
        submission_id=jobs.check_submission_id(name),
        entrypoint=jobs.entrypoint(films, line),
        runtime_env=jobs.with_variables(runtime_env, again),
        metadata={str(key): str(value) for key, value in (submission.metadata_json or {}).items()}
        | own,
        resources=submission.resources,
    )


def check_log(words: Sequence[str]) -> None:
    """Refuse a log in the folder where the script runs: Ray removes it with the job.

    Raises
    ------
    SettingsError
        If ``--log-json`` names such a file.
    """
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
