"""Chooses the palette of a GIF before its first segment is encoded.

The same palette must come out however the job is run, so the frames that it is
chosen from do not depend on who draws them:

- The first 9 frames, as far as they fit into `HELD_BYTES`. They are drawn once, in
  this process, and wait for the palette.
- One frame in sixteen, but at least 8 and at most 64, from the first to the last
  at even distances. They are drawn in this process by a copy of the source, which
  jumps from one to the next, and begins with the last of the first 9. If that has
  other pixels than in its turn, frames depend on those before, and a second copy
  goes on: it runs all updates of the video once, without drawing, and never goes
  back. Frames in a list are looked up where they are.
- Where the source cannot be copied, or its frames or parameters come once and are
  not known beforehand, as those of a generator, the first 16 frames are all there
  is to choose from.

Where frames cannot be drawn by a copy, for example because an update fails without
those before, the palette is chosen from the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rayanim.engine.draw import ChunkRenderer, Frame, opened
from rayanim.engine.packing import (
    classes_apart,
    module_variables,
    restore_variables,
    set_module_variables,
    unpickled,
)
from rayanim.errors import RayanimError
from rayanim.figure.figure import kept_figures
from rayanim.parameters import Feed
from rayanim.randomness import kept_randomness
from rayanim.sources import SequentialSource, Source, listed_bytes

if TYPE_CHECKING:
    from rayanim.engine.job import Job
    from rayanim.engine.local import InProcess
    from rayanim.engine.packing import PackedSource
    from rayanim.video.spec import StreamSpec

Frames: TypeAlias = Iterable[tuple[int, Any]]
"""Number and parameters of each."""

EVERY, FEWEST, MOST = 16, 8, 64
"""Of frames from which a palette is chosen: one in so many, at least, at most."""

FIRST, FIRST_ALONE = 9, 16
"""First frames from which it is chosen, beside others and alone."""

HELD_BYTES = 64 * 2**20
"""They wait in memory: 16 frames of 1000x1000, 7 of 1920x1080."""


def positions(n_frames: int) -> list[int]:
    """Where in a video the frames stand that its palette is chosen from."""
    count = min(n_frames, max(FEWEST, min(MOST, n_frames // EVERY)))
    if count < 2:
        return list(range(count))
    return [index * (n_frames - 1) // (count - 1) for index in range(count)]


def with_palettes(inside: InProcess) -> StreamSpec:
    """The spec of `inside`, which has drawn the first frame, with a palette for each GIF."""
    spec = inside.spec
    outputs = [
        _with_palette(inside, each, place) if each.container == "gif" else each
        for each, place in zip(spec.outputs, spec.places, strict=True)
    ]
    return replace(outputs[0], others=tuple(outputs[1:]))


def _with_palette(inside: InProcess, spec: StreamSpec, place: slice) -> StreamSpec:
    """`spec`, the frames of which stand at `place` among those of all outputs."""
    from rayanim.video.gif import PaletteMaker

    job, pristine = inside.job, inside.pristine
    feed, is_list = job.feed.again(), listed_bytes(job.source) is not None
    is_known = feed is not None and feed.n_frames is not None
    can_jump = is_known and (is_list or pristine is not None)
    room = max(1, HELD_BYTES // spec.frame_bytes)
    most, held = min(FIRST if can_jump else FIRST_ALONE, room), 1
    while held < most and inside.draw_ahead(held):
        held += 1
    maker = PaletteMaker(spec, inside.held(0)[place])
    for position in range(held):
        maker.add(inside.held(position)[place])
    if feed is not None and can_jump:
        wanted = [each for each in positions(feed.n_frames or 0) if each >= held]
        frames = _picked(feed, [held - 1, *wanted])
        others = _listed(job, spec, frames) if is_list else None
        if others is None and pristine is not None:
            in_turn = inside.held(held - 1)[place]
            others = _copied(inside, pristine, frames, spec, in_turn)
        for frame in others or ():
            maker.add(frame)
    return maker.finish()


def _listed(job: Job, spec: StreamSpec, frames: Frames) -> Iterator[Frame]:
    """Frames of a list, whatever their order."""
    renderer = ChunkRenderer(_without_replay(job.source), spec, job.settings, is_audited=True)
    out = np.empty(spec.frame_bytes, np.uint8)
    for number, params in frames:
        renderer.draw_again(number, params, out)
        yield out


def _copied(
    inside: InProcess, pristine: PackedSource, frames: Frames, spec: StreamSpec, in_turn: Frame
) -> Iterator[Frame]:
    """Frames that a copy of the source draws, up to one that it fails to draw.

    The first of them was drawn before, `in_turn`.
    """
    job, seed = inside.job, inside.job.settings.seed
    (first, first_params), *others = frames
    out = np.empty(spec.frame_bytes, np.uint8)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(RayanimError))
        stack.enter_context(kept_randomness())
        stack.enter_context(kept_figures())
        stack.callback(set_module_variables, module_variables())
        restore_variables(pristine)

        def drawing_of(source: Source) -> ChunkRenderer:
            stack.enter_context(opened(source, seed, inside.geometry))
            return ChunkRenderer(source, spec, job.settings, is_audited=True)

        def copy() -> Source:
            return _without_replay(unpickled(pristine))

        is_same = False
        with contextlib.suppress(RayanimError):
            drawing = drawing_of(copy())
            drawing.draw_again(first, first_params, out)
            is_same = np.array_equal(out, in_turn)
        if not is_same:
            replay = job.replay()
            with classes_apart():
                source = None if replay is None else replay.of(copy(), seed, copy)
            if source is not None:
                drawing = drawing_of(source)
        for number, params in others:
            drawing.draw_again(number, params, out)
            yield out


def _without_replay(source: Source) -> Source:
    return source.inner if isinstance(source, SequentialSource) else source


def _picked(feed: Feed, wanted: list[int]) -> Iterator[tuple[int, Any]]:
    """Number and parameters of the frames at these positions."""
    at = 0
    for position in wanted:
        if position > at:
            feed.take(position - at)
        yield from feed.take(1).frames()
        at = position + 1
