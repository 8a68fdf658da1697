"""Digests of a source's values: the same in every process, others for other values, or none."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from rayanim import acts
from rayanim.animator import Animator
from rayanim.sources import ChangeRecorder, remove_leftovers
from rayanim.storage import fingerprint
from rayanim.storage.fingerprint import value_digests


class Wave(Animator):
    """An animator as users write them."""

    def __init__(self, speed: Any = 1, **more: Any) -> None:
        self.speed = speed
        self.__dict__.update(more)

    def setup(self) -> Any:
        self.figure = Figure()
        return self.figure

    def update(self, frame_idx: int, params: Any) -> None:
        """Nothing moves."""


class Inner:
    """Held by a source."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


def drawing(speed: int) -> Callable[[int], Any]:
    def draw(index: int, size: int = 2 * speed, *, depth: int = 1) -> Any:
        return np.full((size, size, depth), speed * index, np.uint8)

    return draw


def test_each_attribute_has_a_digest_of_its_own() -> None:
    """What has changed is named."""
    one, two = value_digests(Wave(1, data=[1])), value_digests(Wave(2, data=[1]))
    assert one.keys() == two.keys() == {"speed", "data"}
    assert (one["speed"] == two["speed"], one["data"] == two["data"]) == (False, True)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.arange(n),
        lambda n: Inner(deep=[{"x": Inner(value=n)}]),
        lambda n: functools.partial(drawing, n),
        drawing,
        lambda n: lambda: n,
        lambda n: Inner(value=n).__init__,
        lambda n: Path(f"/{n}"),
        lambda n: {f"{n}", "a", "b"},
    ],
)
def test_a_value_that_differs_deep_inside_is_another(make: Callable[[int], Any]) -> None:
    """Behind objects, functions and what these close over; an equal one is the same."""
    found = [value_digests(Wave(make(number)))["speed"] for number in (3, 3, 4)]
    assert None not in found
    assert (found[0] == found[1], found[0] == found[2]) == (True, False)


def test_a_function_s_defaults_and_what_it_closes_over_count() -> None:
    """Each under the variable's name."""
    one, two = value_digests(drawing(1)), value_digests(drawing(2))
    assert one.keys() == {"size", "depth", "speed"}
    assert {name for name in one if one[name] != two[name]} == {"size", "speed"}
    assert value_digests(drawing(1)) == one


def test_two_lambdas_differ_by_what_they_do() -> None:
    """Their name is the same."""
    first, second = (lambda x: x + 1), (lambda x: x + 2)
    assert value_digests(Wave(first)) != value_digests(Wave(second))


def test_a_partial_s_arguments_count() -> None:
    """It has attributes, but is what it calls."""
    one, two, again = (functools.partial(max, each) for each in (1, 2, 1))
    assert value_digests(one) == value_digests(again) != value_digests(two)


@pytest.mark.parametrize("value", [threading.Lock(), (x for x in "a"), Figure()])
def test_what_cannot_be_compared_has_no_digest(value: Any) -> None:
    """And does not keep the rest from having one."""
    found = value_digests(Wave(1, strange=value, size=3))
    assert found["strange"] is None
    assert None not in (found["speed"], found["size"])


class SetsMore:
    """Sets an attribute while it is looked at."""

    def __init__(self) -> None:
        self.own_step = self.step

    def step(self) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        self.count = 1
        return {}


def test_user_code_that_runs_meanwhile_may_set_attributes() -> None:
    """The job goes on."""
    assert set(value_digests(SetsMore())) == {"own_step"}


def test_parameters_are_not_read() -> None:
    """A generator gives its first one to the video."""

    def parameters() -> Iterator[int]:
        yield from range(3)

    wave = Wave(param_by_frame=parameters(), n_frames=3, chained=iter([1, 2]))
    assert value_digests(wave).keys() == {"speed", "chained"}
    assert [*wave.param_by_frame, *wave.__dict__["chained"]] == [0, 1, 2, 1, 2]


def test_what_a_video_left_does_not_count() -> None:
    """The same object is the same source a second time, as a video begins by taking that off."""
    wave = Wave()
    before = value_digests(wave)
    recorder = ChangeRecorder(wave)
    wave.setup()
    wave.speed = 9
    recorder.record()
    assert value_digests(wave) != before
    remove_leftovers(wave)
    assert value_digests(wave) == before


def test_what_is_too_much_has_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many bytes nor many values are looked through, nor anything after them."""
    monkeypatch.setattr(fingerprint, "MAX_BYTES", 1000)
    assert value_digests(Wave(b"x" * 900))["speed"] is not None
    assert value_digests(Wave(b"x" * 1001))["speed"] is None
    assert value_digests(Wave(np.zeros(1001, np.uint8)))["speed"] is None
    monkeypatch.setattr(fingerprint, "MAX_VALUES", 100)
    assert value_digests(Wave([None] * 99))["speed"] is not None
    assert value_digests(Wave([None] * 100))["speed"] is None


def test_circles_end() -> None:
    """Objects and functions that hold themselves."""
    wave = Wave()
    wave.speed = [wave]

    def draw(index: int) -> Any:
        return draw

    assert value_digests(wave)["speed"] is not None
    assert value_digests(draw)["draw"] is not None


SCRIPT = """
import sys
from rayanim.storage.fingerprint import value_digests
class Inner:
    pass
class Video:
    def __init__(self):
        self.inner, self.names, self.kind = Inner(), {"a", "b", "c"}, Inner
        self.key = lambda x: x in {"d", "e", "f"}
if __name__ == "__main__":
    print(sorted(value_digests(Video()).items()))
"""


def test_they_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Whether the script is run or imported, and however its sets are ordered."""
    (tmp_path / "script.py").write_text(SCRIPT)
    imported = (
        "import script; from rayanim.storage.fingerprint import value_digests; "
        "print(sorted(value_digests(script.Video()).items()))"
    )
    found = set()
    for seed, command in (("0", ["script.py"]), ("1", ["script.py"]), ("2", ["-c", imported])):
        child = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(child.stdout)
    assert len(found) == 1
    assert "None" not in found.pop()


class Coloured(Wave):
    """Has attributes of its class."""

    colour = "red"
    param_by_frame = iter([1])


def test_attributes_of_the_class_count_as_they_are_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script may have set them, on the class itself or on one that it is made of."""
    before = value_digests(Coloured())
    assert before.keys() == {"speed", "Coloured.colour"}
    assert value_digests(Coloured()) == before
    monkeypatch.setattr(Coloured, "colour", "blue")
    monkeypatch.setattr(Wave, "width", 3, raising=False)
    after = value_digests(Coloured())
    assert after.keys() == {"speed", "Coloured.colour", "Wave.width"}
    assert after["Coloured.colour"] != before["Coloured.colour"]


def test_attributes_of_the_classes_of_scenes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are part of what draws."""

    class Move(acts.Scene):
        width = 2

    class Shade(acts.ActRenderer):
        frame_size = (1, 1)

    act = acts.Act(acts.ActState(), Shade(), [acts.TimeReverseScene(Move())])
    name = f"{Move.__qualname__}.width"
    before = value_digests(act)[name]
    monkeypatch.setattr(Move, "width", 3)
    assert before != value_digests(act)[name]
