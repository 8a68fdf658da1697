"""Two ways to a file: one encoder for the whole video, or segment files that are joined."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rayanim.engine.plan import Segment
from rayanim.errors import PartsError

if TYPE_CHECKING:
    from rayanim.storage.segments import SegmentFolder
    from rayanim.video.encode import EncodedSegment
    from rayanim.video.formats import AnyFileEncoder, AnyJoiner, AnySegmentEncoder
    from rayanim.video.spec import StreamSpec


class FileWriter:
    """One encoder writes the whole video into its file."""

    def __init__(
        self, spec: StreamSpec, *paths: Path, cuts: bool = False, n_frames: int | None = None
    ) -> None:
        self._spec = spec
        self._paths = paths
        self._cuts = cuts
        self._n_frames = n_frames
        self._file_bytes = 0

    def encoder(self, n_frames: int | None = None) -> AnyFileEncoder:
        from rayanim.video.formats import file_encoder

        return file_encoder(self._spec, *self._paths, cuts=self._cuts, n_frames=self._n_frames)

    def put(self, segment: Segment, encoded: Any) -> int:
        self._file_bytes = encoded
        return 0

    def finish(self, n_frames: int) -> int:
        return self._file_bytes

    def abort(self) -> None:
        """Nothing: the encoder removes its file."""


class SegmentWriter:
    """Encoded segments go, as they come, into files of their own, which are joined to the video.

    One that does not join keeps a list of what was written (`take_found`) for
    another that does; `finish` joins nevertheless. It is pickled, sent to the
    process that writes, and opened there.
    """

    def __init__(
        self,
        spec: StreamSpec,
        path: Path,
        folder: SegmentFolder,
        *,
        others: tuple[Path, ...] = (),
        joins: bool = True,
    ) -> None:
        self._spec = spec
        self.paths = (path, *others)
        self._folder = folder
        self._joins = joins
        self._joining: Joining | None = None
        # Filled by several threads: a deque's two ends need no lock.
        self._found: deque[int] = deque()

    @property
    def width(self) -> int:
        """How many segment files are worth writing at once."""
        return self._folder.store.width

    @property
    def patience_s(self) -> float:
        """A store tries for as long by itself, and then reports what is wrong."""
        return self._folder.store.patience_s

    def open(self) -> None:
        if self._joins:
            self._joining = Joining(self._spec, self.paths, self._folder)

    def encoder(self, n_frames: int | None = None) -> AnySegmentEncoder:
        """An encoder for one segment, of so many frames where that is known."""
        from rayanim.video.formats import segment_encoder

        return segment_encoder(self._spec, n_frames)

    def put(self, segment: Segment, encoded: EncodedSegment) -> int:
        """Take a segment; bytes written to the disk."""
        index, start = segment.index, segment.start
        written_bytes = self._folder.put(index, start, segment.batch_digest, encoded)
        if self._joining is None:
            self._found.append(index)
        else:
            self._joining.add(index, start, encoded)
        return written_bytes

    def found(self, indices: Iterable[int]) -> None:
        """There are files of these segments that another process or an earlier job wrote."""
        if self._joining is None:
            self._found.extend(indices)
        else:
            self._joining.found(indices)

    def take_found(self) -> list[int]:
        """The segments of which files were written or found since the last call."""
        return [self._found.popleft() for _ in range(len(self._found))]

    def finish(self, n_frames: int) -> int:
        """Write the file's end; its size in bytes."""
        if self._joining is None:
            self._joining = Joining(self._spec, self.paths, self._folder)
        return self._joining.finish(n_frames)

    def abort(self) -> None:
        """Stop joining and remove the video's file; the segment files stay."""
        if self._joining is not None:
            self._joining.abort()


Writer: TypeAlias = FileWriter | SegmentWriter
"""Opens encoders, takes what they made, and makes the file."""


class Prefix:
    """How far indices that come in any order, some of them twice, are there without a gap."""

    def __init__(self) -> None:
        self.next = 0
        self._early: set[int] = set()

    def add(self, index: int) -> bool:
        """Note that `index` is there; False if it was before."""
        is_new = index >= self.next and index not in self._early
        if is_new:
            self._early.add(index)
        return is_new

    @property
    def is_ready(self) -> bool:
        return self.next in self._early

    def take(self) -> range:
        """All that follow those taken before without a gap."""
        first = self.next
        while self.next in self._early:
            self._early.remove(self.next)
            self.next += 1
        return range(first, self.next)


HELD_BYTES = 64 * 2**20
"""Memory for segments that wait to be joined, so that their files need not be read
again: some 10,000 frames of plots in 1920x1080. What does not fit is read from its
file, so nothing waits for room."""

PACKET_BYTES = 200
"""What Python's objects for a packet take besides its bytes."""


class Joining:
    """One video, joined while its segments are still being drawn.

    The segment files are only read. The video's file is begun with the first of
    them, by a thread that takes the time it finds. The first failure ends it
    and removes the file; every later call raises it.
    """

    def __init__(self, spec: StreamSpec, paths: tuple[Path, ...], folder: SegmentFolder) -> None:
        self._spec = spec
        self._paths = paths
        self._folder = folder
        self._prefix = Prefix()
        # Start and data by index; at most `HELD_BYTES`.
        self._held: dict[int, tuple[int, EncodedSegment]] = {}
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._count: int | None = None
        self._n_frames = 0
        self._is_stopped = False
        self._failure: BaseException | None = None
        self.frames = 0
        """Frames that are in the video so far."""
        self._file_bytes = 0
        self._thread = threading.Thread(target=self._work, name="rayanim-join", daemon=True)
        self._thread.start()

    def add(self, index: int, start: int, segment: EncodedSegment) -> None:
        """There is a file of segment `index`, whose first frame is the video's `start`."""
        with self._changed:
            self._check()
            if self._prefix.add(index):
                taken_bytes = _memory_bytes(segment)
                if self._held_bytes + taken_bytes <= HELD_BYTES:
                    self._held_bytes += taken_bytes
                    self._held[index] = start, segment
                self._changed.notify()

    def found(self, indices: Iterable[int]) -> None:
        """There are files of these segments, which others wrote."""
        with self._changed:
            for index in indices:
                self._prefix.add(index)
            self._changed.notify()

    def finish(self, n_frames: int) -> int:
        """Join what is left, of all files that are there now, and write the video's end."""
        try:
            indices = self._all_indices()
            self.found(indices)
            with self._changed:
                self._count, self._n_frames = len(indices), n_frames
                self._changed.notify()
            # It waits only for the disk, or for a store that has limits of its own.
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

    def _all_indices(self) -> list[int]:
        indices = sorted(self._folder.indices())
        missing = sorted(set(range(indices[-1] + 1)) - set(indices)) if indices else []
        if missing:
            named = ", ".join(map(str, missing[:3])) + (" ..." if len(missing) > 3 else "")
            raise PartsError(
                f"{len(missing)} parts of {indices[-1] + 1} are missing in "
                f"{str(self._folder.path)!r}: {named}. Does something else remove them? "
                "--resume draws them again."
            )
        return indices

    def _work(self) -> None:
        from rayanim.video.formats import joiner_of

        joiner: AnyJoiner | None = None
        try:
            for run in self._runs():
                joiner = joiner or joiner_of(self._spec, *self._paths)
                self._join(joiner, run)
            if self._is_stopped or joiner is None:
                return
            self._check_length()
            if self._spec.is_ping_pong:
                self._join_back(joiner)
            self._file_bytes = joiner.finish()
        except BaseException as error:
            # Raised by the next call: only `finish` waits for this thread.
            self._failure = error
        finally:
            if joiner is not None:
                joiner.abort()

    def _runs(self) -> Iterator[range]:
        """Segments to be joined next: those that have come meanwhile, until all have."""
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

    def _join(self, joiner: AnyJoiner, run: range) -> None:
        for index, (start, segment) in zip(
            run, self._folder.store.each(self._take, run), strict=True
        ):
            if self._is_stopped:
                return
            if start != self.frames:
                raise PartsError(
                    f"Part {index} in {str(self._folder.path)!r} begins with frame {start} of the "
                    f"video where {self.frames} was expected. Leave out resume=True."
                )
            joiner.add(segment)
            self.frames += segment.n_frames

    def _join_back(self, joiner: AnyJoiner) -> None:
        """Add the frames of all segments again, in reverse."""
        joiner.turn()
        indices = reversed(range(self._prefix.next))
        for _info, segment in self._folder.store.each(self._folder.look_up, indices):
            if self._is_stopped:
                return
            if segment.back is None:
                raise PartsError(f"A part in {str(self._folder.path)!r} has no frames in reverse.")
            joiner.add(segment.back)

    def _take(self, index: int) -> tuple[int, EncodedSegment]:
        """Where segment `index` starts, and its data: from memory or from its file."""
        with self._changed:
            held = self._held.pop(index, None)
            if held is not None:
                self._held_bytes -= _memory_bytes(held[1])
                return held
        info, segment = self._folder.look_up(index)
        return info.start, segment

    def _check_length(self) -> None:
        if self.frames != self._n_frames:
            raise PartsError(
                f"The parts in {str(self._folder.path)!r} hold {self.frames} frames of "
                f"{self._n_frames}. Does something else remove them? --resume draws them again."
            )


def _memory_bytes(segment: EncodedSegment) -> int:
    return segment.data_bytes + PACKET_BYTES * segment.n_packets
