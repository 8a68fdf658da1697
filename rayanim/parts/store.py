"""Reads and writes the parts of one film in one folder.

A store pickles, so that the encoder actor can write while the driver holds the
folder. On a disk nothing is synced: a part that a power failure cut short has a
wrong checksum, and its segment is drawn again. Of a manifest that it cut short,
which was written half a minute before at most, the film is drawn anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rayanim.errors import PartsError
from rayanim.parts.folders import Folder
from rayanim.parts.part_file import PartInfo, part_from_bytes, part_to_bytes
from rayanim.storage.address import Address
from rayanim.video.segment import EncodedSegment

ResultT = TypeVar("ResultT")

_PART = re.compile(r"(\d{6,9})\.part")


def part_name(index: int) -> str:
    """The file of segment `index`: ``000012.part``."""
    return f"{index:06d}.part"


def index_of(name: str) -> int | None:
    """The inverse of `part_name`; None where `name` is no part's."""
    found = _PART.fullmatch(name)
    index = None if found is None else int(found[1])
    return index if index is not None and part_name(index) == name else None


@dataclass(frozen=True, slots=True)
class PartStore:
    """The parts of one film.

    Attributes
    ----------
    folder
        Where they lie.
    film
        Digest of the film's manifest; parts of another are not taken up.
    """

    folder: Folder
    film: str

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self.folder.path

    @property
    def width(self) -> int:
        """How many parts are worth writing at once."""
        return self.folder.width

    @property
    def patience_s(self) -> float:
        """Seconds that writing a part may take before something is wrong."""
        return self.folder.patience_s

    def put(self, index: int, start: int, batch_digest: str | None, segment: EncodedSegment) -> int:
        """Write the part of one segment, whole or not at all; one that is there is replaced.

        Parameters
        ----------
        index, start
            The segment's number and the position of its first frame in the film.
        batch_digest
            See `rayanim.parts.digest.batch_digest`.
        segment
            What is kept.

        Returns
        -------
        int
            Bytes written.

        Raises
        ------
        EncodeError
            If the disk is full or does not take it.
        """
        data = part_to_bytes(index, start, batch_digest, segment, film=self.film)
        self.folder.write(part_name(index), data)
        return len(data)

    def load(self, index: int) -> EncodedSegment:
        """The segment of one part, checked as if it had never been looked at.

        Raises
        ------
        PartsError
            If it is missing, broken, or of another film or segment.
        """
        return self.look_up(index)[1]

    def look_up(self, index: int) -> tuple[PartInfo, EncodedSegment]:
        """The segment of one part and what that tells of itself, checked as `load` does."""
        path = self.path / part_name(index)
        try:
            return self._checked(index)
        except PartsError as error:
            raise PartsError(f"The part {str(path)!r} cannot be used: {error.message}.") from None

    def each(self, call: Callable[[int], ResultT], indices: Iterable[int]) -> Iterator[ResultT]:
        """What `call` gives for each segment, in order, up to `width` of them ahead of time."""
        return self.folder.each(call, indices)

    def remove_from(self, index: int) -> None:
        """Take away the parts of segment `index` and of all that follow."""
        self.folder.remove([part_name(each) for each in self.indices() if each >= index])

    def examined(self) -> tuple[dict[int, PartInfo], dict[str, str]]:
        """What the whole parts tell of themselves by index, and why others are rejected by name.

        Every byte is read, of up to `width` parts at a time.
        """
        finished: dict[int, PartInfo] = {}
        rejected: dict[str, str] = {}
        indices = sorted(self.indices())
        for index, told in zip(indices, self.folder.each(self._examined, indices), strict=True):
            if isinstance(told, PartInfo):
                finished[index] = told
            else:
                rejected[part_name(index)] = told
        return finished, rejected

    def _examined(self, index: int) -> PartInfo | str:
        try:
            return self._checked(index)[0]
        except PartsError as error:
            return error.message

    def indices(self) -> Iterator[int]:
        """The segments that have a part, whole or not, going by its name.

        Raises
        ------
        PartsError
            If the folder cannot be read.
        """
        try:
            names = self.folder.names()
        except OSError as error:
            raise PartsError(
                f"The folder {str(self.path)!r} cannot be read: {error.strerror}. Does something "
                "else remove it?"
            ) from error
        return (index for name in names if (index := index_of(name)) is not None)

    def _checked(self, index: int) -> tuple[PartInfo, EncodedSegment]:
        info, segment = part_from_bytes(self.folder.read(part_name(index)))
        if info.index != index:
            raise PartsError(f"it is of segment {info.index}")
        if info.film != self.film:
            raise PartsError("it is of another film")
        return info, segment
