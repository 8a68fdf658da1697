"""Says what a plan would do, without rendering a film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.errors import ParametersError
from rayanim.report import Report
from rayanim.request import Plan, Request
from rayanim.settings import Transport, parse_rate
from rayanim.storage.address import address_of
from rayanim.target import target_at

if TYPE_CHECKING:
    from rayanim.source import Geometry

ENGINES = {
    "auto": "in this process or on Ray, whichever the first frames show to be quicker",
    "local": "in this process, as asked for",
    "ray": "on Ray, as asked for",
}


@dataclass(slots=True, kw_only=True, repr=False)
class PlanReport(Report):
    """The report of a film that was only planned.

    Parameters
    ----------
    lines
        What the plan comes to beyond the film itself, for people.
    max_actors, max_segment_frames
        The most render actors, and the most frames that one draws in one go.
    """

    lines: tuple[str, ...] = ()
    max_actors: int = 1
    max_segment_frames: int = 1

    def summary(self) -> str:
        """The film, then the plan, one fact per line."""
        return "\n".join([Report.summary(self), *self.lines])

    __str__ = summary

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with the bounds."""
        bounds = {name: getattr(self, name) for name in ("max_actors", "max_segment_frames")}
        return {**Report.to_dict(self), **bounds}


def describe(plan: Plan) -> PlanReport:
    """Open the source here, measure its first frame and try the encoder out.

    Returns
    -------
    PlanReport
        The film as it would be, with ``rendered=False``; 0 frames where the
        parameters' iterable would have to be used up to count them.

    Raises
    ------
    ScriptError
        If the user's code fails on the first frame.
    SettingsError
        If FFmpeg refuses the stream.
    """
    from rayanim.farm.transport import choose_transport
    from rayanim.video.codecs import probe

    spec = plan.make_spec(_measured(plan))
    probe(spec)
    transport, transport_reason = choose_transport(spec, plan.transport)
    segment_frames = _longest_segment(plan, transport)
    return PlanReport(
        output=plan.target,
        frames=plan.feed.n_frames or 0,
        elapsed_s=0.0,
        size=spec.size,
        rate=spec.rate,
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=0,
        engine="ray" if plan.request.engine == "ray" else "local",
        engine_reason=ENGINES[plan.request.engine],
        transport=transport,
        transport_reason=transport_reason,
        settings=plan.performance,
        rendered=False,
        lines=tuple(_lines(plan, segment_frames)),
        max_actors=plan.max_actors,
        max_segment_frames=segment_frames,
    )


@dataclass(slots=True, kw_only=True, repr=False)
class PassedOver(Report):
    """The report of a call that was not carried out."""

    def summary(self) -> str:
        """One line."""
        return f"{self.output}: passed over, another film was asked for."

    __str__ = summary


def passed_over(request: Request) -> PassedOver:
    """What a call gets that was not carried out, because another film was asked for by name."""
    return PassedOver(
        output=address_of(request.outfile or ""),
        frames=0,
        elapsed_s=0.0,
        size=(0, 0),
        rate=parse_rate(request.fps),
        codec="none",
        pixel_format="none",
        file_bytes=0,
        rendered=False,
    )


def _measured(plan: Plan) -> Geometry:
    from rayanim.farm.rendering.render import measure_source, open_source
    from rayanim.randomness import kept_randomness

    seed = plan.request.seed
    first = plan.feed.take(1)
    if not len(first):
        raise ParametersError("There is nothing to render: the film has no frames.")
    params = None if first.params is None else first.params[0]
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            return measure_source(plan.source, seed, first.numbers[0], params)
        finally:
            plan.source.close()


def _longest_segment(plan: Plan, transport: Transport) -> int:
    """The most frames in a segment."""
    from rayanim.farm.choosing.model import MAX_SEGMENT_FRAMES
    from rayanim.farm.planning.plan import GOP_FRAMES, closed_lengths

    asked, n_frames = plan.performance.frame_batch_amount, plan.feed.n_frames
    if transport == "frames":
        return asked or MAX_SEGMENT_FRAMES
    if n_frames is None:
        return asked or GOP_FRAMES
    return max(closed_lengths(n_frames, asked), default=1)


def _lines(plan: Plan, segment_frames: int) -> list[str]:
    request = plan.request
    lines = _where(plan, segment_frames)
    if plan.feed.n_frames is None:
        lines.append("How many frames there are, only the end of param_by_frame will tell.")
    if request.frames is not None:
        lines.append(f"Of the whole film, frames {request.frames}.")
    if target_at(plan.target, request.storage_options).exists():
        what = "is replaced" if request.overwrite else "may not be replaced: the run would stop"
        lines.append(f"{plan.target} exists and {what}.")
    return lines


def _where(plan: Plan, segment_frames: int) -> list[str]:
    request, segments = plan.request, f"at most {_count(segment_frames, 'frame')} in a segment."
    if plan.cluster is not None:
        # It is not asked: a plan is made in a moment, and also where it cannot be reached.
        given = plan.cluster.workers, plan.cluster.settings.max_workers
        bounds = [bound for bound in given if isinstance(bound, int)]
        most = (
            f"At most {_count(min(bounds), 'render actor')}"
            if bounds
            else "As many render actors as there is room for"
        )
        return [f"Drawn on the Ray cluster ({plan.cluster.address.origin}).", f"{most}, {segments}"]
    # Mirrors the engine's own rule: one worker is this process.
    if request.engine == "local" or (request.engine == "auto" and plan.max_actors == 1):
        return [f"Drawn {ENGINES['local']}."]
    most = f"At most {_count(plan.max_actors, 'render actor')}"
    return [f"Drawn {ENGINES[request.engine]}.", f"{most}, {segments}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
