"""A job's metrics for Prometheus, exported through Ray."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rayanim.engine.stats import JobName, JobStats
from rayanim.events import Event, Progressed, RayPassEnded, RayPassStarted

_logger = logging.getLogger("rayanim")

JOB_LABELS = ("video", "run")
"""Labels of every metric: the video's name, and what distinguishes jobs for videos of one name."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, or one of its series where `stage` is set."""

    name: str
    description: str
    read: Callable[[JobStats], float | None]
    stage: str | None = None

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        """What only grows is a counter."""
        return "counter" if self.name.endswith("_total") else "gauge"

    @property
    def label_names(self) -> tuple[str, ...]:
        return JOB_LABELS if self.stage is None else (*JOB_LABELS, "stage")


def _seconds(stage: str, read: Callable[[JobStats], float]) -> Metric:
    return Metric(
        "rayanim_stage_seconds_total",
        "Seconds spent in each stage: draw, convert, encode, write, and wait, the encoder's "
        "for frames; of all actors together",
        read,
        stage,
    )


METRICS = (
    Metric(
        "rayanim_frames_drawn_total",
        "Frames drawn, by actors and by the driver",
        lambda stats: stats.timings.frames,
    ),
    Metric(
        "rayanim_frames_encoded_total",
        "Frames encoded and taken into the video; not those of an earlier job's segments",
        lambda stats: stats.frames - stats.resumed_frames,
    ),
    Metric(
        "rayanim_segments_retried_total",
        "Segments drawn again because what was drawn of them was lost",
        lambda stats: stats.segments_retried,
    ),
    _seconds("draw", lambda stats: stats.timings.draw_s),
    _seconds("convert", lambda stats: stats.timings.convert_s),
    _seconds("encode", lambda stats: stats.encode_s),
    _seconds("wait", lambda stats: stats.wait_s),
    _seconds("write", lambda stats: stats.write_s),
    Metric(
        "rayanim_frames_left",
        "Frames of the video that are not in it yet",
        lambda stats: None if stats.total is None else stats.total - stats.frames,
    ),
    Metric(
        "rayanim_queued_frames",
        "Frames drawn that the encoder has not taken yet",
        lambda stats: stats.latest.queued_frames,
    ),
    Metric(
        "rayanim_actors_wanted",
        "Render actors that the controller wants",
        lambda stats: stats.latest.target,
    ),
    Metric(
        "rayanim_actors_asked_for",
        "Render actors that Ray was asked for, those included that are there",
        lambda stats: stats.latest.requested,
    ),
    Metric(
        "rayanim_actors_alive",
        "Render actors that can draw",
        lambda stats: stats.latest.alive,
    ),
)
"""All metrics of a job."""


def increment(before: float, now: float) -> float:
    """What a counter grows by; a video that is begun again counts once more."""
    return now - before if now >= before else now


EXPORT_EVERY_S = 1.0
"""Ray passes metrics on every ten seconds."""


class MetricsExporter:
    """Exports what is counted of a job, while it is on Ray."""

    def __init__(self, stats: JobStats, name: JobName) -> None:
        self._stats = stats
        self._labels = dict(zip(JOB_LABELS, (name.video, name.run), strict=True))
        self._instruments: dict[str, Any] = {}
        self._counted: dict[Metric, float] = {}
        self._next_s = 0.0

    def apply(self, event: Event) -> None:
        """Export now and then; at the end all that was counted, and gauges of nothing."""
        match event:
            case RayPassStarted() if not self._instruments:
                with self._harmless():
                    if _collects_metrics():
                        self._instruments = _instruments()
            case Progressed() if self._instruments and time.perf_counter() >= self._next_s:
                self._next_s = time.perf_counter() + EXPORT_EVERY_S
                self._export()
            case RayPassEnded():
                self._next_s = 0.0
                if self._instruments:
                    self._export(is_over=True)

    def _export(self, *, is_over: bool = False) -> None:
        with self._harmless():
            for metric in METRICS:
                is_gone = is_over and metric.kind == "gauge"
                value = 0.0 if is_gone else metric.read(self._stats)
                if value is not None:
                    self._set(metric, value)

    def _set(self, metric: Metric, value: float) -> None:
        instrument = self._instruments[metric.name]
        labels = self._labels if metric.stage is None else {**self._labels, "stage": metric.stage}
        if metric.kind == "gauge":
            instrument.set(value, labels)
            return
        added = increment(self._counted.get(metric, 0.0), value)
        self._counted[metric] = value
        # A counter of Ray's takes no 0: the series begins with the first that is counted.
        if added > 0:
            instrument.inc(added, labels)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # whatever Ray's metrics raise: the video is what counts
            self._instruments = {}
            _logger.debug("The job's metrics end here.", exc_info=True)


def _instruments() -> dict[str, Any]:
    from ray.util.metrics import Counter, Gauge

    classes = {"counter": Counter, "gauge": Gauge}
    return {
        metric.name: classes[metric.kind](metric.name, metric.description, metric.label_names)
        for metric in METRICS
    }


def _collects_metrics() -> bool:
    """Whether this node serves metrics: Ray puts -1 in the place of a port where it does not."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return any(
        node["NodeID"] == here and node.get("MetricsExportPort", -1) > 0 for node in ray.nodes()
    )
