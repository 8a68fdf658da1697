"""Two ways to a file: one encoder for the whole video, or parts that are joined.

A `Writing` travels to the process that writes and is opened there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rayanim.engine.plan import Place
from rayanim.engine.scheduler import Prefix
from rayanim.errors import EncodeError, PartsError
from rayanim.storage.store import DISK_PATIENCE_S

if TYPE_CHECKING:
    from rayanim.storage.segments import PartStore
    from rayanim.video.encode import EncodedSegment
    from rayanim.video.join import Joiner
    from rayanim.video.spec import StreamSpec

HELD_BYTES = 64 * 2**20
"""Memory for segments that wait to be joined, so that their parts need not be read
again: some 10,000 frames of plots in 1920x1080. Of what does not fit the part is read,
so nothing waits for room."""

PACKET_BYTES = 200
"""What Python's objects for a packet take besides its bytes."""


class Joining:
    """One video, joined while others still draw it.

    The parts stay where they are: this only reads them. The video's file is
    begun with its first part, by a thread that takes the time it finds. The
    first failure ends it and removes the file; every later call raises it.
    """

    def __init__(self, spec: StreamSpec, path: Path, store: PartStore) -> None:
        self._spec = spec
        self._path = path
        self._store = store
        self._prefix = Prefix()
        self._held = _Held(HELD_BYTES)
        self._changed = threading.Condition()
        self._count: int | None = None
        self._n_frames = 0
        self._is_stopped = False
        self._failure: BaseException | None = None
        self._frames = 0
        self._file_bytes = 0
        self._thread = threading.Thread(target=self._work, name="rayanim-join", daemon=True)
        self._thread.start()

    @property
    def frames(self) -> int:
        """Frames that are in the video so far."""
        return self._frames

    def add(self, index: int, start: int, segment: EncodedSegment) -> None:
        """There is a part of segment `index`, whose first frame is the video's `start`."""
        with self._changed:
            self._check()
            if self._prefix.add(index):
                self._held.put(index, start, segment)
                self._changed.notify()

    def found(self, indices: Iterable[int]) -> None:
        """There are parts of these segments, which others put."""
        with self._changed:
            for index in indices:
                self._prefix.add(index)
            self._changed.notify()

    def finish(self, n_frames: int) -> int:
        """Join what is left, of all parts that are there now, and write the video's end."""
        try:
            indices = self._all_parts()
            self.found(indices)
            with self._changed:
                self._count, self._n_frames = len(indices), n_frames
                self._changed.notify()
            # It waits for nobody but the disk, or a store that has limits of its own.
            self._thread.join()
        except BaseException:
            self.abort()
            raise
        self._check()
        return self._file_bytes

    def abort(self) -> None:
        """Stop and remove the file; nothing if it is finished."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _all_parts(self) -> list[int]:
        indices = sorted(self._store.indices())
        missing = sorted(set(range(indices[-1] + 1)) - set(indices)) if indices else []
        if missing:
            named = ", ".join(map(str, missing[:3])) + (" ..." if len(missing) > 3 else "")
            raise PartsError(
                f"{len(missing)} parts of {indices[-1] + 1} are missing in "
                f"{str(self._store.path)!r}: {named}. Does something else remove them? "
                "--resume draws them again."
            )
        return indices

    def _work(self) -> None:
        from rayanim.video.join import Joiner

        joiner: Joiner | None = None
        try:
            for run in self._runs():
                joiner = joiner or Joiner(self._spec, self._path)
                self._join(joiner, run)
            if self._is_stopped or joiner is None:
                return
            self._check_length()
            self._file_bytes = joiner.finish()
        except BaseException as error:
            # Told by whoever calls next: nobody waits for this thread but `finish`.
            self._failure = error
        finally:
            if joiner is not None:
                joiner.abort()

    def _runs(self) -> Iterator[range]:
        """Parts to be joined next; those that have come meanwhile, until all have."""
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news)
                if self._is_stopped:
                    return
                run = self._prefix.take()
                is_last = self._has_all()
            yield run
            if is_last:
                return

    def _has_news(self) -> bool:
        return self._is_stopped or self._prefix.is_ready or self._has_all()

    def _has_all(self) -> bool:
        return self._count is not None and self._prefix.next >= self._count

    def _join(self, joiner: Joiner, run: range) -> None:
        for index, (start, segment) in zip(run, self._store.each(self._take, run), strict=True):
            if self._is_stopped:
                return
            if start != self._frames:
                raise PartsError(
                    f"Part {index} in {str(self._store.path)!r} begins with frame {start} of the "
                    f"video where {self._frames} was expected. Render without resuming."
                )
            joiner.add(segment)
            self._frames += segment.n_frames

    def _take(self, index: int) -> tuple[int, EncodedSegment]:
        with self._changed:
            held = self._held.pop(index)
        if held is not None:
            return held
        info, segment = self._store.look_up(index)
        return info.start, segment

    def _check_length(self) -> None:
        if self._frames != self._n_frames:
            raise PartsError(
                f"The parts in {str(self._store.path)!r} hold {self._frames} frames of "
                f"{self._n_frames}. Does something else remove them? --resume draws them again."
            )


class _Held:
    """Segments by index, of so many bytes at most; what would be more is not taken."""

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._segments: dict[int, tuple[int, EncodedSegment]] = {}

    def put(self, index: int, start: int, segment: EncodedSegment) -> None:
        taken_bytes = _memory_bytes(segment)
        if taken_bytes <= self._left_bytes:
            self._left_bytes -= taken_bytes
            self._segments[index] = start, segment

    def pop(self, index: int) -> tuple[int, EncodedSegment] | None:
        held = self._segments.pop(index, None)
        if held is not None:
            self._left_bytes += _memory_bytes(held[1])
        return held


def _memory_bytes(segment: EncodedSegment) -> int:
    return segment.data_bytes + PACKET_BYTES * len(segment.packets)


class Writer(Protocol):
    """Takes what was drawn, and makes the file."""

    def put(self, place: Place, payload: Any) -> int:
        """Take a segment; bytes written to the disk, 0 where that is not known yet."""

    def found(self, indices: Iterable[int]) -> None:
        """Of these segments there is a part that another process put, or an earlier job."""

    def finish(self, n_frames: int) -> int:
        """Write the file's end; its size in bytes."""


class Writing(Protocol):
    """How a video is written; it pickles."""

    @property
    def path(self) -> Path:
        """The file that the video is written to, on the machine of its encoder."""

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
    """Raw frames go, in order, through one encoder into one file."""

    spec: StreamSpec
    path: Path
    survives = False
    width = 1
    patience_s = DISK_PATIENCE_S

    def open(self) -> Writer:
        return _FrameWriter(self)


class _FrameWriter:
    def __init__(self, writing: OneEncoder) -> None:
        from rayanim.video.encode import VideoEncoder

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
                f"{self._frames} frames were encoded where the video has {n_frames}. "
                "Please report this."
            )
        return self._encoder.finish()


@dataclass(frozen=True, slots=True)
class Parts:
    """Encoded segments go, as they come, into files of their own, which are joined to the video."""

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
    """Puts parts, and joins those to the video of which all before are there."""

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
