"""What the engine draws from: one protocol, an adapter for each form, `as_source` to choose it.

The forms are an `Animator`, a `FrameGenerator` or `Act`, a function, a list of
frames, a generator of frames and an animation of matplotlib's (`rayanim.animations`).
The engine knows only the protocol.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import sys
import time
import traceback
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from rayanim.errors import FrameError, RayanimError, ScriptError, SettingsError, SetupError
from rayanim.figure.draw_stats import uncounted
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
from rayanim.parameters import FrameStream
from rayanim.pixels import Frame, pixels_of, to_rgba, to_size
from rayanim.randomness import SETUP, seed_for
from rayanim.settings import RenderSettings, read_address
from rayanim.timeline import frame_count, frame_time_ms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayanim.animator import Animator
    from rayanim.engine.snapshots import Snapshots
    from rayanim.frame_gen import FrameGenerator

Pixels = npt.NDArray[np.uint8]

_logger = logging.getLogger(__name__)

READ_ONCE = "a generator of frames is read once, in order"
"""Why all its frames are drawn in this process, and go through one encoder."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the first frame settles for all: every actor must draw the same."""

    size: tuple[int, int]
    box: Box | None = None
    first: int | None = None
    inner: Geometry | None = None


class Source(Protocol):
    """Something that draws frames by number, in any order, in any process.

    Actors get it pickled before it is opened. A snapshot is pickled after; what comes out of it
    is open, and goes on from there.
    """

    @property
    def name(self) -> str:
        """What the user calls it, for messages."""

    @property
    def n_frames(self) -> int | None:
        """How many frames there are; None where the parameters decide."""

    @property
    def stays(self) -> str | None:
        """Why all frames are drawn in this process, one after the other; None where they need not.

        Such a frame is drawn when the feed is asked for it.
        """

    @property
    def advance_s(self) -> float | None:
        """Seconds that `advance` takes for a frame, by those drawn so far; None before any."""

    @property
    def state(self) -> Any:
        """All that decides what is drawn next, beside parameters; None where that is not known."""

    def open(self, geometry: Geometry | None) -> None:
        """Build what drawing needs; once per process, before `measure` and `draw`.

        `geometry` is None in the first process, where `measure` follows.
        """

    def measure(self, index: int, params: Any) -> Geometry:
        """Find what frame `index`, the video's first, settles for all."""

    def draw(self, index: int, params: Any) -> Pixels:
        """Frame `index` as (height, width, 4) uint8 RGBA, valid until the next call."""

    def advance(self, index: int, params: Any) -> None:
        """Reach the state after frame `index` without drawing it."""

    def close(self) -> None:
        """Release what `open` built."""


class FrameOrder:
    """Knows whether the frame to draw follows the frame drawn before it."""

    def __init__(self, geometry: Geometry | None) -> None:
        self._is_first_process = geometry is None
        self._first = None if geometry is None else geometry.first
        self._last: int | None = None

    def begin_with(self, index: int) -> None:
        """Frame `index` is the video's first."""
        self._first = index

    def approach(self, index: int) -> Approach:
        """How the source comes to frame `index`, which is drawn now."""
        last, self._last = self._last, index
        if last is not None and (index == last + 1 or (self._is_first_process and index > last)):
            return "next"
        return "first" if index == self._first else "jump"

    def skip(self, index: int) -> None:
        """The source reached the state after frame `index` without drawing it."""
        self._last = index


RECENT_UPDATES = 15
"""Calls of the user's code whose median is what the next one will take."""


class UserCode:
    """Measures what the user's code takes for a frame, without the drawing that follows it."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=RECENT_UPDATES)

    @property
    def usual_s(self) -> float | None:
        """Seconds per frame; None before the first."""
        return median(self._recent_s) if self._recent_s else None

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Measure what runs inside."""
        began_s = time.perf_counter()
        yield
        self._recent_s.append(time.perf_counter() - began_s)


class _OwnSource:
    """What all sources of the user's code have: the order of frames, and what the code takes."""

    stays: str | None = None

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._order = FrameOrder(None)
        self._code = UserCode()
        self._changes: ChangeRecorder | None = None

    @property
    def advance_s(self) -> float | None:
        return self._code.usual_s

    @contextlib.contextmanager
    def _opening(self, thing: Any, geometry: Geometry | None) -> Iterator[None]:
        """Have what the video sets on `thing` undone before the next video."""
        self._order = FrameOrder(geometry)
        self._changes = ChangeRecorder(thing)
        try:
            yield
        except BaseException:
            self._changes.record()
            raise

    def _record_changes(self) -> None:
        if self._changes is not None:
            self._changes.record()


class _FigureSource(_OwnSource, ABC):
    """Is pickled with the figure that it draws, without the canvas on which it does."""

    _pixels: AnyPixels | None

    @abstractmethod
    def _pixels_of(self, figure: Figure) -> AnyPixels: ...

    @contextlib.contextmanager
    def given_back(self) -> Iterator[None]:
        """Give the figure its own canvas, by which pyplot knows it, for a while."""
        pixels = self._pixels
        if pixels is None:
            yield
            return
        figure = pixels.figure
        canvas, dpi = figure.canvas, figure.dpi
        pixels.release()
        try:
            yield
        finally:
            figure.set_canvas(canvas)
            if figure.dpi != dpi:
                figure.set_dpi(dpi)

    def __getstate__(self) -> dict[str, Any]:
        figure = None if self._pixels is None else self._pixels.figure
        return {**vars(self), "_pixels": figure}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _pixels=None)
        if state["_pixels"] is not None:
            self._pixels = self._pixels_of(state["_pixels"])


class AnimatorSource(_FigureSource):
    """An `Animator`: its figure is set up once, and updated for each frame."""

    n_frames = None

    def __init__(self, animator: Animator, settings: RenderSettings) -> None:
        super().__init__(settings)
        remove_leftovers(animator)
        self._animator = animator
        dpi = "figure" if settings.dpi is None else settings.dpi
        self._options = {"dpi": dpi, **settings.savefig_params}
        self._box = given_box(self._options)
        self._pixels: AnyPixels | None = None
        self._updated: int | None = None

    @property
    def name(self) -> str:
        return type(self._animator).__name__

    @property
    def state(self) -> Any:
        return self._animator, None if self._pixels is None else self._pixels.figure

    def open(self, geometry: Geometry | None) -> None:
        if geometry is not None:
            self._box = geometry.box
        with self._opening(self._animator, geometry):
            self._set_up()
        self._close_unless_reused()

    def measure(self, index: int, params: Any) -> Geometry:
        pixels = self._opened()
        with self._code.timed():
            self._animator.update(index, params)
        # Drawing this frame must not update it a second time.
        self._updated = index
        self._order.begin_with(index)
        self._box = settled_box(pixels.figure, self._options)
        pixels.release()
        self._pixels = self._pixels_of(pixels.figure)
        size = self._pixels.size
        self._close_unless_reused()
        return Geometry(size, self._box, index)

    def draw(self, index: int, params: Any) -> Pixels:
        pixels = self._update(index, params)
        # A figure of its own has no frame before it.
        approach = self._order.approach(index) if self._settings.reuse_figure_object else "next"
        with coming_by(approach):
            frame = pixels.draw()
        self._close_unless_reused()
        return frame

    def advance(self, index: int, params: Any) -> None:
        pixels = self._update(index, params)
        self._order.skip(index)
        skip_draw(pixels.figure)
        self._close_unless_reused()

    def close(self) -> None:
        self._close_figure()
        self._record_changes()

    def _set_up(self) -> None:
        figure = self._animator.setup()
        if not is_figure(figure):
            raise SetupError(
                f"{self.name}.setup() returned {_quoted(figure)}: end it with `return fig`, the "
                "matplotlib Figure."
            )
        if self._settings.height_px is not None:
            self._options["dpi"] = self._settings.height_px / figure.get_figheight()
        self._pixels = self._pixels_of(figure)

    def _update(self, index: int, params: Any) -> AnyPixels:
        if self._updated == index:
            self._updated = None
            return self._opened()
        with self._code.timed():
            pixels = self._opened()
            self._animator.update(index, params)
        self._updated = None
        return pixels

    def _opened(self) -> AnyPixels:
        if self._pixels is None:
            self._set_up()
        return self._pixels  # type: ignore[return-value]

    def _pixels_of(self, figure: Figure) -> AnyPixels:
        return open_pixels(figure, self._options, self._box, self._settings.drawing)

    def _close_unless_reused(self) -> None:
        if not self._settings.reuse_figure_object:
            self._close_figure()
            self._updated = None

    def _close_figure(self) -> None:
        if self._pixels is not None:
            self._pixels.close()
            self._pixels = None


class GeneratorSource(_OwnSource):
    """A `FrameGenerator` or `Act`: it draws any instant."""

    def __init__(self, generator: FrameGenerator, settings: RenderSettings) -> None:
        super().__init__(settings)
        remove_leftovers(generator)
        self._generator = generator
        self.n_frames = frame_count(_duration_ms(generator), settings.fps)
        self._size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return type(self._generator).__name__

    @property
    def state(self) -> Any:
        return (self._generator,)

    def open(self, geometry: Geometry | None) -> None:
        with self._opening(self._generator, geometry):
            self._generator.start()
            self._size = self._checked_size() if geometry is None else geometry.size

    def measure(self, index: int, params: Any) -> Geometry:
        self._order.begin_with(index)
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
            self._record_changes()

    def _generated(self, index: int) -> Frame:
        with drawn_as(self._settings.drawing), self._code.timed():
            return self._generator.generate_at(frame_time_ms(index, self._settings.fps))

    def _checked_size(self) -> tuple[int, int]:
        return to_size(self._generator.frame_size)


def _duration_ms(generator: FrameGenerator) -> float:
    """The generator's own duration, which may be a property of the user's."""
    with user_code(f"{type(generator).__name__}.duration", SetupError):
        return generator.duration


drawn_figures: WeakSet[Any] = WeakSet()
"""Figures of the user's that were drawn in this process, and stay in pyplot."""


class CodeSource(_FigureSource):
    """Frames as the user's code gives them: arrays, Pillow images, matplotlib figures."""

    def __init__(self, n_frames: int | None, settings: RenderSettings) -> None:
        super().__init__(settings)
        self.n_frames = n_frames
        self._size: tuple[int, int] | None = None
        self._measured: tuple[int, Pixels] | None = None
        self._pixels: FigurePixels | None = None
        self._users_figures: set[Any] = set()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def state(self) -> Any:
        return None

    @abstractmethod
    def _result(self, index: int, params: Any) -> Any:
        """What the user's code gives for frame `index`."""

    def open(self, geometry: Geometry | None) -> None:
        self._order = FrameOrder(geometry)
        self._size = None if geometry is None else geometry.size
        self._users_figures = _figures_in_pyplot()

    def measure(self, index: int, params: Any) -> Geometry:
        self._order.begin_with(index)
        frame = self._draw(index, params)
        # Kept: a frame may cost minutes, and this one is needed again at once.
        self._measured = (index, frame)
        self._size = (frame.shape[1], frame.shape[0])
        return Geometry(size=self._size, first=index)

    def draw(self, index: int, params: Any) -> Pixels:
        measured = self._take_measured(index)
        return self._draw(index, params) if measured is None else measured

    def advance(self, index: int, params: Any) -> None:
        if self._take_measured(index) is not None:
            return
        self._order.skip(index)
        with drawn_as(self._settings.drawing):
            result = self._result(index, params)
        if is_figure(result):
            skip_draw(self._pixels_of(result).figure)

    def close(self) -> None:
        if self._pixels is None:
            return
        if getattr(self._pixels.figure, "number", None) in self._users_figures:
            self._pixels.release()  # pyplot goes on showing what the user made
            drawn_figures.add(self._pixels.figure)
        else:
            self._pixels.close()
        self._pixels = None

    def _take_measured(self, index: int) -> Pixels | None:
        measured, self._measured = self._measured, None
        return measured[1] if measured is not None and measured[0] == index else None

    def _draw(self, index: int, params: Any) -> Pixels:
        with drawn_as(self._settings.drawing), coming_by(self._order.approach(index)):
            with self._code.timed():
                result = self._result(index, params)
            if is_figure(result):
                result = self._pixels_of(result).draw()
        if result is None or _is_of_matplotlib(result):
            raise FrameError(
                f"{self.name} gave {_quoted(result)}. Return the figure, `return fig`; or an "
                "array, or a Pillow image."
            )
        return to_rgba(result, self._size)

    def _pixels_of(self, figure: Figure) -> FigurePixels:
        if self._pixels is None or self._pixels.figure is not figure:
            # A function that makes a new figure for every frame would pile them up.
            self.close()
            settings = self._settings
            self._pixels = FigurePixels(figure, settings.dpi, drawing=settings.drawing)
        return self._pixels


class FunctionSource(CodeSource):
    """A function of the frame number, or of the time in milliseconds where a duration is given."""

    def __init__(self, function: Callable[[Any], Any], settings: RenderSettings) -> None:
        name = _name_of(function)
        if inspect.isgeneratorfunction(function):
            raise SettingsError(f"{name} is a generator function: give what it makes, {name}().")
        n_frames, duration_ms = settings.n_frames, settings.duration
        if (n_frames is None) == (duration_ms is None):
            raise SettingsError(
                "A function needs either n_frames=300 (it is called with the frame number) or "
                "duration=5000 (it is called with the time in milliseconds); "
                f"got n_frames={n_frames!r} and duration={duration_ms!r}."
            )
        _check_arguments(function, name, "time_ms" if n_frames is None else "frame_idx", (0,))
        if duration_ms is not None:
            n_frames = frame_count(duration_ms, settings.fps)
        super().__init__(n_frames, settings)
        self._function = function

    @property
    def name(self) -> str:
        return _name_of(self._function)

    @property
    def state(self) -> Any:
        return self._function, None if self._pixels is None else self._pixels.figure

    def _result(self, index: int, params: Any) -> Any:
        settings = self._settings
        by_number = settings.duration is None
        return self._function(index if by_number else frame_time_ms(index, settings.fps))


class ListSource(CodeSource):
    """A list of frames, or one array of them."""

    name = "the list of frames"

    def __init__(self, frames: Sequence[Any], settings: RenderSettings) -> None:
        n_frames = len(frames) if settings.n_frames is None else settings.n_frames
        if n_frames > len(frames):
            raise SettingsError(f"n_frames={n_frames}, but the list has only {len(frames)} frames.")
        super().__init__(n_frames, settings)
        self._frames: Any = frames[:n_frames]

    @property
    def state(self) -> Any:
        return self._frames, None if self._pixels is None else self._pixels.figure

    def frames_bytes(self) -> int:
        """Bytes of the arrays and Pillow images among the frames."""
        if isinstance(self._frames, np.ndarray):
            return int(self._frames.nbytes)
        if not isinstance(self._frames, list | tuple):
            return 0  # what makes them as they are asked for
        return sum({id(frame): _frame_bytes(frame) for frame in self._frames}.values())

    def _result(self, index: int, params: Any) -> Any:
        return self._frames[index]


def _frame_bytes(frame: Any) -> int:
    if hasattr(frame, "getbands"):  # Pillow's
        return int(frame.width * frame.height * len(frame.getbands()))
    return int(getattr(frame, "nbytes", 0))


class StreamSource(CodeSource):
    """A generator of frames: each comes as its own parameter, see `FrameStream`."""

    name = "the generator of frames"
    stays = READ_ONCE

    def __init__(self, settings: RenderSettings) -> None:
        super().__init__(None, settings)
        # Before the generator runs: its first frame is made before the source is opened.
        self._figures_before = _figures_in_pyplot()

    def open(self, geometry: Geometry | None) -> None:
        super().open(geometry)
        self._users_figures = self._figures_before

    def _result(self, index: int, params: Any) -> Any:
        return params


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _figures_in_pyplot() -> set[Any]:
    """Numbers of the figures that pyplot holds now."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


def _is_of_matplotlib(result: Any) -> bool:
    """Whether `result` is an axes or an artist, or a list of them as FuncAnimation takes it."""
    if isinstance(result, list | tuple) and result:
        return all(map(_is_of_matplotlib, result))
    return type(result).__module__.partition(".")[0] == "matplotlib"


def _quoted(result: Any) -> str:
    return "None" if result is None else f"{type(result).__name__} {result!r:.80}"


class _WrappedSource:
    """What is known of another source."""

    _source: Source

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def n_frames(self) -> int | None:
        return self._source.n_frames

    @property
    def stays(self) -> str | None:
        return self._source.stays

    @property
    def advance_s(self) -> float | None:
        return self._source.advance_s

    @property
    def state(self) -> Any:
        return self._source.state

    @property
    def inner(self) -> Source:
        """The other source."""
        return self._source


class ScaledSource(_WrappedSource):
    """Another source's frames, scaled to a height, the width in proportion."""

    def __init__(self, source: Source, height_px: int) -> None:
        self._source = source
        self._height_px = height_px
        self._size: tuple[int, int] | None = None

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


def figure_given_back(source: Source) -> contextlib.AbstractContextManager[None]:
    """Have the figure of an open source be as the script left it, inside."""
    while isinstance(source, _WrappedSource):
        source = source.inner
    return source.given_back() if isinstance(source, _FigureSource) else contextlib.nullcontext()


@contextlib.contextmanager
def user_code(
    what: str, kind: type[ScriptError] = ScriptError, frame: int | None = None
) -> Iterator[None]:
    """Turn what the user's code raises inside into an error of ours that says what it did."""
    try:
        yield
    except RayanimError:
        raise
    except Exception as error:
        raise kind(
            f"{what} raised {type(error).__name__}: {error}",
            frame=frame,
            traceback_text=traceback.format_exc(),
        ) from error


@contextlib.contextmanager
def naming_frame(source: Source, number: int) -> Iterator[None]:
    """Have what is raised inside name frame `number`, unless it names one already."""
    try:
        with user_code(f"Drawing frame {number} of {source.name}", FrameError, number):
            yield
    except ScriptError as error:
        if error.frame is not None:
            raise
        raise FrameError(
            f"Frame {number}: {error.message}", frame=number, traceback_text=error.traceback_text
        ) from error


class SequentialSource(_WrappedSource):
    """Another source's frames, each drawn in the state that a serial run would have.

    Before a frame is drawn, the updates of the frames that were skipped run
    without drawing. For a frame before the last one drawn, the source begins
    again from its start, or from a snapshot where it has some.
    """

    def __init__(
        self,
        source: Source,
        seed: int | None,
        params: Mapping[int, Any] | None,
        again: Callable[[], Source] | None = None,
        *,
        done: int = 0,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._source = source
        # Gives the source anew, with the variables of its functions; else it is copied.
        self._again = again
        self._seed = seed
        self._params = params
        self._numbers = None if params is None else list(params)
        self._geometry: Geometry | None = None
        self._pristine: Source = source
        self._snapshots = snapshots
        # All frames before this one have had their update.
        self._done = done
        self.jumps = False
        """Whether updates of skipped frames do not run after all."""

    def open(self, geometry: Geometry | None) -> None:
        self._geometry = geometry
        self._done = 0
        if self._again is None:
            self._pristine = _copied(self._source)
        self._source.open(geometry)

    def measure(self, index: int, params: Any) -> Geometry:
        # It is the whole video's first frame that settles the box, drawn or not.
        first = 0 if not self._numbers else self._numbers[0]
        if self._params is not None:
            params = self._params[first]
        seed_for(self._seed, first)
        self._geometry = self._source.measure(first, params)
        return self._geometry

    def draw(self, index: int, params: Any) -> Pixels:
        if not self.jumps:
            with uncounted():
                self._leave_for(index)
        self._advance_to(index)
        frame = self._drawn(index, params)
        self._done = index + 1
        return frame

    def advance(self, index: int, params: Any) -> None:
        self._source.advance(index, params)
        self._done = index + 1

    def close(self) -> None:
        self._source.close()

    def _leave_for(self, index: int) -> None:
        """Be where only updates are missing before frame `index`, and few if that can be."""
        nearest = None if self._snapshots is None else self._snapshots.latest(index)
        if index >= self._done and (nearest is None or nearest <= self._done):
            return
        self._source.close()
        if (
            nearest is None
            or self._snapshots is None
            or not self._continues_from(nearest, self._snapshots)
        ):
            self._begin_again()
        seed_for(self._seed, index)

    def _continues_from(self, number: int, snapshots: Snapshots) -> bool:
        """Continue from the snapshot before frame `number` if it draws that frame as before."""
        source, is_same = None, False
        try:
            source = snapshots.restored(number)
            seed_for(self._seed, number)
            is_same = snapshots.is_same(number, source.draw(number, self._params_of(number)))
        except Exception:  # whatever the user's code raises; without a snapshot it is reported
            _logger.debug("A snapshot is of no use.", exc_info=True)
        if is_same and source is not None:
            self._source, self._done = source, number + 1
            return True
        snapshots.give_up(f"frame {number} differs where it is drawn by a copy of the source")
        with contextlib.suppress(Exception):
            if source is not None:
                source.close()
        return False

    def _begin_again(self) -> None:
        # What update() appends to may have been made before setup().
        self._source = _copied(self._pristine) if self._again is None else self._again()
        seed_for(self._seed, SETUP)
        self._source.open(self._geometry)
        self._done = 0

    def _drawn(self, index: int, params: Any) -> Pixels:
        """Frame `index`, the next one; a snapshot before it is taken if it is time."""
        snapshots = self._snapshots
        if snapshots is None or self.jumps:
            return self._source.draw(index, params)
        with uncounted():
            is_taken = snapshots.takes(self._source, index)
        frame = self._source.draw(index, params)
        snapshots.spend(self._source.advance_s or 0.0)
        if is_taken:
            snapshots.remember(index, frame)
        return frame

    def _params_of(self, number: int) -> Any:
        return None if self._params is None else self._params[number]

    def skipped_frames(self, index: int) -> Iterator[tuple[int, Any]]:
        """The frames whose update has not run, up to frame `index`: numbers and parameters."""
        for number in self.skipped(index):
            yield number, self._params_of(number)

    def _advance_to(self, index: int) -> None:
        if self._done >= index or self.jumps:
            return
        with uncounted():
            for number, params in self.skipped_frames(index):
                seed_for(self._seed, number)
                with naming_frame(self._source, number):
                    self._step(number, params)
        self._done = index
        seed_for(self._seed, index)

    def _step(self, number: int, params: Any) -> None:
        """Reach the state after frame `number`, the next one, which need not be drawn."""
        if number == 0 or (self._numbers and number == self._numbers[0]):
            # As a serial run does: what drawing it leaves behind counts, the limits
            # of a norm for example.
            self._source.draw(number, params)
        elif self._snapshots is None:
            self._source.advance(number, params)
        elif self._snapshots.takes(self._source, number):
            self._snapshots.remember(number, self._source.draw(number, params))
        else:
            began_s = time.perf_counter()
            self._source.advance(number, params)
            self._snapshots.spend(time.perf_counter() - began_s)

    def skipped(self, index: int) -> Sequence[int]:
        """Numbers of the frames whose update has not run, up to frame `index`."""
        if self._numbers is None:
            return range(self._done, index)
        first, stop = (bisect_left(self._numbers, each) for each in (self._done, index))
        return self._numbers[first:stop]


def only_forward() -> Source:
    """Stands for a new source where frames are drawn in order, so that none is needed."""
    raise RuntimeError("frames of this process are drawn in order")


SHARED_DEPTH = 3
"""How many attributes deep `_copied` looks for what cannot be copied."""


def _copied(source: Source) -> Source:
    """A copy of `source` as it is before it is opened.

    What cannot be copied, a module or a lock for example, is shared: no video
    shows it.
    """
    try:
        return copy.deepcopy(source)
    except Exception:  # whatever the user's attributes raise
        return copy.deepcopy(source, _shared(source, SHARED_DEPTH))


def _shared(value: Any, depth: int) -> dict[int, Any]:
    """A memo that makes `copy.deepcopy` keep what it cannot copy, so many attributes deep."""
    memo: dict[int, Any] = {}
    for each in list(getattr(value, "__dict__", {}).values()):
        try:
            copy.deepcopy(each)
        except Exception:
            inner = _shared(each, depth - 1) if depth and not isinstance(each, ModuleType) else {}
            memo |= inner or {id(each): each}
    return memo


def as_source(thing: Any, settings: RenderSettings) -> Source:
    """The source behind `thing`, whichever form it has."""
    from rayanim.animations import AnimationSource, SavedAnimation
    from rayanim.animator import Animator
    from rayanim.frame_gen import FluentFG, FrameGenerator

    if isinstance(thing, SavedAnimation):
        return AnimationSource(thing, settings)
    if isinstance(thing, FluentFG):
        thing = thing.build()
    if isinstance(thing, Animator):
        if settings.duration is not None:
            raise SettingsError(
                "duration goes with a function; an Animator has a number of frames: n_frames."
            )
        _check_methods(thing)
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
    elif isinstance(thing, FrameStream) or is_frame_list(thing):
        if settings.duration is not None:
            raise SettingsError("duration goes with a function; frames have a number: n_frames.")
        is_stream = isinstance(thing, FrameStream)
        source = StreamSource(settings) if is_stream else ListSource(thing, settings)
    else:
        raise SettingsError(_not_a_source(thing))
    return source if settings.height_px is None else ScaledSource(source, settings.height_px)


def is_frame_list(thing: Any) -> bool:
    """Whether `thing` is taken for frames that can be had by number."""
    if isinstance(thing, np.ndarray):
        return thing.ndim == 4
    return isinstance(thing, Sequence) and not isinstance(thing, str | bytes | bytearray)


def listed_bytes(source: Source) -> int | None:
    """Bytes of the arrays and images in a list of frames; None where `source` is no list."""
    while isinstance(source, ScaledSource | SequentialSource):
        source = source.inner
    return source.frames_bytes() if isinstance(source, ListSource) else None


def is_frame_stream(thing: Any) -> bool:
    """Whether `thing` is taken for frames that come one after another, once."""
    return isinstance(thing, Iterator) and not callable(thing)


def stream_settings(settings: RenderSettings) -> RenderSettings:
    """`settings` for a generator of frames, which is read once, in order, in this process."""
    refused = {"engine": "ray", "transport": "segments", "resume": True}
    given = [name for name, value in refused.items() if getattr(settings, name) == value]
    if read_address(settings.address, {}) is not None:
        given.append("address")
    if given:
        raise SettingsError(
            f"{given[0]}={getattr(settings, given[0])!r} does not go with a generator of frames, "
            "which is read once, in order, in this process. Give a list of frames, or a function "
            "of the frame number."
        )
    if settings.workers.count not in (None, 1):
        _logger.warning(
            "workers=%r has no effect: %s, in this process. "
            "A list of frames, or a function of the frame number, uses all workers.",
            settings.workers.count,
            READ_ONCE,
        )
    local: dict[str, Any] = {"engine": "local", "workers": 1}
    return replace(settings, **local, sequential=False)


def _not_a_source(thing: Any) -> str:
    hint = ""
    if inspect.isclass(thing):
        hint = f" It is a class: give an instance, {thing.__name__}()."
    elif is_figure(thing) or hasattr(thing, "get_figure"):
        hint = " Give the function that updates it for each frame, with `return fig` at its end."
    elif isinstance(thing, str) and thing.endswith(".py"):
        hint = f" To render a script, use the command: rayanim run {thing}"
    return (
        "What is to be rendered must be an Animator, a FrameGenerator, an Act, a FuncAnimation, a "
        f"function, or frames in a list or from a generator, got {thing!r:.120}.{hint}"
    )


def _check_methods(animator: Animator) -> None:
    """Refuse a `setup` or an `update` that cannot be called."""
    name = type(animator).__name__
    _check_arguments(animator.setup, f"{name}.setup", "self", ())
    _check_arguments(animator.update, f"{name}.update", "self, frame_idx, params", (0, None))


def _check_arguments(
    function: Callable[..., Any], name: str, wanted: str, arguments: tuple[Any, ...]
) -> None:
    """Refuse a function of the user's that does not take `arguments`."""
    try:
        signature = inspect.signature(function)
        shown = inspect.signature(getattr(function, "__func__", function))
    except (TypeError, ValueError):  # written in C, or no function: calling it will show
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        called = f"{name.rpartition('.')[2]}({wanted})"
        raise SetupError(
            f"{name}{shown} has the wrong arguments: it is called as {called}."
        ) from None


CHANGES = "_rayanim_changes"
"""The attribute that keeps a video's changes: on the object, so that copies of it have them too."""

LONG_LIST = 1000
"""Longer lists are data, not scenes of a video: searching them would take long."""


class ChangeRecorder:
    """Records which attributes a video sets on the user's objects.

    What `setup()` keeps on `self` can be read after the video. Before the next
    video `remove_leftovers` undoes it, so that each one begins with the same
    object. Attributes are compared, not what they hold: a list that the object
    had before keeps what is appended to it.
    """

    def __init__(self, thing: Any) -> None:
        self._before = [(each, dict(vars(each))) for each in objects_in(thing)]

    def record(self) -> None:
        """Keep on each object the values before and after, of what has changed."""
        for each, before in self._before:
            now = vars(each)
            changed = [name for name in before.keys() | now.keys() if not _same(before, now, name)]
            if changed:
                now[CHANGES] = tuple(
                    {name: values[name] for name in changed if name in values}
                    for values in (before, now)
                )


def remove_leftovers(thing: Any) -> None:
    """Undo what the last video changed on `thing` and the objects in it.

    What was set again since then is the user's, and stays.
    """
    for each in objects_in(thing):
        now = vars(each)
        before, after = now.pop(CHANGES, ({}, {}))
        for name in before.keys() | after.keys():
            if _same(after, now, name):
                if name in before:
                    now[name] = before[name]
                else:
                    del now[name]


def _same(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether both have the same object under `name`, or both have none."""
    if name not in one or name not in other:
        return name not in one and name not in other
    return one[name] is other[name]


def objects_in(thing: Any) -> list[Any]:
    """`thing` and the generators, scenes, states and renderers in it, each once."""
    from rayanim.acts import ActRenderer, ActState, FigureRenderer, Scene
    from rayanim.frame_gen import FrameGenerator

    forms = (FrameGenerator, Scene, ActState, ActRenderer)
    found: dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        # A FigureRenderer cleans up by itself.
        if id(each) in found or not hasattr(each, "__dict__") or isinstance(each, FigureRenderer):
            continue
        found[id(each)] = each
        waiting += [
            inner for inner in _held_by(each) if isinstance(inner, forms) or _is_rayanims(inner)
        ]
    return list(found.values())


def _held_by(holder: Any) -> Iterator[Any]:
    """The attributes of `holder`, and what short lists and tuples among them hold."""
    for value in vars(holder).values():
        yield value
        if isinstance(value, list | tuple) and len(value) <= LONG_LIST:
            yield from value


def _is_rayanims(inner: Any) -> bool:
    """Whether it is an object of rayanim's, which may hold the user's."""
    return type(inner).__module__.partition(".")[0] == "rayanim"
