"""Settings are frozen, are checked when they are made, and survive JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.errors import SettingsError
from rayanim.settings import (
    MAX_FPS,
    NAMES_WITHOUT_MEANING,
    PerformanceSettings,
    VideoSettings,
    parse_rate,
    parse_workers,
)


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
    assert parse_workers(workers, cores=cores) == actors


@pytest.mark.parametrize("workers", [0, "0", "x%", "%", "0%", "-5%", "9999%", "", 1.5, None, True])
def test_senseless_workers_name_what_was_got(workers: Any) -> None:
    """Each wrong number of workers is an error that says what there is."""
    with pytest.raises(SettingsError, match="workers must be 'auto'") as caught:
        parse_workers(workers, cores=4)
    assert repr(workers) in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"crf": -1},
        {"crf": math.nan},
        {"crf": "23"},
        {"crf": True},
        {"bitrate_kbps": math.inf},
        {"bitrate_kbps": 0.5},
        {"crf": 20, "bitrate_kbps": 500},
        {"odd_size": "stretch"},
        {"background": "no colour"},
        {"background": None},
    ],
)
def test_wrong_video_settings_are_refused_when_made(wrong: dict[str, Any]) -> None:
    """Nothing of the kind reaches FFmpeg."""
    with pytest.raises(SettingsError):
        VideoSettings(**wrong)


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
    assert parse_workers(np.int32(-2), cores=8) == 7


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
    """A script that sets them runs, and is told that they do nothing."""
    with pytest.warns(UserWarning, match=r"^ooo_cap, frame_batch_min: .*ignored") as caught:
        settings = PerformanceSettings(frame_batch_min=1, ooo_cap=10, worker_queue_size=3)
    assert (settings.ooo_cap, settings.worker_queue_size) == (10, 3)
    assert settings.to_dict()["ooo_cap"] == 10
    assert "ooo_cap" not in PerformanceSettings().to_dict()
    assert caught[0].filename == __file__
    assert "frames_per_sync" in NAMES_WITHOUT_MEANING
