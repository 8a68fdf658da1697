"""Speaks to Ray's Jobs API, with a limit on every wait and our own errors."""

from __future__ import annotations

import asyncio
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
from rayanim.jobs.driver import RESUME_VARIABLE

if TYPE_CHECKING:
    import requests

VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray's own commands look, the first before the second."""

DASHBOARD_PORT = 8265
GCS_PORT = 6379


def read_address(given: str | None, environment: Mapping[str, str]) -> str | None:
    """The address to reach Ray's Jobs API at."""
    found = given or next((environment[name] for name in VARIABLES if environment.get(name)), None)
    if found is None or found == "auto":
        return found
    scheme, separator, rest = found.partition("://")
    if not separator:
        return found if _port(found) == GCS_PORT else _url("http", found, found)
    if scheme == "ray":
        host = rest.partition(":")[0] or "HEAD"
        raise SettingsError(
            f"{found!r} is an address of Ray Client, through which no video can be rendered: it "
            "passes no streams on, and ends the work when the connection breaks for 30 s. Submit "
            f"to the cluster's dashboard instead: --address http://{host}:{DASHBOARD_PORT}."
        )
    if scheme not in ("http", "https"):
        raise SettingsError(
            f"An address is http://HOST:{DASHBOARD_PORT}, https://HOST or auto, got {found!r}."
        )
    return _url(scheme, rest, found)


def _url(scheme: str, rest: str, found: str) -> str:
    parts = urlsplit(f"{scheme}://{rest.rstrip('/')}")
    if not parts.hostname:
        raise SettingsError(f"The address {found!r} names no host: http://HOST:{DASHBOARD_PORT}.")
    if scheme == "http" and _port(rest) is None and not parts.path:
        return f"{parts.geturl()}:{DASHBOARD_PORT}"
    return parts.geturl()


def _port(text: str) -> int | None:
    try:
        return urlsplit(f"//{text}").port
    except ValueError:
        raise SettingsError(f"The address {text!r} has no port that makes sense.") from None


METADATA_KEY = "rayanim"
"""Jobs of ours have it in their metadata, with our version."""

SCRIPT_KEY = "rayanim_script"

RESUME_KEY = "rayanim_resume"
"""The command that goes on where the job was stopped."""

STOP_WAIT_S = 20
"""Seconds from SIGTERM to SIGKILL for a job that is stopped: its parts are finished meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job, as Ray's Jobs API takes it."""

    submission_id: str
    entrypoint: str
    runtime_env: dict[str, Any]
    metadata: dict[str, str]
    resources: dict[str, Any] = field(default_factory=dict)


def make_submission_id(script: Path, token: str) -> str:
    """A job's name that tells people which script it runs: ``rayanim-wave-1f0c7a2b``."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", script.stem).strip("-")[:40] or "script"
    return f"rayanim-{stem}-{token}"


def check_submission_id(text: str) -> str:
    """`text` itself, once it is known to be a name for a job."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", text):
        return text
    raise SettingsError(
        f"A submission ID has letters, digits, '-', '_' and '.', at most 101; got {text!r}."
    )


def videos_folder(folder: Path, owner: str) -> str:
    """The name of the folder on the cluster where the videos of a script's folder go."""
    digest = hashlib.sha256(f"{owner}:{folder}".encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", folder.name).strip("-")[:40] or "videos"
    return f"{stem}-{digest}"


def relative_script(script: Path, working_dir: Path) -> str:
    """The script's path below the folder that travels."""
    try:
        return script.resolve().relative_to(working_dir.resolve()).as_posix()
    except ValueError:
        raise SettingsError(
            f"The script {str(script)!r} does not lie in the working directory "
            f"{str(working_dir)!r}, the only folder that travels. Name one that holds it."
        ) from None


def entrypoint(videos: str, words: Sequence[str]) -> str:
    """The job's shell command.

    The Python is the one that the head's Ray finds as ``python``, or that of
    the packages which were asked for. ``exec`` leaves no shell between it and
    the signal that stops the job.
    """
    return shlex.join(["exec", "python", "-m", "rayanim.jobs.driver", videos, "run", *words])


def with_variables(runtime_env: Mapping[str, Any], resume_command: str) -> dict[str, Any]:
    """`runtime_env`, with the variables that the driver and its supervisor read.

    The user's own stay as they are.
    """
    variables = {
        # Ray's own 3 s are too short to finish the parts of a stopped video.
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        RESUME_VARIABLE: resume_command,
    }
    return {**runtime_env, "env_vars": variables | dict(runtime_env.get("env_vars", {}))}


ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

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
        return self.status in ENDED

    @property
    def was_never_started(self) -> bool:
        """Whether it has failed before anything of it could run."""
        return self.failure in NEVER_STARTED

    @property
    def script(self) -> str:
        """The script that it runs."""
        return self.metadata.get(SCRIPT_KEY, "")

    @classmethod
    def of(cls, details: Any) -> SubmittedJob:
        """What of Ray's ``JobDetails`` is used here."""
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
    """A text that may have come as a member of an enumeration."""
    return str(getattr(value, "value", value))


MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
DEFAULT_PATH = Path("~/.ray/auth_token")


def source_of_token() -> str | None:
    """Where Ray will find the token; None where there is none."""
    if os.environ.get(TOKEN):
        return TOKEN
    given = os.environ.get(TOKEN_PATH)
    path = Path(given) if given else DEFAULT_PATH
    try:
        is_there = path.expanduser().is_file()
    except (OSError, RuntimeError):  # not ours to read, or no home folder
        return None
    return (TOKEN_PATH if given else str(path)) if is_there else None


def send_token_if_there() -> None:
    """Have Ray send the token that is there, unless it was told what to do.

    Must run before Ray is imported, which reads the variable then. A cluster
    without authentication passes over a token.
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
            f"{DEFAULT_PATH}. {where}"
        )
    return f"The token in {source} is not this cluster's: set {TOKEN} to the right one. {where}"


HIDDEN = "..."

# A user's name alone may be a token; git@ is everybody's.
_USER_OF_URL = re.compile(r"(?<=://)(?!git@)[^/\s'\"]+(?=@)")


def masked(text: str) -> str:
    """`text`, without the names and passwords of users that its URLs hold."""
    return _USER_OF_URL.sub(HIDDEN, text)


CONNECT_LIMIT_S = 10
ANSWER_LIMIT_S = 120
"""For one answer; Ray unpacks no package while it is asked."""

STREAM_LIMIT_S = 30
"""Between two pieces of a file."""

TAIL_POLL_S = 0.25
"""How often whoever follows a log may do something else."""

OLDEST_RAY = (2, 55)

LOG_NAME = "job-driver-{}.log"
"""What Ray calls the file of a job's log, on the node of its driver."""


class JobsClient:
    """The Jobs API of one cluster."""

    def __init__(self, given: str | None = None) -> None:
        self._given = given
        found = read_address(given, os.environ)
        send_token_if_there()
        # Ray would put the variables' address before the one that was given.
        with _without_variables(), _told(masked(found or "this machine")):
            self._client = _make_client(found)
        self.address: str = masked(self._client.get_address())
        self._check_version()

    def command(self, words: str) -> str:
        """A command line that speaks to the same cluster: ``rayanim stop JOB``, say."""
        return f"rayanim {words}{f' --address {masked(self._given)}' if self._given else ''}"

    def submit(self, request: JobRequest) -> str:
        """Send the packages and start the job."""
        with self._told():
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
        with self._told(submission_id):
            return SubmittedJob.of(self._client.get_job_info(submission_id))

    def jobs(self) -> list[SubmittedJob]:
        """Those that rayanim has submitted, the latest first."""
        with self._told():
            found = [
                SubmittedJob.of(each) for each in self._client.list_jobs() if each.submission_id
            ]
        ours = [job for job in found if METADATA_KEY in job.metadata]
        return sorted(ours, key=lambda job: job.started_s or 0, reverse=True)

    def stop(self, submission_id: str) -> bool:
        """Ask the job to stop; False where it has ended already."""
        with self._told(submission_id):
            stopped: bool = self._client.stop_job(submission_id)
        return stopped

    def tail(self, submission_id: str) -> Iterator[str | None]:
        """Follow the job's log from its beginning until the job ends."""
        loop = asyncio.new_event_loop()
        pieces = self._client.tail_job_logs(submission_id)
        try:
            with self._told(submission_id):
                yield from _pieces(loop, pieces)
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
        query = {"node_id": job.node_id, "filename": name, "lines": str(lines)}
        with self._told(job.submission_id), self._client.read_file(query) as answer:
            if answer.ok:
                yield from map(decode, answer.iter_content(2**16))
            elif job.has_ended:  # else it is not written yet
                raise JobError(
                    f"The log of {job.submission_id} cannot be read any more: its node is gone. "
                    f"Ray says: {answer.text[:300]!r}."
                )

    @contextlib.contextmanager
    def file(self, node_id: str, name: str, lines: int) -> Iterator[Iterator[bytes]]:
        """Read the last `lines` lines, -1 for all, of a file in a node's log folder."""
        query = {"node_id": node_id, "filename": name, "lines": str(lines)}
        with self._told():
            answer = self._client.read_file(query)
        with answer:
            if not answer.ok:
                raise JobError(
                    f"{name} cannot be read from its node any more: the node is gone, or its video "
                    f"was removed. Ray says: {answer.text[:300]!r}."
                )
            yield self._told_of(answer.iter_content(2**16))

    def _told_of(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """`blocks`; a connection that breaks between two is told as the others are."""
        with self._told():
            yield from blocks

    def _told(self, submission_id: str | None = None) -> contextlib.AbstractContextManager[None]:
        return _told(self.address, submission_id)

    def _check_version(self) -> None:
        with self._told():
            version = self._client.ray_version()
        if _numbers(version) < OLDEST_RAY:
            oldest = ".".join(str(number) for number in OLDEST_RAY)
            raise JobError(
                f"The cluster at {self.address} runs Ray {version}, and rayanim needs {oldest} "
                f"or newer there: pip install -U 'ray[default]>={oldest}' on its nodes."
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _pieces(loop: asyncio.AbstractEventLoop, pieces: Any) -> Iterator[str | None]:
    async def next_piece() -> str | None:
        return await anext(pieces, None)

    while True:
        task = loop.create_task(next_piece())
        try:
            while not task.done():
                loop.run_until_complete(asyncio.wait({task}, timeout=TAIL_POLL_S))
                if not task.done():
                    yield None
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
    _keep_ray_quiet()

    class Streamed(requests.Response):
        """An answer that is read piece by piece.

        Ray looks for its own errors in the text of every answer, and so would
        have the whole file in memory before its first byte is seen.
        """

        @property
        def text(self) -> str:
            return "" if self.ok else super().text

    def streamed(answer: requests.Response, **given: Any) -> None:
        answer.__class__ = Streamed

    class Client(JobSubmissionClient):  # type: ignore[misc, unused-ignore]
        """Ray's client; what Ray would wait for without end ends here."""

        def _do_request(self, method: str, endpoint: str, **given: Any) -> requests.Response:
            given.setdefault("timeout", (CONNECT_LIMIT_S, ANSWER_LIMIT_S))
            answer: requests.Response = super()._do_request(method, endpoint, **given)
            return answer

        def read_file(self, query: dict[str, str]) -> requests.Response:
            """Stream a file of a node's log folder."""
            # The query's own limit is one for the whole file; the other, for one piece.
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
            answer = self._do_request("GET", "/api/version")
            return str(answer.json()["ray_version"])

    return Client(address)


def _keep_ray_quiet() -> None:
    """Show Ray's warnings alone: each package that it sends is a line of its log otherwise."""
    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.WARNING)


@contextlib.contextmanager
def _without_variables() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def _told(address: str, submission_id: str | None = None) -> Iterator[None]:
    """Turn what Ray and its HTTP libraries raise into errors of ours."""
    try:
        yield
    except (JobError, SettingsError):
        raise
    except Exception as error:
        status = _status_of(error)
        if "Authentication" in type(error).__name__ or status in (401, 403):
            raise JobError(f"The cluster at {address} refused us. {why_refused()}") from error
        if submission_id and status == 404:
            raise SettingsError(
                f"The cluster at {address} knows no job {submission_id!r}. "
                "Those that it knows: rayanim status."
            ) from error
        if status is not None:
            raise JobError(f"The cluster at {address} refused the request: {error}") from error
        raise JobError(
            f"The cluster at {address} cannot be reached ({type(error).__name__}: "
            f"{_short(error)}). Is its dashboard up, and can port {DASHBOARD_PORT} of its head be "
            "reached from here (ssh -L, kubectl port-forward)? Its address is given by --address, "
            "or RAY_API_SERVER_ADDRESS."
        ) from error


def _status_of(error: Exception) -> int | None:
    """The HTTP status that `error` tells of; None where nobody has answered."""
    status = getattr(error, "status", None)  # aiohttp's, where a websocket is refused
    if isinstance(status, int):
        return status
    # Ray's. Names and addresses in the rest of a message may hold any number.
    found = re.match(r"Request failed with status code (\d{3})", str(error))
    return int(found[1]) if found else None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
