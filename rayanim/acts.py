"""Acts: a state, a renderer that draws it, and scenes that change it with time.

Examples
--------
>>> class Place(ActState):
...     x = 0.0
>>> class Move(Scene):
...     def apply(self, act_state, time_ms, dbg=False):
...         act_state.x = time_ms
>>> class Draw(ActRenderer):
...     frame_size = (2, 1)
...
...     def render(self, act_state):
...         return bytes([round(100 * act_state.x)] * 8)
>>> there = FluentScene(Move()).time_rescale_exact(2, "s").build()
>>> act = Act(Place(), Draw(), [FluentScene(there).then(FluentScene(there).reverse()).build()])
>>> act.duration, act.generate_at(1000)[0], act.generate_at(2500)[0]
(4000.0, 50, 75)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rayanim.errors import SettingsError, SetupError
from rayanim.fluent import built_all, call_once
from rayanim.frame_gen import FrameGenerator, img_to_bytes
from rayanim.frames import Frame, Size, to_image, to_size
from rayanim.scenes import (
    CroppedScene,
    FluentScene,
    JoinedScene,
    Scene,
    SceneSequenceScene,
    Stage,
    TimeDilateScene,
    TimeRescaleExactDurationScene,
    TimeRescaleScene,
    TimeReverseScene,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from rayanim.drawing.figure import FigurePixels

__all__ = [
    "Act",
    "ActRenderer",
    "ActState",
    "CroppedScene",
    "FigureRenderer",
    "FluentScene",
    "JoinedScene",
    "Scene",
    "SceneSequenceScene",
    "TimeDilateScene",
    "TimeRescaleExactDurationScene",
    "TimeRescaleScene",
    "TimeReverseScene",
]

_NOTHING_DRAWS = "{} must define render(self, act_state) or render_pil(self, act_state)."


class ActState:
    """What there is to draw: a base class for the state that scenes change."""


class ActRenderer:
    """Draws a state. Define `frame_size` and one of `render` and `render_pil`."""

    @property
    def frame_size(self) -> Size:
        """Size of each frame in pixels, ``(width, height)``."""
        raise NotImplementedError(
            f"{type(self).__name__} must define frame_size, (width, height) in pixels."
        )

    def render(self, act_state: Any) -> Frame:
        """Draw `act_state`.

        Returns
        -------
        bytes, numpy.ndarray or PIL.Image.Image
            RGBA bytes; or a ``(height, width, 3 or 4)`` uint8 array; or an
            image of any mode.
        """
        if type(self).render_pil is ActRenderer.render_pil:
            raise NotImplementedError(_NOTHING_DRAWS.format(type(self).__name__))
        return img_to_bytes(to_image(self.render_pil(act_state), to_size(self.frame_size)))

    def render_pil(self, act_state: Any) -> Image:
        """Draw `act_state` as a Pillow image."""
        if type(self).render is ActRenderer.render:
            raise NotImplementedError(_NOTHING_DRAWS.format(type(self).__name__))
        return to_image(self.render(act_state), to_size(self.frame_size))

    def release(self) -> None:
        """Let go of what drawing acquired; an act calls it when it finishes."""


class FigureRenderer(ActRenderer):
    """Draws a matplotlib figure that is made once per process and then only updated.

    Define `setup`, which makes the figure and returns it, and `update`, which
    makes it show a state. The frame size is the figure's. `setup` may keep
    artists on ``self`` for `update`; they and the figure stay behind when the
    renderer travels to another process, where `setup` runs again.

    Examples
    --------
    >>> class Curve(FigureRenderer):
    ...     def setup(self):
    ...         from matplotlib.figure import Figure
    ...
    ...         figure = Figure(figsize=(2, 1), dpi=50)
    ...         (self.line,) = figure.subplots().plot([0, 1], [0, 1])
    ...         return figure
    ...
    ...     def update(self, act_state):
    ...         self.line.set_ydata([act_state.low, 1])
    >>> Curve().frame_size
    (100, 50)
    """

    dpi: float | None = None
    """Pixels per inch; None means the figure's own."""

    # Defaults of the class, since subclasses need not call __init__.
    _pixels: FigurePixels | None = None
    _before_setup: dict[str, Any] | None = None
    _size: Size | None = None

    def setup(self) -> Figure:
        """Make the figure and return it; called once per process, before the first frame."""
        raise NotImplementedError(
            f"{type(self).__name__} must define setup(self), returning a Figure."
        )

    def update(self, act_state: Any) -> None:
        """Make the figure show `act_state`."""
        raise NotImplementedError(f"{type(self).__name__} must define update(self, act_state).")

    @property
    def frame_size(self) -> Size:
        """Size of the figure in pixels, ``(width, height)``.

        Where the figure was not made yet, a copy of the renderer makes one,
        which is measured and closed.
        """
        if self._size is None:
            trial = copy.copy(self)
            try:
                self._size = trial._open().size
            finally:
                trial.release()
        return self._size

    def render(self, act_state: Any) -> Frame:
        """Update the figure and draw it.

        Returns
        -------
        numpy.ndarray
            ``(height, width, 4)`` uint8, RGBA; the next call overwrites it.
        """
        pixels = self._open()
        self.update(act_state)
        return pixels.draw()

    def release(self) -> None:
        """Close the figure and forget what `setup` kept; the next frame makes it anew."""
        if self._pixels is not None and self._before_setup is not None:
            pixels, size = self._pixels, self._size
            self.__dict__ = self._before_setup
            self._size = size
            pixels.close()

    def __getstate__(self) -> dict[str, Any]:
        """The attributes as they were before `setup`."""
        before = self.__dict__ if self._before_setup is None else self._before_setup
        return _with_own_containers({**before, "_size": self._size})

    def _open(self) -> FigurePixels:
        if self._pixels is None:
            from rayanim.drawing.figure import FigurePixels

            before = _with_own_containers(self.__dict__)
            figure = _checked_figure(self.setup(), type(self).__name__)
            self._before_setup = before
            self._pixels = FigurePixels(figure, self.dpi)
            self._size = self._pixels.size
        return self._pixels


def _with_own_containers(attributes: dict[str, Any]) -> dict[str, Any]:
    """A copy in which lists, dicts and sets are copies too, so that appending is not seen."""
    return {
        name: copy.copy(value) if type(value) in (list, dict, set) else value
        for name, value in attributes.items()
    }


def _checked_figure(figure: Any, name: str) -> Figure:
    from rayanim.drawing.figure import is_figure

    if not is_figure(figure):
        raise SetupError(
            f"{name}.setup() must return a matplotlib Figure, got {type(figure).__name__}: "
            f"{repr(figure)[:80]}. End it with `return fig`."
        )
    checked: Figure = figure
    return checked


class Act(FrameGenerator):
    """A state, drawn as scenes change it: a frame generator like any other.

    A scene finds the state as the scenes before it leave it at their ends, in
    whatever order frames are asked for. Those between one frame and the next
    are entered, applied and exited on the way. What cannot be made good are
    scenes that add to the state instead of setting it; see `Scene`.

    Parameters
    ----------
    state
        What is drawn and changed.
    renderer
        What draws it.
    scenes
        What changes it, one scene after another; at least one.

    Attributes
    ----------
    state, renderer, scenes
        As given, the scenes as a tuple.
    scenes_end_at
        When each of them ends, in milliseconds.
    """

    def __init__(self, state: Any, renderer: ActRenderer, scenes: Any) -> None:
        if not isinstance(renderer, ActRenderer):
            raise SettingsError(f"An act needs an ActRenderer to draw with, got {renderer!r}.")
        self.state = state
        self.renderer = renderer
        self._stage = Stage(built_all(scenes, Scene))

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenes, in order."""
        return self._stage.scenes

    @property
    def scenes_end_at(self) -> list[float]:
        """When each scene ends, in milliseconds."""
        return list(self._stage.order.ends_ms)

    @property
    def duration(self) -> float:
        return self._stage.order.duration_ms

    @property
    def frame_size(self) -> Size:
        return to_size(self.renderer.frame_size)

    def scene_at(self, time_ms: float) -> tuple[int, Scene, float]:
        """Index of the scene that plays at `time_ms`, the scene, and its own time in ms."""
        return self._stage.at(time_ms)

    def setup_state(self, time_ms: float) -> None:
        """Make the state what it is at `time_ms` milliseconds, without drawing it."""
        self._stage.apply(self.state, time_ms)

    def start(self) -> None:
        call_once("start", self.scenes, self.state)

    def generate_at(self, time_ms: float) -> Frame:
        self.setup_state(time_ms)
        return self.renderer.render(self.state)

    def generate_at_pil(self, time_ms: float) -> Image:
        self.setup_state(time_ms)
        return self.renderer.render_pil(self.state)

    def finish(self) -> None:
        try:
            self._stage.forget(self.state)
        finally:
            self.renderer.release()
