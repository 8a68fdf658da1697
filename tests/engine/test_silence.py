"""A run is given up when nothing was heard for far longer than anything takes."""

from __future__ import annotations

from rayanim.engine.scheduler import SHORTEST_S, Pace, limit_s


def test_short_work_has_a_quarter_of_an_hour() -> None:
    """A machine may be busy with other things."""
    assert limit_s(48, 0.02, 1.0) == SHORTEST_S == 900


def test_slow_frames_are_waited_for_from_the_first_segment_on() -> None:
    """250 frames of 5 s are first heard of after 21 minutes."""
    assert limit_s(250, 5.0, 1.0) > 2 * 250 * 5


def test_a_heavy_scene_in_a_light_video_is_waited_for() -> None:
    """What frames took so far says nothing of it, and whole segments alone are heard of."""
    assert limit_s(250, 0.02, 1.0) > 2 * 250 * 5


def test_an_open_that_takes_minutes_is_waited_for() -> None:
    """Data may be loaded from a slow disk in each actor."""
    assert limit_s(48, 0.02, 120.0) == 2400


def test_patience_with_what_nobody_draws_lets_nobody_wait_longer_in_the_end() -> None:
    """A frame that hangs wherever it is drawn would otherwise do so for hours."""
    pace = Pace(frame_s=0.1, slowest_s=0.3, patience_s=60.0)
    assert pace.expected_s(10) == 300
    assert pace.known_s == 0.15
