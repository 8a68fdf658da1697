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
import logging
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rayanim.errors import SettingsError, SetupError
from rayanim.frame_gen import FrameGenerator, SequenceFrameGenerator, img_to_bytes
from rayanim.pixels import Frame, Size, to_image, to_size
from rayanim.timeline import (
    AtRate,
    Cropped,
    Dilated,
    Fluent,
    ForDuration,
    Retimed,
    Reversed,
    built,
    built_all,
    call_once,
    clamp,
    duration_of,
    in_sequence,
    same_duration,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from rayanim.figure.figure import FigurePixels

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

_logger = logging.getLogger(__name__)

_NOTHING_DRAWS = "{} must define render(self, act_state) or render_pil(self, act_state)."


class ActState:
    """A base class for the state that scenes change and a renderer draws."""


class Scene:
    """Changes a state with time. Override the methods that you need.

    Frames are drawn in any order and by several processes. So `apply` must set
    values, not add to them: ``state.x = time_ms``, never ``state.x += 1``. The
    first scene that sets a value should begin with the value that the state
    starts with: to go back in time, a scene is played back to its beginning,
    and what was there before it is not known.
    """

    @property
    def duration(self) -> float:
        """Length in milliseconds. The default of 1 makes time the share of the whole."""
        return 1

    def start(self, act_state: Any) -> None:
        """Get ready; called once where the frames will be drawn, before the first one."""

    def enter(self, act_state: Any) -> None:
        """Called before `apply` when the previous scene was another one, or none.

        A scene that is skipped on the way to another one is entered, applied at
        its beginning and its end, and exited, too.
        """

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        """Change `act_state` to what it is at `time_ms` milliseconds of this scene.

        Times come in any order. With `dbg` print what happens; a scene that
        prints nothing may leave the parameter out.
        """

    def exit(self, act_state: Any) -> None:
        """Called after `apply` when the next scene is another one, or none."""


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
        """Release what drawing acquired; an act calls it when it finishes."""


class FigureRenderer(ActRenderer):
    """Draws a matplotlib figure that is made once per process and then only updated.

    Define `setup`, which makes the figure and returns it, and `update`, which
    makes it show a state. The frame size is the figure's. `setup` may keep
    artists on ``self`` for `update`. They and the figure are not sent along when
    the renderer is sent to another process: `setup` runs again there.

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

        If there is no figure yet, a copy of the renderer makes one to measure it.
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
        """Close the figure and forget what `setup` kept; the next frame makes a new one."""
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
            from rayanim.figure.figure import FigurePixels

            before = _with_own_containers(self.__dict__)
            figure = _checked_figure(self.setup(), type(self).__name__)
            self._before_setup = before
            self._pixels = FigurePixels(figure, self.dpi)
            self._size = self._pixels.size
        return self._pixels


def _with_own_containers(attributes: dict[str, Any]) -> dict[str, Any]:
    """A copy with copies of lists, dicts and sets, which later changes do not reach."""
    return {
        name: copy.copy(value) if type(value) in (list, dict, set) else value
        for name, value in attributes.items()
    }


def _checked_figure(figure: Any, name: str) -> Figure:
    from rayanim.figure.figure import is_figure

    if not is_figure(figure):
        raise SetupError(
            f"{name}.setup() must return a matplotlib Figure, got {type(figure).__name__}: "
            f"{repr(figure)[:80]}. End it with `return fig`."
        )
    checked: Figure = figure
    return checked


class _PlaysScenes:
    """What plays scenes one after another."""

    _player: _ScenePlayer

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenes, in order."""
        return self._player.scenes

    @property
    def scenes_end_at(self) -> list[float]:
        """When each scene ends, in milliseconds."""
        return list(self._player.order.ends_ms)

    @property
    def duration(self) -> float:
        """Length in milliseconds."""
        return self._player.order.duration_ms


class Act(_PlaysScenes, FrameGenerator):
    """A frame generator that draws a state while scenes change it.

    A scene always finds the state as the scenes before it leave it at their
    ends, in whatever order frames are drawn: scenes that lie between one frame
    and the next are entered, applied and exited on the way. Scenes must set
    values and not add to them; see `Scene`.

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
            raise SettingsError(f"renderer must be an ActRenderer, got {renderer!r}.")
        self.state = state
        self.renderer = renderer
        self._player = _ScenePlayer(built_all(scenes, Scene))

    @property
    def frame_size(self) -> Size:
        return to_size(self.renderer.frame_size)

    def scene_at(self, time_ms: float) -> tuple[int, Scene, float]:
        """Index of the scene that plays at `time_ms`, the scene, and its own time in ms."""
        return self._player.at(time_ms)

    def setup_state(self, time_ms: float) -> None:
        """Change the state to what it is at `time_ms` milliseconds, without drawing it."""
        self._player.apply(self.state, time_ms)

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
            self._player.reset(self.state)
        finally:
            self.renderer.release()


class SceneSequenceScene(_PlaysScenes, Scene):
    """Scenes that play one after another, as one scene.

    Parameters
    ----------
    scenes
        The scenes, at least one.
    """

    def __init__(self, scenes: Any) -> None:
        self._player = _ScenePlayer(built_all(scenes, Scene))

    def start(self, act_state: Any) -> None:
        call_once("start", self.scenes, act_state)

    def enter(self, act_state: Any) -> None:
        if not _is_reentry.get():
            self._player.reset(act_state)

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        # An easing may overshoot: hold the first or the last scene there.
        self._player.apply(act_state, clamp(time_ms, self.duration), dbg)

    def exit(self, act_state: Any) -> None:
        self._player.leave(act_state)


class JoinedScene(Scene):
    """Scenes that play at the same time, applied one after another for every frame.

    Parameters
    ----------
    children
        The scenes, at least one, all of one duration.
    sep_enters
        True enters each scene before, and exits it after, every time it is
        applied, so that only one is entered at a time. False enters and exits
        all of them together, which is faster, and right if they do not change
        the same values.

    Attributes
    ----------
    children, sep_enters
        As given, the children as a tuple.
    """

    def __init__(self, children: Any, sep_enters: bool) -> None:
        self.children: tuple[Scene, ...] = built_all(children, Scene)
        self.sep_enters = sep_enters
        first = self.children[0]
        for child in self.children[1:]:
            if not same_duration(duration_of(first), duration_of(child)):
                raise SettingsError(
                    f"Joined scenes must have the same duration, got {first.duration!r} ms and "
                    f"{child.duration!r} ms. Use time_rescale_exact or crop."
                )
        # The states for which the children have been entered since this scene was.
        self._begun_for: tuple[Any, ...] = ()

    @property
    def duration(self) -> float:
        return self.children[0].duration

    def start(self, act_state: Any) -> None:
        call_once("start", self.children, act_state)

    def enter(self, act_state: Any) -> None:
        if not self.sep_enters:
            for child in self.children:
                child.enter(act_state)
        elif not _is_reentry.get():
            self._begun_for = tuple(each for each in self._begun_for if each is not act_state)

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        begun = any(each is act_state for each in self._begun_for)
        for index, child in enumerate(self.children):
            if dbg:
                print(f"at {time_ms} ms of the joined scenes: scene {index}")
            if self.sep_enters:
                _enter(child, act_state, is_reentry=begun)
            _apply(child, act_state, time_ms, dbg)
            if self.sep_enters:
                child.exit(act_state)
        if self.sep_enters and not begun:
            self._begun_for = (*self._begun_for, act_state)

    def exit(self, act_state: Any) -> None:
        if not self.sep_enters:
            for child in self.children:
                child.exit(act_state)


class _RetimedScene(Retimed[Scene], Scene):
    """A scene that applies its child at another time."""

    kind = Scene

    def start(self, act_state: Any) -> None:
        call_once("start", (self.child,), act_state)

    def enter(self, act_state: Any) -> None:
        self.child.enter(act_state)

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        child_ms = self.child_time(time_ms)
        if dbg:
            print(f"at {time_ms} ms of {type(self).__name__}: its child at {child_ms} ms")
        _apply(self.child, act_state, child_ms, dbg)

    def exit(self, act_state: Any) -> None:
        self.child.exit(act_state)


class TimeRescaleScene(AtRate[Scene], _RetimedScene):
    """Plays `child` at `playback_rate` times the speed: 2 halves its duration."""


class TimeRescaleExactDurationScene(ForDuration[Scene], _RetimedScene):
    """Plays `child` in exactly `new_duration` milliseconds."""


class TimeReverseScene(Reversed[Scene], _RetimedScene):
    """Plays `child` backwards."""


class TimeDilateScene(Dilated[Scene], _RetimedScene):
    """Plays `child` with its time changed by the easing `dilator`.

    Where the easing goes below 0 or above 1, `child` gets times before its
    start or after its end: a movement then swings beyond its goal. Sequences
    and crops stop at their ends instead.
    """


class CroppedScene(Cropped[Scene], _RetimedScene):
    """Plays `child` from `crop_start` to `crop_end`, both in milliseconds of its time."""


class FluentScene(Fluent[Scene]):
    """Combines scenes by a chain of calls that ends with `build`.

    Every argument that takes a scene also takes another chain.

    Attributes
    ----------
    base, followed_by
        What has been built, and what plays after it.
    joined_with, join_is_sep
        What plays at the same time, and whether each is entered separately.
    pushed
        The chains that `push` saved, the latest last.

    Examples
    --------
    >>> one, other = Scene(), Scene()
    >>> chain = FluentScene(one).time_rescale_exact(5, "s")
    >>> chain = chain.push(other).time_rescale_exact(3, "s")  # changes only `other`
    >>> chain.pop().reverse().build().duration  # reverses both
    8000.0
    """

    kind = Scene
    at_rate = TimeRescaleScene
    for_duration = TimeRescaleExactDurationScene
    dilated = TimeDilateScene
    backwards = TimeReverseScene
    cropped = CroppedScene
    sequence = SceneSequenceScene

    def __init__(self, base: Scene | Fluent[Scene]) -> None:
        super().__init__(base)
        self.joined_with: list[Scene] = []
        self.join_is_sep = False
        self.pushed: list[FluentScene] = []

    def build(self) -> Scene:
        """The scene that the chain describes.

        Scenes that were pushed and never popped are left out, with a warning.

        Raises
        ------
        SettingsError
            If joined scenes do not have the same duration.
        """
        if self.pushed:
            _logger.warning(
                "build(): %d scene(s) that push() saved are left out. "
                "Call pop() once for each of them to include it.",
                len(self.pushed),
            )
        return self._current()

    def then(self, scene: Scene | Fluent[Scene]) -> Self:
        """Play `scene` after the current result."""
        if self.joined_with:
            self._restart(self._current())
        return super().then(scene)

    def join(self, scene: Scene | Fluent[Scene], sep_enters: bool = False) -> Self:
        """Play `scene` at the same time as the current result.

        Both must have the same duration when the chain is built.

        Parameters
        ----------
        scene
            The scene that is applied second, in every frame.
        sep_enters
            Whether each is entered and exited separately for every frame; see
            `JoinedScene`.
        """
        joined = built(scene, Scene)
        if self.followed_by or (self.joined_with and sep_enters != self.join_is_sep):
            self._restart(self._current())
        self.joined_with.append(joined)
        self.join_is_sep = sep_enters
        return self

    def push(self, scene: Scene | Fluent[Scene]) -> Self:
        """Save the current result until `pop`, and continue with `scene`."""
        saved = FluentScene(self.base)
        saved.followed_by = self.followed_by
        saved.joined_with = self.joined_with
        saved.join_is_sep = self.join_is_sep
        self._restart(built(scene, Scene))
        self.pushed.append(saved)
        return self

    def pop(self, style: str = "then") -> Self:
        """Return to what the last `push` saved, and add the current result to it.

        Parameters
        ----------
        style
            ``then`` plays it afterwards, ``join`` at the same time, ``join_sep``
            at the same time with each entered separately.

        Raises
        ------
        SettingsError
            If the style is another one, or nothing was pushed.
        """
        if style not in ("then", "join", "join_sep"):
            raise SettingsError(f"style must be 'then', 'join' or 'join_sep', got {style!r}.")
        if not self.pushed:
            raise SettingsError("pop() without a push() before it: nothing was saved.")
        newer, saved = self._current(), self.pushed[-1]
        if style == "then":
            saved.then(newer)
        else:
            saved.join(newer, style == "join_sep")
        self.pushed.pop()
        self.base, self.followed_by = saved.base, saved.followed_by
        self.joined_with, self.join_is_sep = saved.joined_with, saved.join_is_sep
        return self

    def _current(self) -> Scene:
        current = super()._current()
        if not self.joined_with:
            return current
        return JoinedScene((current, *self.joined_with), self.join_is_sep)

    def _restart(self, base: Scene) -> None:
        super()._restart(base)
        self.joined_with = []
        self.join_is_sep = False


@dataclass(frozen=True, slots=True, eq=False)
class _Position:
    """How far a state is in a sequence of scenes."""

    state: Any
    index: int = -1
    """The scene that was entered last; -1 before the first one."""
    is_entered: bool = False
    """Whether that scene has not been exited yet."""


class _ScenePlayer:
    """Plays scenes one after another, and remembers for each state which scene it is in."""

    def __init__(self, scenes: tuple[Scene, ...]) -> None:
        self.scenes = scenes
        self.order = in_sequence(scenes)
        # Acts may share scenes, so there may be several states. They are few, and
        # need not be hashable. The tuple is replaced and never changed, so copies
        # of a player do not affect each other.
        self._positions: tuple[_Position, ...] = ()

    def at(self, time_ms: float) -> tuple[int, Scene, float]:
        """Index of the scene at `time_ms`, the scene, and its own time in milliseconds."""
        index, scene_ms = self.order.locate(time_ms)
        return index, self.scenes[index], scene_ms

    def apply(self, state: Any, time_ms: float, dbg: bool = False) -> None:
        """Move to the scene at `time_ms`, if the state is in another one, and apply it."""
        index, scene, scene_ms = self.at(time_ms)
        if dbg:
            print(f"at {time_ms} ms of the sequence: scene {index} at {scene_ms} ms")
        position = self._position(state)
        if position.index >= 0 and not position.is_entered:
            _enter(self.scenes[position.index], state, is_reentry=True)
            self._set(_Position(state, position.index, is_entered=True))
        if index < self._position(state).index:
            self._go_back(state, index)
        if index > self._position(state).index:
            self._go_forward(state, index)
            if scene_ms > 0:
                # From its beginning: played backwards, a sequence gets its later scenes ready.
                _apply(scene, state, 0.0)
        _apply(scene, state, scene_ms, dbg)

    def leave(self, state: Any) -> None:
        """Exit the current scene, if there is one; the next `apply` continues from there."""
        position = self._position(state)
        if position.is_entered:
            self._set(_Position(state, position.index))
            self.scenes[position.index].exit(state)

    def reset(self, state: Any) -> None:
        """Exit the current scene, if there is one; the next `apply` starts before the first."""
        try:
            self.leave(state)
        finally:
            self._set(_Position(state))

    def _go_forward(self, state: Any, goal: int) -> None:
        """Enter scene `goal` after playing all scenes before it to their ends."""
        current = self._position(state).index
        if current >= 0:
            self._leave_at_end(state, current)
        for index in range(current + 1, goal):
            self._enter(state, index)
            _apply(self.scenes[index], state, 0.0)
            self._leave_at_end(state, index)
        self._enter(state, goal)

    def _go_back(self, state: Any, goal: int) -> None:
        """Play the scenes back to their beginnings, down to `goal`, and be in none."""
        current = self._position(state).index
        self._leave_at_start(state, current)
        for index in range(current - 1, goal - 1, -1):
            self._enter(state, index)
            # From its end, so that a sequence passes its later scenes too.
            self._apply_end(state, index)
            self._leave_at_start(state, index)
        self._set(_Position(state))

    def _enter(self, state: Any, index: int) -> None:
        _enter(self.scenes[index], state, is_reentry=False)
        self._set(_Position(state, index, is_entered=True))

    def _leave_at_end(self, state: Any, index: int) -> None:
        self._apply_end(state, index)
        self.leave(state)

    def _leave_at_start(self, state: Any, index: int) -> None:
        _apply(self.scenes[index], state, 0.0)
        self.leave(state)

    def _apply_end(self, state: Any, index: int) -> None:
        _apply(self.scenes[index], state, self.order.durations_ms[index])

    def _position(self, state: Any) -> _Position:
        for position in self._positions:
            if position.state is state:
                return position
        return _Position(state)

    def _set(self, position: _Position) -> None:
        others = tuple(each for each in self._positions if each.state is not position.state)
        self._positions = (position, *others) if position.index >= 0 else others


# Whether the scene being entered continues where it was left. Joined scenes may be
# entered for every frame, through wrappers of the user's that pass no such argument.
_is_reentry: ContextVar[bool] = ContextVar("_is_reentry", default=False)


def _apply(scene: Scene, state: Any, time_ms: float, dbg: bool = False) -> None:
    """Apply `scene`, whose `apply` may lack the parameter `dbg`."""
    if dbg:
        scene.apply(state, time_ms, dbg)
    else:
        scene.apply(state, time_ms)


def _enter(scene: Scene, state: Any, *, is_reentry: bool) -> None:
    """Enter `scene`; scenes inside it see whether they continue where they were left."""
    token = _is_reentry.set(is_reentry)
    try:
        scene.enter(state)
    finally:
        _is_reentry.reset(token)


def chapters_of(generator: FrameGenerator) -> list[tuple[float, str]]:
    """When each scene of an act begins, or of several acts in sequence, in ms, and its title.

    A title is the attribute `title` of a scene or generator, or its class's name. Equal ones
    are numbered.
    """
    found = _chapters_of(generator)
    titles = [title for _, title in found]
    seen = Counter[str]()
    for at, (at_ms, title) in enumerate(found):
        if titles.count(title) > 1:
            seen[title] += 1
            found[at] = (at_ms, f"{title} {seen[title]}")
    return found


def _chapters_of(generator: FrameGenerator) -> list[tuple[float, str]]:
    children: tuple[Any, ...]
    if isinstance(generator, Act):
        children, ends_ms = generator.scenes, generator.scenes_end_at
    elif isinstance(generator, SequenceFrameGenerator):
        children, ends_ms = generator.children, generator.children_end_at
    else:
        return []
    found = []
    for begin_ms, child in zip([0.0, *ends_ms], children, strict=False):
        inner = _chapters_of(child) if isinstance(child, FrameGenerator) else []
        found += [(begin_ms + at_ms, title) for at_ms, title in inner]
        if not inner:
            found.append((begin_ms, _title_of(child)))
    return found


def _title_of(timed: Any) -> str:
    while not isinstance(getattr(timed, "title", None), str):
        if not isinstance(timed, Retimed):
            return type(timed).__name__
        timed = timed.child
    return str(timed.title)
