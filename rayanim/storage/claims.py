"""Keeps two jobs from using one address of a store, where there are no locks.

Theory of operation
-------------------
Each job writes a claim, an object of its own, and then lists all claims. Stores
list what was written before: of two jobs at least one sees the other's, and
gives way. A job shows life by writing its claim anew; one that has not for
`STALE_S`, by the store's own clock, has died, and its claim is removed. So has
one whose process has ended on this very machine. A job whose claim was removed
notices that with its next sign of life, and publishes nothing.

What this guards is work, not bytes: an object is whole or not there whoever
writes it, and a part names its film.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rayanim.errors import OutputError
from rayanim.storage.address import Url
from rayanim.storage.remote import RemoteStore

_logger = logging.getLogger("rayanim")

BEAT_S = 10.0
"""Between two signs of life: 8640 requests of a day, some 4 cents."""

STALE_S = 45.0
"""Four signs that did not come. A job that is held up for longer loses its claim."""

_ROUNDS = 4
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a claim.

    Attributes
    ----------
    host
        The machine's name.
    processes
        Names what the number of a process means: a boot of a machine, and a
        container on it.
    pid, started_s
        The process, and when it began; numbers are used again.
    """

    host: str
    processes: str
    pid: int
    started_s: float

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        import psutil

        return cls(socket.gethostname(), _processes(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_json(cls, data: bytes) -> Owner | None:
        """The inverse of `to_json`; None for anything else."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def to_json(self) -> bytes:
        """The owner as an object's content."""
        return json.dumps(asdict(self)).encode()

    @property
    def has_ended(self) -> bool:
        """Whether the process is known to be no more; False for one of another machine."""
        import psutil

        if self.processes != _processes():
            return False
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.started_s) > 1)
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Rival:
    """Another job's claim.

    Attributes
    ----------
    url
        The claim.
    owner
        Whose; None where it does not tell.
    age_s
        Seconds since its last sign of life, by the store's clock.
    """

    url: Url
    owner: Owner | None
    age_s: float

    @property
    def is_over(self) -> bool:
        """Whether its job can be taken to have ended."""
        return self.age_s > STALE_S or (self.owner is not None and self.owner.has_ended)

    def __str__(self) -> str:
        return "another machine" if self.owner is None else str(self.owner)


class Claim:
    """This job's claim on one address, from `take` to `close`.

    Parameters
    ----------
    store
        The store.
    target
        What is claimed; claims lie below ``film.mp4.lock``.
    """

    def __init__(self, store: RemoteStore, target: Url) -> None:
        self._store = store
        self._target = target
        self._folder = target.with_name(target.name + ".lock")
        self._own = self._folder / secrets.token_hex(4)
        self._content = Owner.here().to_json()
        self._ended = threading.Event()
        self._is_lost = False
        self._beaten_s = 0.0
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Claim the address, and show life from then on.

        Raises
        ------
        OutputError
            If another job has it, or the store takes nothing.
        """
        try:
            self._take()
        except OSError as error:
            raise OutputError(f"{str(self._target)!r} cannot be written: {error.strerror}.") from (
                error
            )
        self._thread = threading.Thread(target=self._beat, daemon=True, name="rayanim-claim")
        self._thread.start()

    @property
    def is_held(self) -> bool:
        """False once it was closed, or another job may have taken the address."""
        if self._ended.is_set() or self._is_lost:
            return False
        return time.monotonic() - self._beaten_s < STALE_S

    def close(self) -> None:
        """Let others have the address; nothing if that was done before."""
        if self._ended.is_set():
            return
        self._ended.set()
        with contextlib.suppress(OSError):
            self._store.remove([self._own])

    def _take(self) -> None:
        for _ in range(_ROUNDS):
            began_s = time.monotonic()
            self._store.write(self._own, self._content, is_first=True)
            self._beaten_s = began_s
            try:
                rival = self._first_rival()
            except BaseException:
                self._store.remove([self._own])
                raise
            if rival is None:
                return
            self._store.remove([self._own])
            self._wait_for(rival)
            # Two that gave way to each other do not meet again.
            time.sleep(random.uniform(0.0, 1.0))
        raise OutputError(_taken(self._target, "several others"))

    def _first_rival(self) -> Rival | None:
        """A claim whose job may live; those of jobs that ended are removed."""
        for rival in self._rivals():
            if not rival.is_over:
                return rival
            self._store.remove([rival.url])
        return None

    def _rivals(self) -> Iterator[Rival]:
        now = self._store.modified(self._own)
        for name in self._store.names(self._folder):
            url = self._folder / name
            then = None if url == self._own else self._store.modified(url)
            if now is None or then is None:
                continue
            yield Rival(url, self._owner_of(url), (now - then).total_seconds())

    def _owner_of(self, url: Url) -> Owner | None:
        try:
            return Owner.from_json(self._store.read(url))
        except FileNotFoundError:  # given up since it was listed
            return None

    def _wait_for(self, rival: Rival) -> None:
        """Wait until the rival's job has let go, or has shown no life for long enough.

        Raises
        ------
        OutputError
            If it shows life.
        """
        _logger.warning(
            "%s is claimed by %s. Whether that job still lives will show within %.0f s.",
            self._target,
            rival,
            STALE_S,
        )
        first, until_s = self._store.modified(rival.url), time.monotonic() + STALE_S
        while time.monotonic() < until_s - rival.age_s:
            time.sleep(_LOOK_EVERY_S)
            moment = self._store.modified(rival.url)
            if moment is None:
                return
            if moment != first:
                raise OutputError(_taken(self._target, str(rival)))
        self._store.remove([rival.url])

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S) and not self._is_lost:
            # A store that does not answer for a while: `is_held` tells when it was too long.
            with contextlib.suppress(OSError):
                if not self._store.has(self._own):
                    self._is_lost = not self._ended.is_set()
                else:
                    self._show_life()

    def _show_life(self) -> None:
        """Write the claim anew, unless that came so late that another job took the address.

        It may have removed the claim while the store did not answer, so that
        this has made it again.
        """
        began_s = time.monotonic()
        self._store.write(self._own, self._content)
        if time.monotonic() - self._beaten_s > STALE_S and self._first_rival() is not None:
            self._is_lost = not self._ended.is_set()
            self._store.remove([self._own])
        else:
            self._beaten_s = began_s


def _taken(target: Url, by: str) -> str:
    return f"Another job is writing {str(target)!r}: {by}. Wait for it, or choose another name."


def _processes() -> str:
    """Which boot of which machine, and which of its containers."""
    told = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            file = Path(path)
            told.append(str(file.readlink() if file.is_symlink() else file.read_text().strip()))
    return " ".join([socket.gethostname(), *told])
