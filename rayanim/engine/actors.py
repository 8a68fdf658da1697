"""The two actors: thin shells around classes that also run without Ray.

Expected failures come back as values. So what Ray itself raises means that an actor or its
node is gone, unless `is_code_fault` says that code raised.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.engine.audit import PROCESS, FrameMark
from rayanim.engine.draw import (
    ChunkRenderer,
    DrawnMeta,
    Payload,
    RenderSetup,
    close_source,
    open_source,
)
from rayanim.engine.machine import process_rss_bytes
from rayanim.engine.packing import PackedSource, unpack
from rayanim.engine.plan import Chunk, Segment
from rayanim.engine.writing import SegmentWriter
from rayanim.errors import RayanimError, RedrawError

if TYPE_CHECKING:
    from rayanim.sources import Source
    from rayanim.video.encode import EncodedSegment


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The encoder actor has taken a segment."""

    encode_s: float
    wait_s: float
    rss_bytes: int
    written_bytes: int


class RenderActor:
    """Holds an open source and draws chunks of it."""

    def __init__(self, packed: PackedSource, setup: RenderSetup, label: str = "") -> None:
        self._label = label
        self._packed = packed
        self._setup = setup
        self._source: Source | None = None
        self._renderer: ChunkRenderer

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self._label}".rstrip()

    def hello(self) -> str:
        """The actor is there, and about to open its source; its node's id."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def open(self) -> RayanimError | None:
        """Unpack and open the source, and draw the video's first frame; how it failed."""
        try:
            self._open()
        except RayanimError as error:
            return error
        return None

    def _open(self) -> None:
        setup, packed = self._setup, self._packed
        del self._packed  # it may be large
        self._source = source = unpack(packed)
        if setup.replay is not None:
            replayed = setup.replay.of(source, setup.settings.seed, lambda: unpack(packed))
            self._source = source = replayed or source
        open_source(source, setup.settings.seed, setup.geometry)
        self._renderer = ChunkRenderer(
            source,
            setup.spec,
            setup.settings,
            is_audited=True,
            in_full=setup.in_full,
            begun=setup.begun,
        )
        self._draw_first()

    def _draw_first(self) -> None:
        """Draw the video's first frame, as the first process did: what that leaves behind counts.

        Raises `RedrawError` if it has other pixels here.
        """
        setup = self._setup
        frames, _ = self._renderer.render(Chunk(0, 0, 1, setup.first))
        if setup.first_mark is None or setup.settings.audit == 0:
            return
        mark = FrameMark.of(setup.first_mark.number, frames[0], setup.spec)
        if not mark.same_as(setup.first_mark):
            raise RedrawError(
                f"Frame {mark.number}, the first one, has other pixels in a render actor than in "
                f"the script's process{mark.where(setup.first_mark)}: {PROCESS}",
                in_process=True,
            )

    def render(self, chunk: Chunk) -> tuple[DrawnMeta | RayanimError, Payload | None]:
        """Draw a chunk; its frames, or its segment, come as an object of their own."""
        from rayanim.storage.fingerprint import batch_digest

        payload: Payload
        digest, renderer = None, self._renderer
        try:
            if chunk.encodes:
                payload, timings = renderer.encode(chunk)
                payload_bytes = payload.data_bytes
                digest = batch_digest(chunk.batch.numbers, chunk.batch.params)
            else:
                payload, timings = renderer.render(chunk)
                payload_bytes = payload.nbytes
        except RayanimError as error:
            return error, None
        meta = DrawnMeta(
            timings,
            process_rss_bytes(),
            payload_bytes=payload_bytes,
            marks=tuple(renderer.marks),
            batch_digest=digest,
            noted=renderer.noted,
            opened=renderer.opened.first,
        )
        return meta, payload

    def close(self) -> RayanimError | None:
        """Let the user's ``finish()`` run; how it failed, if it did."""
        source, self._source = self._source, None
        try:
            if source is not None:
                close_source(source)
        except RayanimError as error:
            return error
        return None


class EncoderActor:
    """Takes encoded segments, keeps each in a file, and joins them to the video."""

    def __init__(self, writer: SegmentWriter, label: str = "") -> None:
        self._label = label
        self._writer = writer
        # Ray calls from as many threads as segments are written at once.
        self._answering = threading.Lock()
        self._answered_s = time.perf_counter()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self._label}".rstrip()

    def open(self) -> int | RayanimError:
        """Open the file: segments may come after that; the process's id."""
        try:
            self._writer.open()
        except RayanimError as error:
            return error
        return os.getpid()

    def encode(self, segment: Segment, payload: EncodedSegment) -> Acknowledgement | RayanimError:
        began_s = time.perf_counter()
        try:
            written_bytes = self._writer.put(segment, payload)
        except RayanimError as error:
            return error
        # Its share of the actor's time: others were written at the same time.
        took_s = (time.perf_counter() - began_s) / self._writer.width
        with self._answering:
            since_s, self._answered_s = self._answered_s, time.perf_counter()
            idle_s = max(0.0, self._answered_s - since_s - took_s)
        return Acknowledgement(took_s, idle_s, process_rss_bytes(), written_bytes)

    def found(self, indices: Iterable[int]) -> None:
        """There are files of these segments that others wrote."""
        self._writer.found(indices)

    def finish(self, n_frames: int) -> int | RayanimError:
        """Write what is left of a video of `n_frames`, and close the file; its bytes."""
        try:
            return self._writer.finish(n_frames)
        except RayanimError as error:
            return error


def remote(actor_class: type[Any], **options: Any) -> Any:
    """`actor_class` as Ray's actor class of the same name, which ``ps`` shows."""
    import ray

    return ray.remote(**options)(actor_class)
