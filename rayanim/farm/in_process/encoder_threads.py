"""Encodes closed segments in threads of this process, while it draws on.

FFmpeg releases Python's lock while it works. One thread encodes one segment,
as an actor would; while the last of a segment is encoded, the next one's first
frames are taken by another thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from rayanim.events import PartKept
from rayanim.farm.job import Tally
from rayanim.farm.planning.plan import Place
from rayanim.farm.rendering.collectors import RawPayload
from rayanim.farm.writing.writers import Writer

if TYPE_CHECKING:
    from rayanim.video.segment import SegmentEncoder
    from rayanim.video.spec import StreamSpec

MAX_THREADS = 4
"""Segments encoded at once: each costs the memory of an encoder."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one segment came to."""

    frames: int
    encode_s: float
    written_bytes: int
    place: Place | None = None
    write_s: float = 0.0


class _Inflow:
    """The frames of one segment on their way to its thread; None ends it.

    Attributes
    ----------
    is_dropped
        Whether nobody wants the segment any more: what waits is not encoded.
    """

    def __init__(self) -> None:
        self.frames: SimpleQueue[RawPayload | Place | None] = SimpleQueue()
        self.is_dropped = False


class EncoderThreads:
    """Takes segments piece by piece, and has each encoded and written.

    Parameters
    ----------
    spec
        The stream.
    writer
        Takes finished segments; called from the threads.
    tally
        Where frames and times are counted.
    cores
        Cores that this process may use.
    limit_bytes
        Bytes of frames that may wait. It cannot deadlock: a thread waits for
        nobody but the next piece, and segments come one after the other.
    """

    def __init__(
        self, spec: StreamSpec, writer: Writer, tally: Tally, *, cores: int, limit_bytes: int
    ) -> None:
        self._spec = spec
        self._writer = writer
        self._tally = tally
        self._limit_bytes = max(limit_bytes, spec.frame_bytes)
        self._executor = ThreadPoolExecutor(
            min(MAX_THREADS, max(1, cores)), thread_name_prefix="rayanim-encoder"
        )
        self._pending: deque[Future[_Told]] = deque()
        self._inflow: _Inflow | None = None
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._busy_s = 0.0
        self._encoded_frames = 0
        self._failure: BaseException | None = None

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be encoded."""
        return self._waiting_bytes // self._spec.frame_bytes

    @property
    def frame_s(self) -> float | None:
        """Processor seconds that a frame took to encode so far; None before any was.

        Not those of the clock: the thread shares the cores with the drawing.
        """
        return self._busy_s / self._encoded_frames if self._encoded_frames else None

    def begin(self) -> None:
        """The pieces that follow belong to a new segment."""
        inflow = self._inflow = _Inflow()
        self._pending.append(self._executor.submit(self._encode, inflow))

    def add(self, frames: RawPayload) -> None:
        """Frames of the segment that was begun; waits while too many wait.

        Raises
        ------
        EncodeError
            If something could not be encoded or written.
        """
        with self._changed:
            self._changed.wait_for(self._has_room)
            failure = self._failure
            self._waiting_bytes += 0 if failure else frames.nbytes
        if failure is not None:
            # Maybe of a segment behind a slow one, which is not settled for long.
            raise failure
        self.settle()
        self._into(frames)

    def end(self, place: Place) -> None:
        """All pieces of the segment were given."""
        self._into(place)
        self._inflow = None

    def drop(self) -> None:
        """Forget the segment that was begun."""
        if self._inflow is not None:
            self._inflow.is_dropped = True
            self._into(None)
            self._inflow = None

    def settle(self) -> bool:
        """Count what is encoded; whether that is all.

        Raises
        ------
        EncodeError
            If something could not be encoded or written.
        """
        while self._pending and self._pending[0].done():
            self._count(self._pending.popleft())
        return not self._pending

    def finish(self) -> None:
        """Wait until everything is encoded and written.

        Raises
        ------
        EncodeError
            If something could not be.
        """
        while self._pending:
            self._count(self._pending.popleft())
        self._executor.shutdown()

    def abort(self) -> None:
        """Stop. Segments of which all pieces were given are still written."""
        self.drop()
        self._executor.shutdown(wait=True)

    def _has_room(self) -> bool:
        return self._failure is not None or self._waiting_bytes < self._limit_bytes

    def _into(self, piece: RawPayload | Place | None) -> None:
        if self._inflow is not None:
            self._inflow.frames.put(piece)

    def _count(self, future: Future[_Told]) -> None:
        told = future.result()
        self._tally.encoded(told.frames, told.encode_s, 0.0)
        self._tally.written(told.frames, told.written_bytes, told.write_s)
        if told.place is not None:
            self._tally.log.tell(PartKept.of(told.place, written_bytes=told.written_bytes))

    def _encode(self, inflow: _Inflow) -> _Told:
        from rayanim.video.segment import SegmentEncoder

        encode_s = 0.0
        try:
            encoder = SegmentEncoder(self._spec)
            try:
                while isinstance(piece := inflow.frames.get(), Place) is False:
                    if piece is None:
                        return _Told(0, 0.0, 0)
                    if inflow.is_dropped:
                        self._let_go(piece)  # type: ignore[arg-type]
                    else:
                        encode_s += self._encode_piece(encoder, piece)  # type: ignore[arg-type]
                began_s = time.perf_counter()
                segment = encoder.finish()
                encoded_s = time.perf_counter()
                encode_s += encoded_s - began_s
                written_bytes = self._writer.put(piece, segment)  # type: ignore[arg-type]
                write_s = time.perf_counter() - encoded_s
                return _Told(segment.n_frames, encode_s, written_bytes, piece, write_s)  # type: ignore[arg-type]
            finally:
                encoder.abort()
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    def _encode_piece(self, encoder: SegmentEncoder, piece: RawPayload) -> float:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        try:
            encoder.encode(piece)
        finally:
            took_s = time.perf_counter() - began_s
            cpu_s = time.thread_time() - began_cpu_s
            self._let_go(piece)
        with self._changed:
            self._busy_s += cpu_s
            self._encoded_frames += len(piece)
        return took_s

    def _let_go(self, piece: RawPayload) -> None:
        with self._changed:
            self._waiting_bytes -= piece.nbytes
            self._changed.notify_all()
