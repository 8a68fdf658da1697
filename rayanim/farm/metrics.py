"""The metrics of a job: their names, what they mean and how each is read; PURE.

Ray puts ``ray_`` before each name where it serves them. A job has one series
of each metric, of the seconds one per stage: thirteen in all, however many
frames, segments and actors it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rayanim.farm.job import Tally

JOB_LABELS = ("film", "run")
"""Labels of every metric: the film's name, and what tells jobs for films of one name apart."""

STAGE_SECONDS = "rayanim_stage_seconds_total"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, or one of its series where `stage` is set.

    Attributes
    ----------
    name
        After Prometheus' conventions: base units, and ``_total`` of what only grows.
    kind
        A counter only grows; a gauge tells what is at this moment.
    description
        What it means, for people.
    read
        Its value; None while that is not known.
    stage
        The value of the label ``stage``; None where the metric has no such label.
    """

    name: str
    kind: Literal["counter", "gauge"]
    description: str
    read: Callable[[Tally], float | None]
    stage: str | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """Its labels."""
        return JOB_LABELS if self.stage is None else (*JOB_LABELS, "stage")


def _seconds(stage: str, read: Callable[[Tally], float]) -> Metric:
    return Metric(
        STAGE_SECONDS,
        "counter",
        "Seconds spent in each stage: draw, convert, encode, write, and wait, the encoder's "
        "for frames; of all actors together",
        read,
        stage,
    )


def _frames_left(tally: Tally) -> float | None:
    return None if tally.total is None else tally.total - tally.frames


METRICS = (
    Metric(
        "rayanim_frames_drawn_total",
        "counter",
        "Frames drawn, by actors and by the driver",
        lambda tally: tally.timings.frames,
    ),
    Metric(
        "rayanim_frames_encoded_total",
        "counter",
        "Frames encoded and taken into the film; not those of an earlier job's parts",
        lambda tally: tally.frames - tally.resumed_frames,
    ),
    Metric(
        "rayanim_segments_retried_total",
        "counter",
        "Segments drawn again because what was drawn of them was lost",
        lambda tally: tally.segments_retried,
    ),
    _seconds("draw", lambda tally: tally.timings.draw_s),
    _seconds("convert", lambda tally: tally.timings.convert_s),
    _seconds("encode", lambda tally: tally.encode_s),
    _seconds("wait", lambda tally: tally.wait_s),
    _seconds("write", lambda tally: tally.write_s),
    Metric(
        "rayanim_frames_left",
        "gauge",
        "Frames of the film that are not in it yet",
        _frames_left,
    ),
    Metric(
        "rayanim_queued_frames",
        "gauge",
        "Frames drawn that the encoder has not taken yet",
        lambda tally: tally.standing.queued_frames,
    ),
    Metric(
        "rayanim_actors_wanted",
        "gauge",
        "Render actors that the controller wants",
        lambda tally: tally.standing.wanted,
    ),
    Metric(
        "rayanim_actors_asked_for",
        "gauge",
        "Render actors that Ray was asked for, those included that are there",
        lambda tally: tally.standing.asked_for,
    ),
    Metric(
        "rayanim_actors_alive",
        "gauge",
        "Render actors that can draw",
        lambda tally: tally.standing.alive,
    ),
)
"""All metrics of a job."""


def increment(before: float, now: float) -> float:
    """What is added to a counter; what began anew, with the film, counts once more."""
    return now - before if now >= before else now
