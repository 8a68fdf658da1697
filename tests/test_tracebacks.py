"""Tracebacks for users: their own lines, and none of rayanim's."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.animation import FuncAnimation

import rayanim
from rayanim.overrides import Overrides, overriding
from rayanim.tracebacks import PACKAGE, called_by_users, without_own_frames

OWN = Path(without_own_frames.__code__.co_filename)


def shown(error: BaseException) -> str:
    """What Python shows of it."""
    return "".join(traceback.format_exception(error))


class Broken(rayanim.Animator):
    """Fails in the frame `at`, or in `setup`."""

    def __init__(self, at: int | None) -> None:
        self.at = at

    def setup(self) -> object:
        if self.at is None:
            raise OSError("no data")
        self.line = None
        return plt.figure()

    def update(self, frame_idx: int, params: object) -> None:
        if frame_idx == self.at:
            {}["phase"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("at", "kind"), [(None, OSError), (0, KeyError), (3, KeyError)])
def test_a_failing_animator_shows_the_user_s_lines_alone(
    at: int | None, kind: type[Exception]
) -> None:
    """Of the call, and of what failed; the cause is the user's exception."""
    with pytest.raises(rayanim.RayanimError) as caught:
        Broken(at).make_video("video.mp4", n_frames=5, engine="local")
    assert isinstance(caught.value, kind) and type(caught.value.__cause__) is kind
    text = shown(caught.value)
    assert PACKAGE not in text and "contextlib" not in text
    assert "Broken(at).make_video(" in text and text.count("Traceback") == 2


def test_a_wrong_return_value_is_reported_once() -> None:
    """Of the exceptions in a row the last one says all."""
    with pytest.raises(rayanim.FrameError) as caught:
        rayanim.produce(lambda number: 7, n_frames=5, outfile="video.mp4")
    text = shown(caught.value)
    assert PACKAGE not in text and text.count("Traceback") == 1


@pytest.mark.parametrize(
    "options", [{"fps": "x"}, {"audio": "no.wav"}, {"outfile": "/proc/x/a.mp4"}]
)
def test_a_bad_setting_shows_the_call(options: dict[str, Any]) -> None:
    """Not how it was found."""
    with pytest.raises(rayanim.SettingsError) as caught:
        rayanim.produce(np.zeros, n_frames=5, **{"outfile": "video.mp4", **options})
    text = shown(caught.value)
    assert PACKAGE not in text and text.count("File ") == 1
    assert text.count("\nrayanim.errors.") == 1 and "rayanim.produce(np" in text


def test_a_wrong_argument_shows_the_call() -> None:
    """And says which was meant."""
    with pytest.raises(TypeError, match=r"produce.*'n_frame'\. Did you mean 'n_frames'") as caught:
        rayanim.produce(np.zeros, n_frame=5)  # type: ignore[call-arg]
    assert PACKAGE not in shown(caught.value)
    with pytest.raises(TypeError, match=r"make_video.*'fbs'\. Did you mean 'fps'") as caught:
        Broken(0).make_video("video.mp4", n_frames=5, fbs=30)
    assert PACKAGE not in shown(caught.value)
    animation = FuncAnimation(plt.figure(), int, frames=5)
    rayanim.patch()
    try:
        with pytest.raises(TypeError, match=r"^save.*'crv'\. Did you mean 'crf'"):
            animation.save("video.mp4", crv=20)
        animation.save("video.mp4", writer="pillow", progress_callback=lambda *_: None)
    finally:
        rayanim.unpatch()
    with pytest.raises(TypeError, match="missing 1 required") as caught:
        Broken(0).make_video()  # type: ignore[call-arg]
    assert PACKAGE not in shown(caught.value)


def test_causes_in_a_circle_come_to_an_end() -> None:
    """As where an exception is raised from itself."""
    first, second = rayanim.ClusterError("no answer"), rayanim.ClusterError("no answer")
    first.__cause__, second.__cause__ = second, second

    @called_by_users
    def fail() -> None:
        raise first

    with pytest.raises(rayanim.ClusterError) as caught:
        fail()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("patched", [False, True])
def test_a_saved_animation_shows_the_user_s_lines_alone(patched: bool) -> None:
    """Without those of matplotlib between rayanim and the user's function."""
    animation = FuncAnimation(plt.figure(), lambda number: 1 / (3 - number), frames=5)
    with pytest.raises(ZeroDivisionError) as caught:
        if patched:
            rayanim.patch()
            try:
                animation.save("video.mp4")
            finally:
                rayanim.unpatch()
        else:
            rayanim.save(animation, "video.mp4")
    text = shown(caught.value)
    assert PACKAGE not in text and "matplotlib" not in text.partition("Zero")[0]
    assert "1 / (3 - number)" in text and "Drawing frame 3 of FuncAnimation raised" in text


def test_what_a_library_raises_of_the_user_s_data_is_shown() -> None:
    """Where no line of the user's is in between."""

    def draw(number: int) -> object:
        figure = plt.figure()
        figure.text(0.5, 0.5, "$\\nonsense$")
        return figure

    with pytest.raises(rayanim.FrameError) as caught:
        rayanim.produce(draw, n_frames=5, outfile="video.mp4", drawing="full")
    text = shown(caught.value)
    assert "mathtext.py" in text


def test_all_is_shown_where_the_command_asks_for_it() -> None:
    """By `rayanim run -v`."""
    with overriding(Overrides(whole_tracebacks=True)), pytest.raises(rayanim.FrameError) as caught:
        rayanim.produce(lambda number: 7, n_frames=5, outfile="video.mp4")
    assert PACKAGE in shown(caught.value)


def test_what_is_no_error_of_rayanim_s_keeps_all_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault of rayanim's is found by them."""
    monkeypatch.setattr("rayanim.render.make_plan", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        rayanim.produce(np.zeros, n_frames=5, outfile="video.mp4")
    assert PACKAGE in shown(caught.value)


def test_an_actor_s_traceback_has_the_script_s_lines() -> None:
    """In a script that Python runs."""
    text = (
        "import pickle\nfrom rayanim.errors import FrameError\n"
        "from rayanim.tracebacks import called_by_users\n"
        "def update(i):\n    1 / 0\n"
        "@called_by_users\ndef fail():\n"
        f"    text = 'Traceback (most recent call last):\\n  File \"{OWN}\", line 1, in a\\n'\n"
        "    text += '  File \"<dynamic-code>\", line 5, in update\\nZeroDivisionError: x\\n'\n"
        "    error = FrameError('Frame 7', frame=7, traceback_text=text)\n"
        "    raise pickle.loads(pickle.dumps(error))\n"
        "fail()\n"
    )
    script = Path("script.py").absolute()
    script.write_text(text)
    # The same rayanim as here, whichever is installed.
    ended = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(OWN.parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f'  File "{script}", line 5, in update\n    1 / 0\n' in ended.stderr
    assert str(OWN) not in ended.stderr


def test_own_frames_are_taken_out_of_a_traceback() -> None:
    """Code lines, carets and repetitions go with their frame; all else stays."""
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{OWN}", line 1, in a\n    own()\n    ^^^^^\n'
        '  File "/home/u/script.py", line 2, in b\n    theirs()\n'
        f'  File "{OWN}", line 3, in c\n    own()\n  [Previous line repeated 9 more times]\n'
        '  File "/home/u/script.py", line 4, in d\n    deeper()\n'
        "ValueError: x\n  two lines\n"
    )
    left = without_own_frames(text)
    assert "own()" not in left and "repeated" not in left
    assert "theirs()" in left and "deeper()" in left
    assert left.endswith("ValueError: x\n  two lines\n")
