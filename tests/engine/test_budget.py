"""A cap on node-hours: no growth beyond it, an end when it is used up, and the reason for both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rayanim.engine.autoscaler import (
    PolicyState,
    ScalingLimits,
    Snapshot,
    decide,
    hours_text,
    too_dear,
    used_up,
)
from rayanim.errors import SettingsError
from rayanim.settings import ClusterSettings

HOUR_S = 3600.0
LIMITS = ScalingLimits(min_actors=1, max_actors=16, max_node_s=2 * HOUR_S)

STARVING = Snapshot(
    now_s=100.0,
    alive=4,
    requested=4,
    queued_frames=3,
    in_flight_bytes=40,
    in_flight_limit_bytes=100,
    encoder_idle_fraction=0.5,
    draw_fps_per_actor=20.0,
    encode_fps=200.0,
    frames_left=10_000,
    segments_left=1_000,
    actor_start_s=1.0,
    nodes=2,
    spent_node_s=0.5 * HOUR_S,
    seconds_left=0.75 * HOUR_S,
)
DEAR = replace(STARVING, seconds_left=0.8 * HOUR_S)


@pytest.mark.parametrize(
    ("snapshot", "limits", "is_dear"),
    [
        (STARVING, LIMITS, False),
        (DEAR, LIMITS, True),
        (DEAR, replace(LIMITS, max_node_s=None), False),
        (replace(DEAR, seconds_left=None), LIMITS, False),
        (replace(DEAR, nodes=1), LIMITS, False),
    ],
)
def test_the_price_is_projected_from_the_present_rate(
    snapshot: Snapshot, limits: ScalingLimits, is_dear: bool
) -> None:
    """What was spent and the present nodes for the time that is left; unknown costs nothing."""
    assert (too_dear(snapshot, limits) is not None) == is_dear


@pytest.mark.parametrize(("snapshot", "target"), [(STARVING, 8), (DEAR, 4)])
def test_a_video_that_is_too_dear_gets_no_more_actors(snapshot: Snapshot, target: int) -> None:
    """However the encoder starves; with the figures in the reason."""
    _, state = decide(snapshot, LIMITS, PolicyState())
    decision, _ = decide(replace(snapshot, now_s=snapshot.now_s + 1.0), LIMITS, state)
    assert decision.target == target
    told = "at this rate the video takes 2.1 node-hours, and 2.0 are allowed"
    assert (told in decision.reason) == (target == 4)


def test_actors_that_died_are_replaced_however_dear_the_video_is() -> None:
    """The cap bounds growth; fewer actors would not make it cheaper."""
    _, state = decide(DEAR, LIMITS, PolicyState())
    decision, _ = decide(replace(DEAR, alive=3, requested=3), LIMITS, state)
    assert decision.target == 4


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"spent_node_s": 1.99 * HOUR_S}, False),
        ({"spent_node_s": 2 * HOUR_S}, True),
        ({"spent_node_s": 2 * HOUR_S, "frames_left": None}, True),
        ({"spent_node_s": 2 * HOUR_S, "frames_left": 0}, False),
    ],
)
def test_a_job_ends_when_the_cap_is_used_up(changes: dict[str, float], ends: bool) -> None:
    """Unless all is drawn: then the video is finished for what it has cost."""
    why = used_up(replace(STARVING, **changes), LIMITS)
    assert (why is not None) == ends
    if why and changes.get("frames_left", 1) is not None:
        assert why.startswith("The 2.0 node-hours") and "10000 frames" in why


def test_without_a_cap_a_job_may_cost_what_it_costs() -> None:
    """As it is on one machine, where nothing is counted."""
    spent = replace(STARVING, spent_node_s=1e9)
    assert used_up(spent, replace(LIMITS, max_node_s=None)) is None


@pytest.mark.parametrize(("node_s", "text"), [(30, "0.0083"), (1800, "0.5"), (90_000, "25.0")])
def test_hours_are_told_as_people_read_them(node_s: float, text: str) -> None:
    """Two digits that count, whether it is seconds or days."""
    assert hours_text(node_s) == text


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), True, "2"])
def test_a_cap_is_a_number_above_0(wrong: object) -> None:
    """Nothing can be drawn for nothing."""
    with pytest.raises(SettingsError, match="max_node_hours"):
        ClusterSettings(max_node_hours=wrong)  # type: ignore[arg-type]
    assert ClusterSettings(max_node_hours=0.5).max_node_s == 1800
