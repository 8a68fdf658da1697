"""Where a film goes: checked before work starts, replaced whole or left as it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayanim.errors import EncodeError
from rayanim.storage.address import Address, Url

if TYPE_CHECKING:
    from rayanim.parts.folders import Folder


class Target(Protocol):
    """The place of one finished film or still."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def parts(self) -> Folder:
        """Where the parts of the film lie until it is whole."""

    def exists(self) -> bool:
        """Whether something is there already.

        Raises
        ------
        OutputError
            If that cannot be told.
        """

    def check_early(self, *, overwrite: bool) -> None:
        """`check`, as far as it needs nothing that a script says, and no network.

        Raises
        ------
        OutputError
            As `check` does.
        """

    def check(self, *, overwrite: bool) -> None:
        """See that a film can be put there.

        Raises
        ------
        OutputError
            If it cannot, or something is there although `overwrite` is False.
        """

    def claimed(self) -> AbstractContextManager[None]:
        """Keep other jobs from it, for longer than `part` does where that is needed.

        Raises
        ------
        OutputError
            If another job is writing it.
        """

    def part(self) -> AbstractContextManager[Path]:
        """The file to write while the film is not finished; it takes its place at the end.

        It is of this machine, and goes when the job fails.

        Raises
        ------
        OutputError
            If another job is writing it, or it cannot be made.
        EncodeError
            At the end, if it cannot take its place.
        """


def target_at(address: Address, storage_options: Mapping[str, Any] | None = None) -> Target:
    """The target at an address.

    Parameters
    ----------
    address
        A path, or the URL of a store.
    storage_options
        What fsspec's client of the store takes.

    Raises
    ------
    OutputError
        If there is no client for the store, or the URL names no object.
    """
    if isinstance(address, Url):
        from rayanim.remote_target import RemoteTarget

        return RemoteTarget(address, storage_options)
    from rayanim.disk_target import DiskTarget

    return DiskTarget(address)


def check_whole(part: Path, file_bytes: int) -> None:
    """See that the file that is to take its place is the one that the encoder finished.

    Raises
    ------
    EncodeError
        If its size is not what the encoder wrote.
    """
    found_bytes = part.stat().st_size if part.exists() else None
    if found_bytes != file_bytes:
        raise EncodeError(
            f"The encoder finished {file_bytes} bytes, but {str(part)!r} has {found_bytes}. Does "
            "something else write or remove it?"
        )
