"""Finds the adapter for whatever form of animation the user wrote."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rayanim.drawing.figure import Drawing
from rayanim.errors import SettingsError
from rayanim.scaled import ScaledSource
from rayanim.source import AnimatorSource, FunctionSource, GeneratorSource, Source
from rayanim.timeline import frame_count


def as_source(
    thing: Any,
    *,
    rate: Fraction,
    dpi: float | None,
    n_frames: int | None,
    duration_ms: float | None,
    savefig_options: dict[str, Any] | None,
    reuse_figure: bool = True,
    height_px: int | None = None,
    drawing: Drawing = "auto",
) -> Source:
    """The source behind `thing`, whichever form it has.

    Raises
    ------
    SettingsError
        If it is none of the forms, or a setting does not fit its form.
    SetupError
        If an `Animator`'s methods take other arguments than they will get.
    """
    from rayanim.animator import Animator, check_signatures
    from rayanim.frame_gen import FrameGenerator

    thing = _built(thing)
    if isinstance(thing, Animator):
        if duration_ms is not None:
            raise SettingsError(
                "duration goes with a function; an Animator has a number of frames: n_frames."
            )
        check_signatures(thing)
        options = dict(savefig_options or {})
        options.setdefault("dpi", "figure" if dpi is None else dpi)
        return AnimatorSource(
            thing, options, reuse_figure=reuse_figure, height_px=height_px, drawing=drawing
        )
    source: Source
    if isinstance(thing, FrameGenerator):
        if n_frames is not None or duration_ms is not None:
            raise SettingsError(
                f"{type(thing).__name__} has its own duration: n_frames and duration do not "
                "apply. Crop it, or choose frames."
            )
        source = GeneratorSource(thing, rate, drawing=drawing)
    elif callable(thing) and not inspect.isclass(thing):
        source = _function_source(thing, rate, dpi, n_frames, duration_ms, drawing)
    else:
        raise SettingsError(_not_a_source(thing))
    return source if height_px is None else ScaledSource(source, height_px)


def _built(thing: Any) -> Any:
    """A fluent builder that was not built yet is taken for what it builds."""
    from rayanim.frame_gen import FluentFG

    return thing.build() if isinstance(thing, FluentFG) else thing


def _function_source(
    function: Callable[[Any], Any],
    rate: Fraction,
    dpi: float | None,
    n_frames: int | None,
    duration_ms: float | None,
    drawing: Drawing,
) -> FunctionSource:
    if (n_frames is None) == (duration_ms is None):
        raise SettingsError(
            "A function needs either n_frames=300 (it is called with the frame number) or "
            "duration=5000 (it is called with the time in milliseconds); "
            f"got n_frames={n_frames!r} and duration={duration_ms!r}."
        )
    if n_frames is not None:
        return FunctionSource(function, n_frames=n_frames, dpi=dpi, drawing=drawing)
    count = frame_count(duration_ms, rate)  # type: ignore[arg-type]
    return FunctionSource(function, n_frames=count, rate=rate, dpi=dpi, drawing=drawing)


def _not_a_source(thing: Any) -> str:
    hint = ""
    if inspect.isclass(thing):
        hint = f" It is a class: give an instance, {thing.__name__}()."
    return (
        "What is to be rendered must be an Animator, a FrameGenerator, an Act or a function, "
        f"got {thing!r:.120}.{hint}"
    )
