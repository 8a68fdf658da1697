"""One object makes video after video: what a video leaves on it is gone when the next begins."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from numbered import FPS, SIZE, NumberedAnimator, numbered_frame, read_numbers

from rayanim import acts, produce
from rayanim.engine.packing import pack
from rayanim.errors import SetupError
from rayanim.frame_gen import FluentFG, FrameGenerator
from rayanim.sources import CHANGES, ChangeRecorder, remove_leftovers

NUMBERS = list(range(12))


class Unpicklable:
    """A handle of this process, as fonts, files and sockets are."""

    def __reduce__(self) -> Any:
        raise TypeError("it stays where it is")


class Keeping(NumberedAnimator):
    """Keeps in the first video what cannot be sent to the actors of the second.

    Parameters
    ----------
    shift
        Is added to the number of each frame.
    """

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.drawn = 0

    def setup(self) -> Figure:
        if hasattr(self, "handle"):
            raise ValueError("there is something left of an earlier video")
        self.handle = Unpicklable()
        figure: Figure = super().setup()
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        self.drawn += 1
        super().update(frame_idx, params + self.shift)


class Generator(FrameGenerator):
    """A generator that acquires in `start` what cannot be pickled, and keeps it."""

    duration = 1000 * len(NUMBERS) / FPS
    frame_size = SIZE

    def start(self) -> None:
        self.handle = Unpicklable()

    def generate_at(self, time_ms: float) -> Any:
        return numbered_frame(round(time_ms * FPS / 1000))


class Renderer(acts.ActRenderer):
    """A renderer that keeps a font, say, from its first frame on."""

    frame_size = SIZE

    def render(self, act_state: Any) -> Any:
        self.handle = Unpicklable()
        return numbered_frame(act_state.number)


class Count(acts.Scene):
    """The state's number is the frame's."""

    duration = 1000 * len(NUMBERS) / FPS

    def start(self, act_state: Any) -> None:
        self.handle = Unpicklable()

    def apply(self, act_state: Any, time_ms: float, dbg: bool = False) -> None:
        act_state.number = round(time_ms * FPS / 1000)


class Line:
    """A state that is no `ActState`."""

    number = 0


THINGS: list[Any] = [
    Keeping,
    lambda: FluentFG(Generator()).crop(0, 300, "ms").time_rescale(1).build(),
    lambda: acts.Act(Line(), Renderer(), [Count()]),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", THINGS)
def test_an_object_that_made_a_video_makes_another_on_ray(
    on_ray: Any, tmp_path: Path, make: Any
) -> None:
    """What the first video kept in this process is not sent with the second."""
    thing, first, second = make(), tmp_path / "first.mkv", tmp_path / "second.mkv"
    options: dict[str, Any] = {"fps": FPS, "progress": False}
    if isinstance(thing, Keeping):
        options["param_by_frame"] = NUMBERS
    produce(thing, outfile=first, engine="local", **options)
    report = produce(thing, outfile=second, engine="ray", workers=2, **options)
    assert report.engine == "ray"
    assert read_numbers(second) == read_numbers(first) == NUMBERS[: report.frames]
    assert first.read_bytes() == second.read_bytes()


def test_a_video_s_attributes_can_be_read_after_it(tmp_path: Path) -> None:
    """They stay until the next video, which counts from the start; what the script sets stays."""
    animator = Keeping()
    animator.make_video(tmp_path / "video.mp4", NUMBERS, num_workers=1)
    assert (animator.drawn, type(animator.handle)) == (12, Unpicklable)
    animator.shift = 20
    animator.make_video(tmp_path / "video.mp4", NUMBERS[:5], num_workers=1)
    assert read_numbers(tmp_path / "video.mp4") == [20, 21, 22, 23, 24]
    assert animator.drawn == 5


def test_a_video_that_failed_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    """Nor does a `setup` that raised half way."""

    class Failing(Keeping):
        fails = True

        def setup(self) -> Figure:
            figure = super().setup()
            if self.fails:
                raise OSError("no data")
            return figure

    animator = Failing()
    with pytest.raises(SetupError, match="no data"):
        animator.make_video(tmp_path / "video.mp4", NUMBERS)
    animator.fails = False
    animator.make_video(tmp_path / "video.mp4", NUMBERS)
    assert read_numbers(tmp_path / "video.mp4") == NUMBERS


class Plain(FrameGenerator):
    """An object to set attributes on."""

    def __init__(self) -> None:
        self.kept, self.changed, self.removed = [1], "old", "there"


def test_changes_are_taken_off_and_what_was_set_since_stays() -> None:
    """Added, changed and removed attributes; copies and pickles of the object do the same."""
    thing = Plain()
    recorder = ChangeRecorder(thing)
    thing.added, thing.changed = "by the video", "new"  # type: ignore[attr-defined]
    thing.set_since = "by the video"  # type: ignore[attr-defined]
    del thing.removed
    recorder.record()
    thing.set_since = "by the script"  # type: ignore[attr-defined]
    for each in (copy.deepcopy(thing), pickle.loads(pickle.dumps(thing)), thing):
        remove_leftovers(each)
        assert vars(each) == {
            "kept": [1],
            "changed": "old",
            "removed": "there",
            "set_since": "by the script",
        }


def test_an_object_without_changes_is_left_alone() -> None:
    """Nothing is put on it; taking off twice is as once."""
    thing = Plain()
    ChangeRecorder(thing).record()
    assert CHANGES not in vars(thing)
    remove_leftovers(thing)
    assert vars(thing) == vars(Plain())


def test_parts_that_hold_each_other_are_seen_once() -> None:
    """A circle ends, and each object in it is cleaned."""
    thing, other = Plain(), Plain()
    thing.kept, other.kept = [other], [thing]  # type: ignore[list-item]
    recorder = ChangeRecorder(thing)
    other.changed = "new"
    recorder.record()
    remove_leftovers(thing)
    assert (thing.changed, other.changed) == ("old", "old")


def test_a_shipment_does_not_grow_from_video_to_video(tmp_path: Path) -> None:
    """The figure of the first video is not sent with the second."""
    from fractions import Fraction

    from rayanim.settings import RenderSettings
    from rayanim.sources import as_source

    def packed(thing: Any) -> int:
        source = as_source(thing, RenderSettings(fps=Fraction(FPS), dpi=None))
        return len(pack(source).pickled)

    animator = NumberedAnimator()
    before = packed(animator)
    animator.make_video(tmp_path / "video.mp4", NUMBERS, num_workers=1)
    assert packed(animator) == before
