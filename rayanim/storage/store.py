"""Reaches a store of objects through fsspec: every call ends, and says why it failed.

What a client raises comes out as an `OSError` whose ``strerror`` is a sentence
for people, as a disk's would be.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from rayanim.errors import EncodeError, OutputError, PartsError
from rayanim.storage.address import Address, Url
from rayanim.storage.lock import FileLock

PIECE_BYTES = 50 * 2**20
"""In which s3fs uploads; the ETag of such an upload is made of the pieces' digests."""

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileDigests:
    """MD5 digests of a file in the forms that stores give."""

    size_bytes: int
    whole: bytes
    in_pieces: str

    @property
    def forms(self) -> set[str]:
        """What a store may call the file."""
        return {self.whole.hex(), base64.b64encode(self.whole).decode(), self.in_pieces}


def digests_of(content: Path | Iterable[bytes]) -> FileDigests:
    """The digests of a file, or of bytes that come in blocks; read once, a block at a time."""
    # MD5 tells transmission errors here, and is what stores have.
    whole, piece, pieces = md5(usedforsecurity=False), md5(usedforsecurity=False), []
    size_bytes = 0
    for block in _blocks(content) if isinstance(content, Path) else content:
        whole.update(block)
        for part in _cut(block, PIECE_BYTES - size_bytes % PIECE_BYTES):
            piece.update(part)
            size_bytes += len(part)
            if size_bytes % PIECE_BYTES == 0:
                pieces.append(piece.digest())
                piece = md5(usedforsecurity=False)
    if size_bytes % PIECE_BYTES:
        pieces.append(piece.digest())
    joined = md5(b"".join(pieces), usedforsecurity=False).hexdigest()
    return FileDigests(size_bytes, whole.digest(), f"{joined}-{len(pieces)}")


def is_one_of(info: Mapping[str, Any], digests: FileDigests) -> bool:
    """Whether a store's description of an object names one of `digests`.

    False says nothing: an encrypted object's ETag is no digest of its content.
    """
    told = (info.get(name) for name in ("ETag", "etag", "md5Hash", "content_md5"))
    return any(isinstance(each, str) and each.strip('"') in digests.forms for each in told)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _cut(block: bytes, first_bytes: int) -> Iterator[bytes]:
    """`block` in two where a piece ends within it; it is no longer than a piece."""
    yield block[:first_bytes]
    if len(block) > first_bytes:
        yield block[first_bytes:]


_LASTING_NUMBERS = (
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.EPERM,
    errno.ENOSYS,
    errno.EMSGSIZE,
    errno.EROFS,
)
_LASTING = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    ValueError,
    TypeError,
    AttributeError,
)

# By name: the clients' libraries are not imported to compare with their classes.
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "DefaultCredentialsError",
    "RefreshError",
)
_UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "ClientConnectorError",
    "ConnectionRefusedError",
)

# The stores' own words; a name in the message may hold the word alone.
_NO_BUCKET = ("bucket does not exist", "container does not exist", "nosuchbucket")

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and its key",
}
"""What to set, by protocol."""

FAMILIES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
"""Other protocols of the same stores."""


def family_of(protocol: str) -> str:
    """One name for all protocols of a store."""
    return FAMILIES.get(protocol, protocol)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is said of a failure."""

    number: int
    text: str
    is_lasting: bool

    def as_error(self) -> OSError:
        """The same, to be raised; Python makes a FileNotFoundError of ENOENT, and so on."""
        return OSError(self.number, self.text)


def refusal_of(
    error: BaseException, protocol: str, bucket: str, *, is_writing: bool = False
) -> Refusal:
    """What `error`, of a store's client, means."""
    names = {cls.__name__ for cls in type(error).__mro__}
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if not names.isdisjoint(_NO_CREDENTIALS):
        what = CREDENTIALS.get(family_of(protocol), "what its client reads them from")
        return Refusal(errno.EACCES, f"there are no credentials ({said}). Set {what}", True)
    if not names.isdisjoint(_UNREACHABLE):
        return Refusal(errno.EHOSTUNREACH, f"the store cannot be reached ({said})", False)
    if isinstance(error, PermissionError):
        text = f"the store refuses access: {said}. Are the credentials right, and may they write"
        return Refusal(errno.EACCES, text, True)
    if isinstance(error, FileNotFoundError):
        if is_writing or is_about_bucket(error):
            text = f"there is no bucket {bucket!r}. Make it first, or correct its name"
            return Refusal(errno.ENOENT, text, True)
        return Refusal(errno.ENOENT, "it is not there", True)
    if isinstance(error, TimeoutError):
        return Refusal(errno.ETIMEDOUT, f"the store did not answer ({said})", False)
    number = getattr(error, "errno", None)
    lasting = isinstance(error, _LASTING) or number in _LASTING_NUMBERS
    return Refusal(number if isinstance(number, int) else errno.EIO, said, lasting)


def is_about_bucket(error: BaseException) -> bool:
    """Whether what is missing is the bucket, and not an object in it."""
    said = str(error).lower()
    return any(words in said for words in _NO_BUCKET)


ResultT = TypeVar("ResultT")

PAUSES_S = (0.5, 2.0, 5.0)
"""Between tries; clients of stores try again by themselves, more quickly."""


def within(limit_s: float, call: Callable[[], ResultT]) -> ResultT:
    """What `call` gives, in a thread of its own that is left behind if it takes too long."""
    outcome: Future[ResultT] = Future()
    threading.Thread(
        target=_settle, args=(call, outcome), daemon=True, name="rayanim-store"
    ).start()
    if not wait([outcome], limit_s).done:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {limit_s:.0f} s")
    return outcome.result()


def _settle(call: Callable[[], ResultT], outcome: Future[ResultT]) -> None:
    try:
        outcome.set_result(call())
    # Whatever it is, it belongs to who waits.
    except BaseException as error:
        outcome.set_exception(error)


def persistently(
    call: Callable[[], ResultT],
    explain: Callable[[BaseException], Refusal],
    *,
    limit_s: float,
    pauses_s: tuple[float, ...],
) -> ResultT:
    """What `call` gives, tried once more after each pause unless its refusal is lasting."""
    for pause_s in (*pauses_s, None):
        try:
            return within(limit_s, call)
        # A client may raise anything; what it is, `explain` says.
        except Exception as error:
            refusal = explain(error)
            if refusal.is_lasting or pause_s is None:
                raise refusal.as_error() from error
            time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


ItemT = TypeVar("ItemT")

CALL_LIMIT_S = 60.0
"""A part has megabytes at most, a listing of 10,000 names ten pages."""

FIRST_CALL_LIMIT_S = 20.0
"""Until it is known that the store answers at all: tried once."""

SLOWEST_BYTES_PER_S = 250_000
"""An upload that is slower has stalled."""

REMOTE_PATIENCE_S = CALL_LIMIT_S * (len(PAUSES_S) + 2) + sum(PAUSES_S)
"""All tries of a call and the pauses between them, and one for what waits before it."""

_FIRST: dict[str, Any] = {"limit_s": FIRST_CALL_LIMIT_S, "pauses_s": ()}

WIDTH = 16
"""Calls under way at once, where a client allows it. At 50 ms each that is 320 parts in a
second, and 16 parts in memory: 32 MB where one has 2 MB, 250 frames at 2 Mbit/s."""

EXTRAS = {"s3": ("s3fs", "rayanim[s3]"), "gs": ("gcsfs", "rayanim[gcs]"), "az": ("adlfs", "adlfs")}
"""The client and what installs it, by protocol."""

_ATOMIC = {"s3", "gs", "az", "memory", "oss", "oci"}
"""Stores where an object is there whole or not at all. Elsewhere files are renamed."""

# What clients read, which an actor does not inherit from the driver.
_TRAVELLING = ("AWS_", "S3_", "GOOGLE_", "GCSFS_", "AZURE_", "FSSPEC_", "STORAGE_EMULATOR_HOST")

_READ_BACK_BYTES = 8 * 2**20


class RemoteStore:
    """A store of objects.

    It pickles, with the environment variables that its client reads: they are
    set in the other process unless it has its own.
    """

    pauses_s = PAUSES_S
    """Between tries of what the store once took."""

    def __init__(self, protocol: str, options: Mapping[str, Any] | None = None) -> None:
        self._protocol = protocol
        self._options = dict(options or {})
        self._open()

    @property
    def patience_s(self) -> float:
        """Seconds after which a call has failed, with all its tries."""
        return REMOTE_PATIENCE_S

    def _open(self) -> None:
        self._client = _client(self._protocol, self._options)
        self.width = WIDTH if getattr(self._client, "async_impl", False) else 1
        """How many calls are worth having under way at once."""

    def __getstate__(self) -> dict[str, Any]:
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(_TRAVELLING)
        }
        return {
            "protocol": self._protocol,
            "options": self._options,
            "environment": environment,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state["environment"].items():
            os.environ.setdefault(name, value)
        self._protocol, self._options = state["protocol"], state["options"]
        self._open()

    def __repr__(self) -> str:
        # Options may hold secrets.
        return f"<{type(self).__name__} {self._protocol}>"

    def look(self, url: Url) -> str | None:
        """What is at `url`, ``file`` or ``directory``; None for nothing. The first call."""
        return self._kind(url, **_FIRST)

    def has(self, url: Url) -> bool:
        """Whether there is an object at `url`."""
        return self._kind(url) == "file"

    def names(self, url: Url) -> list[str]:
        """The names below `url`, of objects and of what has objects below; none is no error."""

        def listed() -> list[str]:
            self._client.invalidate_cache()
            try:
                found = self._client.ls(url.text, detail=False)
            except FileNotFoundError as error:
                if is_about_bucket(error):
                    raise
                return []
            names = (str(each).rstrip("/").rpartition("/")[2] for each in found)
            return [name for name in names if name and name != url.name]

        return self._call(url, listed)

    def read(self, url: Url, limit_bytes: int = -1) -> bytes:
        """The bytes of an object; the first ones where `limit_bytes` is not negative."""
        end = None if limit_bytes < 0 else limit_bytes
        data: bytes = self._call(url, lambda: self._client.cat_file(url.text, start=None, end=end))
        return data

    def write(self, url: Url, data: bytes, *, is_first: bool = False) -> None:
        """Write an object whole or not at all; one that is there is replaced."""
        limits = _FIRST if is_first else {}
        self._call(url, lambda: self._client.pipe_file(url.text, data), is_writing=True, **limits)

    def remove(self, urls: Iterable[Url]) -> None:
        """Take objects away, side by side, as far as that is possible."""
        for _ in self.each(self._removed, urls):
            pass

    def copy(self, source: Url, to: Url) -> None:
        """Copy an object within the store, through here where it cannot do so itself."""

        def copied() -> bool:
            try:
                self._client.cp_file(source.text, to.text)
            except NotImplementedError:
                return False
            return True

        if not self._call(source, copied):
            self.write(to, self.read(source))

    def modified(self, url: Url) -> datetime | None:
        """When an object was written, by the store's clock; None where it is not there."""

        def told() -> datetime:
            self._client.invalidate_cache()
            moment: datetime = self._client.modified(url.text)
            return moment

        try:
            return self._call(url, told)
        except FileNotFoundError:
            return None

    def upload(self, path: Path, url: Url) -> None:
        """Put a file of this machine at `url`, whole or not at all, and see that it arrived."""
        digests = digests_of(path)
        limit_s = CALL_LIMIT_S + digests.size_bytes / SLOWEST_BYTES_PER_S
        if family_of(self._protocol) in _ATOMIC:
            self._put_file(path, url, limit_s)
        else:
            beside = url.with_name(url.name + ".part")
            self._put_file(path, beside, limit_s)
            self._call(url, lambda: self._moved(beside, url))
        self._check_arrived(url, digests, limit_s)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in their order, some of them ahead of time."""
        return side_by_side(call, items, self.width)

    def _kind(self, url: Url, **limits: Any) -> str | None:
        def found() -> str | None:
            self._client.invalidate_cache()
            try:
                return str(self._client.info(url.text)["type"])
            except FileNotFoundError as error:
                if is_about_bucket(error):
                    raise
                return None

        return self._call(url, found, **limits)

    def _put_file(self, path: Path, url: Url, limit_s: float) -> None:
        def put() -> None:
            self._client.put_file(str(path), url.text)

        self._call(url, put, limit_s=limit_s, is_writing=True)

    def _moved(self, url: Url, other: Url) -> None:
        # It is gone where a try before moved it, of which no answer came: what is there then tells.
        with contextlib.suppress(FileNotFoundError):
            self._client.mv(url.text, other.text)

    def _removed(self, url: Url) -> None:
        with contextlib.suppress(OSError):
            self._call(url, lambda: self._client.rm_file(url.text))

    def _check_arrived(self, url: Url, digests: FileDigests, limit_s: float) -> None:
        def info() -> dict[str, Any]:
            self._client.invalidate_cache()
            return dict(self._client.info(url.text))

        found = self._call(url, info)
        size_bytes = found.get("size")
        if size_bytes != digests.size_bytes:
            raise OSError(
                errno.EIO, f"{digests.size_bytes} bytes were uploaded, but {size_bytes} are there"
            )
        if is_one_of(found, digests):
            return
        blocks = self._blocks(url, digests.size_bytes, limit_s)
        if digests_of(blocks).whole != digests.whole:
            raise OSError(errno.EIO, "what is there is not what was uploaded")

    def _blocks(self, url: Url, size_bytes: int, limit_s: float) -> Iterator[bytes]:
        for start in range(0, size_bytes, _READ_BACK_BYTES):
            stop = min(start + _READ_BACK_BYTES, size_bytes)
            # By name: the clients' third argument is not the same in all of them.
            yield self._call(
                url,
                lambda start=start, stop=stop: self._client.cat_file(  # type: ignore[misc]
                    url.text, start=start, end=stop
                ),
            )

    def _call(
        self,
        url: Url,
        call: Callable[[], ResultT],
        *,
        limit_s: float = CALL_LIMIT_S,
        pauses_s: tuple[float, ...] | None = None,
        is_writing: bool = False,
    ) -> ResultT:
        def explain(error: BaseException) -> Refusal:
            return refusal_of(error, url.protocol, url.bucket, is_writing=is_writing)

        pauses_s = self.pauses_s if pauses_s is None else pauses_s
        return persistently(call, explain, limit_s=limit_s, pauses_s=pauses_s)


def side_by_side(
    call: Callable[[ItemT], ResultT], items: Iterable[ItemT], width: int
) -> Iterator[ResultT]:
    """What `call` gives for each of `items`, in order; at most `width` are under way or wait.

    It cannot deadlock: a call waits for nobody but the store.
    """
    if width == 1:
        yield from map(call, items)
        return
    with ThreadPoolExecutor(width, thread_name_prefix="rayanim-store") as executor:
        waiting = []
        try:
            for item in items:
                waiting.append(executor.submit(call, item))
                if len(waiting) == width:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for each in waiting:
                each.cancel()


def _client(protocol: str, options: dict[str, Any]) -> Any:
    """The client of fsspec's for a protocol; nothing is asked of the store yet."""
    try:
        import fsspec

        client_class = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise OutputError(_what_to_install(protocol, error)) from error
    except ValueError as error:
        raise OutputError(
            f"{protocol}:// is no address that fsspec knows. Write to s3://, gs://, "
            "file:// or a path."
        ) from error
    try:
        # Its own, and without a memory of listings: other jobs write there too.
        return client_class(**{"use_listings_cache": False, **options}, skip_instance_cache=True)
    except Exception as error:  # of the client's own kinds, for options or for credentials
        refusal = refusal_of(error, protocol, "")
        raise OutputError(f"{protocol}:// cannot be used: {refusal.text}.") from error


def _what_to_install(protocol: str, error: ImportError) -> str:
    client, package = EXTRAS.get(family_of(protocol), (None, None))
    if client is None:
        return f"{protocol}:// needs a client library: {str(error).rstrip('.')}."
    return f"{protocol}:// needs the package {client}: pip install '{package}'."


DISK_PATIENCE_S = 120.0
"""A disk may be busy with other things for so long."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_space(folder: Path, needed_bytes: int) -> None:
    """See that a folder's disk has room."""
    try:
        total_bytes, _used_bytes, free_bytes = shutil.disk_usage(_existing(folder))
    except OSError:  # writing will tell
        return
    # Some file systems of networks do not know their size.
    if total_bytes and free_bytes < needed_bytes:
        raise OutputError(
            f"The disk of {str(folder)!r} has {_megabytes(free_bytes)} free, but the video and its "
            f"parts need about {_megabytes(needed_bytes)} more. Free some space, or write "
            "elsewhere."
        )


def expected_bytes(
    done_bytes: int,
    done_frames: int,
    total_frames: int,
    *,
    joined_bytes: int = 0,
    with_parts: bool = True,
) -> int:
    """How much is still to be written: the parts that are missing, and the rest of the video.

    Both are there at once, as the parts go when the video is whole. What is to
    come is taken to be like what is done.
    """
    if done_frames <= 0:
        return 0
    video_bytes = -(-done_bytes * total_frames // done_frames)
    parts_bytes = max(0, video_bytes - done_bytes) if with_parts else 0
    return parts_bytes + max(0, video_bytes - joined_bytes)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is whole or not there.

    Nothing waits for the disk: after a power failure the file may be there and
    cut short, so what is in it must prove itself.
    """
    # Its own for each writer: two that write the same file do not mix.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_new(part, data)
        part.replace(path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def read_plain(path: Path, limit_bytes: int = -1) -> bytes:
    """The bytes of a file that is neither a link nor anything but a file."""
    try:
        # A pipe would keep the job waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _NO_LINKS | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PartsError("it is no plain file")
            return file.read(limit_bytes)
    except OSError as error:
        raise PartsError(f"it cannot be read: {error.strerror}") from error


def _write_new(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)


def _explained(error: OSError, path: Path) -> EncodeError:
    if error.errno in _FULL:
        return EncodeError(
            f"The disk is full, or the file too large for it, at {str(path)!r} "
            f"({error.strerror}). Free some space; the parts that are finished stay."
        )
    return EncodeError(f"Cannot write {str(path)!r}: {error.strerror}.")


def _existing(folder: Path) -> Path:
    """`folder`, or the first folder above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _megabytes(count_bytes: int) -> str:
    return f"{count_bytes / 2**20:,.1f} MB"


LOCK = "lock"
"""The file that is locked, in the folder."""


@dataclass(frozen=True, slots=True)
class DiskFolder:
    """A folder on a disk; see `rayanim.storage.store.Folder`.

    Nothing is synced: what a power failure cut short must show that by itself.
    """

    path: Path
    is_on_disk = True
    width = 1
    patience_s = DISK_PATIENCE_S

    def beside(self, suffix: str) -> DiskFolder:
        """The folder of this name and `suffix`."""
        return DiskFolder(self.path.with_name(self.path.name + suffix))

    def exists(self) -> bool:
        """Whether anything is in its place, be it a broken link."""
        return os.path.lexists(self.path)

    def is_plain(self) -> bool:
        """Whether it is a folder, and no link to one."""
        return self.path.is_dir() and not self.path.is_symlink()

    def was_locked_by_us(self) -> bool:
        """Whether it has our empty lock."""
        lock = self.path / LOCK
        return lock.is_file() and not lock.is_symlink() and not lock.stat().st_size

    def make(self) -> None:
        """Make it, empty, where nothing is."""
        self.path.mkdir()

    def names(self) -> list[str]:
        """What is in it, folders too."""
        return [each.name for each in self.path.iterdir()]

    def has(self, name: str) -> bool:
        """Whether something of this name is in it."""
        return (self.path / name).exists()

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of a plain file; see `read_plain`."""
        return read_plain(self.path / name, limit_bytes)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; see `write_whole`."""
        write_whole(self.path / name, data)

    def remove(self, names: Iterable[str]) -> None:
        """Take files away, as far as that is possible."""
        for name in names:
            with contextlib.suppress(OSError):
                (self.path / name).unlink()

    def discard(self) -> bool:
        """Take it away if nothing is in it; False if it stays."""
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True

    def move_to(self, other: DiskFolder) -> None:
        """Give it another name, which nothing has."""
        self.path.rename(other.path)

    def lock(self) -> FileLock:
        """The lock of the folder, held until it is closed or this process ends."""
        taken = (
            f"Another job is using the parts in {str(self.path)!r}. Wait for it, or choose "
            "another name."
        )
        return FileLock(self.path / LOCK, taken)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, one after the other."""
        return map(call, items)


MANIFEST = "manifest.json"
"""The file without which parts count for nothing."""


class Lock(Protocol):
    """Held from its making until `close`, or until it is lost."""

    @property
    def is_held(self) -> bool:
        """False once it was closed, or another job may have it."""

    def close(self) -> None:
        """Let others have it; nothing if that was done before."""


class Folder(Protocol):
    """One folder of files, which need not exist. It pickles.

    What fails raises an `OSError` unless said otherwise; its ``strerror`` is
    for people.
    """

    @property
    def path(self) -> Address:
        """Where it is, for people."""

    @property
    def is_on_disk(self) -> bool:
        """Whether it takes room on this machine's disk."""

    @property
    def width(self) -> int:
        """How many files are worth reading or writing at once."""

    @property
    def patience_s(self) -> float:
        """Seconds that writing a file may take before something is wrong."""

    def beside(self, suffix: str) -> Self:
        """The folder of this name and `suffix`."""

    def exists(self) -> bool:
        """Whether anything is in its place."""

    def is_plain(self) -> bool:
        """Whether it is a folder, and no link to one."""

    def was_locked_by_us(self) -> bool:
        """Whether a lock in it shows that rayanim made it."""

    def make(self) -> None:
        """Make it, empty, where nothing is."""

    def names(self) -> list[str]:
        """What is in it."""

    def has(self, name: str) -> bool:
        """Whether a file of this name is in it."""

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of a plain file; so many of them where `limit_bytes` is not negative."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; one that is there is replaced."""

    def remove(self, names: Iterable[str]) -> None:
        """Take files away, as far as that is possible."""

    def discard(self) -> bool:
        """Take it away if nothing is in it; False if it stays."""

    def move_to(self, other: Self) -> None:
        """Give it another name, which nothing has."""

    def lock(self) -> Lock:
        """Keep other jobs from it."""

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in order, up to `width` of them ahead of time."""


class RemoteFolder:
    """A folder in a store; see `rayanim.storage.store.Folder`."""

    is_on_disk = False

    def __init__(self, store: RemoteStore, path: Url, guard: Lock | None = None) -> None:
        self.path = path
        self._store = store
        self._guard = guard

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_guard": None}

    @property
    def patience_s(self) -> float:
        """What all its tries may take, and as long again as one for what waits before them."""
        return self._store.patience_s

    @property
    def width(self) -> int:
        """How many files are worth reading or writing at once."""
        return self._store.width

    def beside(self, suffix: str) -> RemoteFolder:
        """The folder of this name and `suffix`."""
        path = self.path.with_name(self.path.name + suffix)
        return RemoteFolder(self._store, path, self._guard)

    def exists(self) -> bool:
        """Whether any object is in it, or has its name."""
        return self._store.look(self.path) is not None

    def is_plain(self) -> bool:
        """Whether any object is in it; in a store there are no links."""
        return bool(self._store.names(self.path))

    def was_locked_by_us(self) -> bool:
        """Nothing in the folder tells that: locks lie elsewhere."""
        return False

    def make(self) -> None:
        """Nothing: a folder is there as soon as something is in it."""

    def names(self) -> list[str]:
        """What is in it, folders too."""
        return self._store.names(self.path)

    def has(self, name: str) -> bool:
        """Whether there is an object of this name in it."""
        return self._store.has(self.path / name)

    def read(self, name: str, limit_bytes: int = -1) -> bytes:
        """The bytes of an object."""
        try:
            return self._store.read(self.path / name, limit_bytes)
        except OSError as error:
            raise PartsError(f"it cannot be read: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Write an object; it is in the store for good when this returns."""
        url = self.path / name
        try:
            self._store.write(url, data)
        except OSError as error:
            raise EncodeError(f"Cannot write {str(url)!r}: {error.strerror}.") from error

    def remove(self, names: Iterable[str]) -> None:
        """Take objects away, as far as that is possible; a manifest first."""
        for some in reversed(_manifest_last(names)):
            self._store.remove(self.path / name for name in some)

    def discard(self) -> bool:
        """Nothing to do: a folder is gone as soon as nothing is in it."""
        return True

    def move_to(self, other: RemoteFolder) -> None:
        """Copy all objects, and take them away here.

        Wherever this is interrupted, one of the two is whole, and the other
        counts for nothing or is as whole.
        """
        groups = _manifest_last(self.names())

        def copy(name: str) -> None:
            self._store.copy(self.path / name, other.path / name)

        for some in groups:
            for _ in self._store.each(copy, some):
                pass
        for some in reversed(groups):
            self.remove(some)

    def lock(self) -> Lock:
        """As long as the video is this job's, so is the folder of its parts."""
        if self._guard is not None and not self._guard.is_held:
            raise OutputError(f"Another job has taken {str(self.path)!r} over. Begin again.")
        return _Guarded(self._guard)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in order, up to `width` of them ahead of time."""
        return self._store.each(call, items)


class _Guarded:
    """A lock that another one implies."""

    def __init__(self, guard: Lock | None) -> None:
        self._guard = guard
        self._is_closed = False

    @property
    def is_held(self) -> bool:
        """False once it was closed, or the other one is lost."""
        return not self._is_closed and (self._guard is None or self._guard.is_held)

    def close(self) -> None:
        """The other one stays."""
        self._is_closed = True


def _manifest_last(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """`names` in two: what counts for nothing without a manifest, and that."""
    names = list(names)
    is_there = [MANIFEST] if MANIFEST in names else []
    return [name for name in names if name != MANIFEST], is_there
