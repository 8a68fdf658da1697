"""Two ways to a file: one encoder for the whole film, or parts that are joined.

A `Writing` travels to the process that writes and is opened there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayanim.errors import EncodeError
from rayanim.farm.planning.plan import Place
from rayanim.farm.writing.joining import Joining
from rayanim.parts.disk import PATIENCE_S

if TYPE_CHECKING:
    from rayanim.parts.store import PartStore
    from rayanim.video.spec import StreamSpec


class Writer(Protocol):
    """Takes what was drawn, and makes the file."""

    def put(self, place: Place, payload: Any) -> int:
        """Take a segment; bytes written to the disk, 0 where that is not known yet."""

    def found(self, indices: Iterable[int]) -> None:
        """Of these segments there is a part that another process put, or an earlier job."""

    def finish(self, n_frames: int) -> int:
        """Write the file's end; its size in bytes.

        Raises
        ------
        RayanimError
            If so many frames were not written.
        """


class Writing(Protocol):
    """How a film is written; it pickles."""

    @property
    def path(self) -> Path:
        """The file that the film is written to, on the machine of its encoder."""

    @property
    def survives(self) -> bool:
        """Whether what was written outlasts the process that wrote it."""

    @property
    def width(self) -> int:
        """How many segments are worth writing at once."""

    @property
    def patience_s(self) -> float:
        """Seconds that writing one may take before something is wrong."""

    def open(self) -> Writer:
        """Begin to write."""


@dataclass(frozen=True, slots=True)
class OneEncoder:
    """Raw frames go, in order, through one encoder into one file.

    Parameters
    ----------
    spec
        The stream.
    path
        The file to write.
    """

    spec: StreamSpec
    path: Path
    survives = False
    width = 1
    patience_s = PATIENCE_S

    def open(self) -> Writer:
        return _FrameWriter(self)


class _FrameWriter:
    def __init__(self, writing: OneEncoder) -> None:
        from rayanim.video.encoder import VideoEncoder

        self._encoder = VideoEncoder(writing.spec, writing.path)
        self._frames = 0

    def put(self, place: Place, payload: Any) -> int:
        if place.start != self._frames:
            raise EncodeError(
                f"Frames from {place.start} on came where {self._frames} was expected: nothing "
                "more is written. Please report this."
            )
        self._encoder.encode(payload)
        self._frames = place.stop
        return 0

    def found(self, indices: Iterable[int]) -> None:
        """Nothing: there are no parts."""

    def finish(self, n_frames: int) -> int:
        if n_frames != self._frames:
            raise EncodeError(
                f"{self._frames} frames were encoded where the film has {n_frames}. "
                "Please report this."
            )
        return self._encoder.finish()


@dataclass(frozen=True, slots=True)
class Parts:
    """Encoded segments go, as they come, into files of their own, which are joined to the film.

    Parameters
    ----------
    spec
        The stream.
    path
        The film to write at the end.
    store
        Where the parts are kept.
    """

    spec: StreamSpec
    path: Path
    store: PartStore
    survives = True

    @property
    def width(self) -> int:
        """How many parts are worth writing at once."""
        return self.store.width

    @property
    def patience_s(self) -> float:
        """A store tries for as long by itself, and then says what is wrong."""
        return self.store.patience_s

    def open(self) -> Writer:
        return PartWriter(self)


class PartWriter:
    """Puts parts, and joins those to the film of which all before are there.

    Parameters
    ----------
    parts
        Where to.
    joins
        Whether it joins before the end. Without, another one may take its
        place, which is told of the parts by `take_found`.
    """

    def __init__(self, parts: Parts, *, joins: bool = True) -> None:
        self._parts = parts
        self._joining: Joining | None = None
        # Filled by several threads: a deque's two ends need no lock.
        self._found: deque[int] = deque()
        if joins:
            self._join()

    def put(self, place: Place, payload: Any) -> int:
        written_bytes = self._parts.store.put(place.index, place.start, place.batch_digest, payload)
        if self._joining is None:
            self._found.append(place.index)
        else:
            self._joining.add(place.index, place.start, payload)
        return written_bytes

    def found(self, indices: Iterable[int]) -> None:
        if self._joining is None:
            self._found.extend(indices)
        else:
            self._joining.found(indices)

    def take_found(self) -> list[int]:
        """The segments of which parts came to be there since the last call, where it joins none."""
        return [self._found.popleft() for _ in range(len(self._found))]

    def finish(self, n_frames: int) -> int:
        return self._join().finish(n_frames)

    def abort(self) -> None:
        if self._joining is not None:
            self._joining.abort()

    def _join(self) -> Joining:
        if self._joining is None:
            parts = self._parts
            self._joining = Joining(parts.spec, parts.path, parts.store)
        return self._joining
