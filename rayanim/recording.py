"""Records one job from its beginning to its end, whatever that is."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rayanim.event_log import EventLog
from rayanim.events import JobFailed, JobFinished, JobStarted, Listener, Nobody

if TYPE_CHECKING:
    from rayanim.farm.naming import JobName
    from rayanim.report import Report


@contextlib.contextmanager
def recorded(
    log_json: str | os.PathLike[str] | None,
    name: JobName,
    *,
    output: str | os.PathLike[str],
    frames: int | None,
    resume: bool,
    complain: Callable[[str], None],
) -> Iterator[Listener]:
    """Someone to tell the job's events; its start and its failure are told here.

    Parameters
    ----------
    log_json
        See `EventLog`; None keeps no log.
    name
        What the job is called.
    output, frames, resume
        As a `JobStarted`'s.
    complain
        Told in words if the log cannot be written.

    Raises
    ------
    OutputError
        If the log cannot be opened.
    """
    from rayanim import __version__

    if log_json is None:
        yield Nobody()
        return
    began_s = time.perf_counter()
    with EventLog(log_json, name.film, name.run, complain) as log:
        log.tell(
            JobStarted(
                output=os.fspath(output),
                frames=frames,
                resume=resume,
                rayanim=__version__,
                host=socket.gethostname(),
                pid=os.getpid(),
            )
        )
        try:
            yield log
        except BaseException as error:
            elapsed_s = time.perf_counter() - began_s
            kind = type(error).__name__
            log.tell(JobFailed(error=kind, text=str(error) or kind, elapsed_s=elapsed_s))
            raise


def finished(report: Report) -> JobFinished:
    """What the log is told of a film that has its name."""
    return JobFinished(
        output=str(report.output),
        frames=report.frames,
        resumed_frames=report.resumed_frames,
        file_bytes=report.file_bytes,
        elapsed_s=report.elapsed_s,
        engine=report.engine,
        actors_peak=report.actors_peak,
    )
