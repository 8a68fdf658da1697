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
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rayanim.errors import SettingsError, SetupError
from rayanim.frame_gen import FrameGenerator, img_to_bytes
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

_logger = logging.getLogger(__name__)

# Whether a scene is entered where it was left, and not anew. Joined scenes may
# be entered for every frame, through wrappers that need not know of this.
_where_it_was_left: ContextVar[bool] = ContextVar("_where_it_was_left", default=False)


def apply_scene(scene: Scene, state: Any, time_ms: float, dbg: bool = False) -> None:
    """Apply `scene`, whose `apply` may do without the parameter `dbg`."""
    if dbg:
        scene.apply(state, time_ms, dbg)
    else:
        scene.apply(state, time_ms)


def enter_scene(scene: Scene, state: Any, *, where_it_was_left: bool) -> None:
    """Enter `scene`, and tell what is inside of it whether it can go on from where it was."""
    token = _where_it_was_left.set(where_it_was_left)
    try:
        scene.enter(state)
    finally:
        _where_it_was_left.reset(token)


def is_entered_anew() -> bool:
    """Whether a scene's `enter`, running now, cannot go on from where the scene was left."""
    return not _where_it_was_left.get()


@dataclass(frozen=True, slots=True, eq=False)
class StagePlace:
    """Where a state is.

    Attributes
    ----------
    state
        The state.
    index
        The scene that was entered last; -1 before the first one.
    is_on
        Whether it has not been exited yet.
    """

    state: Any
    index: int = -1
    is_on: bool = False


class Stage:
    """Scenes in sequence, and in which of them each state is.

    Parameters
    ----------
    scenes
        The scenes, at least one.
    """

    def __init__(self, scenes: tuple[Scene, ...]) -> None:
        self.scenes = scenes
        self.order = in_sequence(scenes)
        # Acts may share scenes, so there may be several states. They are few,
        # and need not be hashable. Replaced, never changed, as all values are.
        self._places: tuple[StagePlace, ...] = ()

    def at(self, time_ms: float) -> tuple[int, Scene, float]:
        """Index of the scene at `time_ms`, the scene, and its own time in milliseconds."""
        index, scene_ms = self.order.locate(time_ms)
        return index, self.scenes[index], scene_ms

    def apply(self, state: Any, time_ms: float, dbg: bool = False) -> None:
        """Go to the scene at `time_ms`, if the state is in another, and apply it."""
        index, scene, scene_ms = self.at(time_ms)
        if dbg:
            print(f"at {time_ms} ms of the sequence: scene {index} at {scene_ms} ms")
        self._resume(state)
        if index < self._place(state).index:
            self._go_back(state, index)
        if index > self._place(state).index:
            self._go_forward(state, index)
            if scene_ms > 0:
                # From its beginning: played backwards, a sequence gets its later scenes ready.
                apply_scene(scene, state, 0.0)
        apply_scene(scene, state, scene_ms, dbg)

    def leave(self, state: Any) -> None:
        """Exit the scene that is on, if there is one; the next `apply` goes on from there."""
        place = self._place(state)
        if place.is_on:
            self._note(StagePlace(state, place.index))
            self.scenes[place.index].exit(state)

    def forget(self, state: Any) -> None:
        """Exit the scene that is on, if there is one; the next `apply` starts from none."""
        try:
            self.leave(state)
        finally:
            self._note(StagePlace(state))

    def _resume(self, state: Any) -> None:
        place = self._place(state)
        if place.index >= 0 and not place.is_on:
            enter_scene(self.scenes[place.index], state, where_it_was_left=True)
            self._note(StagePlace(state, place.index, is_on=True))

    def _go_forward(self, state: Any, goal: int) -> None:
        """Enter the scene `goal`, with all before it at their ends."""
        on = self._place(state).index
        if on >= 0:
            self._leave_at_end(state, on)
        for index in range(on + 1, goal):
            self._enter(state, index)
            apply_scene(self.scenes[index], state, 0.0)
            self._leave_at_end(state, index)
        self._enter(state, goal)

    def _go_back(self, state: Any, goal: int) -> None:
        """Play the scenes back to their beginnings, `goal` is the last one, and be in none."""
        on = self._place(state).index
        self._leave_at_start(state, on)
        for index in range(on - 1, goal - 1, -1):
            self._enter(state, index)
            # From its end, so that a sequence passes its later scenes too.
            self._apply_end(state, index)
            self._leave_at_start(state, index)
        self._note(StagePlace(state))

    def _enter(self, state: Any, index: int) -> None:
        enter_scene(self.scenes[index], state, where_it_was_left=False)
        self._note(StagePlace(state, index, is_on=True))

    def _leave_at_end(self, state: Any, index: int) -> None:
        self._apply_end(state, index)
        self.leave(state)

    def _leave_at_start(self, state: Any, index: int) -> None:
        apply_scene(self.scenes[index], state, 0.0)
        self.leave(state)

    def _apply_end(self, state: Any, index: int) -> None:
        apply_scene(self.scenes[index], state, self.order.durations_ms[index])

    def _place(self, state: Any) -> StagePlace:
        for place in self._places:
            if place.state is state:
                return place
        return StagePlace(state)

    def _note(self, place: StagePlace) -> None:
        others = tuple(each for each in self._places if each.state is not place.state)
        self._places = (place, *others) if place.index >= 0 else others


class Scene:
    """Changes a state with time. Every method may be left as it is.

    Frames are drawn in any order and by several processes. So that each shows
    what it should, `apply` must set, not add: ``state.x = time_ms``, never
    ``state.x += 1``. What no earlier scene sets should begin as the state has
    it: a scene that plays later cannot tell what was there before it.
    """

    @property
    def duration(self) -> float:
        """Length in milliseconds; 1 unless overridden, so that time is a share of the whole."""
        return 1

    def start(self, act_state: Any) -> None:
        """Get ready; called once where the frames will be drawn, before the first one."""

    def enter(self, act_state: Any) -> None:
        """Called before `apply` where the scene before was another one, or none.

        Also where the scene is passed over: on the way to another scene it is
        entered, applied at its beginning and its end, and exited.
        """

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        """Make `act_state` what it is at `time_ms` milliseconds of this scene.

        Times come in any order. With `dbg` say on standard output what
        happens; a scene that has nothing to say may leave the parameter out.
        """

    def exit(self, act_state: Any) -> None:
        """Called after `apply` where the next scene is another one, or none."""


class SceneSequenceScene(Scene):
    """Scenes that play one after another, as one scene.

    Parameters
    ----------
    scenes
        The scenes, at least one.

    Attributes
    ----------
    scenes
        As given, a tuple.
    scenes_end_at
        When each of them ends, in milliseconds.
    """

    def __init__(self, scenes: Any) -> None:
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

    def start(self, act_state: Any) -> None:
        call_once("start", self.scenes, act_state)

    def enter(self, act_state: Any) -> None:
        if is_entered_anew():
            self._stage.forget(act_state)

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        # An easing may overshoot: hold the first or the last scene there.
        self._stage.apply(act_state, clamp(time_ms, self.duration), dbg)

    def exit(self, act_state: Any) -> None:
        self._stage.leave(act_state)


class JoinedScene(Scene):
    """Scenes that play at the same time, applied one after another for every frame.

    Parameters
    ----------
    children
        The scenes, at least one, all of one duration.
    sep_enters
        Whether each is entered before and exited after each time it is
        applied, so that only one is on at a time. If not, all are entered and
        exited together, which is quicker and right where they do not meddle
        with each other.

    Attributes
    ----------
    children, sep_enters
        As given, the children as a tuple.
    """

    def __init__(self, children: Any, sep_enters: bool) -> None:
        self.children: tuple[Scene, ...] = built_all(children, Scene)
        self.sep_enters = sep_enters
        for child in self.children[1:]:
            _require_same_duration(self.children[0], child)
        # The states for which the children were entered since this scene was.
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
        elif is_entered_anew():
            self._begun_for = tuple(each for each in self._begun_for if each is not act_state)

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        begun = any(each is act_state for each in self._begun_for)
        for index, child in enumerate(self.children):
            if dbg:
                print(f"at {time_ms} ms of the joined scenes: scene {index}")
            if self.sep_enters:
                enter_scene(child, act_state, where_it_was_left=begun)
            apply_scene(child, act_state, time_ms, dbg)
            if self.sep_enters:
                child.exit(act_state)
        if self.sep_enters and not begun:
            self._begun_for = (*self._begun_for, act_state)

    def exit(self, act_state: Any) -> None:
        if not self.sep_enters:
            for child in self.children:
                child.exit(act_state)


def _require_same_duration(first: Scene, other: Scene) -> None:
    if not same_duration(duration_of(first), duration_of(other)):
        raise SettingsError(
            f"Scenes that are joined must last equally long, got {first.duration!r} ms and "
            f"{other.duration!r} ms. time_rescale_exact or crop makes them so."
        )


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
        apply_scene(self.child, act_state, child_ms, dbg)

    def exit(self, act_state: Any) -> None:
        self.child.exit(act_state)


class TimeRescaleScene(AtRate[Scene], _RetimedScene):
    """Plays `child` at `playback_rate` times the speed: 2 halves its duration."""


class TimeRescaleExactDurationScene(ForDuration[Scene], _RetimedScene):
    """Plays `child` in exactly `new_duration` milliseconds."""


class TimeReverseScene(Reversed[Scene], _RetimedScene):
    """Plays `child` backwards."""


class TimeDilateScene(Dilated[Scene], _RetimedScene):
    """Plays `child` at a speed that the easing `dilator` changes.

    Where the easing overshoots, `child` gets times before its start or after
    its end: a movement then swings beyond its goal. Sequences and crops hold
    their ends instead.
    """


class CroppedScene(Cropped[Scene], _RetimedScene):
    """Plays `child` from `crop_start` to `crop_end`, both in milliseconds of its time."""


class FluentScene(Fluent[Scene]):
    """Combines scenes by a chain of calls that ends with `build`.

    Another chain may stand wherever a scene may.

    Attributes
    ----------
    base, followed_by
        What has been built, and what plays after it.
    joined_with, join_is_sep
        What plays at the same time as it, and whether each is entered by itself.
    pushed
        The chains that `push` put aside, the latest last.

    Examples
    --------
    >>> one, other = Scene(), Scene()
    >>> chain = FluentScene(one).time_rescale_exact(5, "s")
    >>> chain = chain.push(other).time_rescale_exact(3, "s")  # changes the other only
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

        Scenes that were pushed and not popped are left out, with a warning.

        Raises
        ------
        SettingsError
            If joined scenes do not last equally long.
        """
        if self.pushed:
            _logger.warning(
                "build(): %d scene(s) that push() put aside are left out. "
                "Call pop() once for each to play them.",
                len(self.pushed),
            )
        return self._current()

    def then(self, scene: Scene | Fluent[Scene]) -> Self:
        """Play `scene` after what there is."""
        if self.joined_with:
            self._restart(self._current())
        return super().then(scene)

    def join(self, scene: Scene | Fluent[Scene], sep_enters: bool = False) -> Self:
        """Play `scene` at the same time as what there is.

        It must last as long when the chain is built.

        Parameters
        ----------
        scene
            What is applied after what there is, for every frame.
        sep_enters
            Whether each is entered and exited by itself for every frame; see
            `JoinedScene`.
        """
        joined = built(scene, Scene)
        if self.followed_by or (self.joined_with and sep_enters != self.join_is_sep):
            self._restart(self._current())
        self.joined_with.append(joined)
        self.join_is_sep = sep_enters
        return self

    def push(self, scene: Scene | Fluent[Scene]) -> Self:
        """Put what there is aside, unchanged until `pop`, and go on with `scene`."""
        aside = FluentScene(self.base)
        aside.followed_by = self.followed_by
        aside.joined_with = self.joined_with
        aside.join_is_sep = self.join_is_sep
        self._restart(built(scene, Scene))
        self.pushed.append(aside)
        return self

    def pop(self, style: str = "then") -> Self:
        """Take up again what the last `push` put aside, and add what there is to it.

        Parameters
        ----------
        style
            ``then`` to play it afterwards, ``join`` to play it at the same
            time, ``join_sep`` so with each entered by itself.

        Raises
        ------
        SettingsError
            If the style is another one, or nothing was pushed.
        """
        if style not in ("then", "join", "join_sep"):
            raise SettingsError(f"style must be 'then', 'join' or 'join_sep', got {style!r}.")
        if not self.pushed:
            raise SettingsError("pop() without a push() before it: there is nothing to go on with.")
        newer, aside = self._current(), self.pushed[-1]
        if style == "then":
            aside.then(newer)
        else:
            aside.join(newer, style == "join_sep")
        self.pushed.pop()
        self.base, self.followed_by = aside.base, aside.followed_by
        self.joined_with, self.join_is_sep = aside.joined_with, aside.join_is_sep
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
            from rayanim.figure.figure import FigurePixels

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
    from rayanim.figure.figure import is_figure

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
