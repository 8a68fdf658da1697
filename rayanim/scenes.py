"""Scenes: what changes an act's state with time, and ways to combine them.

Everything here can be had from `rayanim.acts`.
"""

from __future__ import annotations

import logging
from typing import Any, Self

from rayanim.errors import SettingsError
from rayanim.fluent import (
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
    duration_of,
)
from rayanim.stage import Stage as Stage
from rayanim.stage import apply_scene, enter_scene, is_entered_anew
from rayanim.timeline import clamp, same_duration

_logger = logging.getLogger(__name__)


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
