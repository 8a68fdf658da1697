"""Where a video goes: checked before work starts, replaced whole or left as it was."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import random
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Address, Url
from rayanim.storage.lock import FileLock, reason_of, remove_part, removed_on_failure
from rayanim.storage.store import Store, family_of

_logger = logging.getLogger("rayanim")

_WITH_BUCKETS = {"s3", "gs", "az"}


class Target:
    """The place of one finished video or still: a path, or the URL of an object in a store."""

    def __init__(self, address: Address, storage_options: Mapping[str, Any] | None = None) -> None:
        self.address = address
        if isinstance(address, Url):
            _check_named(address)
            self.store = Store(address.protocol, storage_options)
        else:
            self.store = Store()
        self._lock: FileLock | Claim | None = None

    @property
    def name(self) -> str:
        """What the video is called, without its suffix."""
        return self.address.stem

    @property
    def suffix(self) -> str:
        """By which its format is known."""
        return self.address.suffix

    @property
    def segments(self) -> Address:
        """The folder of the video's segments until it is whole, beside the video itself."""
        return self._beside(".parts")

    @property
    def is_held(self) -> bool:
        """Whether this job still keeps the others away; see `claimed`."""
        return self._lock is not None and self._lock.is_held

    def exists(self) -> bool:
        if isinstance(self.address, Url):
            return self._kind(self.address) is not None
        return self.address.exists()

    def check_early(self, *, overwrite: bool) -> None:
        """`check`, where something is there, and without a look at the network."""
        if isinstance(self.address, Url):
            return
        try:
            exists = self.exists()
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{str(self.address)!r} cannot be a file: {reason_of(error)}."
            ) from error
        if exists:
            self.check(overwrite=overwrite)

    def check(self, *, overwrite: bool) -> None:
        """See that a file can be put there; that a store takes what is written, `claimed` shows."""
        name = str(self.address)
        try:
            real = self._real
            kind = self._kind(real)
        except OutputError:
            raise
        except (OSError, ValueError) as error:
            raise OutputError(f"{name!r} cannot be a file: {reason_of(error)}.") from error
        self._check_found(kind, overwrite=overwrite)
        if isinstance(real, Path):
            _make_writable(real.parent)

    def _check_found(self, kind: str | None, *, overwrite: bool) -> None:
        """See that what is there, by its kind, may be replaced."""
        name = str(self.address)
        if kind == "directory":
            raise OutputError(f"{name!r} is a folder. Name a file in it, such as video.mp4.")
        if kind is not None and not overwrite:
            raise OutputError(
                f"{name!r} exists, and overwrite=False keeps it from being replaced. Leave that "
                "out, or choose another name."
            )

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other jobs from the video and its segments."""
        real = self._real
        if isinstance(real, Url):
            self._lock = Claim(self.store, real)
        else:
            self._lock = FileLock(Path(str(self._beside(".lock"))), _taken(self.address))
        with contextlib.closing(self._lock):
            yield

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """What to write while the video is not finished; it takes its place at the end.

        It is on this machine: beside a path, or in the folder of temporary files.
        It goes when the job fails.
        """
        with contextlib.ExitStack() as stack:
            beside = self._beside(".part")
            if isinstance(beside, Url):
                part = stack.enter_context(_temporary_folder()) / beside.name
            else:
                part = beside
                self._clear(part)
                if os.path.lexists(part):
                    raise OutputError(
                        f"{str(part)!r} stands where the unfinished video must be written. "
                        "Rename or remove it."
                    )
            with removed_on_failure(part):
                yield part
                self._publish(part)

    def _clear(self, part: Path) -> None:
        """Remove what a killed job has left there; or a link, which would be followed."""
        with contextlib.suppress(OSError):
            part.unlink()

    @functools.cached_property
    def _real(self) -> Address:
        """The file that a path leads to, absolute, as it is when work begins.

        Drawing may change the working folder, an actor runs in another one, and
        renaming over a link would replace the link.
        """
        if isinstance(self.address, Url):
            return self.address
        return Path(os.path.realpath(self.address))

    def _beside(self, suffix: str) -> Address:
        return self._real.with_name(self._real.name + suffix)

    def _kind(self, address: Address) -> str | None:
        try:
            return self.store.kind(address, is_first=True)
        except OSError as error:
            raise OutputError(
                f"{str(self.address)!r} cannot be written: {error.strerror}."
            ) from error

    def _publish(self, part: Path) -> None:
        """Put what is finished in its place."""
        real = self._real
        if isinstance(real, Path):
            self._move(part, real)
            return
        if not self.is_held:
            raise EncodeError(
                f"{str(real)!r} did not answer for so long that another job may be writing it "
                "now, so nothing was put there. When no other job does, run this one again with "
                "--resume."
            )
        _logger.info("Uploading %d bytes to %s.", bytes_of(part), real)
        try:
            self._upload(part, real)
        except OSError as error:
            kept = part.rename(part.with_name(real.name))
            raise EncodeError(
                f"The finished video could not be put at {str(real)!r}: "
                f"{error.strerror}. It is kept in {str(kept)!r}: copy it from there."
            ) from error
        remove_part(part)

    def _move(self, part: Path, path: Path) -> None:
        """Put it in its place on this machine."""
        try:
            _sync(part, os.O_RDWR)
            part.replace(path)
            # It is there; a folder that may be written, but not read, cannot be synced.
            with contextlib.suppress(PermissionError):
                _sync(path.parent, os.O_RDONLY)
        except OSError as error:
            raise EncodeError(
                f"The finished video could not be put at {str(path)!r}: {error.strerror}."
            ) from error

    def _upload(self, part: Path, url: Url) -> None:
        """Put it in its place in a store."""
        self.store.upload(part, url)


def check_whole(parts: Sequence[Path], file_bytes: int) -> list[int]:
    """See that the files that are to take their places are those that the encoder finished.

    Their bytes.
    """
    found = [bytes_of(part) for part in parts]
    if None in found or sum(filter(None, found)) != file_bytes:
        names = " and ".join(repr(str(part)) for part in parts)
        sizes = " and ".join(map(str, found))
        raise EncodeError(
            f"The encoder finished {file_bytes} bytes, but {names} has {sizes}. Does something "
            "else write or remove it?"
        )
    return [each or 0 for each in found]


def bytes_of(part: Path) -> int | None:
    """Bytes of an unfinished file, or of a folder of images; None where there is none."""
    if not part.exists():
        return None
    files = part.iterdir() if part.is_dir() else (part,)
    return sum(each.stat().st_size for each in files)


def _check_named(address: Url) -> None:
    if family_of(address.protocol) in _WITH_BUCKETS and "/" not in address.rest:
        raise OutputError(
            f"{str(address)!r} names a bucket alone. Name a file in it, such as "
            f"{str(address / 'video.mp4')!r}."
        )
    if not address.name:
        raise OutputError(f"{str(address)!r} is a folder. Name a file in it, such as video.mp4.")


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(
            f"The folder {str(folder)!r} cannot be made: it, or one above it, is a file."
        ) from error
    except OSError as error:
        raise OutputError(
            f"The folder {str(folder)!r} cannot be made: {reason_of(error)}."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {str(folder)!r} is not writable.")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that goes at the end, unless something is in it then."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="rayanim-"))
    except OSError as error:
        raise OutputError(
            f"The unfinished video needs a temporary folder: {error.strerror}. Set TMPDIR to a "
            "folder that can be written to."
        ) from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sync(path: Path, flags: int) -> None:
    """Wait until a video, or the folder with its name, is on the disk and not in memory alone.

    Once per video: else a machine that loses its power soon after could have
    neither the old video nor the new one, whose segments go next.
    """
    if path.is_dir() and os.name == "nt":  # Windows opens no folder
        return
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(descriptor)


# ---- two jobs with one URL

BEAT_S = 10.0
"""Between two signs of life: 8640 requests of a day, some 4 cents."""

STALE_S = 45.0
"""Four signs that did not come. A job that is held up for longer loses its claim."""

_ROUNDS = 4
_POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that made a claim."""

    host: str
    processes: str
    pid: int
    started_s: float

    @classmethod
    def here(cls) -> Owner:
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
    """Another job's claim."""

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
    """This job's claim on one URL, from its making to `close`.

    Each job writes an object of its own, lists what is there and gives way to
    a claim that lives: right in every store that lists what was written before.
    One object with exclusive create (``mode="create"``) would not be: s3fs knows
    that to work on AWS alone, and a late sign of life could overwrite another
    job's claim.
    """

    def __init__(self, store: Store, target: Url) -> None:
        self._store = store
        self._target = target
        self._folder = target.with_name(target.name + ".lock")
        self._own = self._folder / secrets.token_hex(4)
        self._content = Owner.here().to_json()
        self._ended = threading.Event()
        self._is_lost = False
        self._beaten_s = 0.0
        try:
            self._take()
        except OSError as error:
            raise OutputError(f"{str(target)!r} cannot be written: {error.strerror}.") from error
        except KeyboardInterrupt:
            self.close()
            raise
        threading.Thread(target=self._beat, daemon=True, name="rayanim-claim").start()

    @property
    def is_held(self) -> bool:
        """False once it was closed, or another job may have taken the URL."""
        if self._ended.is_set() or self._is_lost:
            return False
        return time.monotonic() - self._beaten_s < STALE_S

    def close(self) -> None:
        """Let others have the URL; nothing if that was done before."""
        if not self._ended.is_set():
            self._ended.set()
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
            # Random, so that two jobs that gave way to each other do not meet again.
            time.sleep(random.uniform(0.0, 1.0))
        raise OutputError(_taken(self._target, "several others"))

    def _first_rival(self) -> Rival | None:
        """A claim whose job may live; those of jobs that ended are removed."""
        now = self._store.modified(self._own)
        for name in self._store.names(self._folder):
            url = self._folder / name
            then = None if url == self._own else self._store.modified(url)
            if now is None or then is None:
                continue
            rival = Rival(url, self._owner_of(url), (now - then).total_seconds())
            if not rival.is_over:
                return rival
            self._store.remove([url])
        return None

    def _owner_of(self, url: Url) -> Owner | None:
        try:
            return Owner.from_json(self._store.read(url))
        except FileNotFoundError:  # given up since it was listed
            return None

    def _wait_for(self, rival: Rival) -> None:
        """Wait until the rival's job has let go, or has shown no life for long enough."""
        _logger.warning(
            "%s is being written by %s. Waiting up to %.0f s to see whether that job still runs.",
            self._target,
            rival,
            STALE_S,
        )
        first, until_s = self._store.modified(rival.url), time.monotonic() + STALE_S - rival.age_s
        while time.monotonic() < until_s:
            time.sleep(_POLL_S)
            moment = self._store.modified(rival.url)
            if moment is None:
                return
            if moment != first:
                raise OutputError(_taken(self._target, str(rival)))
        self._store.remove([rival.url])

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S) and not self._is_lost:
            # A store that does not answer for a while: `is_held` shows when it was too long.
            with contextlib.suppress(OSError):
                if self._store.kind(self._own) is None:
                    self._is_lost = True
                else:
                    self._show_life()

    def _show_life(self) -> None:
        """Write the claim anew, unless that came so late that another job took the URL.

        It may have removed the claim while the store did not answer, so that
        this has made it again; as it has where the job ended meanwhile.
        """
        began_s = time.monotonic()
        self._store.write(self._own, self._content)
        is_late = time.monotonic() - self._beaten_s > STALE_S
        if self._ended.is_set() or (is_late and self._first_rival() is not None):
            self._is_lost = True
            self._store.remove([self._own])
        else:
            self._beaten_s = began_s


def _taken(address: Address, by: str = "") -> str:
    whom = f": {by}" if by else ""
    return f"Another job is writing {str(address)!r}{whom}. Wait for it, or choose another name."


def _processes() -> str:
    """Which boot of which machine, and which of its containers."""
    names = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            file = Path(path)
            names.append(str(file.readlink() if file.is_symlink() else file.read_text().strip()))
    return " ".join([socket.gethostname(), *names])
