"""Settings are frozen, are checked when they are made, and survive JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

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


def test_settings_cannot_be_changed() -> None:
    """A run cannot alter what the caller gave it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        PerformanceSettings().num_workers = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        VideoSettings().crf = 3  # type: ignore[misc]


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
    assert settings == PerformanceSettings(worker_queue_size=3)
    assert caught[0].filename == __file__
    assert "frames_per_sync" in NAMES_WITHOUT_MEANING
