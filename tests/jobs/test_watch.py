"""A job is followed through broken connections: nothing comes twice, and nothing is lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rayanim.errors import JobError
from rayanim.jobs.client import EVENTS_KEY, SubmittedJob
from rayanim.jobs.watch import JobEvent, JobNotice, JobWatch, Text

MARK = "[rayanim 1] "
LOG = "".join(
    f"frame {number}\n{MARK}" + json.dumps({"event": "progress", "done": number}) + "\n"
    for number in range(20)
)


def job(status: str, message: str = "") -> SubmittedJob:
    return SubmittedJob("job-1", status, message, None, "node-1", 1.0, None, {EVENTS_KEY: MARK})


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

    def tail(self, submission_id: str) -> Iterator[str]:
        limit = next(self._breaks)
        for start in range(0, len(LOG) if limit is None else limit, 7):
            yield LOG[start : start + 7][: None if limit is None else limit - start]
            yield ""
        if limit is not None:
            raise JobError("The connection has broken.")

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        yield LOG


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("rayanim.jobs.watch.RECONNECT_S", 0.0)


class Follower:
    """Follows a job and keeps what comes."""

    def __init__(self, client: FakeCluster, **given: Any) -> None:
        self.texts: list[str] = []
        self.events: list[Any] = []
        self.notices: list[str] = []
        self.ended: SubmittedJob | None = None
        self._items = JobWatch(client, "job-1", **given).follow()

    def follow(self, is_over: Callable[[], bool] = lambda: False) -> SubmittedJob | None:
        """Follow on until the job ends or `is_over`."""
        while not is_over():
            item = next(self._items, None)
            if isinstance(item, Text):
                self.texts.append(item.text)
            elif isinstance(item, JobEvent):
                self.events.append(item.values["done"])
            elif isinstance(item, JobNotice):
                self.notices.append(item.text)
            elif item is not None:
                return item
        return None

    @property
    def has_all(self) -> bool:
        lines = [f"frame {number}\n" for number in range(20)]
        return self.texts == lines and self.events == list(range(20))


def slow_clock() -> Callable[[], float]:
    """Ten seconds pass from each look at it to the next."""
    times = itertools.count(0, 10)
    return lambda: next(times)


@pytest.mark.parametrize("breaks", [(), (0,), (1, 100, 99), (300, 300, 700), (len(LOG),)])
def test_each_line_comes_once(breaks: tuple[int, ...]) -> None:
    """In its order, however often the connection breaks, and wherever."""
    follower = Follower(FakeCluster(breaks, (*["RUNNING"] * 4, "SUCCEEDED")))
    ended = follower.follow()
    assert ended is not None and ended.status == "SUCCEEDED"
    assert follower.has_all
    assert len(follower.notices) == bool(breaks)


def test_the_end_of_a_log_comes_where_the_job_ended_meanwhile() -> None:
    """A connection that breaks in the job's last seconds keeps nothing back."""
    follower = Follower(FakeCluster((150, 100), ("RUNNING", "FAILED")))
    follower.follow()
    assert follower.has_all


class LosesItsEnd(FakeCluster):
    """Breaks off in the log of a job that has ended, some times or for ever."""

    def __init__(self, ends: tuple[int | None, ...]) -> None:
        super().__init__((150,), ("RUNNING", "FAILED"))
        self._ends = itertools.chain(ends[:-1], itertools.repeat(ends[-1]))

    def tail(self, submission_id: str) -> Iterator[str]:
        yield LOG[:150]

    def log(self, job: SubmittedJob, lines: int = -1) -> Iterator[str]:
        limit = next(self._ends)
        for start in range(0, len(LOG) if limit is None else limit, 50):
            yield LOG[start : start + 50]
        if limit is not None:
            raise JobError("Its node is gone.")


class BreaksAtItsEnd(LosesItsEnd):
    """Its connection breaks before, too."""

    def __init__(self, ends: tuple[int | None, ...]) -> None:
        super().__init__(ends)
        self._tails = 0

    def tail(self, submission_id: str) -> Iterator[str]:
        yield from super().tail(submission_id)
        self._tails += 1
        if self._tails == 1:
            raise JobError("The connection has broken.")


def test_the_end_of_a_log_that_breaks_off_is_read_again() -> None:
    """From where it broke: nothing comes twice."""
    follower = Follower(BreaksAtItsEnd((0, 200, None)))
    ended = follower.follow()
    assert ended is not None and ended.status == "FAILED"
    assert follower.has_all


def test_a_job_whose_log_is_gone_has_ended_all_the_same() -> None:
    """How it ended is known; that its last lines are missing is said."""
    follower = Follower(BreaksAtItsEnd((0,)), clock=slow_clock())
    ended = follower.follow()
    assert ended is not None and ended.status == "FAILED"
    assert follower.notices[-1] == "the end of its log cannot be read. Its node is gone."


class GoesSilent(FakeCluster):
    """Its first connections give nothing more after some characters, without breaking."""

    def __init__(self, silences: tuple[int, ...], statuses: tuple[str, ...]) -> None:
        super().__init__((), statuses)
        self._silences = iter(silences)

    def tail(self, submission_id: str) -> Iterator[str]:
        limit = next(self._silences, None)
        if limit is None:
            yield LOG
            return
        yield LOG[:limit]
        yield from itertools.repeat("", 1000)
        raise AssertionError("Nobody has noticed that the connection is dead.")


@pytest.mark.parametrize("silences", [(0,), (100,), (100, 300, 0)])
def test_a_job_that_has_ended_is_not_waited_for(silences: tuple[int, ...]) -> None:
    """A connection may be dead without an error: how the job ended is asked for all the same."""
    cluster = GoesSilent(silences, ("RUNNING", "RUNNING", "SUCCEEDED"))
    follower = Follower(cluster, clock=slow_clock())
    ended = follower.follow()
    assert ended is not None and ended.status == "SUCCEEDED"
    assert follower.has_all and follower.notices == []


def test_a_log_that_goes_on_behind_a_dead_connection_is_read() -> None:
    """By another connection, from where the first one fell silent."""
    cluster = GoesSilent((100,), (*["RUNNING"] * 12, "SUCCEEDED"))
    follower = Follower(cluster, clock=slow_clock())
    follower.follow(lambda: follower.has_all)
    assert follower.has_all and cluster.job("job-1").status == "RUNNING"


@pytest.mark.parametrize("statuses", [("silent",), ("RUNNING", "silent")])
def test_a_cluster_that_is_silent_for_long_is_given_up(statuses: tuple[str, ...]) -> None:
    """After a while without an answer, with the last error."""
    follower = Follower(FakeCluster((100, *[0] * 100), statuses), clock=slow_clock())
    with pytest.raises(JobError, match="cannot be reached"):
        follower.follow()
    assert follower.notices == ["the connection has broken, the job goes on; trying again."]


def test_a_log_that_cannot_be_followed_comes_at_the_end() -> None:
    """Something between here and the cluster may pass requests on, and no websocket."""
    cluster = FakeCluster((0,) * 1000, (*["RUNNING"] * 20, "SUCCEEDED"))
    follower = Follower(cluster, clock=slow_clock())
    ended = follower.follow()
    assert ended is not None and ended.status == "SUCCEEDED"
    assert follower.has_all and len(follower.notices) == 1


def test_who_has_had_enough_may_come_back() -> None:
    """Nothing comes again for one who goes on watching."""
    follower = Follower(FakeCluster((), ("SUCCEEDED",)))
    assert follower.follow(lambda: len(follower.texts) == 5) is None
    assert len(follower.texts) == 5
    assert follower.follow() is not None
    assert follower.has_all


def test_a_pause_is_no_silence_of_the_cluster() -> None:
    """Somebody may think about an answer for an hour; a connection then has its time to break."""
    now_s = 0.0
    follower = Follower(FakeCluster((100,), ("RUNNING", "SUCCEEDED")), clock=lambda: now_s)
    follower.follow(lambda: len(follower.texts) == 2)
    now_s = 3600.0
    assert follower.follow() is not None and follower.has_all


def test_a_job_that_waits_is_reported_once() -> None:
    """With what Ray says about it."""
    follower = Follower(FakeCluster((0, 0, 0), ("PENDING", "PENDING", "PENDING", "SUCCEEDED")))
    follower.follow()
    waiting = [each for each in follower.notices if "waits" in each]
    assert waiting == ["the job waits to be started."]
