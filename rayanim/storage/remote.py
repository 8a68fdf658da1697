"""Reaches a store of objects through fsspec: every call ends, and says why it failed.

What a client raises comes out as an `OSError` whose ``strerror`` is a sentence
for people, as a disk's would be.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rayanim.errors import OutputError
from rayanim.storage.address import Url
from rayanim.storage.checksum import FileDigests, digests_of, is_one_of
from rayanim.storage.limits import PAUSES_S, persistently
from rayanim.storage.refusals import Refusal, family_of, is_about_bucket, refusal_of

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")

CALL_LIMIT_S = 60.0
"""A part has megabytes at most, a listing of 10,000 names ten pages."""

FIRST_CALL_LIMIT_S = 20.0
"""Until it is known that the store answers at all: tried once."""

SLOWEST_BYTES_PER_S = 250_000
"""An upload that is slower has stalled."""

PATIENCE_S = CALL_LIMIT_S * (len(PAUSES_S) + 2) + sum(PAUSES_S)
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

    Parameters
    ----------
    protocol
        ``s3``, ``gs`` and so on.
    options
        fsspec's storage options.

    Raises
    ------
    OutputError
        If there is no client for the protocol, or it refuses the options.
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
        return PATIENCE_S

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
        """What is at `url`, ``file`` or ``directory``; None for nothing. The first call.

        Raises
        ------
        OSError
            If the store does not answer, or refuses.
        """
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
        """The bytes of an object; so many from its beginning where `limit_bytes` is not negative.

        Raises
        ------
        OSError
            A FileNotFoundError where there is none.
        """
        end = None if limit_bytes < 0 else limit_bytes
        data: bytes = self._call(url, lambda: self._client.cat_file(url.text, start=None, end=end))
        return data

    def write(self, url: Url, data: bytes, *, is_first: bool = False) -> None:
        """Write an object whole or not at all; one that is there is replaced.

        Parameters
        ----------
        url, data
            Where, and what.
        is_first
            Whether it is not known yet that the store takes anything: tried once.
        """
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
        """Put a file of this machine at `url`, whole or not at all, and see that it arrived.

        Raises
        ------
        OSError
            If it could not be put there, or something else is there then.
        """
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
