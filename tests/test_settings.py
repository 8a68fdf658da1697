"""Settings are frozen, are checked when they are made, and survive JSON."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numbered import FPS, SIZE, NumberedAnimator

import rayanim
from rayanim import dry_run
from rayanim.acts import Act, ActState, FigureRenderer, Scene
from rayanim.cli.main import run
from rayanim.errors import SettingsError
from rayanim.frame_gen import FrameGenerator
from rayanim.overrides import Overrides, overriding
from rayanim.settings import (
    MAX_FPS,
    ClusterSettings,
    PerformanceSettings,
    RenderSettings,
    Selection,
    VideoSettings,
    Workers,
    parse_rate,
)
from rayanim.storage.address import Output


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(2997, 100)),
        ("23.976", Fraction(2997, 125)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (MAX_FPS, Fraction(MAX_FPS)),
    ],
)
def test_rates_are_exact(fps: Any, rate: Fraction) -> None:
    """A float means the decimal that Python prints for it; text reads as FFmpeg's."""
    assert parse_rate(fps) == rate


@pytest.mark.parametrize(
    "fps",
    [0, -1, math.nan, math.inf, -math.inf, "abc", "", "1/0", 1e9, None, True, [30], b"30", 0.0],
)
def test_senseless_rates_name_what_was_got(fps: Any) -> None:
    """Each wrong rate is an error with the value in it."""
    with pytest.raises(SettingsError, match="fps must be") as caught:
        parse_rate(fps)
    assert repr(fps) in caught.value.message


@given(st.fractions(min_value=Fraction(1, 1000), max_value=MAX_FPS, max_denominator=100_000))
def test_every_fraction_within_the_bounds_stays_itself(rate: Fraction) -> None:
    """A rate is never rounded to another one."""
    assert parse_rate(rate) == parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    ("workers", "cores", "actors"),
    [
        ("auto", 8, 8),
        (-1, 8, 8),
        (-2, 8, 7),
        (-9, 8, 1),
        (1, 8, 1),
        (20, 8, 20),
        ("4", 8, 4),
        ("-2", 8, 7),
        ("50%", 8, 4),
        ("12.5 %", 8, 1),
        ("1%", 2, 1),
        ("200%", 4, 8),
    ],
)
def test_workers_mean_actors(workers: Any, cores: int, actors: int) -> None:
    """Negative numbers count from all cores down, a percentage is a share of them."""
    assert Workers.parse(workers).most(cores) == actors


@pytest.mark.parametrize("workers", [0, "0", "x%", "%", "0%", "-5%", "9999%", "", 1.5, None, True])
def test_senseless_workers_name_what_was_got(workers: Any) -> None:
    """Each wrong number of workers is an error that says what there is."""
    with pytest.raises(SettingsError, match="workers must be 'auto'") as caught:
        Workers.parse(workers)
    assert repr(workers) in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"crf": -1},
        {"crf": math.nan},
        {"crf": "23"},
        {"crf": True},
        {"bitrate": math.inf},
        {"bitrate": 0.5},
        {"crf": 20, "bitrate": 500},
        {"odd_size": "stretch"},
        {"background": "no colour"},
        {"background": None},
        {"loop": -1},
        {"loop": True},
        {"loop": 70_000},
        {"colors": 3},
        {"colors": 257},
        {"dither": "noise"},
        {"hold": "2h"},
        {"hold": -1},
        {"hold": {"middle": 1}},
        {"hold": {-1: 1}},
        {"durations": []},
        {"durations": [0.1, 0]},
        {"durations": [0.0001]},
        {"hold": 1e6},
        {"hold": (1, 2)},
        {"chapters": ("a", "b")},
        {"durations": "1,2"},
        {"durations": 3},
        {"speed": 0},
        {"speed": "fast"},
        {"speed": 101},
        {"ping_pong": "yes"},
    ],
)
def test_wrong_video_settings_are_refused_when_made(wrong: dict[str, Any]) -> None:
    """Nothing of the kind reaches FFmpeg."""
    with pytest.raises(SettingsError):
        VideoSettings(**wrong)


@pytest.mark.parametrize(
    ("hold", "found"),
    [
        (2, {"last": 2}),
        (np.float32(0.5), {"last": Fraction(1, 2)}),
        ("1.5s", {"last": Fraction(3, 2)}),
        ("500ms", {"last": Fraction(1, 2)}),
        (".25", {"last": Fraction(1, 4)}),
        ({"first": 1, 120: "2s"}, {"first": 1, 120: 2}),
        ("first=1s, 120=500ms,last=2s", {"first": 1, 120: Fraction(1, 2), "last": 2}),
        (None, {}),
    ],
)
def test_holds_are_times_by_frame(hold: Any, found: dict[Any, Any]) -> None:
    """What was checked is the same when it is checked again."""
    settings = VideoSettings(hold=hold)
    assert dict(settings.hold) == found
    assert dataclasses.replace(settings) == settings


def test_speeds_are_numbers_with_or_without_an_x() -> None:
    """A higher one leaves frames out, unless each has its own duration."""
    found = [VideoSettings(speed=each) for each in (2, "2x", "0.5x", 1.5, "1/4")]
    assert [each.speed for each in found] == [2, 2, Fraction(1, 2), Fraction(3, 2), Fraction(1, 4)]
    assert [each.every for each in found] == [2, 2, 1, Fraction(3, 2), 1]
    assert VideoSettings(speed=2, durations=[1]).every == 1


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [("white", (255, 255, 255)), ("#10203040", (16, 32, 48)), ("hsl(0,100%,50%)", (255, 0, 0))],
)
def test_backgrounds_are_any_colour_that_pillow_knows(colour: str, rgb: tuple[int, ...]) -> None:
    """Alpha is dropped: what lies at the bottom is opaque."""
    assert VideoSettings(background=colour).background_rgb() == rgb


@pytest.mark.parametrize(
    "wrong",
    [
        {"codec": 3},
        {"preset": 3},
        {"pixel_format": 4},
        {"duration": "x"},
        {"time_per_print": -1},
        {"time_per_print": math.nan},
        {"outfile": 5},
        {"outfile": b"video.mp4"},
        {"overwrite": "no"},
        {"overwrite": None},
        {"resume": "yes"},
        {"keep_parts": 2},
        {"sequential": "no"},
        {"reuse_figure_object": "no"},
    ],
)
def test_wrong_render_settings_are_refused_when_made(wrong: dict[str, Any]) -> None:
    """A text is no truth value: 'no' would mean yes."""
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"^{name} must be") as caught:
        RenderSettings(**wrong)
    assert repr(wrong[name]) in caught.value.message


def test_truth_values_of_numpy_and_numbers_are_taken() -> None:
    """They become Python's own."""
    settings = RenderSettings(overwrite=0, resume=np.True_, sequential=None, keep_parts=1)
    assert settings.overwrite is settings.sequential is False
    assert settings.resume is settings.keep_parts is True


@pytest.mark.parametrize(
    "wrong", [{"keep_head_free": "no"}, {"packages": None}, {"packages": "numpy"}, {"exclude": 3}]
)
def test_wrong_cluster_settings_are_refused_when_made(wrong: dict[str, Any]) -> None:
    """Each is named."""
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"^{name} must be"):
        ClusterSettings(**wrong)


def test_a_performance_setting_is_given_once() -> None:
    """By position or by name, as with any function."""
    with pytest.raises(TypeError, match="two values for work_per_dispatch"):
        PerformanceSettings(None, 2, None, 5.0, 2.0, None, 2, 7, work_per_dispatch=9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_workers": 0},
        {"num_workers": -1},
        {"max_workers": 1.5},
        {"frame_batch_amount": True},
        {"worker_queue_size": 0},
        {"in_flight_bytes": 0},
        {"window_size": 0},
        {"perf_delay": math.nan},
        {"perf_delay": -1},
        {"window_size": None},
        {"draw_ms": -1},
        {"encode_ms": "5"},
        {"min_workers": 3, "max_workers": 2},
    ],
)
def test_wrong_performance_settings_are_refused_when_made(wrong: dict[str, Any]) -> None:
    """A run never starts with a number that means nothing."""
    with pytest.raises(SettingsError) as caught:
        PerformanceSettings(**wrong)
    assert next(iter(wrong)) in caught.value.message


def test_video_settings_cannot_be_changed() -> None:
    """They are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        VideoSettings().crf = 3  # type: ignore[misc]


def test_performance_settings_can_be_assigned_and_are_checked_then() -> None:
    """As pympanim's scripts do; a wrong value or a misspelt name is refused at once."""
    settings = PerformanceSettings()
    settings.max_workers = 4
    settings.ooo_cap = 10
    assert (settings.max_workers, settings.ooo_cap) == (4, 10)
    with pytest.raises(SettingsError, match="num_workers must be"):
        settings.num_workers = 0
    with pytest.raises(AttributeError, match="num_worker"):
        settings.num_worker = 3  # type: ignore[attr-defined]
    assert settings.num_workers is None
    settings.min_workers = 5
    with pytest.raises(SettingsError, match="above max_workers=4"):
        settings.check()


def test_performance_settings_are_plain_values() -> None:
    """``vars()`` holds them all, can be JSON, and makes the same settings again."""
    settings = PerformanceSettings(num_workers=3, draw_ms=1.5)
    values = json.loads(json.dumps(vars(settings)))
    assert (values["num_workers"], values["frames_per_sync"]) == (3, None)
    assert PerformanceSettings(**values) == settings


def test_performance_settings_by_position_are_pympanim_s() -> None:
    """Its order: frames_per_sync, num_workers, frame_batch_amount, window_size, perf_delay."""
    with pytest.warns(UserWarning, match="frames_per_sync"):
        settings = PerformanceSettings(10, 4, 2, 15.0, 0.0, 8)
    assert (settings.num_workers, settings.frame_batch_amount) == (4, 2)
    assert (settings.window_size, settings.perf_delay, settings.max_workers) == (15, 0, 8)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (np.int64(30), Fraction(30)),
        (np.uint8(25), Fraction(25)),
        (np.float64(29.97), Fraction(2997, 100)),
        (np.float32(12.5), Fraction(25, 2)),
        (np.array(24), Fraction(24)),
    ],
)
def test_numpy_s_rates_are_exact(fps: Any, rate: Fraction) -> None:
    """And made of Python's integers, which do not overflow."""
    parsed = parse_rate(fps)
    assert parsed == rate
    assert type(parsed.numerator) is type(parsed.denominator) is int


def test_numpy_s_numbers_become_python_s() -> None:
    """So that JSON takes them."""
    settings = PerformanceSettings(num_workers=np.int64(2), window_size=np.float32(0.5))
    assert (type(settings.num_workers), type(settings.window_size)) == (int, float)
    assert Workers.parse(np.int32(-2)).most(8) == 7


@pytest.mark.parametrize("fps", [1e-7, 1e-4, "1/2000", Fraction(1, 1001)])
def test_rates_that_round_to_nothing_are_refused(fps: Any) -> None:
    """A rate that is too low is named, and not divided by later."""
    with pytest.raises(SettingsError, match=r"fps must be at least 0\.001, got"):
        parse_rate(fps)


def test_settings_survive_json(tmp_path: Path) -> None:
    """What was saved loads equal, and is JSON that other programs read."""
    settings = PerformanceSettings(num_workers=3, draw_ms=12.5, in_flight_bytes=1000)
    settings.save(tmp_path / "found.json")
    assert PerformanceSettings.load(tmp_path / "found.json") == settings
    assert json.loads((tmp_path / "found.json").read_text())["draw_ms"] == 12.5


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"speed": 3}', '{"num_workers": 0}'])
def test_a_file_of_something_else_is_an_error(tmp_path: Path, text: str) -> None:
    """No JSON, another shape, an unknown name or a wrong value: each says so."""
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(SettingsError):
        PerformanceSettings.load(path)


def test_replacing_checks_again() -> None:
    """A copy with changes is a copy, and as sound as the first."""
    first = PerformanceSettings(num_workers=2)
    assert first.replace(draw_ms=3.0) == PerformanceSettings(num_workers=2, draw_ms=3.0)
    assert first.draw_ms is None
    with pytest.raises(SettingsError):
        first.replace(num_workers=0)


def test_pympanim_names_without_meaning_are_taken_with_a_warning() -> None:
    """A script that sets them runs, and a warning says that they have no effect."""
    with pytest.warns(UserWarning, match=r"^ooo_cap, frame_batch_min: .*ignored") as caught:
        settings = PerformanceSettings(frame_batch_min=1, ooo_cap=10, worker_queue_size=3)
    assert (settings.ooo_cap, settings.worker_queue_size) == (10, 3)
    assert settings.to_dict()["ooo_cap"] == 10
    assert "ooo_cap" not in PerformanceSettings().to_dict()
    assert caught[0].filename == __file__


def test_performance_settings_have_no_other_names_or_places() -> None:
    """A misspelt keyword is a TypeError, as of any function; so is a value too many."""
    with pytest.raises(TypeError, match="num_worker"):
        PerformanceSettings(num_worker=3)
    by_position = (None, 4, 2, 15.0, 0.0, 8, 2, *(19 * [None]))
    assert PerformanceSettings(*by_position).num_workers == 4
    with pytest.raises(TypeError):
        PerformanceSettings(*by_position, None)


NOT_ARGUMENTS = {
    "frame": "of one output",
    "height_px": "the command's --quality",
    "width": "of one output",
}
"""Settings that `produce` does not take, and where they come from."""

NOT_OPTIONS = {
    "background": "belongs to the drawing",
    "chapters": "belongs to what is drawn",
    "cluster": "has an option for each of its own settings",
    "drawing_log_interval": "progress is shown as the command says",
    "duration": "belongs to the function that is drawn",
    "durations": "belongs to what is drawn",
    "encoding_log_interval": "progress is shown as the command says",
    "frame": "of one output",
    "height_px": "--quality",
    "logger": "an object of Python's",
    "metadata": "belongs to what is drawn",
    "n_frames": "belongs to what is drawn",
    "odd_size": "belongs to the drawing",
    "outfile": "--output",
    "performance": "an object of Python's",
    "progress": "--quiet and --json",
    "reuse_figure_object": "for comparison only",
    "savefig_params": "an object of Python's",
    "storage_options": "keys belong into the environment",
    "time_per_print": "progress is shown as the command says",
    "width": "of one output",
}
"""Settings that have no option of the command of that name, and why."""


def names_of(settings: type) -> set[str]:
    return {each.name for each in dataclasses.fields(settings)}


def test_every_setting_is_an_argument_of_produce() -> None:
    """With the same default, or None where that depends on what is rendered."""
    arguments = dict(inspect.signature(rayanim.produce).parameters)
    del arguments["frame_gen"], arguments["param_by_frame"]
    arguments["performance"] = arguments.pop("settings")
    assert arguments.keys() == names_of(RenderSettings) - NOT_ARGUMENTS.keys()
    by_source = {"fps", "sequential", "independent"}
    given = {name: each.default for name, each in arguments.items() if name not in by_source}
    assert RenderSettings(**given) == RenderSettings()


def test_every_setting_is_an_option_of_the_command_or_listed() -> None:
    """So that none is forgotten."""
    options = {each.name for each in run.params}
    assert names_of(RenderSettings) - options == NOT_OPTIONS.keys()
    assert names_of(ClusterSettings) <= options


@pytest.mark.parametrize("name", ["produce", "make_video"])
def test_every_argument_reaches_the_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is given to either call is in the settings of its job."""
    given: dict[str, Any] = {
        "fps": 7, "dpi": 50, "workers": 1, "engine": "local", "codec": "h265", "crf": 30,
        "preset": "fast", "pixel_format": "yuv444p", "odd_size": "crop", "background": "red",
        "metadata": {"title": "mine"}, "hold": "2s", "speed": 2, "ping_pong": True,
        "overwrite": False, "progress": False, "frames": "0-1", "seed": 3, "n_frames": 4,
        "savefig_params": {"facecolor": "red"}, "reuse_figure_object": False, "drawing": "full",
        "drawing_log_interval": 5, "encoding_log_interval": 6, "sequential": True,
        "audit": 0.5, "transport": "segments", "segment_frames": 9, "resume": True,
        "keep_parts": True, "cache": True, "address": "local",
        "cluster": ClusterSettings(min_workers=2), "log_json": "-",
        "storage_options": {"key": "secret"}, "time_per_print": 2.0,
        "logger": logging.getLogger("mine"), "settings": PerformanceSettings(draw_ms=5.0),
    }  # fmt: skip
    found: list[RenderSettings] = []
    monkeypatch.setattr(dry_run, "describe", lambda plan: found.append(plan.settings))
    outfile = tmp_path / "video.mp4"
    with overriding(Overrides(dry_run=True)):
        if name == "produce":
            rayanim.produce(NumberedAnimator(), outfile=outfile, **given)
        else:
            NumberedAnimator().make_video(outfile, **given)
    performance = given.pop("settings").replace(frame_batch_amount=9, min_workers=2)
    (settings,) = found
    outputs = (Output(outfile),)
    assert settings == RenderSettings(outfile=outputs, performance=performance, **given)
    default = RenderSettings()
    unchanged = {each for each in names_of(RenderSettings)
                 if getattr(settings, each) == getattr(default, each)}  # fmt: skip
    of_one = {"loop", "dither", "colors", "frame", "width"}
    others = {"bitrate", "duration", "durations", "height_px", "independent"}
    tracks = {"audio", "subtitles", "chapters", "hwaccel"}
    assert unchanged == others | of_one | tracks


def test_settings_travel_whole_but_for_what_is_the_caller_s() -> None:
    """To actors: without objects that may not be picklable, and without keys or names of files."""
    drawn = {"crf": 30, "frames": "3-9", "seed": 4}
    settings = RenderSettings(
        **drawn,
        outfile="ftp://me:secret@there/video.mp4",
        overwrite=False,
        log_json="video.log",
        address="10.0.0.1:6379",
        progress=lambda done, total: None,
        storage_options={"key": "secret"},
    )
    pickled = pickle.dumps(settings)
    there = pickle.loads(pickled)
    assert there == RenderSettings(**drawn) and there.frames == Selection.parse("3-9")
    assert not any(kept in pickled for kept in (b"secret", b"video.log", b"10.0.0.1"))


N_FRAMES = 12
drawn: list[int] = []
"""Numbers of the frames whose drawing code has run."""


class Plot:
    """A line that is another one in each frame, by chance."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(0.64, 0.48), dpi=100)
        (self.line,) = self.figure.subplots().plot(range(5))

    def show(self, number: int) -> None:
        drawn.append(number)
        self.line.set_ydata(5 * np.random.random(5))


class OfAnimator(rayanim.Animator):
    def setup(self) -> Figure:
        self.plot = Plot()
        return self.plot.figure

    def update(self, frame_idx: int, params: Any) -> None:
        self.plot.show(frame_idx)


class OfGenerator(FrameGenerator):
    duration = N_FRAMES * 1000 / FPS
    frame_size = SIZE

    def generate_at(self, time_ms: float) -> Any:
        drawn.append(round(time_ms * FPS / 1000))
        return np.random.randint(0, 255, (SIZE[1], SIZE[0], 4), np.uint8)


class Clock(ActState):
    time_ms = 0.0


class Runs(Scene):
    duration = N_FRAMES * 1000 / FPS

    def apply(self, act_state: Clock, time_ms: float, dbg: bool = False) -> None:
        act_state.time_ms = time_ms


class OfState(FigureRenderer):
    def setup(self) -> Figure:
        self.plot = Plot()
        return self.plot.figure

    def update(self, act_state: Clock) -> None:
        self.plot.show(round(act_state.time_ms * FPS / 1000))


def function_of(a_number: Callable[[float], int]) -> Callable[[float], Figure]:
    plot = Plot()

    def draw(given: float) -> Figure:
        plot.show(a_number(given))
        return plot.figure

    return draw


SOURCES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "Animator": lambda: (OfAnimator(), {"n_frames": N_FRAMES}),
    "FrameGenerator": lambda: (OfGenerator(), {}),
    "Act": lambda: (Act(Clock(), OfState(), [Runs()]), {}),
    "function of the number": lambda: (function_of(int), {"n_frames": N_FRAMES}),
    "function of the time": lambda: (
        function_of(lambda time_ms: round(time_ms * FPS / 1000)),
        {"duration": N_FRAMES * 1000 / FPS},
    ),
}


def rendered(name: str, path: Path, **settings: Any) -> rayanim.Report:
    drawn.clear()
    thing, own = SOURCES[name]()
    options = {"fps": FPS, "engine": "local", "progress": False, **own, **settings}
    return rayanim.produce(thing, outfile=path / "video.mp4", **options)


@pytest.mark.parametrize("drawing", ["auto", "full"])
@pytest.mark.parametrize("name", sorted(SOURCES.keys() - {"FrameGenerator"}))
def test_how_figures_are_drawn_reaches_every_source_of_figures(
    name: str, drawing: str, tmp_path: Path
) -> None:
    assert (rendered(name, tmp_path, drawing=drawing).incremental_frames > 0) == (drawing == "auto")


@pytest.mark.parametrize("name", SOURCES)
def test_the_seed_reaches_every_source(name: str, tmp_path: Path) -> None:
    one, same, other = (
        rendered(name, tmp_path, seed=seed).output.read_bytes() for seed in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize("name", SOURCES)
def test_drawing_in_sequence_reaches_every_source(name: str, tmp_path: Path) -> None:
    """The frames before the one that is wanted are updated, too."""
    rendered(name, tmp_path, frames="9", independent=True)
    assert set(drawn) == {9}
    right = rendered(name, tmp_path, frames="9", sequential=True).output.read_bytes()
    assert set(drawn) == set(range(10))
    assert rendered(name, tmp_path, frames="9").output.read_bytes() == right


@pytest.mark.parametrize("name", SOURCES)
def test_the_rate_and_the_height_reach_every_source(name: str, tmp_path: Path) -> None:
    """What is a function of the time has twice the frames at twice the rate."""
    with overriding(Overrides(arguments={"height_px": 96})):
        report = rendered(name, tmp_path, fps=2 * FPS)
    by_number = name in ("Animator", "function of the number")
    assert (report.size, report.rate) == ((128, 96), 2 * FPS)
    assert report.frames == (N_FRAMES if by_number else 2 * N_FRAMES)


@pytest.mark.parametrize("name", ["Animator", "function of the number", "function of the time"])
def test_the_dpi_reaches_every_source_whose_figures_have_none_of_their_own(
    name: str, tmp_path: Path
) -> None:
    assert rendered(name, tmp_path, dpi=200).size == (128, 96)
