"""The state at an instant is a function of the instant, in whatever order frames are drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numbered import SIZE, numbered_frame, read_numbers

import rayanim
from rayanim.acts import (
    Act,
    ActRenderer,
    ActState,
    CroppedScene,
    FluentScene,
    JoinedScene,
    Scene,
    SceneSequenceScene,
    TimeDilateScene,
    TimeReverseScene,
)
from rayanim.easing import smoothstep, squeeze
from rayanim.frame_gen import FluentFG
from rayanim.pixels import to_rgba
from rayanim.timeline import Retimed

NAMES = "uvwxyz"
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
Values = dict[str, float]


class State(ActState):
    """Numbers by name, and which scenes are on."""

    def __init__(self, **values: float) -> None:
        self.values: Values = values
        self.on: list[Scene] = []


class Move(Scene):
    """Moves one number from `start` to `stop`; refuses to be entered or exited out of turn."""

    def __init__(self, name: str, start: float, stop: float, duration_ms: float = 1000) -> None:
        self.name = name
        self.start_value = start
        self.stop_value = stop
        self._duration_ms = duration_ms

    @property
    def duration(self) -> float:
        return self._duration_ms

    def enter(self, state: State) -> None:
        if self in state.on:
            raise RuntimeError("entered twice")
        state.on.append(self)

    def apply(self, state: State, time_ms: float, dbg: bool = False) -> None:
        if self not in state.on:
            raise RuntimeError("applied without being entered")
        share = time_ms / self._duration_ms
        state.values[self.name] = self.start_value + share * (self.stop_value - self.start_value)

    def exit(self, state: State) -> None:
        state.on.remove(self)


class Numbers(ActRenderer):
    """Draws x and y as one number in the pixels."""

    frame_size = SIZE

    def render(self, state: State) -> np.ndarray:
        return numbered_frame(round(state.values["x"]) + 100 * round(state.values["y"]))


def there_and_back(share: float) -> float:
    return 4 * share * (1 - share)


def set_values(scene: Scene, time_ms: float, values: Values) -> None:
    """Set what `values` are at `time_ms` of `scene`, by recursion and without any memory.

    Holds for scenes that begin where the ones before them end: then the later
    ones can be said to be at their beginnings.
    """
    if isinstance(scene, SceneSequenceScene):
        ends_ms = (0.0, *scene.scenes_end_at)
        index = sum(end_ms <= time_ms for end_ms in scene.scenes_end_at[:-1])
        for later in reversed(scene.scenes[index + 1 :]):
            set_values(later, 0, values)
        for earlier in scene.scenes[:index]:
            set_values(earlier, earlier.duration, values)
        set_values(scene.scenes[index], time_ms - ends_ms[index], values)
    elif isinstance(scene, JoinedScene):
        for child in scene.children:
            set_values(child, time_ms, values)
    elif isinstance(scene, Retimed):
        set_values(scene.child, scene.child_time(time_ms), values)
    elif isinstance(scene, Move):
        share = time_ms / scene.duration
        values[scene.name] = scene.start_value + share * (scene.stop_value - scene.start_value)


@dataclass
class Video:
    """Draws random scenes, each of which begins where the ones before it end.

    Attributes
    ----------
    draw
        Hypothesis' own.
    values
        What the scenes so far end with.
    """

    draw: Any
    values: Values = field(default_factory=lambda: dict.fromkeys(NAMES, 0.0))

    def scene(self, depth: int, backwards: bool = False, names: str = NAMES) -> Scene:
        """A scene that goes on from `values` when played, `backwards` or not."""
        kinds = ["move"]
        if depth > 0:
            kinds += ["sequence", "pushed", "reverse", "crop", "dilate", "rescale", "swing"]
            kinds += ["joined"] if len(names) > 1 else []
        kind = self.draw(st.sampled_from(kinds))
        made: Scene = getattr(self, f"_{kind}")(depth - 1, backwards, names)
        return made

    def _move(self, depth: int, backwards: bool, names: str) -> Scene:
        name = self.draw(st.sampled_from(names))
        old, new = self.values[name], float(self.draw(st.integers(-9, 9)))
        self.values[name] = new
        start, stop = (new, old) if backwards else (old, new)
        return Move(name, start, stop, self.draw(st.integers(1, 9)) * 100)

    def _several(self, depth: int, backwards: bool, names: str) -> list[Scene]:
        count = self.draw(st.integers(1, 4))
        scenes = [self.scene(depth, backwards, names) for _ in range(count)]
        return scenes[::-1] if backwards else scenes

    def _sequence(self, depth: int, backwards: bool, names: str) -> Scene:
        return SceneSequenceScene(self._several(depth, backwards, names))

    def _pushed(self, depth: int, backwards: bool, names: str) -> Scene:
        first, *others = self._several(depth, backwards, names)
        chain = FluentScene(first)
        for other in others:
            chain.push(other).pop()
        return chain.build()

    def _joined(self, depth: int, backwards: bool, names: str) -> Scene:
        half = len(names) // 2
        chain, other = (
            FluentScene(self.scene(depth, backwards, some)).time_rescale_exact(1.3, "s")
            for some in (names[:half], names[half:])
        )
        return chain.join(other, self.draw(st.booleans())).build()

    def _reverse(self, depth: int, backwards: bool, names: str) -> Scene:
        return TimeReverseScene(self.scene(depth, not backwards, names))

    def _crop(self, depth: int, backwards: bool, names: str) -> Scene:
        whole = self.scene(depth, backwards, names)
        kept_ms = whole.duration * self.draw(st.integers(1, 10)) / 10
        start_ms = whole.duration - kept_ms if backwards else 0
        part = CroppedScene(whole, start_ms, start_ms + kept_ms)
        set_values(part, 0 if backwards else kept_ms, self.values)
        return part

    def _dilate(self, depth: int, backwards: bool, names: str) -> Scene:
        easing = self.draw(st.sampled_from([smoothstep, squeeze]))
        return TimeDilateScene(self.scene(depth, backwards, names), easing)

    def _rescale(self, depth: int, backwards: bool, names: str) -> Scene:
        rate = self.draw(st.integers(1, 4))
        return FluentScene(self.scene(depth, backwards, names)).time_rescale(rate).build()

    def _swing(self, depth: int, backwards: bool, names: str) -> Scene:
        swing = TimeDilateScene(self.scene(depth, False, names), there_and_back)
        set_values(swing, 0, self.values)
        return swing


def values_at(scenes: list[Scene], instants_ms: list[float], start: Values) -> list[Values]:
    """The values at each of the instants, which one act is asked for in this order."""
    act = Act(State(**start), Numbers(), scenes)
    found = []
    for time_ms in instants_ms:
        act.setup_state(time_ms)
        found.append(dict(act.state.values))
    act.finish()
    assert act.state.on == []
    return found


@unhurried
@given(st.data())
def test_the_order_of_frames_does_not_matter(data: st.DataObject) -> None:
    """Scenes nested, reversed, cropped, dilated, joined and pushed: values depend on time alone."""
    start, video = dict.fromkeys(NAMES, 0.0), Video(data.draw)
    scenes = [video.scene(3) for _ in range(data.draw(st.integers(1, 3)))]
    duration_ms = SceneSequenceScene(scenes).duration
    shares = data.draw(st.lists(st.integers(0, 97), min_size=1, max_size=8))
    instants_ms = [duration_ms * share / 97 for share in shares]
    for order in (sorted(instants_ms), sorted(instants_ms, reverse=True), instants_ms):
        for time_ms, found in zip(order, values_at(scenes, order, start), strict=True):
            expected = dict(start)
            set_values(SceneSequenceScene(scenes), time_ms, expected)
            assert found == pytest.approx(expected, abs=1e-6)


@unhurried
@given(st.data())
def test_cuts_between_scenes_do_not_matter_either(data: st.DataObject) -> None:
    """Scenes that begin anywhere, after one of each number: any order is as good as in order."""
    moves = st.builds(Move, st.sampled_from("xy"), st.integers(-9, 9), st.integers(-9, 9))
    first = JoinedScene([Move("x", 0, 5), Move("y", 0, 5)], False)
    scenes = [first, *data.draw(st.lists(moves, max_size=6))]
    instants_ms = data.draw(st.permutations([500.0 * n for n in range(2 * len(scenes) + 1)]))
    in_order = dict(
        zip(sorted(instants_ms), values_at(scenes, sorted(instants_ms), {}), strict=True)
    )
    found = values_at(scenes, instants_ms, {})
    assert found == [in_order[time_ms] for time_ms in instants_ms]


def two_moves() -> Act:
    """x moves to 50, then y to 50 while x is left alone, then x from 90 to 60: 90 frames at 30."""
    scenes = [Move("x", 0, 50), Move("y", 0, 50), Move("x", 90, 60)]
    return Act(State(x=0, y=0), Numbers(), scenes)


def number_at(frame: int) -> int:
    """What `two_moves` shows in `frame`."""
    moved = frame % 30 / 30
    numbers = (50 * moved, 0), (50, 50 * moved), (90 - 30 * moved, 50)
    x, y = numbers[frame // 30]
    return round(x) + 100 * round(y)


def test_frames_are_the_same_in_any_order() -> None:
    """Shuffled, each frame has the pixels that it has in order, forwards and backwards."""
    frames = list(range(90))
    random.Random(1).shuffle(frames)
    for video, mirrored in (
        (two_moves(), False),
        (FluentFG(two_moves()).reverse().build(), True),
    ):
        for frame in frames:
            time_ms = frame * 1000 / 30
            pixels = to_rgba(video.generate_at(3000 - time_ms if mirrored else time_ms), SIZE)
            assert np.array_equal(pixels, numbered_frame(number_at(frame)))


def test_a_reversed_sequence_is_the_mirror_image() -> None:
    """Played backwards, also with cuts, each instant shows what it shows forwards."""
    scenes = two_moves().scenes
    forwards = values_at(list(scenes), [50.0 * n for n in range(60)], {"x": 0, "y": 0})
    backwards = TimeReverseScene(SceneSequenceScene(scenes))
    found = values_at([backwards], [3000 - 50.0 * n for n in reversed(range(60))], {"x": 0, "y": 0})
    assert found[::-1] == [pytest.approx(values) for values in forwards]


@pytest.mark.parametrize("sep_enters", [False, True])
def test_acts_may_share_scenes(sep_enters: bool) -> None:
    """Drawn in turns, each of two acts is where its own frames have led it."""
    sequence = SceneSequenceScene([Move("x", 0, 50), Move("y", 0, 50)])
    shared = JoinedScene([sequence], sep_enters)
    one, two = (Act(State(x=0, y=0), Numbers(), [shared]) for _ in range(2))
    for early_ms, late_ms in ((0, 1500), (500, 1600), (900, 2000)):
        one.setup_state(early_ms)
        two.setup_state(late_ms)
        assert one.state.values == {"x": early_ms / 20, "y": 0}
        assert two.state.values == {"x": 50, "y": late_ms / 20 - 50}
    for act in (one, two):
        act.finish()
        assert act.state.on == []


def test_within_a_scene_nothing_else_is_applied() -> None:
    """Joined scenes that are entered apart cost no more for each frame."""

    class Counting(Move):
        applied = 0

        def apply(self, state: State, time_ms: float, dbg: bool = False) -> None:
            Counting.applied += 1
            super().apply(state, time_ms, dbg)

    sequence = SceneSequenceScene([Counting("x", 0, 1) for _ in range(20)])
    act = Act(State(), Numbers(), [JoinedScene([TimeReverseScene(sequence)], True)])
    act.setup_state(500)
    act.setup_state(501)
    before = Counting.applied
    for time_ms in range(502, 512):
        act.setup_state(time_ms)
    assert Counting.applied == before + 10


def apart(*scenes: Scene) -> Scene:
    """A nested sequence that is entered and exited for each time it is applied."""
    return JoinedScene([SceneSequenceScene([SceneSequenceScene(scenes)])], True)


@pytest.mark.parametrize("kind", [SceneSequenceScene, apart])
def test_a_reversed_sequence_that_is_passed_is_played_through(kind: Any) -> None:
    """It leaves each of its scenes at its beginning, or, on the way back, at its end."""
    moves = [Move("x", 0, 50), Move("y", 0, 50)]
    backwards = TimeReverseScene(apart(*moves) if kind is apart else SceneSequenceScene(moves))
    instants_ms = [3500.0, 1500.0, 500.0, 0.0, 3500.0]
    found = values_at([backwards, Move("z", 0, 10), Move("z", 10, 20)], instants_ms, {"z": 0})
    assert found == [
        {"x": 0, "y": 0, "z": 15},
        {"x": 25, "y": 0, "z": 0},
        {"x": 50, "y": 25, "z": 0},
        {"x": 50, "y": 50, "z": 0},
        {"x": 0, "y": 0, "z": 15},
    ]


def test_chosen_frames_are_those_of_the_whole_video(tmp_path: Path) -> None:
    """Frames of a later scene alone find what the earlier ones left, in any order."""
    video = tmp_path / "video.mp4"
    rayanim.produce(two_moves(), outfile=video, fps=30, frames="40-44", workers=1, progress=False)
    assert read_numbers(video) == [number_at(frame) for frame in range(40, 45)]
