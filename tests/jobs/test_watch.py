"""A job is followed through broken connections: nothing is told twice, and nothing is lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rayanim.errors import JobError
from rayanim.jobs.client import SubmittedJob
from rayanim.jobs.watch import JobEvent, JobWatch

LOG = "".join(
    f"frame {number}\n" + json.dumps({"event": "progress", "done": number}) + "\n"
    for number in range(20)
)


def job(status: str, message: str = "") -> SubmittedJob:
    return SubmittedJob("job-1", status, message, None, "node-1", 1.0, None, {})


class FakeCluster:
    """Plays a log to its end, breaking off where it is told to.

    Parameters
    ----------
    breaks
        After how many characters each connection breaks; None for never.
    statuses
        What is known of the job, one after the other; the last one stays.
    """

    def __init__(self, breaks: tuple[int | None, ...], statuses: tuple[str, ...]) -> None:
        self._breaks = itertools.chain(breaks, itertools.repeat(None))
        self._statuses = itertools.chain(statuses, itertools.repeat(statuses[-1]))

    def job(self, submission_id: str) -> SubmittedJob:
        status = next(self._statuses)
        if status == "silent":
            raise JobError("The cluster cannot be reached.")
        return job(status)

    def tail(self, submission_id: str) -> Iterator[str | None]:
        limit = next(self._breaks)
        for start in range(0, len(LOG) if limit is None else limit, 7):
            yield LOG[start : start + 7][: None if limit is None else limit - start]
            yield None
        if limit is not None:
            raise JobError("The connection has broken.")

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        yield LOG


class Heard:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.events: list[Any] = []
        self.notices: list[str] = []

    def text(self, text: str) -> None:
        self.texts.append(text)

    def event(self, event: JobEvent) -> None:
        self.events.append(event.values["done"])

    def notice(self, text: str) -> None:
        self.notices.append(text)

    @property
    def has_all(self) -> bool:
        lines = [f"frame {number}\n" for number in range(20)]
        return self.texts == lines and self.events == list(range(20))


@pytest.mark.parametrize("breaks", [(), (0,), (1, 100, 99), (300, 300, 700), (len(LOG),)])
def test_each_line_is_told_once(breaks: tuple[int, ...]) -> None:
    """In its order, however often the connection breaks, and wherever."""
    heard = Heard()
    cluster = FakeCluster(breaks, (*["RUNNING"] * 4, "SUCCEEDED"))
    ended = JobWatch(cluster, "job-1", heard, reconnect_s=0).follow(lambda: False)
    assert ended is not None and ended.status == "SUCCEEDED"
    assert heard.has_all
    assert len(heard.notices) == bool(breaks)


def test_the_end_of_a_log_is_told_where_the_job_ended_meanwhile() -> None:
    """A connection that breaks in the job's last seconds keeps nothing back."""
    heard = Heard()
    cluster = FakeCluster((150, 100), ("RUNNING", "FAILED"))
    JobWatch(cluster, "job-1", heard, reconnect_s=0).follow(lambda: False)
    assert heard.has_all


class LosesItsEnd(FakeCluster):
    """Breaks off in the log of a job that has ended, some times or for ever."""

    def __init__(self, ends: tuple[int | None, ...]) -> None:
        super().__init__((150,), ("FAILED",))
        self._ends = itertools.chain(ends[:-1], itertools.repeat(ends[-1]))

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        limit = next(self._ends)
        for start in range(0, len(LOG) if limit is None else limit, 50):
            yield LOG[start : start + 50]
        if limit is not None:
            raise JobError("Its node is gone.")


def test_the_end_of_a_log_that_breaks_off_is_read_again() -> None:
    """From where it broke: nothing is told twice."""
    heard = Heard()
    watch = JobWatch(LosesItsEnd((0, 200, None)), "job-1", heard, reconnect_s=0)
    ended = watch.follow(lambda: False)
    assert ended is not None and ended.status == "FAILED"
    assert heard.has_all


def test_a_job_whose_log_is_gone_has_ended_all_the_same() -> None:
    """How it ended is known; that its last lines are missing is said."""
    clock = itertools.count(0, 10)
    heard = Heard()
    watch = JobWatch(LosesItsEnd((0,)), "job-1", heard, reconnect_s=0, clock=lambda: next(clock))
    ended = watch.follow(lambda: False)
    assert ended is not None and ended.status == "FAILED"
    assert heard.notices[-1] == "the end of its log cannot be read. Its node is gone."


class GoesSilent(FakeCluster):
    """Its first connections say nothing more after some characters, without breaking."""

    def __init__(self, silences: tuple[int, ...], statuses: tuple[str, ...]) -> None:
        super().__init__((), statuses)
        self._silences = iter(silences)

    def tail(self, submission_id: str) -> Iterator[str | None]:
        limit = next(self._silences, None)
        if limit is None:
            yield LOG
            return
        yield LOG[:limit]
        yield from itertools.repeat(None, 1000)
        raise AssertionError("Nobody has noticed that the connection is dead.")


@pytest.mark.parametrize("silences", [(0,), (100,), (100, 300, 0)])
def test_a_job_that_has_ended_is_not_waited_for(silences: tuple[int, ...]) -> None:
    """A connection may die without a word: how the job ended is asked for all the same."""
    clock, heard = itertools.count(0, 10), Heard()
    cluster = GoesSilent(silences, ("RUNNING", "RUNNING", "SUCCEEDED"))
    watch = JobWatch(cluster, "job-1", heard, reconnect_s=0, clock=lambda: next(clock))
    ended = watch.follow(lambda: False)
    assert ended is not None and ended.status == "SUCCEEDED"
    assert heard.has_all and heard.notices == []


def test_a_log_that_goes_on_behind_a_dead_connection_is_read() -> None:
    """By another connection, from where the first one fell silent."""
    clock, heard = itertools.count(0, 10), Heard()
    cluster = GoesSilent((100,), (*["RUNNING"] * 12, "SUCCEEDED"))
    watch = JobWatch(cluster, "job-1", heard, reconnect_s=0, clock=lambda: next(clock))
    watch.follow(lambda: heard.has_all)
    assert heard.has_all and cluster.job("job-1").status == "RUNNING"


def test_a_cluster_that_is_silent_for_long_is_given_up() -> None:
    """After a while without an answer, with what was said last."""
    clock = itertools.count(0, 10)
    cluster = FakeCluster((100, *[0] * 100), ("silent",))
    heard = Heard()
    watch = JobWatch(cluster, "job-1", heard, reconnect_s=0, clock=lambda: next(clock))
    with pytest.raises(JobError, match="broken"):
        watch.follow(lambda: False)
    assert heard.notices == ["the connection has broken, the job goes on; trying again."]


def test_who_has_had_enough_may_come_back() -> None:
    """Nothing is told again to one who goes on watching."""
    heard = Heard()
    watch = JobWatch(FakeCluster((), ("SUCCEEDED",)), "job-1", heard, reconnect_s=0)
    assert watch.follow(lambda: len(heard.texts) == 5) is None
    assert len(heard.texts) == 5
    watch.follow(lambda: False)
    assert heard.has_all


def test_a_job_that_waits_is_told_once() -> None:
    """With what Ray says about it."""
    heard = Heard()
    cluster = FakeCluster((0, 0, 0), ("PENDING", "PENDING", "PENDING", "SUCCEEDED"))
    JobWatch(cluster, "job-1", heard, reconnect_s=0).follow(lambda: False)
    assert [each for each in heard.notices if "waits" in each] == ["the job waits to be started."]
