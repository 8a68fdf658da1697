"""Two ways to a file: one encoder for the whole film, or parts that are joined at the end.

A `Writing` travels to the process that writes and is opened there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayanim.errors import EncodeError, PartsError
from rayanim.farm.plan import Place

if TYPE_CHECKING:
    from rayanim.parts.store import PartStore
    from rayanim.video.spec import StreamSpec


class Writer(Protocol):
    """Takes what was drawn, and makes the file."""

    def put(self, place: Place, payload: Any) -> int:
        """Take a segment; bytes written to the disk, 0 where that is not known yet."""

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
    def survives(self) -> bool:
        """Whether what was written outlasts the process that wrote it."""

    @property
    def width(self) -> int:
        """How many segments are worth writing at once."""

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

    def finish(self, n_frames: int) -> int:
        if n_frames != self._frames:
            raise EncodeError(
                f"{self._frames} frames were encoded where the film has {n_frames}. "
                "Please report this."
            )
        return self._encoder.finish()


@dataclass(frozen=True, slots=True)
class Parts:
    """Encoded segments go, as they come, into files of their own; at the end they are joined.

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

    def open(self) -> Writer:
        return _PartWriter(self)

    def join(self, n_frames: int) -> int:
        """Join all parts into the film.

        Parameters
        ----------
        n_frames
            How many frames there must be.

        Returns
        -------
        int
            Size of the film in bytes.

        Raises
        ------
        PartsError
            If a part is missing, broken, or none that follows the one before,
            or frames are missing at the end.
        EncodeError
            If the disk is full.
        """
        from rayanim.video.join import Joiner

        indices = sorted(self.store.indices())
        if indices != list(range(len(indices))):
            raise PartsError(
                f"Parts are missing in {str(self.store.path)!r}: there are {indices!r:.200}. Does "
                "something else remove them? --resume draws them again."
            )
        joiner = Joiner(self.spec, self.path)
        try:
            frames = 0
            for index, (info, segment) in enumerate(self.store.look_up_all(indices)):
                if info.start != frames:
                    raise PartsError(
                        f"Part {index} in {str(self.store.path)!r} begins with frame {info.start} "
                        f"of the film where {frames} was expected. Render without resuming."
                    )
                joiner.add(segment)
                frames = info.stop
            if frames != n_frames:
                raise PartsError(
                    f"The parts in {str(self.store.path)!r} hold {frames} frames of {n_frames}. "
                    "Does something else remove them? --resume draws them again."
                )
            return joiner.finish()
        except BaseException:
            joiner.abort()
            raise


class _PartWriter:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def put(self, place: Place, payload: Any) -> int:
        return self._parts.store.put(place.index, place.start, place.batch_digest, payload)

    def finish(self, n_frames: int) -> int:
        return self._parts.join(n_frames)
