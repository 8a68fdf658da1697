"""Speaks to Ray's Jobs API, with a limit on every wait and our own errors."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rayanim.errors import JobError, SettingsError
from rayanim.jobs.address import DASHBOARD_PORT, VARIABLES, read_address
from rayanim.jobs.job import Job
from rayanim.jobs.request import METADATA_KEY, JobRequest
from rayanim.jobs.token import send_token_if_there, why_refused
from rayanim.masking import masked

if TYPE_CHECKING:
    import requests

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
    """The Jobs API of one cluster.

    Parameters
    ----------
    given
        The address as the user wrote it; None takes the environment's.

    Raises
    ------
    JobError
        If nothing answers there, Ray refuses the token, or lacks its dashboard
        here or there.
    SettingsError
        If the address is of another kind.
    """

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
        """Send the packages and start the job.

        Returns
        -------
        str
            Its submission ID.
        """
        with self._told():
            submitted: str = self._client.submit_job(
                entrypoint=request.entrypoint,
                submission_id=request.submission_id,
                runtime_env=request.runtime_env,
                metadata=request.metadata,
                **request.resources,
            )
        return submitted

    def job(self, submission_id: str) -> Job:
        """What is known of one job.

        Raises
        ------
        SettingsError
            If the cluster has none of that name.
        """
        with self._told(submission_id):
            return Job.of(self._client.get_job_info(submission_id))

    def jobs(self) -> list[Job]:
        """Those that rayanim has submitted, the latest first."""
        with self._told():
            found = [Job.of(each) for each in self._client.list_jobs() if each.submission_id]
        ours = [job for job in found if METADATA_KEY in job.metadata]
        return sorted(ours, key=lambda job: job.started_s or 0, reverse=True)

    def stop(self, submission_id: str) -> bool:
        """Ask the job to stop; False where it has ended already."""
        with self._told(submission_id):
            stopped: bool = self._client.stop_job(submission_id)
        return stopped

    def tail(self, submission_id: str) -> Iterator[str | None]:
        """Follow the job's log from its beginning until the job ends.

        Yields
        ------
        str or None
            A piece of the log; None now and then while there is none, so that
            the caller can look around.
        """
        loop = asyncio.new_event_loop()
        pieces = self._client.tail_job_logs(submission_id)
        try:
            with self._told(submission_id):
                yield from _pieces(loop, pieces)
        finally:
            loop.run_until_complete(pieces.aclose())
            loop.close()

    def log(self, job: Job, lines: int = -1) -> Iterator[str]:
        """Read the last `lines` lines of a job's log, -1 for all; nothing while there is none.

        Raises
        ------
        JobError
            If it cannot be read any more.
        """
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
        """Read the last `lines` lines, -1 for all, of a file in a node's log folder.

        Raises
        ------
        JobError
            If it is not there, or the connection breaks.
        """
        query = {"node_id": node_id, "filename": name, "lines": str(lines)}
        with self._told():
            answer = self._client.read_file(query)
        with answer:
            if not answer.ok:
                raise JobError(
                    f"{name} cannot be read from its node any more: the node is gone, or its film "
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
