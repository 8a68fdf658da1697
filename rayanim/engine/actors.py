"""The two actors: thin shells around classes that also run without Ray.

Failures come back as values. So whatever Ray itself raises means that an actor
or its node is gone, and never that the user's code raised.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rayanim.engine.draw import (
    Payload,
    RawPayload,
    RenderSetup,
    Shipment,
    Timings,
    Worker,
    close_source,
    open_source,
    unpack,
)
from rayanim.engine.machine import process_rss_bytes
from rayanim.engine.plan import Place, Segment
from rayanim.engine.writing import Writing
from rayanim.errors import RayanimError

if TYPE_CHECKING:
    from rayanim.sources import Source


@dataclass(frozen=True, slots=True)
class Greeting:
    """What an actor says first: that it is there, and where."""

    pid: int
    node: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What an actor says when it is ready to draw."""

    differs: bool
    failure: RayanimError | None


@dataclass(frozen=True, slots=True)
class DrawnMeta:
    """What is known of a drawn segment without its pixels."""

    timings: Timings | None
    rss_bytes: int
    failure: RayanimError | None
    payload_bytes: int = 0
    difference: str | None = None
    batch_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the encoder says of a segment."""

    encode_s: float
    wait_s: float
    rss_bytes: int
    failure: RayanimError | None
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FileOpened:
    """What the encoder says when it was to open its file."""

    pid: int
    failure: RayanimError | None


@dataclass(frozen=True, slots=True)
class Finished:
    """What the encoder says at the end."""

    file_bytes: int
    failure: RayanimError | None


class RenderActor:
    """Holds an open source and draws segments of it."""

    def __init__(self, shipment: Shipment, setup: RenderSetup, label: str = "") -> None:
        self._label = label
        self._shipment: Shipment | None = shipment
        self._setup = setup
        self._source: Source | None = None
        self._worker: Worker | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self._label}".rstrip()

    def hello(self) -> Greeting:
        """The actor is there, and about to open its source."""
        import ray

        return Greeting(os.getpid(), ray.get_runtime_context().get_node_id())

    def open(self) -> Opened:
        """Unpack and open the source, and draw the video's first frame to compare it."""
        try:
            return Opened(self._open_and_compare(), None)
        except RayanimError as error:
            return Opened(False, error)

    def _open_and_compare(self) -> bool:
        setup = self._setup
        self._source = unpack(self._shipment)  # type: ignore[arg-type]
        self._shipment = None
        open_source(self._source, setup.settings.seed, setup.geometry)
        self._worker = Worker(self._source, setup)
        return self._worker.first_frame_differs()

    def render(
        self,
        segment: Segment,
        in_full: bool = False,
        done: RawPayload | None = None,
        is_checked: bool = False,
    ) -> tuple[DrawnMeta, Payload | None]:
        """Draw a segment; its pixels come as an object of their own."""
        worker: Worker = self._worker  # type: ignore[assignment]
        if in_full:
            worker.draw_in_full_from_now()
        try:
            work = worker.work(segment, done, is_checked=is_checked)
        except RayanimError as error:
            return DrawnMeta(None, process_rss_bytes(), error), None
        meta = DrawnMeta(
            work.timings,
            process_rss_bytes(),
            None,
            payload_bytes=_bytes_of(work.payload),
            difference=work.difference,
            batch_digest=work.batch_digest,
        )
        return meta, work.payload

    def close(self) -> RayanimError | None:
        """Let the user's ``finish()`` run; how it failed, if it did."""
        source, self._source = self._source, None
        try:
            if source is not None:
                close_source(source)
        except RayanimError as error:
            return error
        return None


def _bytes_of(payload: Payload) -> int:
    return payload.nbytes if isinstance(payload, np.ndarray) else payload.data_bytes


class EncoderActor:
    """Takes segments and writes one file."""

    def __init__(self, writing: Writing, label: str = "") -> None:
        self._label = label
        self._writing = writing
        self._width = writing.width
        # Ray calls from as many threads as segments are written at once.
        self._answering = threading.Lock()
        self._answered_s = time.perf_counter()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self._label}".rstrip()

    def open(self) -> FileOpened:
        """Open the file: segments may come after that."""
        try:
            self._writer = self._writing.open()
        except RayanimError as error:
            return FileOpened(os.getpid(), error)
        return FileOpened(os.getpid(), None)

    def encode(self, place: Place, payload: Payload) -> Acknowledgement:
        """Take a segment."""
        began = time.perf_counter()
        failure: RayanimError | None = None
        written_bytes = 0
        try:
            written_bytes = self._writer.put(place, payload)
        except RayanimError as error:
            failure = error
        # What it took of the actor: others were written at the same time.
        took_s = (time.perf_counter() - began) / self._width
        return Acknowledgement(
            took_s, self._idle_s(took_s), process_rss_bytes(), failure, written_bytes
        )

    def _idle_s(self, took_s: float) -> float:
        """Seconds since the last answer that were not spent on this one."""
        with self._answering:
            since_s, self._answered_s = self._answered_s, time.perf_counter()
            return max(0.0, self._answered_s - since_s - took_s)

    def found(self, indices: Iterable[int]) -> None:
        """Hear of parts that others put."""
        self._writer.found(indices)

    def finish(self, n_frames: int) -> Finished:
        """Write what is left of a video of `n_frames`, and close the file."""
        try:
            return Finished(self._writer.finish(n_frames), None)
        except RayanimError as error:
            return Finished(0, error)


def remote(actor_class: type[Any], **options: Any) -> Any:
    """`actor_class` as Ray's actor class of the same name, which ``ps`` shows."""
    import ray

    return ray.remote(**options)(actor_class)
