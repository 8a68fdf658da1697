"""Scenes in sequence: what is entered, applied and exited on the way from one instant to another.

The state at an instant depends on the instant only, in whatever order instants
are asked for, because no scene is jumped over. Forward, each scene on the way
is played to its end. Backward, each is played back to its beginning, and those
before the goal are then played to their ends once more, since the later ones
may have changed what they had set. Within one scene there is no way to go.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim.fluent import in_sequence

if TYPE_CHECKING:
    from rayanim.scenes import Scene

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
class Place:
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
        self._places: tuple[Place, ...] = ()

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
            self._note(Place(state, place.index))
            self.scenes[place.index].exit(state)

    def forget(self, state: Any) -> None:
        """Exit the scene that is on, if there is one; the next `apply` starts from none."""
        try:
            self.leave(state)
        finally:
            self._note(Place(state))

    def _resume(self, state: Any) -> None:
        place = self._place(state)
        if place.index >= 0 and not place.is_on:
            enter_scene(self.scenes[place.index], state, where_it_was_left=True)
            self._note(Place(state, place.index, is_on=True))

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
        self._note(Place(state))

    def _enter(self, state: Any, index: int) -> None:
        enter_scene(self.scenes[index], state, where_it_was_left=False)
        self._note(Place(state, index, is_on=True))

    def _leave_at_end(self, state: Any, index: int) -> None:
        self._apply_end(state, index)
        self.leave(state)

    def _leave_at_start(self, state: Any, index: int) -> None:
        apply_scene(self.scenes[index], state, 0.0)
        self.leave(state)

    def _apply_end(self, state: Any, index: int) -> None:
        apply_scene(self.scenes[index], state, self.order.durations_ms[index])

    def _place(self, state: Any) -> Place:
        for place in self._places:
            if place.state is state:
                return place
        return Place(state)

    def _note(self, place: Place) -> None:
        others = tuple(each for each in self._places if each.state is not place.state)
        self._places = (place, *others) if place.index >= 0 else others
