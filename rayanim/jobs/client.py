"""Submits jobs to a cluster and asks for them, through Ray's job SDK.

Every wait has a limit, and whatever Ray raises becomes a `JobError` or
`SettingsError` that says what to do.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rayanim.errors import JobError, SettingsError
from rayanim.jobs.driver import EVENTS_VARIABLE, RESUME_VARIABLE

if TYPE_CHECKING:
    import asyncio

    import requests

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray's own commands look, the first before the second."""

DASHBOARD_PORT = 8265
GCS_PORT = 6379


def read_address(given: str | None, environment: Mapping[str, str]) -> str | None:
    """The address of the cluster's Jobs API; None for a Ray on this machine."""
    from_environment = (environment.get(name) for name in ADDRESS_VARIABLES)
    found = given or next((each for each in from_environment if each), None)
    if found is None or found == "auto":
        return found
    scheme, separator, rest = found.partition("://")
    if not separator:
        return found if _port(found) == GCS_PORT else _url("http", found, found)
    if scheme == "ray":
        host = rest.partition(":")[0] or "HEAD"
        raise SettingsError(
            f"{found!r} is an address of Ray Client, which cannot be used: it ends a job when the "
            "connection breaks for 30 s. Submit to the cluster's dashboard instead: "
            f"--address http://{host}:{DASHBOARD_PORT}."
        )
    if scheme not in ("http", "https"):
        raise SettingsError(
            f"An address is http://HOST:{DASHBOARD_PORT}, https://HOST or auto, got {found!r}."
        )
    return _url(scheme, rest, found)


def _url(scheme: str, rest: str, found: str) -> str:
    parts = urlsplit(f"{scheme}://{rest.rstrip('/')}")
    if not parts.hostname:
        raise SettingsError(
            f"The address {found!r} has no host. Write http://HOST:{DASHBOARD_PORT}."
        )
    if scheme == "http" and _port(rest) is None and not parts.path:
        return f"{parts.geturl()}:{DASHBOARD_PORT}"
    return parts.geturl()


def _port(text: str) -> int | None:
    try:
        return urlsplit(f"//{text}").port
    except ValueError:
        raise SettingsError(
            f"The port in the address {text!r} must be a number from 0 to 65535."
        ) from None


METADATA_KEY = "rayanim"
"""All jobs of rayanim have it in their metadata, with its version."""

SCRIPT_KEY = "rayanim_script"
RESUME_KEY = "rayanim_resume"
EVENTS_KEY = "rayanim_events"
"""Further metadata: the script, the command that resumes the job, what marks its events."""

STOP_WAIT_S = 20
"""Seconds from SIGTERM to SIGKILL for a job that is stopped; it finishes segments meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job, as Ray's Jobs API takes it."""

    submission_id: str
    entrypoint: str
    runtime_env: dict[str, Any]
    metadata: dict[str, str]
    resources: dict[str, Any] = field(default_factory=dict)


def make_submission_id(script: Path, token: str) -> str:
    """A job's name that shows which script it runs: ``rayanim-wave-1f0c7a2b``."""
    return f"rayanim-{_plain_name(script.stem, 'script')}-{token}"


def check_submission_id(text: str) -> str:
    """`text` itself, if it can be a job's name."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", text):
        return text
    raise SettingsError(
        f"A submission ID has letters, digits, '-', '_' and '.', at most 101; got {text!r}."
    )


def videos_folder(folder: Path, owner: str) -> str:
    """The name of the folder on the cluster where the videos of a script's folder go."""
    digest = hashlib.sha256(f"{owner}:{folder}".encode()).hexdigest()[:8]
    return f"{_plain_name(folder.name, 'videos')}-{digest}"


def _plain_name(text: str, otherwise: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:40] or otherwise


def relative_script(script: Path, working_dir: Path) -> str:
    """The script's path below the folder that is sent."""
    try:
        return script.resolve().relative_to(working_dir.resolve()).as_posix()
    except ValueError:
        raise SettingsError(
            f"The script {str(script)!r} does not lie in the working directory "
            f"{str(working_dir)!r}, the only folder that is sent. Name one that holds it."
        ) from None


def entrypoint(videos: str, words: Sequence[str]) -> str:
    """The job's shell command.

    The head's Ray finds ``python`` on its PATH, or takes that of the packages
    that were asked for. With ``exec`` no shell stands between Python and the
    signal that stops the job.
    """
    return shlex.join(["exec", "python", "-m", "rayanim.jobs.driver", videos, "run", *words])


def with_variables(
    runtime_env: Mapping[str, Any], resume_command: str, event_mark: str
) -> dict[str, Any]:
    """`runtime_env` with the variables that the driver and its supervisor read.

    Variables that the user sets are kept.
    """
    variables = {
        # Ray's own 3 s are too short to finish the segments of a stopped video.
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        RESUME_VARIABLE: resume_command,
        EVENTS_VARIABLE: event_mark,
    }
    return {**runtime_env, "env_vars": variables | dict(runtime_env.get("env_vars", {}))}


NEVER_STARTED = (
    "RUNTIME_ENV_SETUP_FAILURE",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
    "JOB_SUPERVISOR_ACTOR_START_FAILURE",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
    "JOB_ENTRYPOINT_COMMAND_START_ERROR",
)
"""Ray's kinds of failure after which nothing of the job has run."""


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """What Ray knows of a job."""

    submission_id: str
    status: str
    message: str
    exit_code: int | None
    node_id: str | None
    started_s: float | None
    ended_s: float | None
    metadata: dict[str, str]
    failure: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @property
    def was_never_started(self) -> bool:
        """Whether it failed before anything of it could run."""
        return self.failure in NEVER_STARTED

    @property
    def script(self) -> str:
        """The script that it runs."""
        return self.metadata.get(SCRIPT_KEY, "")

    @property
    def event_mark(self) -> str:
        """What the lines of its log begin with that are events; empty where none are."""
        return self.metadata.get(EVENTS_KEY, "")

    @classmethod
    def of(cls, details: Any) -> SubmittedJob:
        """The job of Ray's ``JobDetails``."""
        return cls(
            submission_id=details.submission_id,
            status=_text(details.status),
            message=details.message or "",
            exit_code=details.driver_exit_code,
            node_id=details.driver_node_id,
            started_s=details.start_time / 1000 if details.start_time else None,
            ended_s=details.end_time / 1000 if details.end_time else None,
            metadata=details.metadata or {},
            failure=_text(details.error_type or ""),
        )


def _text(value: Any) -> str:
    """A text that may be a member of an enumeration."""
    return str(getattr(value, "value", value))


MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN_FILE = Path("~/.ray/auth_token")


def source_of_token() -> str | None:
    """Where Ray will find the token; None where there is none."""
    if os.environ.get(TOKEN):
        return TOKEN
    given = os.environ.get(TOKEN_PATH)
    path = Path(given) if given else TOKEN_FILE
    try:
        is_there = path.expanduser().is_file()
    except (OSError, RuntimeError):  # not readable, or no home folder
        return None
    return (TOKEN_PATH if given else str(path)) if is_there else None


def send_token_if_there() -> None:
    """Make Ray send a token that is there, unless the environment says what to do.

    Must run before Ray is imported, which reads the variable then. A cluster
    without authentication ignores a token.
    """
    if MODE not in os.environ and source_of_token() is not None:
        os.environ[MODE] = "token"


def why_refused() -> str:
    """What to do about a cluster that asks for a token, or for another one."""
    mode, source = os.environ.get(MODE), source_of_token()
    where = "Ray prints it on the head: ray get-auth-token."
    if mode not in (None, "token"):
        return f"The cluster asks for a token, and {MODE} is {mode!r} here: set {MODE}=token."
    if source is None:
        return (
            f"The cluster asks for a token, and there is none here: set {TOKEN}, or write it to "
            f"{TOKEN_FILE}. {where}"
        )
    return f"The token in {source} is not this cluster's: set {TOKEN} to the right one. {where}"


HIDDEN = "..."

# The name of a user may be a token; git@ is everybody's.
_USER_OF_URL = re.compile(r"(?<=://)(?!git@)[^/\s'\"]+(?=@)")


def masked(text: str) -> str:
    """`text` without the user names and passwords in its URLs."""
    return _USER_OF_URL.sub(HIDDEN, text)


CONNECT_LIMIT_S = 10
ANSWER_LIMIT_S = 120
"""For one answer; sending a package takes the longest."""

STREAM_LIMIT_S = 30
"""Between two blocks of a file."""

TAIL_POLL_S = 0.25
"""How often whoever follows a log may do something else."""

OLDEST_RAY = (2, 55)

THIS_MACHINE = "this machine"
"""The address of a cluster for messages, where none was given."""

LOG_NAME = "job-driver-{}.log"
"""Ray's name of the file with a job's log, on the node of its driver."""


class JobsClient:
    """The Jobs API of one cluster."""

    def __init__(self, given: str | None = None) -> None:
        self._given = given
        found = read_address(given, os.environ)
        send_token_if_there()
        with _ray_errors(THIS_MACHINE if found in (None, "auto") else masked(found or "")):
            self._client = _make_client(found)
        self.address: str = masked(self._client.get_address())
        self._check_version()

    def command(self, words: str) -> str:
        """A command line that speaks to the same cluster, such as ``rayanim stop JOB``."""
        return f"rayanim {words}{f' --address {masked(self._given)}' if self._given else ''}"

    def submit(self, request: JobRequest) -> str:
        """Send the packages and start the job."""
        with self._errors():
            submitted: str = self._client.submit_job(
                entrypoint=request.entrypoint,
                submission_id=request.submission_id,
                runtime_env=request.runtime_env,
                metadata=request.metadata,
                **request.resources,
            )
        return submitted

    def job(self, submission_id: str) -> SubmittedJob:
        """What is known of one job."""
        with self._errors(submission_id):
            return SubmittedJob.of(self._client.get_job_info(submission_id))

    def jobs(self) -> list[SubmittedJob]:
        """Those that rayanim has submitted, the latest first."""
        with self._errors():
            listed = [each for each in self._client.list_jobs() if each.submission_id]
        jobs = [SubmittedJob.of(each) for each in listed]
        ours = [job for job in jobs if METADATA_KEY in job.metadata]
        return sorted(ours, key=lambda job: job.started_s or 0, reverse=True)

    def stop(self, submission_id: str) -> None:
        """Ask the job to stop."""
        with self._errors(submission_id):
            self._client.stop_job(submission_id)

    def tail(self, submission_id: str) -> Iterator[str]:
        """Follow the job's log from its beginning until the job ends; "" while nothing comes."""
        import asyncio  # takes too long for commands that need none

        loop = asyncio.new_event_loop()
        pieces = self._client.tail_job_logs(submission_id)
        try:
            with self._errors(submission_id):
                yield from _polled(loop, pieces)
        finally:
            loop.run_until_complete(pieces.aclose())
            loop.close()

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        """Read the last `lines` lines of a job's log, -1 for all; nothing while there is none."""
        if job.node_id is None:
            return
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        # By its file: asked for by the job alone, Ray 2.60 answers with an error.
        name = LOG_NAME.format(job.submission_id)
        with self._errors(job.submission_id), self._read(job.node_id, name, lines) as answer:
            if answer.ok:
                yield from map(decode, answer.iter_content(2**16))
            elif job.has_ended:  # else it is not written yet
                raise JobError(
                    f"The log of {job.submission_id} cannot be read any more: its node is gone. "
                    f"Ray says: {answer.text[:300]!r}."
                )

    def file(self, node_id: str, name: str) -> Iterator[bytes]:
        """Read a file in a node's log folder, block by block."""
        with self._errors(), self._read(node_id, name, -1) as answer:
            if not answer.ok:
                raise JobError(
                    f"{name} cannot be read from its node any more: the node is gone, or its video "
                    f"was removed. Ray says: {answer.text[:300]!r}."
                )
            yield from answer.iter_content(2**16)

    def _read(self, node_id: str, name: str, lines: int) -> requests.Response:
        query = {"node_id": node_id, "filename": name, "lines": str(lines)}
        answer: requests.Response = self._client.read_file(query)
        return answer

    def _errors(self, submission_id: str | None = None) -> contextlib.AbstractContextManager[None]:
        return _ray_errors(self.address, submission_id)

    def _check_version(self) -> None:
        with self._errors():
            version = self._client.ray_version()
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST_RAY:
            oldest = ".".join(str(number) for number in OLDEST_RAY)
            raise JobError(
                f"The cluster at {self.address} runs Ray {version}, and rayanim needs {oldest} "
                f"or newer there: pip install -U 'ray[default]>={oldest}' on its nodes."
            )


def _polled(loop: asyncio.AbstractEventLoop, pieces: Any) -> Iterator[str]:
    """Pieces of an asynchronous log; "" each time that none has come for a while."""
    import asyncio

    async def next_piece() -> str | None:
        return await anext(pieces, None)

    while True:
        task = loop.create_task(next_piece())
        try:
            while not task.done():
                loop.run_until_complete(asyncio.wait({task}, timeout=TAIL_POLL_S))
                if not task.done():
                    yield ""
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
        piece = task.result()
        if piece is None:
            return
        yield piece


def _make_client(address: str | None) -> Any:
    """Ray's own client, with a limit on every request."""
    try:
        import aiohttp  # noqa: F401 - what ray[default] brings, and ray alone lacks
        import requests
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise JobError(
            "Submitting to a cluster needs Ray with its dashboard, which is not installed here "
            f"({error}): pip install 'rayanim[cluster]'."
        ) from error
    for handler in logging.getLogger("ray").handlers:  # else a line for each package it sends
        handler.setLevel(logging.WARNING)

    class Streamed(requests.Response):
        """An answer that is read block by block.

        Ray looks for its own errors in the text of every answer, and so would
        hold the whole file in memory before its first byte is seen.
        """

        @property
        def text(self) -> str:
            return "" if self.ok else super().text

    def streamed(answer: requests.Response, **given: Any) -> None:
        answer.__class__ = Streamed

    class Client(JobSubmissionClient):  # type: ignore[misc, unused-ignore]
        """Ray's client, whose requests would wait without end otherwise."""

        def _do_request(self, method: str, endpoint: str, **given: Any) -> requests.Response:
            given.setdefault("timeout", (CONNECT_LIMIT_S, ANSWER_LIMIT_S))
            answer: requests.Response = super()._do_request(method, endpoint, **given)
            return answer

        def read_file(self, query: dict[str, str]) -> requests.Response:
            """Stream a file of a node's log folder."""
            # The query's own limit is one for the whole file; the other, for one block.
            return self._do_request(
                "GET",
                "/api/v0/logs/file",
                params={**query, "timeout": str(24 * 3600)},
                stream=True,
                timeout=(CONNECT_LIMIT_S, STREAM_LIMIT_S),
                hooks={"response": streamed},
            )

        def ray_version(self) -> str:
            """The version that the cluster runs."""
            return str(self._do_request("GET", "/api/version").json()["ray_version"])

    # Ray would prefer the variables' address to the one that was given.
    kept = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
    try:
        return Client(address)
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def _ray_errors(address: str, submission_id: str | None = None) -> Iterator[None]:
    """Turn what Ray and its HTTP libraries raise into errors of ours."""
    try:
        yield
    except (JobError, SettingsError):
        raise
    except Exception as error:
        status = _status_of(error)
        if "Authentication" in type(error).__name__ or status in (401, 403):
            raise JobError(f"The cluster at {address} refused access. {why_refused()}") from error
        if submission_id and status == 404:
            raise SettingsError(
                f"The cluster at {address} has no job {submission_id!r}. "
                "To list its jobs: rayanim status."
            ) from error
        if status is not None:
            raise JobError(f"The cluster at {address} refused the request: {error}") from error
        asked = re.search(r"https?://[\w.:-]*\w", str(error))
        if address == THIS_MACHINE and (asked or isinstance(error, ConnectionError)):
            raise JobError(
                "No Ray cluster runs on this machine"
                f"{f' ({asked[0]} does not answer)' if asked else ''}. Give --address "
                f"http://HEAD:{DASHBOARD_PORT}, or set {ADDRESS_VARIABLES[0]}. To render on this "
                "machine use rayanim run."
            ) from error
        raise JobError(
            f"The cluster at {address} cannot be reached ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Is its dashboard up, and can port "
            f"{DASHBOARD_PORT} of its head be reached from here (ssh -L, kubectl port-forward)? "
            "Its address is given by --address, or RAY_API_SERVER_ADDRESS."
        ) from error


def _status_of(error: Exception) -> int | None:
    """The HTTP status in `error`; None where nobody has answered."""
    status = getattr(error, "status", None)  # aiohttp's, where a websocket is refused
    if isinstance(status, int):
        return status
    # Ray's. Names and addresses in the rest of a message may hold any number.
    found = re.match(r"Request failed with status code (\d{3})", str(error))
    return int(found[1]) if found else None
