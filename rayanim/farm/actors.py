"""The two actors: thin shells around classes that also run without Ray.

Failures come back as values. So whatever Ray itself raises means that an actor
or its node is gone, and never that the user's code raised.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.errors import EncodeError, RayanimError
from rayanim.farm.machine import process_rss_bytes
from rayanim.farm.plan import Segment
from rayanim.farm.render import (
    Blueprint,
    Payload,
    SegmentRenderer,
    Timings,
    close_source,
    digest_of,
    open_source,
)
from rayanim.farm.shipment import Shipment, unpack

if TYPE_CHECKING:
    from rayanim.source import Source
    from rayanim.video.spec import StreamSpec


@dataclass(frozen=True, slots=True)
class Opened:
    """What an actor says when it is ready to draw.

    Attributes
    ----------
    differs
        Whether the film's first frame has other pixels here than in the
        process that drew it first.
    """

    differs: bool
    failure: RayanimError | None


@dataclass(frozen=True, slots=True)
class DrawnMeta:
    """What is known of a drawn segment without its pixels.

    Attributes
    ----------
    difference
        See `SegmentRenderer`.
    """

    timings: Timings | None
    rss_bytes: int
    failure: RayanimError | None
    difference: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the encoder says of a segment.

    Attributes
    ----------
    encode_s, wait_s
        Seconds spent on it, and spent idle before it came.
    """

    encode_s: float
    wait_s: float
    rss_bytes: int
    failure: RayanimError | None


@dataclass(frozen=True, slots=True)
class Finished:
    """What the encoder says at the end."""

    file_bytes: int
    failure: RayanimError | None


class RenderActor:
    """Holds an open source and draws segments of it.

    Parameters
    ----------
    shipment
        The source.
    blueprint
        What the first process settled.
    """

    def __init__(self, shipment: Shipment, blueprint: Blueprint) -> None:
        self._shipment: Shipment | None = shipment
        self._blueprint = blueprint
        self._source: Source | None = None
        self._renderer: SegmentRenderer | None = None

    def hello(self) -> int:
        """The process id: the actor is there, and about to open its source."""
        return os.getpid()

    def open(self) -> Opened:
        """Unpack and open the source, and draw the film's first frame to compare it."""
        try:
            return Opened(self._open_and_compare(), None)
        except RayanimError as error:
            return Opened(False, error)

    def _open_and_compare(self) -> bool:
        blueprint = self._blueprint
        self._source = unpack(self._shipment)  # type: ignore[arg-type]
        self._shipment = None
        open_source(self._source, blueprint.seed, blueprint.geometry)
        self._renderer = SegmentRenderer(self._source, blueprint.spec, blueprint.seed)
        if blueprint.in_full:
            self._renderer.draw_in_full_from_now()
        if blueprint.first_digest is None:
            return False
        payload, _ = self._renderer.render(Segment(0, 0, 1, blueprint.first))
        return digest_of(payload[0]) != blueprint.first_digest

    def render(self, segment: Segment, in_full: bool = False) -> tuple[DrawnMeta, Payload | None]:
        """Draw a segment; its pixels come as an object of their own.

        `in_full` tells that another actor found a difference: from then on this one draws
        figures in full, too.
        """
        renderer: SegmentRenderer = self._renderer  # type: ignore[assignment]
        if in_full:
            renderer.draw_in_full_from_now()
        try:
            payload, timings = renderer.render(segment)
        except RayanimError as error:
            return DrawnMeta(None, process_rss_bytes(), error), None
        return DrawnMeta(timings, process_rss_bytes(), None, renderer.difference), payload

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
    """Takes segments in order and writes one file.

    Parameters
    ----------
    spec
        The stream.
    path
        The file to write.
    """

    def __init__(self, spec: StreamSpec, path: str) -> None:
        from rayanim.video.encoder import VideoEncoder

        self._encoder = VideoEncoder(spec, path)
        self._expected = 0
        self._idle_since = time.perf_counter()

    def open(self) -> int:
        """The process id: the file is open, and segments may come."""
        return os.getpid()

    def encode(self, index: int, payload: Payload) -> Acknowledgement:
        """Encode segment `index`, which must be the one after the last."""
        began = time.perf_counter()
        failure: RayanimError | None = None
        try:
            self._check_order(index)
            self._encoder.encode(payload)
        except RayanimError as error:
            failure = error
        ended = time.perf_counter()
        wait_s, self._idle_since = began - self._idle_since, ended
        return Acknowledgement(ended - began, wait_s, process_rss_bytes(), failure)

    def finish(self) -> Finished:
        """Write what is left and close the file."""
        try:
            return Finished(self._encoder.finish(), None)
        except RayanimError as error:
            return Finished(0, error)

    def _check_order(self, index: int) -> None:
        if index != self._expected:
            raise EncodeError(
                f"Segment {index} came where {self._expected} was expected: nothing more is "
                "written. Please report this."
            )
        self._expected += 1


def remote(actor_class: type[Any], **options: Any) -> Any:
    """`actor_class` as Ray's actor class of the same name, which ``ps`` shows."""
    import ray

    return ray.remote(**options)(actor_class)
