"""Plays an animation of matplotlib's frame by frame, as `Animation.save` does, without its draws.

What rayanim needs of the insides of ``matplotlib.animation`` stands here.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import itertools
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.errors import NotPicklableError
from rayanim.figure.figure import open_pixels
from rayanim.figure.layout import runs_layout, skip_draw
from rayanim.figure.private import LEFT_OUT, missing_animation_names
from rayanim.settings import Drawing

if TYPE_CHECKING:
    from matplotlib.animation import Animation
    from matplotlib.figure import Figure

MOST_PICKLED_BYTES = 128 * 2**20
"""An animation above this is not sent: each actor would hold a copy."""


def is_animation(thing: Any) -> bool:
    """Whether `thing` is an animation of matplotlib's; never imports matplotlib to find out."""
    module = sys.modules.get("matplotlib.animation")
    return module is not None and isinstance(thing, module.Animation)


def animation_class() -> Any:
    """matplotlib's class of all animations."""
    from matplotlib.animation import Animation

    return Animation


def writer_of_all() -> Any:
    """matplotlib's class of all movie writers."""
    from matplotlib.animation import AbstractMovieWriter

    return AbstractMovieWriter


def rate_of(animation: Animation) -> float | None:
    """Frames per second by the animation's interval; None where it has none."""
    interval_ms = getattr(animation, "_interval", None)
    return None if interval_ms is None else 1000.0 / interval_ms


def code_of(animations: Sequence[Animation]) -> functools.partial[Any]:
    """The functions and classes that draw, in one thing."""
    names = ("_func", "_init_func")
    functions = [getattr(each, name, None) for each in animations for name in names]
    made: Any = type(animations[0])
    return functools.partial(made, *functions, *map(type, animations))


def figure_of(animation: Animation) -> Figure:
    """The figure that the animation plays in."""
    figure: Figure = animation._fig  # type: ignore[attr-defined]
    return figure


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How the frames are drawn: `options` of ``savefig``, and what matplotlib's writer does.

    A writer for H.264 resizes the figure to an even number of pixels, and most draw on white.
    """

    dpi: float
    options: dict[str, Any] = field(default_factory=dict)
    drawing: Drawing = "auto"
    whole_pairs: bool = True
    on_white: bool = True


class SavedFigure:
    """A figure that is drawn by frames alone, as ``savefig`` draws it, until it is released.

    Between frames it has its own dpi: what the script computes from pixels depends on it.
    """

    def __init__(self, figure: Figure, save_options: SaveOptions) -> None:
        self.figure = figure
        self._save_options = save_options
        self._size_in = even_size(figure, save_options.dpi) if save_options.whole_pairs else None
        # Face and edge in all frames, whatever is set later.
        self._faces, self._rest = _settled(figure, save_options)
        self._open()

    def _open(self) -> None:
        figure, save_options, own_dpi = self.figure, self._save_options, self.figure.dpi
        options = {**self._rest, "dpi": save_options.dpi}
        self._pixels = open_pixels(figure, options, None, save_options.drawing)
        figure.set_dpi(own_dpi)
        canvas: Any = figure.canvas
        # matplotlib draws each frame here, too, before the writer does. And what follows a draw
        # elsewhere, the start of a timer for example, does not belong into a saved animation.
        canvas.draw_idle = self._lay_out
        canvas.is_saving = _yes
        self._starts = _disconnected_starts(canvas)

    def set_options(self, options: dict[str, Any]) -> None:
        """Draw with other options of ``savefig`` from now on."""
        if options == self._save_options.options:
            return
        self._save_options = replace(self._save_options, options=options)
        self._faces, rest = _settled(self.figure, self._save_options)
        if rest != self._rest:
            self.release()
            self._rest = rest
            self._open()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        with self._at_drawn_dpi():
            return self._pixels.size

    def draw(self) -> npt.NDArray[np.uint8]:
        """The figure's pixels as it is now."""
        figure = self.figure
        if self._size_in is not None and tuple(figure.get_size_inches()) != self._size_in:
            figure.set_size_inches(*self._size_in)
        with self._at_drawn_dpi(), self._with_faces():
            return self._pixels.draw()

    def skip_draw(self) -> None:
        """Leave the figure as drawing it would."""
        with self._at_drawn_dpi():
            skip_draw(self.figure)

    def release(self) -> None:
        """Give the figure back."""
        canvas: Any = self.figure.canvas
        dpi = self.figure.dpi
        for name in ("draw_idle", "is_saving"):
            vars(canvas).pop(name, None)
        for animation in self._starts:
            animation._first_draw_id = canvas.mpl_connect("draw_event", animation._start)
        self._pixels.release()
        self.figure.set_dpi(dpi)

    def _lay_out(self, *args: Any, **options: Any) -> None:
        """Leave of a draw what the next one begins with: where a layout engine puts the axes."""
        if runs_layout(self.figure):
            self.figure.draw_without_rendering()

    @contextlib.contextmanager
    def _at_drawn_dpi(self) -> Iterator[None]:
        figure, own_dpi = self.figure, self.figure.dpi
        figure.set_dpi(self._save_options.dpi)
        try:
            yield
        finally:
            figure.set_dpi(own_dpi)

    @contextlib.contextmanager
    def _with_faces(self) -> Iterator[None]:
        """Give the figure, for a draw, the colours that all frames have."""
        figure, own = self.figure, (self.figure.get_facecolor(), self.figure.get_edgecolor())
        if own == self._faces:
            yield
            return
        figure.set_facecolor(self._faces[0])
        figure.set_edgecolor(self._faces[1])
        try:
            yield
        finally:
            figure.set_facecolor(own[0])
            figure.set_edgecolor(own[1])


class Playback:
    """One pass through some animations of one figure.

    `report` is matplotlib's `progress_callback`.
    """

    def __init__(
        self,
        animations: Sequence[Animation],
        report: Callable[[int, int | None], Any] | None = None,
    ) -> None:
        self.animations = list(animations)
        self.figure = figure_of(self.animations[0])
        lengths = [_length(each) for each in self.animations]
        self.n_frames = None if None in lengths else min(length or 0 for length in lengths)
        """How many frames there are; None where only their end shows it."""
        self._report = report
        self._reported = 0
        self._frames: Iterator[Any] = iter(())
        self._saved: SavedFigure | None = None

    def begin(self, save_options: SaveOptions) -> None:
        """Do all that comes before the first frame."""
        self.take_figure(save_options)
        with contextlib.ExitStack() as stack:
            for each in self.animations:
                stack.enter_context(_first_frame_kept(each))
                each._init_draw()  # type: ignore[attr-defined]
            frames = [each.new_saved_frame_seq() for each in self.animations]
        self._frames = zip(*frames, strict=False)

    def take_figure(self, save_options: SaveOptions) -> None:
        """Have the figure drawn by frames alone."""
        self.leave_figure()
        self._saved = SavedFigure(self.figure, save_options)

    def next_data(self) -> Any:
        """What the next frame is made from, or `END`."""
        return next(self._frames, END)

    def update(self, data: Any) -> None:
        """Make the figure that of the frame with `data`."""
        for animation, each in zip(self.animations, data, strict=True):
            animation._draw_next_frame(each, blit=False)  # type: ignore[attr-defined]
            if self._report is not None:
                self._report(self._reported, self._total())
                self._reported += 1

    @property
    def saved(self) -> SavedFigure:
        """The figure, while it is drawn."""
        if self._saved is None:
            raise RuntimeError("a frame comes after begin()")
        return self._saved

    def leave_figure(self) -> None:
        """Give the figure back."""
        if self._saved is not None:
            self._saved.release()
            self._saved = None

    def _total(self) -> int | None:
        counts = [getattr(each, "_save_count", None) for each in self.animations]
        return None if None in counts else sum(count or 0 for count in counts)

    def pickled(self) -> bytes:
        """The animations with their figure as they are now, for another process.

        Raises
        ------
        NotPicklableError
            If that cannot be, with the reason.
        """
        return _pickled(Playback(self.animations))


def even_size(figure: Figure, dpi: float) -> tuple[float, float]:
    """Resize `figure` to whole pairs of pixels; its size in inches."""
    from matplotlib.animation import adjusted_figsize

    width_in, height_in = (
        int(side * dpi + 1e-8) / dpi for side in map(float, figure.get_size_inches())
    )
    even_in: tuple[float, float] = adjusted_figsize(width_in, height_in, dpi, 2)
    if even_in != (width_in, height_in):
        figure.set_size_inches(*even_in, forward=True)
    return even_in


def why_not_played(animation: Animation) -> str | None:
    """Why rayanim cannot draw `animation` as matplotlib does; None where it can."""
    missing = missing_animation_names(animation)
    return f"this matplotlib lacks {', '.join(missing)}" if missing else None


def _settled(figure: Figure, save_options: SaveOptions) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """Face and edge as ``savefig`` finds them, and the other options that count."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgba

    own = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
    options = dict(save_options.options)
    settings: dict[Any, Any] = dict(mpl.rcParams)
    if not save_options.on_white and options.get("transparent", settings["savefig.transparent"]):
        return (own["facecolor"], own["edgecolor"]), {**options, "transparent": True}
    options.pop("transparent", None)
    colors: list[Any] = []
    for name in own:
        color: Any = options.pop(name, None)
        color = settings[f"savefig.{name}"] if color is None else color
        is_own = isinstance(color, str) and color == "auto"
        colors.append(own[name] if is_own else to_rgba(color))
    if save_options.on_white:
        *rgb, alpha = colors[0]
        colors[0] = (*(alpha * each + 1 - alpha for each in rgb), 1.0)
    return (colors[0], colors[1]), options


class _End:
    """There is no next frame."""


END = _End()


def _yes() -> bool:
    return True


def _disconnected_starts(canvas: Any) -> list[Any]:
    """The animations that the next draw would start to play, and does not any more."""
    from matplotlib.animation import Animation

    found = []
    for number, reference in list(canvas.callbacks.callbacks.get("draw_event", {}).items()):
        method = reference()
        if isinstance(getattr(method, "__self__", None), Animation) and method.__name__ == "_start":
            canvas.mpl_disconnect(number)
            found.append(method.__self__)
    return found


# ---- frames


def _length(animation: Animation) -> int | None:
    """How many frames it has, where iterating over them has no effect and is the same each time."""
    found = steady_frames(animation)
    if found is None:
        return None
    most = getattr(animation, "_save_count", None)
    return len(found) if most is None else min(len(found), most)


def has_no_end(animation: Animation) -> bool:
    """Whether matplotlib would save frames for ever: it was given neither frames nor a count."""
    is_endless = getattr(animation, "_iter_gen", None) is itertools.count
    return is_endless and getattr(animation, "_save_count", None) is None


def steady_frames(animation: Animation) -> Sequence[Any] | None:
    """What the frames of `animation` are made from, None where that comes once or has no end."""
    from matplotlib.animation import Animation, FuncAnimation

    kind = type(animation)
    if kind.new_saved_frame_seq not in (
        Animation.new_saved_frame_seq,
        FuncAnimation.new_saved_frame_seq,
    ):
        return None
    if kind.new_frame_seq is FuncAnimation.new_frame_seq:
        return _frames_given(animation)
    if kind.new_frame_seq is Animation.new_frame_seq:
        given = getattr(animation, "_framedata", None)
        return given if type(given) in STEADY else None
    frames: Any = animation.new_frame_seq()
    if type(frames) in STEADY_ITERATORS:
        return range(operator.length_hint(frames))
    return None


STEADY = (list, tuple, range, np.ndarray)
STEADY_ITERATORS: tuple[type, ...] = (type(iter([])), type(iter(())), type(iter(range(0))))
"""What iterating over has no effect on anything, and gives the same each time."""


def _frames_given(animation: Any) -> Sequence[Any] | None:
    """The argument `frames` of a FuncAnimation, as it was understood."""
    make: Any = getattr(animation, "_iter_gen", None)
    count = getattr(animation, "_save_count", None)
    if make is itertools.count:
        return None if count is None else range(count)
    if isinstance(make, KeptFrames):
        return make.frames
    if not _is_matplotlib_s(make):
        return None
    if make.__defaults__:
        given = make.__defaults__[0]
    else:
        given = inspect.getclosurevars(make).nonlocals.get("frames")
    if type(given) in STEADY:
        return given  # type: ignore[no-any-return]
    try:
        return range(operator.index(given))
    except TypeError:
        return None


class KeptFrames:
    """Stands for the frames of a FuncAnimation in another process."""

    def __init__(self, frames: Sequence[Any]) -> None:
        self.frames = frames

    def __call__(self) -> Iterator[Any]:
        return iter(self.frames)


@contextlib.contextmanager
def _first_frame_kept(animation: Any) -> Iterator[None]:
    """Have frames that come once begin with the first one.

    matplotlib takes it for the first draw, where there is no `init_func`, and it is lost.
    """
    from matplotlib.animation import FuncAnimation

    make: Any = getattr(animation, "_iter_gen", None)
    is_usual = type(animation).new_frame_seq is FuncAnimation.new_frame_seq
    has_no_init = getattr(animation, "_init_func", True) is None
    takes_it = is_usual and has_no_init and _is_matplotlib_s(make)
    if not takes_it or make() is not (frames := make()):
        yield
        return
    first = list(itertools.islice(frames, 1))
    if first:
        animation._iter_gen = lambda: itertools.chain(first, frames)
    try:
        yield
    finally:
        animation._iter_gen = make


def _is_matplotlib_s(function: Any) -> bool:
    return isinstance(function, FunctionType) and function.__module__ == "matplotlib.animation"


# ---- pickling


def _pickled(playback: Playback) -> bytes:
    import cloudpickle
    from matplotlib.animation import Animation
    from matplotlib.backend_bases import TimerBase
    from matplotlib.cbook import CallbackRegistry

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Leaves out of an animation what belongs to its process."""

        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, TimerBase):
                return TimerBase, (thing.interval,)
            if isinstance(thing, Animation):
                return object.__new__, (type(thing),), _state(thing)
            if isinstance(thing, CallbackRegistry):
                return object.__new__, (type(thing),), _callbacks(thing)
            return super().reducer_override(thing)

    def dumped(thing: Any) -> bytes:
        memory = BoundedBytes(MOST_PICKLED_BYTES)
        Pickler(memory).dump(thing)
        return memory.getvalue()

    try:
        return dumped(playback)
    except NotPicklableError:
        raise
    except Exception as error:
        for name, value in _reached(playback.animations):
            try:
                dumped(value)
            except Exception:
                text = f"{name} = {value!r:.80}"
                break
        else:
            text = type(playback.animations[0]).__name__
        raise NotPicklableError(f"{text} cannot be sent to actors ({error}).") from error


def _reached(animations: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The variables that the script's functions use, by name."""
    for animation in animations:
        for name, value in vars(animation).items():
            inner: Any = getattr(value, "func", value)  # a partial function's
            try:
                used = inspect.getclosurevars(getattr(inner, "__func__", inner))
            except TypeError:
                continue
            yield from used.nonlocals.items()
            yield from used.globals.items()
            yield from getattr(getattr(inner, "__self__", None), "__dict__", {}).items()
            yield name, value


class BoundedBytes(io.BytesIO):
    """Bytes in memory, so many at most."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    def write(self, data: Any) -> int:
        # Large arrays come as buffers that have no length.
        if self.tell() + memoryview(data).nbytes > self._most_bytes:
            raise NotPicklableError(
                f"the animation takes more than {self._most_bytes / 2**20:.0f} MB, and each "
                "actor would hold all of it"
            )
        return super().write(data)


def _state(animation: Any) -> dict[str, Any]:
    state = {name: value for name, value in vars(animation).items() if name not in LEFT_OUT}
    state["_draw_was_started"] = True
    frames = steady_frames(animation)
    if "_iter_gen" in state and frames is not None:
        state["_iter_gen"] = KeptFrames(frames)
    return state


def _callbacks(registry: Any) -> dict[str, Any]:
    """The state of a registry with what matplotlib drops, such as a colour bar that follows.

    Of a canvas's events only a draw comes in another process.
    """
    state: dict[str, Any] = registry.__getstate__()
    state["callbacks"] = {
        signal: {
            number: function
            for number, reference in connected.items()
            if (function := reference()) is not None and _comes_elsewhere(signal, function)
        }
        for signal, connected in registry.callbacks.items()
    }
    return state


def _comes_elsewhere(signal: str, function: Any) -> bool:
    if not signal.endswith("event"):
        return True
    return signal == "draw_event" and not is_animation(getattr(function, "__self__", None))
