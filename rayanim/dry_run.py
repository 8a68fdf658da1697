"""Says what a plan would do, without rendering a film."""

from __future__ import annotations

from rayanim.errors import ParametersError
from rayanim.report import Report
from rayanim.request import Plan


def describe(plan: Plan) -> Report:
    """Open the source here, measure its first frame and try the encoder out.

    Returns
    -------
    Report
        The film as it would be, with ``rendered=False``; 0 frames where the
        parameters' iterable would have to be used up to count them.

    Raises
    ------
    ScriptError
        If the user's code fails on the first frame.
    SettingsError
        If FFmpeg refuses the stream.
    """
    from rayanim.farm.randomness import kept_randomness
    from rayanim.farm.render import measure_source, open_source
    from rayanim.video.codecs import probe

    seed = plan.request.seed
    first = plan.feed.take(1)
    if not len(first):
        raise ParametersError("There is nothing to render: the film has no frames.")
    params = None if first.params is None else first.params[0]
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            geometry = measure_source(plan.source, seed, first.numbers[0], params)
        finally:
            plan.source.close()
    spec = plan.make_spec(geometry)
    probe(spec)
    return Report(
        output=plan.target,
        frames=plan.feed.n_frames or 0,
        elapsed_s=0.0,
        size=spec.size,
        rate=spec.rate,
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=0,
        engine_reason=f"at most {plan.max_actors} render actors",
        settings=plan.performance,
        rendered=False,
    )
