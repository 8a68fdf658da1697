"""Follows a job to its end, through broken connections, and tells a listener what its log says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rayanim.errors import JobError
from rayanim.jobs.job import Job
from rayanim.jobs.log import Event, LogReader, Text

LOST_AFTER_S = 60.0
"""A cluster that does not answer for so long is given up; its job may well go on."""

RECONNECT_S = 2.0

LOOK_S = 10.0
"""How often a silent job is looked at: a connection may have died without a word."""

SILENT_S = 60.0
"""A connection that has said nothing for so long is made anew, for the log may go on without it."""


class Listener(Protocol):
    """Someone who is told what a job does."""

    def text(self, text: str) -> None:
        """Something that the script has printed."""

    def event(self, event: Event) -> None:
        """Something that rayanim has reported."""

    def notice(self, text: str) -> None:
        """Something about the job or the connection."""


class Cluster(Protocol):
    """What is asked of a cluster: `JobsClient`."""

    def job(self, submission_id: str) -> Job:
        """What is known of a job."""

    def tail(self, submission_id: str) -> Iterator[str | None]:
        """The log from its beginning until the job ends; None while there is nothing."""

    def log(self, job: Job, lines: int = -1) -> Iterator[str]:
        """The log as it is."""


class Watch:
    """One job that is followed; it may be left and taken up again.

    Parameters
    ----------
    cluster
        Where it runs.
    submission_id
        Its name.
    listener
        Who is told.
    lost_after_s, reconnect_s
        See `LOST_AFTER_S`, `RECONNECT_S`.
    clock
        Gives seconds that never go back.
    """

    def __init__(
        self,
        cluster: Cluster,
        submission_id: str,
        listener: Listener,
        *,
        lost_after_s: float = LOST_AFTER_S,
        reconnect_s: float = RECONNECT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._id = submission_id
        self._listener = listener
        self._lost_after_s = lost_after_s
        self._reconnect_s = reconnect_s
        self._clock = clock
        self._reader = LogReader()
        self._told_chars = 0
        self._answered_s = clock()
        self._heard_s = clock()
        self._has_broken = False
        self._may_lack_text = False
        self._waits_told = False

    def follow(self, is_over: Callable[[], bool]) -> Job | None:
        """Follow the job until it ends.

        Parameters
        ----------
        is_over
            Asked several times in a second; True ends it before.

        Returns
        -------
        Job or None
            How it has ended; None where `is_over` ended it.

        Raises
        ------
        JobError
            If the cluster has not answered for a while.
        """
        self._answered_s = self._clock()
        ended: Job | None = None
        while not is_over():
            try:
                if ended is None:
                    self._read(is_over)
                    if is_over():
                        break
                    job = self._look()
                    ended = job if job.has_ended else None
                if ended is not None:
                    self._finish(ended)
                    return ended
            except JobError as error:
                if self._is_lost():
                    if ended is None:
                        raise
                    self._listener.notice(f"the end of its log cannot be read. {error.message}")
                    return ended
            if not is_over():
                time.sleep(self._reconnect_s)
        return None

    def _read(self, is_over: Callable[[], bool]) -> None:
        """Read the log until the job ends or the connection seems dead."""
        looked_s = self._heard_s = self._clock()
        for piece in self._new(self._cluster.tail(self._id)):
            if is_over():
                return
            if piece:
                self._tell(piece)
            elif self._clock() - looked_s >= LOOK_S:
                looked_s = self._clock()
                if self._look().has_ended or looked_s - self._heard_s >= SILENT_S:
                    self._may_lack_text = True
                    return

    def _new(self, pieces: Iterator[str | None]) -> Iterator[str]:
        """What was not told yet of a log that is told from its beginning; may be empty."""
        at_chars = 0
        for piece in pieces:
            text = piece or ""
            if text:
                self._answered_s = self._heard_s = self._clock()
            yield text[max(0, self._told_chars - at_chars) :]
            at_chars += len(text)

    def _tell(self, piece: str) -> None:
        self._told_chars += len(piece)
        self._pass_on(self._reader.feed(piece))

    def _pass_on(self, told: Iterator[Text | Event]) -> None:
        for each in told:
            if isinstance(each, Text):
                self._listener.text(each.text)
            else:
                self._listener.event(each)

    def _look(self) -> Job:
        job = self._cluster.job(self._id)
        self._answered_s = self._clock()
        if job.status == "PENDING" and not self._waits_told:
            self._waits_told = True
            self._listener.notice(f"the job waits to be started. {job.message}".rstrip())
        return job

    def _is_lost(self) -> bool:
        """Whether a connection that has broken is given up."""
        if self._clock() - self._answered_s >= self._lost_after_s:
            return True
        if not self._has_broken:
            self._listener.notice("the connection has broken, the job goes on; trying again.")
        self._has_broken = self._may_lack_text = True
        return False

    def _finish(self, job: Job) -> None:
        """Tell the end of the log, what a dead connection has kept back included."""
        if self._may_lack_text:
            for piece in self._new(self._cluster.log(job)):
                self._tell(piece)
        self._pass_on(self._reader.end())
