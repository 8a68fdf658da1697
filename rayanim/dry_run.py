"""What a run would do: planned and measured, and nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.errors import ParametersError
from rayanim.planning import PlannedVideo, warn_of_late_subtitles, with_audio_file
from rayanim.report import OutputFile, Report, plural
from rayanim.settings import RenderSettings, Transport
from rayanim.storage.video_folder import shown

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

ENGINES = {
    "auto": "in this process or on Ray, whichever the first frames show to be quicker",
    "local": "in this process, as asked for",
    "ray": "on Ray, as asked for",
}


@dataclass(slots=True, kw_only=True, repr=False)
class PlanReport(Report):
    """The report of a video that was only planned."""

    lines: tuple[str, ...] = ()
    max_actors: int = 1
    max_segment_frames: int = 1

    def summary(self) -> str:
        """The video, then the plan, one fact per line."""
        return "\n".join([Report.summary(self), *self.lines])

    __str__ = summary

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with the bounds."""
        bounds = {name: getattr(self, name) for name in ("max_actors", "max_segment_frames")}
        return {**Report.to_dict(self), **bounds}


def describe(plan: PlannedVideo) -> PlanReport:
    """Open the source here, measure its first frame and try the encoder out."""
    with with_audio_file(plan) as plan:
        report = _described(plan)
    if report.frames:
        warn_of_late_subtitles(plan, report.video_s)
    return report


def _described(plan: PlannedVideo) -> PlanReport:
    from rayanim.engine.local import choose_transport
    from rayanim.engine.machine import usable_cores
    from rayanim.video.codecs import make_spec, probe
    from rayanim.video.timing import how_shown, length_s

    settings, address = plan.settings, plan.target.address
    size = _first_size(plan)
    spec = make_spec(plan.target.suffix, settings, size, settings.fps)
    others = [
        make_spec(each.target.suffix, each.settings, size, settings.fps) for each in plan.others
    ]
    for each in (spec, *others):
        probe(each)
    stays = plan.source.stays
    transport, transport_reason = choose_transport(spec, settings.transport, stays)
    max_actors = settings.most_actors(usable_cores())
    segment_frames = _longest_segment(plan, transport, spec)
    return PlanReport(
        output=address,
        frames=plan.feed.n_frames or 0,
        elapsed_s=0.0,
        size=spec.size,
        rate=spec.rate,
        length_s=length_s(plan.feed.n_frames or 0, spec.rate, spec.timing),
        shown=how_shown(spec.timing),
        tracks=spec.track_texts(plan.feed.n_frames or 0),
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=0,
        engine="ray" if settings.engine == "ray" else "local",
        engine_reason=ENGINES[settings.engine] if stays is None else stays,
        transport=transport,
        transport_reason=transport_reason,
        settings=settings.performance,
        rendered=False,
        others=tuple(
            OutputFile(
                planned.target.address,
                each.size,
                each.codec,
                each.pixel_format,
                0,
                each.track_texts(plan.feed.n_frames or 0),
            )
            for planned, each in zip(plan.others, others, strict=True)
        ),
        lines=tuple(_lines(plan, max_actors, segment_frames)),
        max_actors=max_actors,
        max_segment_frames=segment_frames,
    )


def _first_size(plan: PlannedVideo) -> tuple[int, int]:
    from rayanim.engine.draw import measure_source, open_source
    from rayanim.randomness import kept_randomness

    seed = plan.settings.seed
    first = plan.feed.take(1)
    if not len(first):
        raise ParametersError("There is nothing to render: the video has no frames.")
    params = None if first.params is None else first.params[0]
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            return measure_source(plan.source, seed, first.numbers[0], params).size
        finally:
            plan.source.close()


def _longest_segment(plan: PlannedVideo, transport: Transport, spec: StreamSpec) -> int:
    """The most frames in a segment."""
    from rayanim.video.spec import gop_frames, segment_lengths

    longest, n_frames = plan.settings.performance.frame_batch_amount, plan.feed.n_frames
    if n_frames is None or transport == "frames":
        return n_frames or longest or gop_frames(spec)
    return max(segment_lengths(n_frames, longest or gop_frames(spec)), default=1)


def _lines(plan: PlannedVideo, max_actors: int, segment_frames: int) -> list[str]:
    settings = plan.settings
    if plan.source.stays is None:
        lines = _where(settings, max_actors, segment_frames)
    else:
        lines = [f"Drawn in this process: {plan.source.stays}."]
    if plan.feed.n_frames is None:
        lines.append(f"The number of frames is known when {plan.feed.name} has ended.")
    if settings.frames is not None:
        lines.append(f"Of the whole video, frames {settings.frames.text}.")
    what = "is replaced" if settings.overwrite else "may not be replaced: the run would stop"
    there = [target.address for target in plan.targets if target.exists()]
    lines += [f"{shown(address)} exists and {what}." for address in there]
    return lines


def _where(settings: RenderSettings, max_actors: int, segment_frames: int) -> list[str]:
    segments = f"at most {plural(segment_frames, 'frame')} in a segment."
    cluster = settings.cluster_address
    if cluster is not None:
        # It is not asked: a plan is made in a moment, and also where it cannot be reached.
        bounds = (settings.workers.count, settings.performance.max_workers)
        most = min((bound for bound in bounds if bound is not None), default=None)
        actors = (
            "As many render actors as there is room for"
            if most is None
            else f"At most {plural(most, 'render actor')}"
        )
        return [f"Drawn on the Ray cluster ({cluster.origin}).", f"{actors}, {segments}"]
    # As in the engine: one worker is this process.
    if settings.engine == "local" or (settings.engine == "auto" and max_actors == 1):
        return [f"Drawn {ENGINES['local']}."]
    actors = f"At most {plural(max_actors, 'render actor')}"
    return [f"Drawn {ENGINES[settings.engine]}.", f"{actors}, {segments}"]
