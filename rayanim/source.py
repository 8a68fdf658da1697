"""The one protocol through which the engine sees whatever the user wrote.

One adapter per form stands here; `rayanim.forms` finds the right one, and
nothing beyond the two asks which form it was.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rayanim.drawing.figure import (
    AnyPixels,
    Box,
    Drawing,
    FigurePixels,
    drawn_as,
    given_box,
    is_figure,
    open_pixels,
    settled_box,
)
from rayanim.drawing.layout import Approach, coming_by, skip_draw
from rayanim.errors import RayanimError, SetupError
from rayanim.frames import Frame, to_rgba, to_size
from rayanim.leftovers import Watch, take_off
from rayanim.timeline import frame_count, frame_time_ms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayanim.animator import Animator
    from rayanim.frame_gen import FrameGenerator

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the first frame settles for all: every actor must draw the same.

    Attributes
    ----------
    size
        Width and height of every frame in pixels.
    box
        What ``bbox_inches`` cuts out, in inches; None for whole figures.
    first
        Number of the first frame, which was measured.
    inner
        Where frames are scaled, what was settled for those that are drawn.
    """

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
        """Find what frame `index`, the film's first, settles for all."""

    def draw(self, index: int, params: Any) -> Pixels:
        """Frame `index` as (height, width, 4) uint8 RGBA, valid until the next call."""

    def advance(self, index: int, params: Any) -> None:
        """Come to the state that drawing frame `index` would leave, without drawing it."""

    def close(self) -> None:
        """Let go of what `open` built."""


class Order:
    """How the frames that a source is asked for follow one another.

    Parameters
    ----------
    geometry
        None in the first process. It draws in order, whatever the numbers of
        its frames; others begin anywhere and leave out what is drawn elsewhere.
    """

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

    What an earlier film left on the animator is taken off here, see
    `rayanim.leftovers`.

    Parameters
    ----------
    animator
        The user's object.
    savefig_options
        Keyword arguments of ``Figure.savefig``.
    reuse_figure
        False calls ``setup()`` for every frame, for comparison only.
    height_px
        Sets the dpi so that the figure has this height; None leaves it.
    drawing
        Whether the figure is drawn in parts, see `FigurePixels`.
    """

    n_frames = None

    def __init__(
        self,
        animator: Animator,
        savefig_options: dict[str, Any],
        *,
        reuse_figure: bool = True,
        height_px: int | None = None,
        drawing: Drawing = "auto",
    ) -> None:
        take_off(animator)
        self._animator = animator
        self._options = savefig_options
        self._reuse_figure = reuse_figure
        self._height_px = height_px
        self._drawing = drawing
        self._box = given_box(savefig_options)
        self._order = Order(None)
        self._pixels: AnyPixels | None = None
        self._updated: int | None = None
        self._watch: Watch | None = None

    @property
    def name(self) -> str:
        return type(self._animator).__name__

    def open(self, geometry: Geometry | None) -> None:
        self._order = Order(geometry)
        if geometry is not None:
            self._box = geometry.box
        self._watch = Watch(self._animator)
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
        approach = self._order.approach(index) if self._reuse_figure else "next"
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
        if self._height_px is not None:
            self._options["dpi"] = self._height_px / figure.get_figheight()
        self._pixels = self._opened(figure)

    def _opened(self, figure: Figure) -> AnyPixels:
        return open_pixels(figure, self._options, self._box, self._drawing)

    def _close_unless_reused(self) -> None:
        if not self._reuse_figure:
            self._close_figure()
            self._updated = None

    def _live(self) -> AnyPixels:
        if self._pixels is None:
            self._set_up()
        return self._pixels  # type: ignore[return-value]


class GeneratorSource:
    """A `FrameGenerator` or `Act`: any instant of it can be drawn.

    What an earlier film left on its objects is taken off here, see
    `rayanim.leftovers`.

    Parameters
    ----------
    generator
        The user's object.
    rate
        Frames per second; frame ``i`` shows the instant ``i / rate``.
    drawing
        How figures in it are drawn, see `FigurePixels`.

    Raises
    ------
    SettingsError
        If the duration is no positive, finite number of milliseconds.
    SetupError
        If reading the duration raises.
    """

    def __init__(
        self, generator: FrameGenerator, rate: Fraction, *, drawing: Drawing = "auto"
    ) -> None:
        take_off(generator)
        self._generator = generator
        self._rate = rate
        self._drawing = drawing
        self._order = Order(None)
        self.n_frames = frame_count(_duration_ms(generator), rate)
        self._size: tuple[int, int] | None = None
        self._watch: Watch | None = None

    @property
    def name(self) -> str:
        return type(self._generator).__name__

    def open(self, geometry: Geometry | None) -> None:
        self._order = Order(geometry)
        self._watch = Watch(self._generator)
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
        with drawn_as(self._drawing):
            return self._generator.generate_at(frame_time_ms(index, self._rate))

    def _checked_size(self) -> tuple[int, int]:
        return to_size(self._generator.frame_size)


def _duration_ms(generator: FrameGenerator) -> float:
    """The generator's own duration, the user's code behind it.

    Raises
    ------
    SetupError
        If it raises.
    """
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

    Parameters
    ----------
    function
        Called with one positional argument.
    n_frames
        How many frames there are.
    rate
        Given, the function is called with the time ``1000 * index / rate``;
        None calls it with the frame number.
    dpi
        Pixels per inch of figures it returns; None keeps each figure's own.
    drawing
        How figures are drawn, see `FigurePixels`.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        n_frames: int | None,
        rate: Fraction | None = None,
        dpi: float | None = None,
        drawing: Drawing = "auto",
    ) -> None:
        self._function = function
        self._drawing = drawing
        self._rate = rate
        self._dpi = dpi
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
        with drawn_as(self._drawing):
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
        return index if self._rate is None else frame_time_ms(index, self._rate)

    def _call(self, index: int) -> Pixels:
        with drawn_as(self._drawing), coming_by(self._order.approach(index)):
            result = self._function(self._argument(index))
            if is_figure(result):
                result = self._pixels_of(result).draw()
        return to_rgba(result, self._size)

    def _pixels_of(self, figure: Figure) -> FigurePixels:
        if self._pixels is None or self._pixels.figure is not figure:
            # A function that makes a new figure for every frame would pile them up.
            self.close()
            self._pixels = FigurePixels(figure, self._dpi, drawing=self._drawing)
        return self._pixels


def _figures_in_pyplot() -> set[Any]:
    """Numbers of the figures that pyplot holds now."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())
