"""`rayanim profile`: what is measured, of which artists, and what is said about actors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import TightLayoutEngine

from rayanim import profiling
from rayanim.cli import main
from rayanim.figure import draw_stats

PLOT = """
import matplotlib.pyplot as plt
import rayanim
class Plot(rayanim.Animator):
    n_frames = 14
    def setup(self):
        fig, (self.left, right) = plt.subplots(1, 2, figsize=(4, 2))
        (self.line,) = self.left.plot([0, 1], label="a [red]line[/red]")
        self.left.set(xlabel="time", ylim=(0, 20))
        right.plot([1, 0])
        right.set_title("right")
        return fig
    def update(self, frame_idx, params):
        self.line.set_ydata([0, frame_idx])
"""


@pytest.fixture(autouse=True)
def all_frames(monkeypatch):
    """However slow the machine is."""
    monkeypatch.setattr(profiling, "MOST_S", math.inf)
    monkeypatch.setattr(profiling, "FULL_S", math.inf)


def run(folder: Path, script: str, *options: str) -> int:
    path = folder / "script.py"
    path.write_text(script)
    with pytest.raises(SystemExit) as ended:
        main(["profile", str(path), *options])
    return ended.value.code


def profiled(folder: Path, capsys: Any, script: str = PLOT, *options: str) -> dict[str, Any]:
    """The report of a script's only video."""
    assert run(folder, script, *options, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (report,) = [each for each in events if each["event"] == "report"]
    return report


def test_all_parts_of_a_frame_are_measured(tmp_path, capsys, monkeypatch):
    """Stages, frames, and artists with how often they were redrawn; and nothing is written."""
    monkeypatch.chdir(tmp_path)
    found = profiled(tmp_path, capsys)
    assert found["frames"] == found["n_frames"] == 14
    assert list(found["stages_ms"]) == [
        "update, and the script's other code",
        "drawing",
        "conversion",
        "encoding",
    ]
    assert all(ms > 0 for ms in found["stages_ms"].values())
    artists = {(each["kind"], each["label"], each["axes"]): each for each in found["artists"]}
    line = artists["Line2D", "a [red]line[/red]", "axes 1"]
    assert (line["count"], line["redrawn"]) == (1, 1)
    assert artists["XAxis", "time", "axes 1"]["redrawn"] == 0
    # First comes what each frame draws, with the figure, however little it takes in a full draw.
    assert line in found["artists"][:2]
    assert artists["Spine", "", "axes 2 'right'"]["count"] == 4
    assert artists["Axes, itself", "", "axes 1"]["redrawn"] == 0
    assert 0.5 < sum(each["share"] for each in found["artists"]) <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_it_is_a_text_for_people(tmp_path, capsys):
    """Labels are no markup; the script goes on after its call, and what it prints is printed."""
    script = f"{PLOT}\nprint(Plot().make_video('own.mp4').frames, 'frames')"
    assert run(tmp_path, script) == 0
    out = capsys.readouterr().out
    assert out.startswith("14 frames\nown.mp4: 14 of 14 frames of 400x200 were drawn, in ")
    assert "Line2D 'a [red]line[/red]' in axes 1 " in out
    assert "Drew 1 frame in full: the first frame.\n" in out


SLOW_ARTIST = """
from matplotlib.lines import Line2D
class Slow(Line2D):
    def draw(self, renderer):
        CLOCK.now += 0.25
        super().draw(renderer)
class SlowPlot(Plot):
    def setup(self):
        fig = super().setup()
        self.left.add_line(Slow([0, 1], [0, 1], label="slow"))
        self.left.legend()
        return fig
"""


@pytest.fixture
def clock(monkeypatch):
    """Stands still, but for what a script adds to `CLOCK.now`."""
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(profiling, "time", clock)
    monkeypatch.setattr(draw_stats, "time", clock)
    monkeypatch.setattr("builtins.CLOCK", clock, raising=False)
    return clock


def test_what_an_artist_takes_is_its_own(tmp_path, capsys, clock):
    """Neither its base class nor what draws it takes the same time once more."""
    (slow,) = profiled(tmp_path, capsys, PLOT + SLOW_ARTIST, "SlowPlot")["artists"]
    assert (slow["kind"], slow["label"], slow["ms"], slow["share"]) == ("Slow", "slow", 250, 1)


CLEARED = """
class Cleared(Plot):
    def update(self, frame_idx, params):
        for axes in self.left.figure.axes:
            axes.clear()
            axes.set_title(f"frame {frame_idx}")
            axes.plot([0, frame_idx], label="line")
        self.left.table([["a"]])
"""


def test_artists_of_several_draws_and_axes_are_told_apart(tmp_path, capsys):
    """Those that each frame makes anew count once; axes keep their number and first title."""
    found = profiled(tmp_path, capsys, PLOT + CLEARED, "Cleared")
    assert found["full_draws"] > 1
    lines = [(each["axes"], each["count"]) for each in found["artists"] if each["label"] == "line"]
    assert sorted(lines) == [("axes 1 'frame 2'", 1), ("axes 2 'frame 2'", 1)]
    axes = Figure().subplots()
    assert profiling._kind_and_label(axes.table([["a"]])[0, 0]) == ("Cell", "")


SLOW_LAYOUT = """
class LaidOut(SlowPlot):
    def update(self, frame_idx, params):
        CLOCK.now += 0.125
        self.left.lines[-1].set_ydata([0, frame_idx])
        self.left.figure.tight_layout()
"""


def test_layouts_in_update_are_the_script_s_own(tmp_path, capsys, monkeypatch, clock):
    """They have a row of their own; actors run them as they run the rest of update."""

    def execute(engine: Any, figure: Any) -> None:
        clock.now += 0.375

    monkeypatch.setattr(TightLayoutEngine, "execute", execute)
    script = PLOT + SLOW_ARTIST + SLOW_LAYOUT
    found = profiled(tmp_path, capsys, script, "LaidOut", "--sequential")
    assert found["stages_ms"] == {
        "update, and the script's other code": 125,
        "tight_layout()": 375,
        "drawing": 250,
        "conversion": 0,
        "encoding": 0,
    }
    (hint,) = found["hints"]
    assert hint.startswith("tight_layout() runs in every frame and takes 375 of its 750 ms.")
    assert "500.0 ms of a frame's 750.0, so" in found["spreading"][0]
    assert "at most 1.5 times as fast" in found["spreading"][0]
    assert run(tmp_path, script, "LaidOut", "--sequential") == 0
    assert "Longest: tight_layout(); a single layout, before" in capsys.readouterr().out


def test_frames_can_be_chosen(tmp_path, capsys):
    """As for a render."""
    found = profiled(tmp_path, capsys, PLOT, "--frames", "8-10")
    assert [each["frame"] for each in found["frames_ms"]] == [10]
    assert found["frames"] == 3
    assert found["spreading"][1].startswith(("All frames were expected ", "Ray pays off with "))


LIGHT = """
import matplotlib.pyplot as plt
import rayanim
class Light(rayanim.Animator):
    n_frames = 50
    def setup(self):
        fig, self.ax = plt.subplots(figsize=(1, 1))
        self.ax.axis("off")
        return fig
    def update(self, frame_idx, params):
        self.ax.plot([0, 1])
"""


def test_artists_that_pile_up_are_said(tmp_path, capsys):
    """With the line that adds them."""
    (hint,) = profiled(tmp_path, capsys, LIGHT)["hints"]
    assert "Artists pile up" in hint
    assert "script.py:11" in hint


def test_a_layout_in_each_frame_is_said(tmp_path, capsys):
    """Also of few frames."""
    few = LIGHT.replace("50", "6").replace("(1, 1)", "(1, 1), layout='constrained'")
    found = profiled(tmp_path, capsys, few.replace('self.ax.axis("off")', "pass"))
    assert "layout (constrained)" in found["stages_ms"]
    (hint,) = found["hints"]
    assert "The constrained layout engine runs in every frame" in hint


STATEFUL = PLOT.replace("[0, frame_idx]", "[0, self.total]").replace(
    "    def update(self, frame_idx, params):\n",
    "    total = 0\n    def update(self, frame_idx, params):\n        self.total += 1\n",
)
LOCKED = f"import threading\n{PLOT}\nplot = Plot()\nplot.own = threading.Lock()"
GENERATOR = """
import numpy as np, rayanim
rayanim.produce((np.full((48, 64, 3), i, np.uint8) for i in range(9)), outfile="a.gif", fps=20)
"""
ANIMATION = """
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
fig, ax = plt.subplots(figsize=(2, 2))
(line,) = ax.plot([0, 1])
ani = FuncAnimation(fig, lambda i: line.set_ydata([0, i / 9]), frames=9)
"""


@pytest.mark.parametrize(
    ("script", "options", "text"),
    [
        (PLOT, [], "none depends on those before it"),
        (PLOT, ["--independent"], "as was declared"),
        (STATEFUL, [], "each runs the updates of all frames before its own"),
        (ANIMATION, [], "each runs the updates of all frames before its own"),
        (LOCKED, ["plot"], "self.own = <unlocked _thread.lock"),
        (GENERATOR, [], "none; a generator of frames is read once"),
    ],
)
def test_whether_actors_would_help_is_said(tmp_path, capsys, monkeypatch, script, options, text):
    """By the test of the frames' order that a render makes, too, and by what can be sent."""
    monkeypatch.chdir(tmp_path)
    assert text in profiled(tmp_path, capsys, script, *options)["spreading"][0]


def test_a_format_with_a_palette_has_no_time_of_encoding(tmp_path, capsys):
    """It is chosen from the whole video."""
    assert list(profiled(tmp_path, capsys, GENERATOR)["stages_ms"]) == [
        "the script's drawing",
        "conversion",
    ]


@pytest.mark.parametrize(
    ("script", "options", "code", "text"),
    [
        (PLOT, ["Other"], 2, "no video called 'Other'"),
        (PLOT, ["--frames", "10-14"], 2, "14"),
        (PLOT, ["--frames", "x"], 2, "frames"),
        (PLOT.replace("frame_idx])", "1 / (3 - frame_idx)])"), [], 1, "frame 3"),
    ],
)
def test_a_mistake_is_a_message(tmp_path, capsys, script, options, code, text):
    """As from `run`."""
    assert run(tmp_path, script, *options) == code
    assert text in capsys.readouterr().err
