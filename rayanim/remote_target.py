"""A film in a store of objects: joined on this machine, and uploaded when it is finished."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.address import Url
from rayanim.storage.claims import Claim
from rayanim.storage.refusals import family_of
from rayanim.storage.remote import RemoteStore
from rayanim.unfinished import removed_on_failure

if TYPE_CHECKING:
    from rayanim.parts.remote_folder import RemoteFolder

_logger = logging.getLogger("rayanim")

_WITH_BUCKETS = {"s3", "gs", "az"}


class RemoteTarget:
    """An object in a store; see `rayanim.target.Target`.

    Parameters
    ----------
    address
        The object's.
    storage_options
        What fsspec's client takes.

    Raises
    ------
    OutputError
        If there is no client for the store, or the address names no object.
    """

    def __init__(self, address: Url, storage_options: Mapping[str, Any] | None = None) -> None:
        self.address = address
        _check_named(address)
        self._store = RemoteStore(address.protocol, storage_options)
        self._claim = Claim(self._store, address)

    @property
    def parts(self) -> RemoteFolder:
        """What lies below ``film.mp4.parts``."""
        from rayanim.parts.remote_folder import RemoteFolder

        path = self.address.with_name(self.address.name + ".parts")
        return RemoteFolder(self._store, path, self._claim)

    def exists(self) -> bool:
        """Whether something is there already.

        Raises
        ------
        OutputError
            If the store does not tell.
        """
        return self._kind() is not None

    def check_early(self, *, overwrite: bool) -> None:
        """Nothing: a script may give storage options, and a client is there."""

    def check(self, *, overwrite: bool) -> None:
        """Ask the store; that it takes what is written, `claimed` shows.

        Raises
        ------
        OutputError
            If the store does not answer or refuses, or something is there
            although `overwrite` is False.
        """
        kind, name = self._kind(), str(self.address)
        if kind == "directory":
            raise OutputError(f"{name!r} is a folder. Name a file in it, such as film.mp4.")
        if kind is not None and not overwrite:
            raise OutputError(
                f"{name!r} exists. Choose another name, or allow replacing it: "
                "overwrite=True, or -y on the command line."
            )

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other jobs from the film and its parts.

        Raises
        ------
        OutputError
            If another job has it, or the store takes nothing.
        """
        with contextlib.closing(self._claim):
            self._claim.take()
            yield

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """A file in the folder of temporary files, uploaded at the end.

        Raises
        ------
        OutputError
            If it cannot be made.
        EncodeError
            If it cannot be uploaded; the finished film then stays where it is.
        """
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(_temporary_folder()))
            part = folder / (self.address.name + ".part")
            with removed_on_failure(part):
                yield part
                self._publish(part)
            part.unlink()

    def _publish(self, part: Path) -> None:
        """Put the finished film in its place."""
        if not self._claim.is_held:
            raise EncodeError(
                f"This job was cut off from {str(self.address)!r} for so long that another one "
                "may write it now. Nothing was put there. Resume when no other job does."
            )
        _logger.info("Uploading %d bytes to %s.", part.stat().st_size, self.address)
        try:
            self._store.upload(part, self.address)
        except OSError as error:
            film = part.rename(part.with_name(self.address.name))
            raise EncodeError(
                f"The finished film could not be put at {str(self.address)!r}: "
                f"{error.strerror}. It is kept in {str(film)!r}: copy it from there."
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
            f"{str(address / 'film.mp4')!r}."
        )
    if not address.name:
        raise OutputError(f"{str(address)!r} is a folder. Name a file in it, such as film.mp4.")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder that goes at the end, unless something is in it then."""
    try:
        folder = tempfile.mkdtemp(prefix="rayanim-")
    except OSError as error:
        raise OutputError(
            f"No folder for the unfinished film: {error.strerror}. Set TMPDIR."
        ) from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
