"""The one protocol through which the engine sees whatever the user wrote.

One adapter per form stands here; `rayanim.sources` finds the right one, and
nothing beyond the two asks which form it was.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rayanim.errors import RayanimError, SettingsError, SetupError
from rayanim.figure.draw_stats import aside
from rayanim.figure.figure import (
    AnyPixels,
    Box,
    FigurePixels,
    drawn_as,
    given_box,
    is_figure,
    open_pixels,
    settled_box,
)
from rayanim.figure.layout import Approach, coming_by, skip_draw
from rayanim.pixels import Frame, pixels_of, to_rgba, to_size
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import RenderSettings
from rayanim.timeline import frame_count, frame_time_ms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayanim.animator import Animator
    from rayanim.frame_gen import FrameGenerator

MARK = "_rayanim_left"
"""The attribute that keeps what is to be taken off: on the object, so that it goes with it."""

MAX_PARTS = 1000
"""Longer lists are data, not parts of a video: looking through them would take its time."""


class _Missing(Enum):
    """Stands for an attribute that is not there; stays itself when copied and pickled."""

    MISSING = "missing"


_MISSING = _Missing.MISSING


@dataclass(frozen=True, slots=True)
class _Change:
    """An attribute's value before a video and after it."""

    before: Any
    after: Any


class AttributeWatch:
    """Sees what a video changes on an object, and on those that it is made of.

    Attributes are compared, not what they hold: a list that the object had
    before keeps what is appended to it.
    """

    def __init__(self, thing: Any) -> None:
        self._before = [(each, dict(vars(each))) for each in parts_of(thing)]

    def note(self) -> None:
        """Keep on each object what has changed, for `take_off`."""
        for each, before in self._before:
            now = vars(each)
            changes = {
                name: _Change(before.get(name, _MISSING), now.get(name, _MISSING))
                for name in before.keys() | now.keys()
                if before.get(name, _MISSING) is not now.get(name, _MISSING)
            }
            if changes:
                now[MARK] = changes

    @contextlib.contextmanager
    def noted_on_failure(self) -> Iterator[None]:
        """Note what was changed where what is done inside fails, and no one will close."""
        try:
            yield
        except BaseException:
            self.note()
            raise


def take_off(thing: Any) -> None:
    """Put back what the last video changed on `thing`, and on what it is made of.

    What was set again since then is the user's own, and stays.
    """
    for each in parts_of(thing):
        attributes = vars(each)
        for name, change in attributes.pop(MARK, {}).items():
            if attributes.get(name, _MISSING) is not change.after:
                continue
            if change.before is _MISSING:
                del attributes[name]
            else:
                attributes[name] = change.before


def parts_of(thing: Any) -> list[Any]:
    """`thing` and the generators, scenes, states and renderers in it, each once."""
    forms, own_keeper = _forms()
    found: dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if id(each) in found or not hasattr(each, "__dict__") or isinstance(each, own_keeper):
            continue
        found[id(each)] = each
        waiting += [inner for inner in _held(each) if isinstance(inner, forms) or _is_ours(inner)]
    return list(found.values())


def _held(holder: Any) -> Iterator[Any]:
    """What the attributes of `holder` are, and what short lists and tuples among them hold."""
    for value in vars(holder).values():
        yield value
        if isinstance(value, list | tuple) and len(value) <= MAX_PARTS:
            yield from value


def _is_ours(inner: Any) -> bool:
    """Whether it is one of rayanim's own, which may hold the user's."""
    return type(inner).__module__.partition(".")[0] == "rayanim"


def _forms() -> tuple[tuple[type, ...], type]:
    """The classes whose objects a video is made of, and the one that cleans up by itself."""
    from rayanim.acts import ActRenderer, ActState, FigureRenderer, Scene
    from rayanim.frame_gen import FrameGenerator

    return (FrameGenerator, Scene, ActState, ActRenderer), FigureRenderer


Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the first frame settles for all: every actor must draw the same."""

    size: tuple[int, int]
    box: Box | None = None
    first: int | None = None
    inner: Geometry | None = None


class Source(Protocol):
    """Something that draws frames by number, in any order, in any process.

    A source travels by pickle before it was opened, never after.
    """

    @property
    def name(self) -> str:
        """What the user calls it, for messages."""

    @property
    def n_frames(self) -> int | None:
        """How many frames there are; None where the parameters tell."""

    def open(self, geometry: Geometry | None) -> None:
        """Build what drawing needs; once per process, before `measure` and `draw`.

        `geometry` is None in the first process, which is asked to `measure`.
        """

    def measure(self, index: int, params: Any) -> Geometry:
        """Find what frame `index`, the video's first, settles for all."""

    def draw(self, index: int, params: Any) -> Pixels:
        """Frame `index` as (height, width, 4) uint8 RGBA, valid until the next call."""

    def advance(self, index: int, params: Any) -> None:
        """Come to the state that drawing frame `index` would leave, without drawing it."""

    def close(self) -> None:
        """Let go of what `open` built."""


class Order:
    """How the frames that a source is asked for follow one another."""

    def __init__(self, geometry: Geometry | None) -> None:
        self._leads = geometry is None
        self._first = None if geometry is None else geometry.first
        self._last: int | None = None

    def begins_with(self, index: int) -> None:
        """Frame `index` is the video's first."""
        self._first = index

    def approach(self, index: int) -> Approach:
        """How the source comes to frame `index`, which is drawn now."""
        last, self._last = self._last, index
        if last is not None and (index == last + 1 or (self._leads and index > last)):
            return "next"
        return "first" if index == self._first else "jump"

    def passes(self, index: int) -> None:
        """The source came to the state after frame `index` without drawing it."""
        self._last = index


class AnimatorSource:
    """An `Animator`: a figure set up once, updated from frame to frame.

    What an earlier video left on the animator is taken off here, see
    `rayanim.sources`.
    """

    n_frames = None

    def __init__(
        self,
        animator: Animator,
        settings: RenderSettings,
    ) -> None:
        take_off(animator)
        self._animator = animator
        self._settings = settings
        dpi = "figure" if settings.dpi is None else settings.dpi
        self._options = {"dpi": dpi, **settings.savefig_params}
        self._box = given_box(self._options)
        self._order = Order(None)
        self._pixels: AnyPixels | None = None
        self._updated: int | None = None
        self._watch: AttributeWatch | None = None

    @property
    def name(self) -> str:
        return type(self._animator).__name__

    def open(self, geometry: Geometry | None) -> None:
        self._order = Order(geometry)
        if geometry is not None:
            self._box = geometry.box
        self._watch = AttributeWatch(self._animator)
        with self._watch.noted_on_failure():
            self._set_up()
        self._close_unless_reused()

    def measure(self, index: int, params: Any) -> Geometry:
        pixels = self._live()
        self._animator.update(index, params)
        # Drawing this frame must not update it a second time.
        self._updated = index
        self._order.begins_with(index)
        self._box = settled_box(pixels.figure, self._options)
        pixels.release()
        self._pixels = self._opened(pixels.figure)
        size = self._pixels.size
        self._close_unless_reused()
        return Geometry(size, self._box, index)

    def draw(self, index: int, params: Any) -> Pixels:
        pixels = self._live()
        if self._updated != index:
            self._animator.update(index, params)
        self._updated = None
        # A figure of its own has no frame before it.
        approach = self._order.approach(index) if self._settings.reuse_figure_object else "next"
        with coming_by(approach):
            frame = pixels.draw()
        self._close_unless_reused()
        return frame

    def advance(self, index: int, params: Any) -> None:
        pixels = self._live()
        if self._updated != index:
            self._animator.update(index, params)
        self._updated = None
        self._order.passes(index)
        skip_draw(pixels.figure)

    def close(self) -> None:
        self._close_figure()
        if self._watch is not None:
            self._watch.note()

    def _close_figure(self) -> None:
        if self._pixels is not None:
            self._pixels.close()
            self._pixels = None

    def _set_up(self) -> None:
        figure = self._animator.setup()
        if not is_figure(figure):
            raise SetupError(
                f"{self.name}.setup() must return a matplotlib Figure, "
                f"got {type(figure).__name__}: {figure!r:.80}. "
                "End it with `return fig`."
            )
        if self._settings.height_px is not None:
            self._options["dpi"] = self._settings.height_px / figure.get_figheight()
        self._pixels = self._opened(figure)

    def _opened(self, figure: Figure) -> AnyPixels:
        return open_pixels(figure, self._options, self._box, self._settings.drawing)

    def _close_unless_reused(self) -> None:
        if not self._settings.reuse_figure_object:
            self._close_figure()
            self._updated = None

    def _live(self) -> AnyPixels:
        if self._pixels is None:
            self._set_up()
        return self._pixels  # type: ignore[return-value]


class GeneratorSource:
    """A `FrameGenerator` or `Act`: any instant of it can be drawn.

    What an earlier video left on its objects is taken off here, see
    `rayanim.sources`.
    """

    def __init__(self, generator: FrameGenerator, settings: RenderSettings) -> None:
        take_off(generator)
        self._generator = generator
        self._settings = settings
        self._order = Order(None)
        self.n_frames = frame_count(_duration_ms(generator), settings.fps)
        self._size: tuple[int, int] | None = None
        self._watch: AttributeWatch | None = None

    @property
    def name(self) -> str:
        return type(self._generator).__name__

    def open(self, geometry: Geometry | None) -> None:
        self._order = Order(geometry)
        self._watch = AttributeWatch(self._generator)
        with self._watch.noted_on_failure():
            self._generator.start()
            self._size = self._checked_size() if geometry is None else geometry.size

    def measure(self, index: int, params: Any) -> Geometry:
        self._order.begins_with(index)
        return Geometry(size=self._checked_size(), first=index)

    def draw(self, index: int, params: Any) -> Pixels:
        with coming_by(self._order.approach(index)):
            return to_rgba(self._generated(index), self._size)

    def advance(self, index: int, params: Any) -> None:
        with coming_by(self._order.approach(index)):
            self._generated(index)

    def close(self) -> None:
        try:
            self._generator.finish()
        finally:
            if self._watch is not None:
                self._watch.note()

    def _generated(self, index: int) -> Frame:
        with drawn_as(self._settings.drawing):
            return self._generator.generate_at(frame_time_ms(index, self._settings.fps))

    def _checked_size(self) -> tuple[int, int]:
        return to_size(self._generator.frame_size)


def _duration_ms(generator: FrameGenerator) -> float:
    """The generator's own duration, the user's code behind it."""
    try:
        return generator.duration
    except RayanimError:
        raise
    except Exception as error:
        raise SetupError(
            f"{type(generator).__name__}.duration raised {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error


class FunctionSource:
    """A plain function of the frame number, or of the time in milliseconds.

    It may return all that a frame generator may, and a matplotlib figure.
    """

    def __init__(self, function: Callable[[Any], Any], settings: RenderSettings) -> None:
        n_frames, duration_ms = settings.n_frames, settings.duration
        if (n_frames is None) == (duration_ms is None):
            raise SettingsError(
                "A function needs either n_frames=300 (it is called with the frame number) or "
                "duration=5000 (it is called with the time in milliseconds); "
                f"got n_frames={n_frames!r} and duration={duration_ms!r}."
            )
        self._function = function
        self._settings = settings
        if duration_ms is not None:
            n_frames = frame_count(duration_ms, settings.fps)
        self.n_frames = n_frames
        self._order = Order(None)
        self._size: tuple[int, int] | None = None
        self._first: tuple[int, Pixels] | None = None
        self._pixels: FigurePixels | None = None
        self._callers: set[Any] = set()

    @property
    def name(self) -> str:
        return getattr(self._function, "__name__", type(self._function).__name__)

    def open(self, geometry: Geometry | None) -> None:
        self._order = Order(geometry)
        self._size = None if geometry is None else geometry.size
        self._callers = _figures_in_pyplot()

    def measure(self, index: int, params: Any) -> Geometry:
        self._order.begins_with(index)
        frame = self._call(index)
        # Kept: a frame may cost minutes, and this one is needed again at once.
        self._first = (index, frame)
        self._size = (frame.shape[1], frame.shape[0])
        return Geometry(size=self._size, first=index)

    def draw(self, index: int, params: Any) -> Pixels:
        first, self._first = self._first, None
        if first is not None and first[0] == index:
            return first[1]
        return self._call(index)

    def advance(self, index: int, params: Any) -> None:
        first, self._first = self._first, None
        if first is not None and first[0] == index:
            return
        self._order.passes(index)
        with drawn_as(self._settings.drawing):
            result = self._function(self._argument(index))
        if is_figure(result):
            skip_draw(self._pixels_of(result).figure)

    def close(self) -> None:
        if self._pixels is None:
            return
        if getattr(self._pixels.figure, "number", None) in self._callers:
            self._pixels.release()  # pyplot goes on showing what the caller made
        else:
            self._pixels.close()
        self._pixels = None

    def _argument(self, index: int) -> float:
        settings = self._settings
        return index if settings.duration is None else frame_time_ms(index, settings.fps)

    def _call(self, index: int) -> Pixels:
        with drawn_as(self._settings.drawing), coming_by(self._order.approach(index)):
            result = self._function(self._argument(index))
            if is_figure(result):
                result = self._pixels_of(result).draw()
        return to_rgba(result, self._size)

    def _pixels_of(self, figure: Figure) -> FigurePixels:
        if self._pixels is None or self._pixels.figure is not figure:
            # A function that makes a new figure for every frame would pile them up.
            self.close()
            settings = self._settings
            self._pixels = FigurePixels(figure, settings.dpi, drawing=settings.drawing)
        return self._pixels


def _figures_in_pyplot() -> set[Any]:
    """Numbers of the figures that pyplot holds now."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


class ScaledSource:
    """Another source's frames, scaled to a height, the width in proportion."""

    def __init__(self, source: Source, height_px: int) -> None:
        self._source = source
        self._height_px = height_px
        self._size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def n_frames(self) -> int | None:
        return self._source.n_frames

    def open(self, geometry: Geometry | None) -> None:
        self._size = None if geometry is None else geometry.size
        self._source.open(None if geometry is None else geometry.inner)

    def measure(self, index: int, params: Any) -> Geometry:
        inner = self._source.measure(index, params)
        width_px, height_px = inner.size
        scaled_px = round(width_px * self._height_px / height_px)
        # Whole pairs of pixels: otherwise the video would be padded after scaling.
        self._size = (max(2, scaled_px + scaled_px % 2), self._height_px)
        return Geometry(size=self._size, inner=inner)

    def draw(self, index: int, params: Any) -> Pixels:
        from PIL import Image

        frame = self._source.draw(index, params)
        if self._size is None or frame.shape[1::-1] == self._size:
            return frame
        image = Image.fromarray(frame).resize(self._size, Image.Resampling.LANCZOS)
        return pixels_of(image)

    def advance(self, index: int, params: Any) -> None:
        self._source.advance(index, params)

    def close(self) -> None:
        self._source.close()


def as_source(thing: Any, settings: RenderSettings) -> Source:
    """The source behind `thing`, whichever form it has."""
    from rayanim.animator import Animator, check_signatures
    from rayanim.frame_gen import FrameGenerator

    thing = _built(thing)
    if isinstance(thing, Animator):
        if settings.duration is not None:
            raise SettingsError(
                "duration goes with a function; an Animator has a number of frames: n_frames."
            )
        check_signatures(thing)
        return AnimatorSource(thing, settings)
    source: Source
    if isinstance(thing, FrameGenerator):
        if settings.n_frames is not None or settings.duration is not None:
            raise SettingsError(
                f"{type(thing).__name__} has its own duration: n_frames and duration do not "
                "apply. Crop it, or choose frames."
            )
        source = GeneratorSource(thing, settings)
    elif callable(thing) and not inspect.isclass(thing):
        source = FunctionSource(thing, settings)
    else:
        raise SettingsError(_not_a_source(thing))
    return source if settings.height_px is None else ScaledSource(source, settings.height_px)


def _built(thing: Any) -> Any:
    """A fluent builder that was not built yet is taken for what it builds."""
    from rayanim.frame_gen import FluentFG

    return thing.build() if isinstance(thing, FluentFG) else thing


def _not_a_source(thing: Any) -> str:
    hint = ""
    if inspect.isclass(thing):
        hint = f" It is a class: give an instance, {thing.__name__}()."
    return (
        "What is to be rendered must be an Animator, a FrameGenerator, an Act or a function, "
        f"got {thing!r:.120}.{hint}"
    )


DEPTH_SHARED = 3
"""Attributes of attributes in which what cannot be copied is looked for: a source's user's own."""


class SequentialSource:
    """Another source's frames, each drawn in the state that a serial run would have.

    Before a frame is drawn, the updates of the frames that were skipped are
    run without drawing them. A frame that comes before the last one drawn
    takes a fresh start.
    """

    def __init__(self, source: Source, seed: int | None, params: Mapping[int, Any] | None) -> None:
        self._source = source
        self._seed = seed
        self._params = params
        self._numbers = None if params is None else list(params)
        self._geometry: Geometry | None = None
        self._pristine: Source = source
        # All frames before this one have had their update.
        self._done = 0

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def n_frames(self) -> int | None:
        return self._source.n_frames

    def open(self, geometry: Geometry | None) -> None:
        self._geometry = geometry
        self._pristine = _copied(self._source)
        self._source.open(geometry)

    def measure(self, index: int, params: Any) -> Geometry:
        self._advance_to(index)
        self._geometry = self._source.measure(index, params)
        return self._geometry

    def draw(self, index: int, params: Any) -> Pixels:
        if index < self._done:
            self._start_afresh()
        self._advance_to(index)
        frame = self._source.draw(index, params)
        self._done = index + 1
        return frame

    def advance(self, index: int, params: Any) -> None:
        self._source.advance(index, params)
        self._done = index + 1

    def close(self) -> None:
        self._source.close()

    def _start_afresh(self) -> None:
        self._source.close()
        # What update() appends to may have been made before setup().
        self._source = _copied(self._pristine)
        seed_for(self._seed, SETUP)
        self._source.open(self._geometry)
        self._done = 0

    def _advance_to(self, index: int) -> None:
        if self._done >= index:
            return
        with aside():
            for number in self._skipped(index):
                seed_for(self._seed, number)
                params = None if self._params is None else self._params[number]
                self._source.advance(number, params)
        self._done = index
        seed_for(self._seed, index)

    def _skipped(self, index: int) -> Sequence[int]:
        """Numbers of the frames whose update has not run, up to frame `index`."""
        if self._numbers is None:
            return range(self._done, index)
        first, stop = (bisect_left(self._numbers, each) for each in (self._done, index))
        return self._numbers[first:stop]


def _copied(source: Source) -> Source:
    """A copy of `source` as it is before it is opened.

    What cannot be copied, a module or a lock for example, is shared: no video
    shows it.
    """
    try:
        return copy.deepcopy(source)
    except Exception:  # whatever the user's attributes raise
        return copy.deepcopy(source, _shared(source, DEPTH_SHARED))


def _shared(value: Any, depth: int) -> dict[int, Any]:
    """A memo that has `copy.deepcopy` keep what it cannot copy, so many attributes deep."""
    memo: dict[int, Any] = {}
    for each in list(getattr(value, "__dict__", {}).values()):
        try:
            copy.deepcopy(each)
        except Exception:
            inner = _shared(each, depth - 1) if depth and not isinstance(each, ModuleType) else {}
            memo |= inner or {id(each): each}
    return memo
