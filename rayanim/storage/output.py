"""Where a video goes: checked before work starts, replaced whole or left as it was."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import random
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Address, Url
from rayanim.storage.lock import FileLock, removed_on_failure, why
from rayanim.storage.store import RemoteStore, family_of

if TYPE_CHECKING:
    from rayanim.storage.store import DiskFolder, Folder, RemoteFolder

_logger = logging.getLogger("rayanim")


class Target(Protocol):
    """The place of one finished video or still."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def parts(self) -> Folder:
        """Where the parts of the video lie until it is whole."""

    def exists(self) -> bool:
        """Whether something is there already."""

    def check_early(self, *, overwrite: bool) -> None:
        """`check`, as far as it needs nothing that a script says, and no network."""

    def check(self, *, overwrite: bool) -> None:
        """See that a video can be put there."""

    def claimed(self) -> AbstractContextManager[None]:
        """Keep other jobs from it, for longer than `part` does where that is needed."""

    def part(self) -> AbstractContextManager[Path]:
        """The file to write while the video is not finished; it takes its place at the end.

        It is of this machine, and goes when the job fails.
        """


def target_at(address: Address, storage_options: Mapping[str, Any] | None = None) -> Target:
    """The target at an address."""
    if isinstance(address, Url):
        return RemoteTarget(address, storage_options)

    return DiskTarget(address)


def check_whole(part: Path, file_bytes: int) -> None:
    """See that the file that is to take its place is the one that the encoder finished."""
    found_bytes = part.stat().st_size if part.exists() else None
    if found_bytes != file_bytes:
        raise EncodeError(
            f"The encoder finished {file_bytes} bytes, but {str(part)!r} has {found_bytes}. Does "
            "something else write or remove it?"
        )


class DiskTarget:
    """A file on a disk; see `rayanim.storage.output.Target`."""

    def __init__(self, address: Path) -> None:
        self.address = address

    @property
    def parts(self) -> DiskFolder:
        """The folder beside the file that the path leads to: ``video.mp4.parts``."""
        from rayanim.storage.store import DiskFolder

        real = _without_links(self.address)
        return DiskFolder(real.with_name(real.name + ".parts"))

    def exists(self) -> bool:
        """Whether something is there already."""
        return self.address.exists()

    def check_early(self, *, overwrite: bool) -> None:
        """`check`, where something is there."""
        if self.exists():
            self.check(overwrite=overwrite)

    def check(self, *, overwrite: bool) -> None:
        """Make the file's folder and see that a file can be put there."""
        path = self.address
        try:
            real = _without_links(path)
            is_folder, exists = real.is_dir(), real.exists()
        except (OSError, ValueError) as error:
            raise OutputError(f"{str(path)!r} cannot be a file: {why(error)}.") from error
        if is_folder:
            raise OutputError(f"{str(path)!r} is a folder. Name a file in it, such as video.mp4.")
        if exists and not overwrite:
            raise OutputError(
                f"{str(path)!r} exists. Choose another name, or allow replacing it: "
                "overwrite=True, or -y on the command line."
            )
        _make_writable(real.parent)

    def claimed(self) -> contextlib.AbstractContextManager[None]:
        """Nothing more: `part` locks the file, and the folder of parts has a lock of its own."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """The file beside it, renamed over it at the end.

        It is locked, so that two jobs with one target do not write into each
        other's. It goes when the job fails.
        """
        path = _without_links(self.address)
        part = path.with_name(path.name + ".part")
        # Not truncated by the lock: until it is ours, it may be another job's.
        taken = f"Another job is writing {str(part)!r}. Wait for it, or choose another name."
        # Only once it is locked is the file ours to remove.
        with contextlib.closing(FileLock(part, taken)), removed_on_failure(part):
            yield part
            _rename(part, path)


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {str(folder)!r} cannot be made: {why(error)}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {str(folder)!r} is not writable.")


def _rename(part: Path, path: Path) -> None:
    try:
        _write_through(part, os.O_RDWR)
        part.replace(path)
        # It is there; a folder that may be written, but not read, cannot be waited for.
        with contextlib.suppress(PermissionError):
            _write_through(path.parent, os.O_RDONLY)
    except OSError as error:
        raise EncodeError(
            f"The finished video could not be put at {str(path)!r}: {error.strerror}."
        ) from error


def _write_through(path: Path, flags: int) -> None:
    """Wait until a video, or the folder with its name, is on the disk and not in memory alone.

    Once per video: else a machine that loses its power soon after could have
    neither the old video nor the new one, whose parts go next.
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


def _without_links(path: Path) -> Path:
    """The file that `path` leads to, absolute.

    An actor that writes it may run in another working folder, and renaming
    over a link would replace the link.
    """
    return Path(os.path.realpath(path))


BEAT_S = 10.0
"""Between two signs of life: 8640 requests of a day, some 4 cents."""

STALE_S = 45.0
"""Four signs that did not come. A job that is held up for longer loses its claim."""

_ROUNDS = 4
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a claim."""

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
    """This job's claim on one address, from `take` to `close`."""

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
        """Claim the address, and show life from then on."""
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
        """Wait until the rival's job has let go, or has shown no life for long enough."""
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


_WITH_BUCKETS = {"s3", "gs", "az"}


class RemoteTarget:
    """An object in a store; see `rayanim.storage.output.Target`."""

    def __init__(self, address: Url, storage_options: Mapping[str, Any] | None = None) -> None:
        self.address = address
        _check_named(address)
        self._store = RemoteStore(address.protocol, storage_options)
        self._claim = Claim(self._store, address)

    @property
    def parts(self) -> RemoteFolder:
        """What lies below ``video.mp4.parts``."""
        from rayanim.storage.store import RemoteFolder

        path = self.address.with_name(self.address.name + ".parts")
        return RemoteFolder(self._store, path, self._claim)

    def exists(self) -> bool:
        """Whether something is there already."""
        return self._kind() is not None

    def check_early(self, *, overwrite: bool) -> None:
        """Nothing: a script may give storage options, and a client is there."""

    def check(self, *, overwrite: bool) -> None:
        """Ask the store; that it takes what is written, `claimed` shows."""
        kind, name = self._kind(), str(self.address)
        if kind == "directory":
            raise OutputError(f"{name!r} is a folder. Name a file in it, such as video.mp4.")
        if kind is not None and not overwrite:
            raise OutputError(
                f"{name!r} exists. Choose another name, or allow replacing it: "
                "overwrite=True, or -y on the command line."
            )

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other jobs from the video and its parts."""
        with contextlib.closing(self._claim):
            self._claim.take()
            yield

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """A file in the folder of temporary files, uploaded at the end."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(_temporary_folder()))
            part = folder / (self.address.name + ".part")
            with removed_on_failure(part):
                yield part
                self._publish(part)
            part.unlink()

    def _publish(self, part: Path) -> None:
        """Put the finished video in its place."""
        if not self._claim.is_held:
            raise EncodeError(
                f"This job was cut off from {str(self.address)!r} for so long that another one "
                "may write it now. Nothing was put there. Resume when no other job does."
            )
        _logger.info("Uploading %d bytes to %s.", part.stat().st_size, self.address)
        try:
            self._store.upload(part, self.address)
        except OSError as error:
            video = part.rename(part.with_name(self.address.name))
            raise EncodeError(
                f"The finished video could not be put at {str(self.address)!r}: "
                f"{error.strerror}. It is kept in {str(video)!r}: copy it from there."
            ) from error

    def _kind(self) -> str | None:
        try:
            return self._store.look(self.address)
        except OSError as error:
            raise OutputError(
                f"{str(self.address)!r} cannot be written: {error.strerror}."
            ) from error


def _check_named(address: Url) -> None:
    if family_of(address.protocol) in _WITH_BUCKETS and "/" not in address.rest:
        raise OutputError(
            f"{str(address)!r} names a bucket alone. Name a file in it, such as "
            f"{str(address / 'video.mp4')!r}."
        )
    if not address.name:
        raise OutputError(f"{str(address)!r} is a folder. Name a file in it, such as video.mp4.")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder that goes at the end, unless something is in it then."""
    try:
        folder = tempfile.mkdtemp(prefix="rayanim-")
    except OSError as error:
        raise OutputError(
            f"No folder for the unfinished video: {error.strerror}. Set TMPDIR."
        ) from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
