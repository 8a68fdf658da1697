"""Two jobs with one address: one works, the other is refused, and the dead do not count."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Iterator

import pytest

from rayanim.errors import OutputError
from rayanim.storage import output
from rayanim.storage.address import Url
from rayanim.storage.output import Claim, Owner
from rayanim.storage.store import Store

VIDEO = Url("memory://claimed/video.mp4")
FOLDER = VIDEO.with_name("video.mp4.lock")


@pytest.fixture
def store() -> Iterator[Store]:
    """A store without claims."""
    store = Store("memory")
    yield store
    store.remove(FOLDER / name for name in store.names(FOLDER))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come quickly."""
    monkeypatch.setattr(output, "BEAT_S", 0.05)
    monkeypatch.setattr(output, "STALE_S", 1.0)
    monkeypatch.setattr(output, "_POLL_S", 0.05)


def elsewhere() -> bytes:
    """An owner on another machine."""
    return dataclasses.replace(Owner.here(), processes="another").to_json()


def test_a_second_job_is_refused_while_the_first_lives(store: Store, quick: None) -> None:
    """And takes the address when the first has let go; no claim is left."""
    first = Claim(store, VIDEO)
    with pytest.raises(OutputError, match=f"Another job is writing.*process {os.getpid()}"):
        Claim(store, VIDEO)
    assert first.is_held
    first.close()
    second = Claim(store, VIDEO)
    assert (first.is_held, second.is_held) == (False, True)
    second.close()
    assert store.names(FOLDER) == []


def test_the_claim_of_a_job_that_died_elsewhere_is_taken_over(store: Store, quick: None) -> None:
    """Once it has shown no life for long enough, and not before."""
    store.write(FOLDER / "dead", elsewhere())
    began_s = time.monotonic()
    claim = Claim(store, VIDEO)
    assert time.monotonic() - began_s >= 0.9
    assert "dead" not in store.names(FOLDER)
    claim.close()


def test_the_claim_of_a_process_that_ended_here_is_taken_over_at_once(store: Store) -> None:
    """Also where its number is another process's now."""
    here = Owner.here()
    for name, owner in (
        ("gone", dataclasses.replace(here, pid=2**22 + 1)),
        ("reused", dataclasses.replace(here, started_s=here.started_s - 100)),
    ):
        store.write(FOLDER / name, owner.to_json())
    claim = Claim(store, VIDEO)
    assert len(store.names(FOLDER)) == 1
    claim.close()


def test_a_job_whose_claim_was_taken_away_notices(store: Store, quick: None) -> None:
    """It was cut off for so long that another took it for dead."""
    claim = Claim(store, VIDEO)
    store.remove(FOLDER / name for name in store.names(FOLDER))
    until_s = time.monotonic() + 10
    while claim.is_held and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not claim.is_held
    claim.close()
    assert store.names(FOLDER) == []


def test_a_job_that_cannot_show_life_does_not_hold_its_claim(
    store: Store, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others will take it for dead."""
    claim = Claim(store, VIDEO)

    def refuse(*_: object, **__: object) -> str:
        raise OSError(5, "cut off")

    monkeypatch.setattr(store, "kind", refuse)
    until_s = time.monotonic() + 10
    while claim.is_held and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not claim.is_held
    monkeypatch.undo()
    claim.close()


def test_a_claim_that_is_made_again_too_late_gives_way(
    store: Store, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign of life hung while another job took the address, and then arrived."""
    claim, write = Claim(store, VIDEO), store.write
    arrived = threading.Event()

    def hang(url: Url, data: bytes, **how: object) -> None:
        store.remove([url])
        time.sleep(1.2)
        write(FOLDER / "other", elsewhere())
        write(url, data)
        monkeypatch.setattr(store, "write", write)
        arrived.set()

    monkeypatch.setattr(store, "write", hang)
    assert arrived.wait(10)
    until_s = time.monotonic() + 10
    while len(store.names(FOLDER)) > 1 and time.monotonic() < until_s:
        time.sleep(0.01)
    assert store.names(FOLDER) == ["other"]
    assert not claim.is_held
    claim.close()


def test_of_many_at_once_at_most_one_holds(store: Store, quick: None) -> None:
    """Whatever the order in which they write and look."""
    held: list[Claim] = []
    refused: list[int] = []
    start = threading.Barrier(5)

    def run() -> None:
        start.wait()
        try:
            held.append(Claim(store, VIDEO))
        except OutputError:
            refused.append(1)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(held) <= 1, len(held) + len(refused)) == (True, 5)
    for claim in held:
        claim.close()


def test_what_is_no_claim_counts_as_one_of_somebody_unknown(store: Store, quick: None) -> None:
    """It goes when it is old enough."""
    store.write(FOLDER / "strange", b"\xff{")
    claim = Claim(store, VIDEO)
    assert "strange" not in store.names(FOLDER)
    claim.close()
