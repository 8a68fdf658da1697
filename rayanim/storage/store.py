"""Reads and writes files by their address: on this machine's disks, or in a store through fsspec.

Every call to a store has a time limit and is tried again where that may help. What fails raises an
`OSError` whose ``strerror`` is a sentence for people, as a disk's is.
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
from typing import Any, NamedTuple, TypeVar

from rayanim.errors import OutputError
from rayanim.storage.address import Address, Url

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

# ---- what a failure of a store means

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and its key",
}
"""What to set, by protocol."""

EXTRAS = {"s3": ("s3fs", "rayanim[s3]"), "gs": ("gcsfs", "rayanim[gcs]"), "az": ("adlfs", "adlfs")}
"""The client and what installs it, by protocol."""

_FAMILIES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}

# By name: the clients' libraries are not imported to compare with their classes.
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "DefaultCredentialsError",
    "RefreshError",
}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "ClientConnectorError",
    "ConnectionRefusedError",
}
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
_LASTING_NUMBERS = {
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.EPERM,
    errno.ENOSYS,
    errno.EMSGSIZE,
    errno.EROFS,
}
# The stores' own words; a name in the message may hold the word alone.
_NO_BUCKET = ("bucket does not exist", "container does not exist", "nosuchbucket")


class Refusal(NamedTuple):
    """What is said of a failure, and whether trying again is of no use."""

    number: int
    text: str
    is_lasting: bool


def family_of(protocol: str) -> str:
    """One name for all protocols of a store."""
    return _FAMILIES.get(protocol, protocol)


def refusal_of(
    error: BaseException, protocol: str, bucket: str, *, is_writing: bool = False
) -> Refusal:
    """What `error`, of a store's client, means."""
    names = {cls.__name__ for cls in type(error).__mro__}
    message = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if names & _NO_CREDENTIALS:
        what = CREDENTIALS.get(family_of(protocol), "what its client reads them from")
        return Refusal(errno.EACCES, f"there are no credentials ({message}). Set {what}", True)
    if names & _UNREACHABLE:
        return Refusal(errno.EHOSTUNREACH, f"the store cannot be reached ({message})", False)
    if isinstance(error, PermissionError):
        text = f"the store refuses access: {message}. Are the credentials right, and may they write"
        return Refusal(errno.EACCES, text, True)
    if isinstance(error, FileNotFoundError):
        if is_writing or _is_about_bucket(error):
            text = f"there is no bucket {bucket!r}. Make it first, or correct its name"
            return Refusal(errno.ENOENT, text, True)
        return Refusal(errno.ENOENT, "it is not there", True)
    if isinstance(error, TimeoutError):
        return Refusal(errno.ETIMEDOUT, f"the store did not answer ({message})", False)
    number = getattr(error, "errno", None)
    is_lasting = isinstance(error, _LASTING) or number in _LASTING_NUMBERS
    return Refusal(number if isinstance(number, int) else errno.EIO, message, is_lasting)


def _is_about_bucket(error: BaseException) -> bool:
    message = str(error).lower()
    return any(words in message for words in _NO_BUCKET)


# ---- calls that end

PAUSES_S = (0.5, 2.0, 5.0)
"""Between tries; clients of stores try again by themselves, more quickly."""

CALL_LIMIT_S = 60.0
"""A segment file has megabytes at most, a listing of 10,000 names ten pages."""

FIRST_CALL_LIMIT_S = 20.0
"""Until it is known that the store answers at all: tried once."""

SLOWEST_BYTES_PER_S = 250_000
"""An upload that is slower has stalled."""

REMOTE_PATIENCE_S = CALL_LIMIT_S * (len(PAUSES_S) + 2) + sum(PAUSES_S)
"""All tries of a call and the pauses between them, and one for what waits before it."""

DISK_PATIENCE_S = 120.0
"""A disk may be busy with other things for so long."""

WIDTH = 16
"""Calls under way at once, where a client allows it. At 50 ms each that is 320 segments in a
second, and 16 segments in memory: 32 MB where one has 2 MB, 250 frames at 2 Mbit/s."""


def within(limit_s: float, call: Callable[[], ResultT]) -> ResultT:
    """What `call` gives, in a thread of its own that is left behind if it takes too long."""
    outcome: Future[ResultT] = Future()

    def settle() -> None:
        try:
            outcome.set_result(call())
        # Whatever it is, it belongs to who waits.
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=settle, daemon=True, name="rayanim-store").start()
    if not wait([outcome], limit_s).done:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {limit_s:.0f} s")
    return outcome.result()


def persistently(
    call: Callable[[], ResultT],
    explain: Callable[[BaseException], Refusal],
    *,
    limit_s: float,
    pauses_s: tuple[float, ...],
) -> ResultT:
    """What `call` gives, tried once more after each pause unless its refusal is lasting."""
    pauses = iter(pauses_s)
    while True:
        try:
            return within(limit_s, call)
        # A client may raise anything; what it is, `explain` says.
        except Exception as error:
            refusal, pause_s = explain(error), next(pauses, None)
            if refusal.is_lasting or pause_s is None:
                # Python makes a FileNotFoundError of ENOENT, and so on.
                raise OSError(refusal.number, refusal.text) from error
            time.sleep(pause_s)


# ---- the store

_FIRST: dict[str, Any] = {"limit_s": FIRST_CALL_LIMIT_S, "pauses_s": ()}

_ATOMIC = {"s3", "gs", "az", "memory", "oss", "oci"}
"""Stores where an object is there whole or not at all. Elsewhere files are renamed."""

# What clients read, which an actor does not inherit from the driver.
_CLIENT_VARIABLES = (
    "AWS_",
    "S3_",
    "GOOGLE_",
    "GCSFS_",
    "AZURE_",
    "FSSPEC_",
    "STORAGE_EMULATOR_HOST",
)

_READ_BACK_BYTES = 8 * 2**20


class Store:
    """The disks of this machine (``file``), or the store of a protocol that fsspec knows.

    It pickles, with the environment variables that its client reads: they are
    set in the other process unless it has its own.
    """

    pauses_s = PAUSES_S
    """Between tries of what the store once took."""

    def __init__(self, protocol: str = "file", options: Mapping[str, Any] | None = None) -> None:
        self._protocol = protocol
        self._options = dict(options or {})
        self._open()

    def _open(self) -> None:
        self.is_on_disk = self._protocol == "file"
        self._client: Any = Disk() if self.is_on_disk else _client(self._protocol, self._options)
        self.width = WIDTH if getattr(self._client, "async_impl", False) else 1
        """How many calls are worth having under way at once."""
        self.patience_s = DISK_PATIENCE_S if self.is_on_disk else REMOTE_PATIENCE_S
        """Seconds after which a call has failed, with all its tries."""

    def __getstate__(self) -> dict[str, Any]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_CLIENT_VARIABLES) and not self.is_on_disk
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

    def kind(self, address: Address, *, is_first: bool = False) -> str | None:
        """What is there: ``file``, ``directory``, ``link`` or ``other``; None for nothing."""

        def found() -> str | None:
            self._client.invalidate_cache()
            try:
                return str(self._client.info(str(address))["type"])
            except (FileNotFoundError, NotADirectoryError) as error:
                if _is_about_bucket(error):
                    raise
                return None

        return self._call(address, found, **(_FIRST if is_first else {}))

    def names(self, folder: Address) -> list[str]:
        """The names in a folder; in a store, one that is not there is empty."""

        def listed() -> list[str]:
            self._client.invalidate_cache()
            try:
                found = self._client.ls(str(folder), detail=False)
            except FileNotFoundError as error:
                if self.is_on_disk or _is_about_bucket(error):
                    raise
                return []
            names = (str(each).rstrip("/").rpartition("/")[2] for each in found)
            return [name for name in names if name and (self.is_on_disk or name != folder.name)]

        return self._call(folder, listed)

    def read(self, address: Address, limit_bytes: int | None = None) -> bytes:
        """The bytes of a file, or the first ones."""

        def content() -> bytes:
            # By name: the clients' third argument is not the same in all of them.
            data: bytes = self._client.cat_file(str(address), start=None, end=limit_bytes)
            return data

        return self._call(address, content)

    def write(self, address: Address, data: bytes, *, is_first: bool = False) -> None:
        """Write a file whole or not at all; one that is there is replaced."""
        limits = _FIRST if is_first else {}
        self._call(
            address, lambda: self._client.pipe_file(str(address), data), is_writing=True, **limits
        )

    def remove(self, addresses: Iterable[Address]) -> None:
        """Remove files, as far as that is possible."""
        for _ in self.each(self._removed, addresses):
            pass

    def make_folder(self, folder: Address) -> None:
        """Make a folder; in a store it is there as soon as something is in it."""
        if self.is_on_disk:
            Path(str(folder)).mkdir(exist_ok=True)

    def remove_folder(self, folder: Address) -> None:
        """Remove a folder if it is empty; in a store it is gone by then."""
        if self.is_on_disk:
            with contextlib.suppress(OSError):
                Path(str(folder)).rmdir()

    def move(self, folder: Address, to: Address, *, last: str) -> None:
        """Give a folder a name that nothing has; a store copies what is in it, and `last` last.

        Wherever that is interrupted, one of the two is whole, and the other has
        no `last` or is as whole.
        """
        if self.is_on_disk:
            self._client.mv(str(folder), str(to))
            return
        names = self.names(folder)
        groups = [
            [name for name in names if (name == last) == is_last] for is_last in (False, True)
        ]
        for some in groups:
            for _ in self.each(lambda name: self._copied(folder / name, to / name), some):
                pass
        for some in reversed(groups):
            self.remove(folder / name for name in some)

    def modified(self, url: Url) -> datetime | None:
        """When an object was written, by the store's clock; None where it is not there."""

        def found() -> datetime:
            self._client.invalidate_cache()
            moment: datetime = self._client.modified(url.text)
            return moment

        try:
            return self._call(url, found)
        except FileNotFoundError:
            return None

    def upload(self, path: Path, url: Url) -> None:
        """Put a file of this machine at `url`, whole or not at all, and see that it arrived."""
        digests = digests_of(path)
        limit_s = CALL_LIMIT_S + digests.size_bytes / SLOWEST_BYTES_PER_S
        is_atomic = family_of(self._protocol) in _ATOMIC
        first = url if is_atomic else url.with_name(url.name + ".part")
        self._call(
            url,
            lambda: self._client.put_file(str(path), first.text),
            limit_s=limit_s,
            is_writing=True,
        )
        if not is_atomic:
            self._call(url, lambda: self._moved(first, url))
        self._check_arrived(url, digests)

    def each(self, call: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
        """What `call` gives for each item, in order; at most `width` are under way or wait."""
        if self.width == 1:
            yield from map(call, items)
            return
        with ThreadPoolExecutor(self.width, thread_name_prefix="rayanim-store") as executor:
            waiting = []
            try:
                for item in items:
                    waiting.append(executor.submit(call, item))
                    if len(waiting) == self.width:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                for each in waiting:
                    each.cancel()

    def _copied(self, source: Address, to: Address) -> None:
        def copied() -> bool:
            try:
                self._client.cp_file(str(source), str(to))
            except NotImplementedError:
                return False
            return True

        if not self._call(source, copied):
            self.write(to, self.read(source))

    def _moved(self, url: Url, other: Url) -> None:
        # Gone if an earlier try moved it and the answer was lost: what is there then decides.
        with contextlib.suppress(FileNotFoundError):
            self._client.mv(url.text, other.text)

    def _removed(self, address: Address) -> None:
        with contextlib.suppress(OSError):
            self._call(address, lambda: self._client.rm_file(str(address)))

    def _check_arrived(self, url: Url, digests: FileDigests) -> None:
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
        blocks = self._blocks(url, digests.size_bytes)
        if digests_of(blocks).whole != digests.whole:
            raise OSError(errno.EIO, "what is there is not what was uploaded")

    def _blocks(self, url: Url, size_bytes: int) -> Iterator[bytes]:
        def block(start: int) -> bytes:
            stop = min(start + _READ_BACK_BYTES, size_bytes)
            data: bytes = self._client.cat_file(url.text, start=start, end=stop)
            return data

        for start in range(0, size_bytes, _READ_BACK_BYTES):
            yield self._call(url, lambda start=start: block(start))  # type: ignore[misc]

    def _call(
        self,
        address: Address,
        call: Callable[[], ResultT],
        *,
        limit_s: float = CALL_LIMIT_S,
        pauses_s: tuple[float, ...] | None = None,
        is_writing: bool = False,
    ) -> ResultT:
        if not isinstance(address, Url):
            return call()

        def explain(error: BaseException) -> Refusal:
            return refusal_of(error, address.protocol, address.bucket, is_writing=is_writing)

        pauses_s = self.pauses_s if pauses_s is None else pauses_s
        return persistently(call, explain, limit_s=limit_s, pauses_s=pauses_s)


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


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


class Disk:
    """This machine's disks, with those methods of a client of fsspec's that `Store` calls.

    fsspec's own LocalFileSystem follows links, waits for pipes and writes in
    place, and its import takes 68 ms, a fifth of what a short video takes.
    """

    def invalidate_cache(self) -> None:
        """Nothing is kept."""

    def info(self, path: str) -> dict[str, str]:
        mode = Path(path).lstat().st_mode
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        return {"type": kinds.get(stat.S_IFMT(mode), "other")}

    def ls(self, path: str, *, detail: bool) -> list[str]:
        return os.listdir(path)  # noqa: PTH208 - names are wanted

    def cat_file(self, path: str, *, start: None, end: int | None) -> bytes:
        # A pipe would keep the job waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _NO_LINKS | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no plain file")
            return file.read(end)

    def pipe_file(self, path: str, data: bytes) -> None:
        """Write a file under another name and rename it, so that it is whole or not there.

        Nothing waits for the disk: after a power failure the file may be there
        and cut short, so what is in it must prove itself.
        """
        # Its own for each writer: two that write the same file do not mix.
        unfinished = Path(f"{path}.{secrets.token_hex(4)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY
        try:
            with os.fdopen(os.open(unfinished, flags, 0o666), "wb") as file:
                file.write(data)
            unfinished.replace(path)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def rm_file(self, path: str) -> None:
        Path(path).unlink()

    def mv(self, path: str, to: str) -> None:
        Path(path).rename(to)


# ---- what arrived

PIECE_BYTES = 50 * 2**20
"""In which s3fs uploads; the ETag of such an upload is made of the pieces' digests."""

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileDigests:
    """MD5 digests of a file in the forms that stores give."""

    size_bytes: int
    whole: bytes
    in_pieces: str


def digests_of(content: Path | Iterable[bytes]) -> FileDigests:
    """The digests of a file, or of bytes that come in blocks no longer than a piece."""
    # MD5 shows transmission errors here, and is what stores have.
    whole, piece, pieces = md5(usedforsecurity=False), md5(usedforsecurity=False), []
    size_bytes = 0
    for block in _blocks_of(content) if isinstance(content, Path) else content:
        whole.update(block)
        left_bytes = PIECE_BYTES - size_bytes % PIECE_BYTES
        piece.update(block[:left_bytes])
        size_bytes += len(block)
        if len(block) >= left_bytes:
            pieces.append(piece.digest())
            piece = md5(block[left_bytes:], usedforsecurity=False)
    if size_bytes % PIECE_BYTES:
        pieces.append(piece.digest())
    joined = md5(b"".join(pieces), usedforsecurity=False).hexdigest()
    return FileDigests(size_bytes, whole.digest(), f"{joined}-{len(pieces)}")


def is_one_of(info: Mapping[str, Any], digests: FileDigests) -> bool:
    """Whether a store's description of an object names one of `digests`.

    False says nothing: an encrypted object's ETag is no digest of its content.
    """
    known = {digests.whole.hex(), base64.b64encode(digests.whole).decode(), digests.in_pieces}
    given = (info.get(name) for name in ("ETag", "etag", "md5Hash", "content_md5"))
    return any(isinstance(each, str) and each.strip('"') in known for each in given)


def _blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


# ---- room on the disk


def check_space(folder: Path, needed_bytes: int) -> None:
    """See that a folder's disk has room."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        total_bytes, _used_bytes, free_bytes = shutil.disk_usage(there)
    except OSError:  # writing will show
        return
    # Some file systems of networks do not know their size.
    if total_bytes and free_bytes < needed_bytes:
        raise OutputError(
            f"The disk of {str(folder)!r} has {free_bytes / 2**20:,.1f} MB free, but the video and "
            f"its segments need about {needed_bytes / 2**20:,.1f} MB more. Free some space, or "
            "write elsewhere."
        )
