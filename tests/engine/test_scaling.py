"""The number of actors settles where the encoder is fed, and says why at each step."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_simulation import Load, Trace, simulate

from rayanim.engine.autoscaler import (
    HEADROOM_DOWN,
    Decision,
    PolicyState,
    ScalingLimits,
    Shortage,
    Snapshot,
    decide,
)

LIMITS = ScalingLimits(min_actors=1, max_actors=16, hold_s=1.0, settle_s=2.0)

BALANCED = Snapshot(
    now_s=100.0,
    alive=4,
    requested=4,
    queued_frames=20,
    in_flight_bytes=40,
    in_flight_limit_bytes=100,
    encoder_idle_fraction=0.02,
    draw_fps_per_actor=20.0,
    encode_fps=75.0,
    frames_left=10_000,
    chunks_left=1_000,
    actor_start_s=1.0,
)
STARVING = replace(BALANCED, encoder_idle_fraction=0.5, queued_frames=3, encode_fps=100.0)
FULL = replace(BALANCED, in_flight_bytes=95, encoder_idle_fraction=0.0, encode_fps=30.0)


def now(snapshot: Snapshot, state: PolicyState | None = None, **changes: Any) -> Decision:
    """The decision for one snapshot."""
    return decide(replace(snapshot, **changes), LIMITS, state or PolicyState())[0]


def after(snapshot: Snapshot, seconds: float, **changes: Any) -> Decision:
    """The decision once `snapshot` has been seen for `seconds`."""
    snapshot = replace(snapshot, **changes)
    _, state = decide(snapshot, LIMITS, PolicyState())
    return decide(replace(snapshot, now_s=snapshot.now_s + seconds), LIMITS, state)[0]


# ---- one test for each rule, with the reason it gives


def test_balance_changes_nothing() -> None:
    """A fed encoder and a queue with room are the set point."""
    assert now(BALANCED) == Decision(4, 0, "stay at 4: the encoder is fed and its queue has room")


def test_starving_must_hold_before_an_actor_is_added() -> None:
    """One bad tick proves nothing."""
    assert now(STARVING) == Decision(
        4, 0, "stay at 4: the encoder idled 50% with 3 frames queued, not yet for 1 s"
    )


def test_a_starving_encoder_gets_the_actors_it_takes() -> None:
    """The demand of 5 actors with a tenth to spare is 6."""
    assert after(STARVING, 1.0) == Decision(
        6,
        2,
        "up from 4 to 6: the encoder idled 50% with 3 frames queued; "
        "it takes 5.0 actors to feed it",
    )


def test_a_step_up_at_most_doubles() -> None:
    """A wild measurement costs one step, not the machine."""
    assert after(STARVING, 1.0, encode_fps=1e9).target == 8


def test_a_window_used_by_many_drawing_actors_has_room_for_one_more() -> None:
    """15 actors hold 30 of 34 segments; that is drawing, not a queue."""
    decision = after(
        STARVING, 3.0, alive=15, requested=15, in_flight_bytes=30, in_flight_limit_bytes=34
    )
    assert decision.target == 16


def test_the_upper_limit_is_said_when_it_binds() -> None:
    """The reason says that the limit holds it back."""
    assert after(STARVING, 1.0, alive=16, requested=16) == Decision(
        16,
        0,
        "stay at 16: the encoder idled 50% with 3 frames queued, but 1 to 16 are allowed",
    )


def test_no_actor_is_added_before_one_has_drawn() -> None:
    """A first frame of a minute must not start every actor there could be."""
    assert after(STARVING, 60.0, draw_fps_per_actor=None) == Decision(
        4,
        0,
        "stay at 4: the encoder idled 50% with 3 frames queued, "
        "but no actor has drawn a segment yet",
    )


def test_an_encoder_too_quick_to_measure_doubles_the_actors() -> None:
    """It idles, actors draw: more of them are right, whatever the exact demand."""
    assert after(STARVING, 1.0, encode_fps=None) == Decision(
        8, 4, "up from 4 to 8: the encoder idled 50% with 3 frames queued"
    )


def test_beyond_the_measured_demand_one_actor_is_tried_after_longer_proof() -> None:
    """The measurement says 2 actors do, the encoder says 4 do not: it is right, in the end."""
    biased = {"encode_fps": 40.0}
    assert after(STARVING, 1.0, **biased).delta == 0
    assert "not yet for 3 s" in after(STARVING, 1.0, **biased).reason
    assert after(STARVING, 3.0, **biased).target == 5


def test_no_actor_is_added_that_would_not_repay_its_start() -> None:
    """40 frames for 6 actors of 20 fps take a third of a second, a start takes one."""
    assert after(STARVING, 1.0, frames_left=40) == Decision(
        4,
        0,
        "stay at 4: the encoder idled 50% with 3 frames queued, but the frames left repay no start",
    )


def test_only_as_many_actors_are_added_as_repay_their_start() -> None:
    """200 frames are 10 s of drawing: 5 actors draw for two starts each."""
    assert after(STARVING, 1.0, frames_left=200).target == 5


def test_an_unknown_length_sets_no_bound() -> None:
    """A stream may be endless, so starts are taken to be repaid."""
    assert after(STARVING, 1.0, frames_left=None, chunks_left=None).target == 6


def test_actors_that_are_starting_count_as_coming() -> None:
    """Asking again while they start would double what is needed."""
    assert after(STARVING, 30.0, alive=2) == Decision(4, 0, "stay at 4: actors still starting: 2")


def test_new_actors_must_show_before_more_are_asked_for() -> None:
    """The idle share is of a window in which they were not there yet."""
    _, state = decide(replace(STARVING, alive=3), LIMITS, PolicyState())
    soon = decide(replace(STARVING, now_s=101.0), LIMITS, state)[0]
    assert soon == Decision(4, 0, "stay at 4: the new actors have to show first")


def test_nothing_changes_while_a_change_settles() -> None:
    """Two changes are at least the time to settle and the time to hold apart."""
    changed = PolicyState(wanted=4, changed_at_s=99.0)
    expected = "stay at 4: the last change has to show first"
    assert now(STARVING, changed).reason == expected
    assert now(FULL, changed).reason == expected


def test_frames_behind_a_slow_one_add_no_actor() -> None:
    """The encoder idles, the window is full: no actor could draw it any sooner."""
    assert after(FULL, 60.0, encoder_idle_fraction=0.6, queued_frames=80) == Decision(
        4, 0, "stay at 4: the encoder idled 60%, but 80 frames wait behind a slower one"
    )


def test_a_long_queue_adds_no_actor_even_if_the_encoder_idled() -> None:
    """It starved a while ago; by now more than a second of work waits."""
    assert after(STARVING, 60.0, queued_frames=101).delta == 0


def test_a_full_queue_must_hold_before_an_actor_is_released() -> None:
    """A burst is no reason to throw an actor away."""
    assert now(FULL) == Decision(
        4, 0, "stay at 4: the encoder's queue is 95% full, not yet for 1 s"
    )


def test_a_full_queue_releases_actors_down_to_the_demand() -> None:
    """1.5 actors feed the encoder; 2 do with the headroom of the way down."""
    assert after(FULL, 1.0) == Decision(
        2,
        -2,
        "down from 4 to 2: the encoder's queue is 95% full; it took at most 1.5 actors to feed it",
    )


def test_a_step_down_at_most_halves() -> None:
    """The way down is no quicker than the way up."""
    assert after(FULL, 1.0, encode_fps=0.1, alive=9, requested=9).target == 5


def test_a_full_queue_keeps_the_actors_that_the_encoder_needs() -> None:
    """A queue that is full because supply is a little above demand is as it should be."""
    assert after(FULL, 60.0, encode_fps=70.0) == Decision(
        4,
        0,
        "stay at 4: the encoder's queue is 95% full, and fewer would starve the encoder",
    )


def test_without_rates_no_actor_is_released() -> None:
    """How many would do is not known yet."""
    assert after(FULL, 60.0, encode_fps=None) == Decision(
        4, 0, "stay at 4: the encoder's queue is 95% full, but the rates are not known yet"
    )


def test_actors_that_never_come_can_be_withdrawn() -> None:
    """Pending actors block more requests, not fewer: a full cluster must not pin them."""
    assert after(FULL, 1.0, alive=2).target == 2


def test_a_shortage_is_remembered_until_the_demand_has_fallen() -> None:
    """The encoder starved with 3 although 1.5 were measured; 3 are tried again below 1.1."""
    state = PolicyState(wanted=4, full_since_s=90.0, shortage=Shortage(actors=3, demand=1.5))
    assert now(FULL, state).delta == 0
    assert now(FULL, state, encode_fps=20.0).target == 2


def test_starving_is_what_makes_a_shortage() -> None:
    """The number of actors and the demand of that moment are what is kept."""
    state = PolicyState(wanted=4, starved_since_s=99.0)
    assert decide(STARVING, LIMITS, state)[1].shortage == Shortage(actors=4, demand=5.0)


def test_a_smaller_shortage_does_not_hide_a_larger_one() -> None:
    """After deaths the encoder starves with 3; that 6 were too few is still true."""
    state = PolicyState(wanted=4, starved_since_s=99.0, shortage=Shortage(actors=6, demand=5.0))
    assert decide(STARVING, LIMITS, state)[1].shortage == Shortage(actors=6, demand=5.0)


def test_the_way_down_looks_at_the_highest_demand_of_late() -> None:
    """9 s ago it took 5 actors, so that may come again; 11 s ago is forgotten."""
    late = PolicyState(wanted=8, full_since_s=90.0, peaks=((91.0, 5.0),))
    assert now(FULL, late, alive=8, requested=8).target == 7
    early = PolicyState(wanted=8, full_since_s=88.0, peaks=((89.0, 5.0),))
    assert now(FULL, early, alive=8, requested=8).target == 4


def test_of_the_demands_seen_only_those_that_can_still_be_the_highest_are_kept() -> None:
    """The memory stays short however long the run is."""
    state = PolicyState(peaks=((95.0, 9.0), (97.0, 4.0), (98.0, 1.0)))
    assert decide(BALANCED, LIMITS, state)[1].peaks == ((95.0, 9.0), (97.0, 4.0), (100.0, 3.75))


def test_a_dead_actor_is_replaced_at_once() -> None:
    """What was wanted is known; no new proof is needed."""
    state = PolicyState(wanted=5, changed_at_s=99.9)
    assert now(BALANCED, state) == Decision(5, 1, "up from 4 to 5: actors gone: 1 of 5")


def test_a_dead_actor_is_not_replaced_for_the_last_frames() -> None:
    """The rest is drawn before another has started; it is not asked for again later."""
    decision, state = decide(replace(BALANCED, frames_left=100), LIMITS, PolicyState(wanted=6))
    assert decision == Decision(
        4, 0, "stay at 4: actors gone: 2 of 6, but the frames left repay no start"
    )
    assert state.wanted == 4


def test_when_all_are_dead_the_least_number_is_asked_for() -> None:
    """Even the last frame needs an actor, whether it repays its start or not."""
    decision = now(BALANCED, alive=0, requested=0, frames_left=1, chunks_left=1)
    assert decision == Decision(1, 1, "up from 0 to 1: 1 to 16 are allowed")


def test_actors_that_all_die_at_once_are_all_asked_for_again() -> None:
    """A loss is no reason to begin with one and double."""
    decision = now(BALANCED, PolicyState(wanted=8), alive=0, requested=0, chunks_left=40)
    assert decision == Decision(8, 8, "up from 0 to 8: actors gone: 8 of 8")


def test_too_many_actors_are_released_at_once() -> None:
    """The limit holds at every tick."""
    assert now(BALANCED, alive=20, requested=20) == Decision(
        16, -4, "down from 20 to 16: 1 to 16 are allowed"
    )


def test_actors_without_a_segment_are_released_at_the_end() -> None:
    """Nodes can go while the last segments are drawn; nothing has to hold or settle."""
    state = PolicyState(wanted=4, changed_at_s=99.9)
    assert now(STARVING, state, chunks_left=2) == Decision(
        2, -2, "down from 4 to 2: segments left to draw: 2"
    )


def test_a_pinned_number_stays_to_the_end() -> None:
    """Equal limits pin the number, whatever the pipeline says."""
    pinned = ScalingLimits(4, 4, hold_s=0, settle_s=0)
    for snapshot in (BALANCED, STARVING, FULL, replace(FULL, chunks_left=0)):
        assert decide(snapshot, pinned, PolicyState())[0].delta == 0


# ---- for any input


RATES = st.none() | st.floats(0, allow_nan=False)
SNAPSHOTS = st.builds(
    Snapshot,
    now_s=st.floats(0, 1e6),
    alive=st.integers(0, 100),
    requested=st.integers(0, 100),
    queued_frames=st.integers(0, 10**6),
    in_flight_bytes=st.integers(0, 10**12),
    in_flight_limit_bytes=st.integers(0, 10**12),
    encoder_idle_fraction=st.floats(0, 1),
    draw_fps_per_actor=RATES,
    encode_fps=RATES,
    frames_left=st.none() | st.integers(0, 10**9),
    chunks_left=st.none() | st.integers(0, 10**9),
    actor_start_s=st.floats(0, 1e4),
)


@given(
    st.lists(SNAPSHOTS, min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([0.0, 1.0]),
)
def test_the_target_is_within_the_limits_whatever_comes(
    snapshots: list[Snapshot], low: int, extra: int, hold_s: float
) -> None:
    """Each decision keeps the limits, adds up, and has a reason."""
    limits = ScalingLimits(low, low + extra, hold_s=hold_s, settle_s=hold_s)
    state = PolicyState()
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.now_s):
        decision, state = decide(snapshot, limits, state)
        assert low <= decision.target <= low + extra
        assert decision.delta == decision.target - snapshot.requested
        assert (
            decision.reason.split(" ")[0]
            == ("stay", "up", "down")[(decision.delta > 0) - (decision.delta < 0)]
        )


@settings(deadline=None)
@given(
    demand=st.floats(0.05, 15),
    bias=st.floats(0.4, 2.5),
    actors=st.integers(1, 16),
)
def test_constant_rates_come_to_rest_however_wrongly_they_are_measured(
    demand: float, bias: float, actors: int
) -> None:
    """The direction turns at most once, then the number stays and feeds the encoder."""
    state, deltas = PolicyState(), []
    for tick in range(200):
        snapshot = replace(
            BALANCED,
            now_s=tick * 0.5,
            alive=actors,
            requested=actors,
            encoder_idle_fraction=max(0.0, 1 - actors / demand),
            queued_frames=0,
            in_flight_bytes=100 if actors > demand else 40,
            draw_fps_per_actor=10.0,
            encode_fps=10.0 * demand * bias,
        )
        decision, state = decide(snapshot, LIMITS, state)
        actors = decision.target
        deltas.append(decision.delta)
    moves = [delta for delta in deltas if delta]
    assert sum(a * b < 0 for a, b in pairwise(moves)) <= 1
    assert not any(deltas[120:])
    assert actors >= 0.9 * demand


# ---- a whole pipeline, simulated


def cost(mean_s: float) -> Callable[[int], float]:
    """Every frame costs the same."""
    return lambda index: mean_s


def noise(mean_s: float, seed: int, spread: float) -> Callable[[int], float]:
    """Each frame costs something else, the same at each run."""
    draw = random.Random(seed)
    costs = [mean_s * draw.uniform(1 - spread, 1 + spread) for _ in range(10_000)]
    return costs.__getitem__


def run(load: Load, actors: int = 1, limits: ScalingLimits = LIMITS) -> Trace:
    """The trace of a run, after a check of what holds for each of them."""
    trace = simulate(load, limits, actors=actors)
    assert trace.encoded == list(range(load.frames))
    bound = (load.window_segments + 1) * load.segment_frames
    assert max(tick.snapshot.queued_frames for tick in trace.ticks) <= bound
    assert max(tick.snapshot.window_share for tick in trace.ticks) <= 1
    return trace


def test_a_slow_encoder_keeps_one_actor() -> None:
    """8 actors shrink to the one that is enough, and the encoder never waits."""
    trace = run(Load(2000, cost(0.02), cost(0.05)), actors=8)
    assert [tick.decision.target for tick in trace.changes()] == [4, 2, 1]
    assert trace.idle_fraction(5, 95) < 0.01


def test_slow_frames_get_the_actors_they_need_and_no_more() -> None:
    """From 1 to the demand of 5 in a few steps, then none until the end."""
    trace = run(Load(6000, cost(0.05), cost(0.01)))
    assert [tick.decision.target for tick in trace.changes(0, 60)] == [2, 4, 6]
    assert not trace.changes(12, 60)
    assert trace.idle_fraction(18, 60) < 0.02


def test_a_demand_out_of_reach_ends_at_the_limit() -> None:
    """30 actors would be needed, 16 are allowed, and that is where it stays."""
    trace = run(Load(3000, cost(0.3), cost(0.01)))
    assert [tick.decision.target for tick in trace.changes(0, 60)] == [2, 4, 8, 16]


def test_bursts_shorter_than_the_window_do_not_swing_it() -> None:
    """A second of cheap frames, five of costly ones, 30 times over: a few changes at most."""
    trace = run(Load(6000, lambda index: 0.05 if index // 100 % 2 else 0.01, cost(0.01)), actors=2)
    assert len(trace.changes(0, 60)) <= 4
    assert not trace.changes(30, 60)
    assert trace.idle_fraction(30, 60) < 0.05


def test_frames_that_become_slower_get_more_actors() -> None:
    """Five times the cost from half way on: found within a few decisions."""
    trace = run(Load(9000, lambda index: 0.01 if index < 4500 else 0.05, cost(0.01)))
    assert trace.target_at(40) == 2
    assert trace.target_at(60) == 6
    assert len(trace.changes(40, 90)) <= 3
    assert trace.idle_fraction(65, 85) < 0.02


def test_frames_that_become_quicker_release_actors() -> None:
    """A fifth of the cost from half way on: the surplus goes, the encoder stays fed."""
    trace = run(Load(9000, lambda index: 0.05 if index < 4500 else 0.01, cost(0.01)))
    assert trace.target_at(45) == 6
    assert trace.target_at(75) == 2
    assert len(trace.changes(45, 90)) <= 4
    assert trace.idle_fraction(50, 90) < 0.02


def test_an_encoder_that_becomes_slower_releases_actors() -> None:
    """Costlier pictures for the codec: fewer actors feed it."""
    trace = run(Load(6000, cost(0.05), lambda index: 0.01 if index < 3000 else 0.05))
    assert trace.target_at(30) == 6
    assert trace.target_at(80) == 2
    assert len(trace.changes(31, 150)) <= 3


def test_single_very_slow_frames_do_not_swing_it() -> None:
    """Each 37th frame costs thirty others; the number still comes to rest."""
    trace = run(Load(9000, lambda index: 0.6 if index % 37 == 0 else 0.02, cost(0.01)), actors=2)
    assert len(trace.changes(0, 90)) <= 4
    assert not trace.changes(30, 90)
    assert trace.idle_fraction(30, 90) < 0.1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [0.3, 0.9])
def test_noise_does_not_swing_it(seed: int, spread: float) -> None:
    """Costs that scatter by up to nine tenths: a few changes, then rest."""
    load = Load(8000, noise(0.035, seed, spread), noise(0.01, seed + 100, spread))
    trace = run(load)
    assert len(trace.changes(0, 75)) <= 5
    assert not trace.changes(30, 75)
    assert trace.idle_fraction(25, 75) < 0.1


@pytest.mark.parametrize("seed", range(24))
def test_no_pipeline_out_of_a_hat_swings_it(seed: int) -> None:
    """Costs, scatter, rare slow frames, window and start at random: one turn at most."""
    pick = random.Random(seed)
    draw_s, encode_s = 10 ** pick.uniform(-2, -0.7), 10 ** pick.uniform(-2, -1.3)
    spread, slow = pick.choice([0, 0.3, 0.8]), pick.choice([1, 1, 8])
    draw = noise(draw_s, seed + 1, spread)
    load = Load(
        4000,
        lambda index: draw(index) * (slow if index % 33 == 0 else 1),
        noise(encode_s, seed + 2, spread),
        segment_frames=max(1, min(64, int(0.25 / draw_s))),
        window_segments=pick.choice([8, 34, 50]),
        start_s=pick.choice([0.5, 2.0, 8.0]),
        length_known=pick.random() < 0.7,
    )
    trace = run(load, actors=pick.choice([1, 4, 16]))
    deltas = [tick.decision.delta for tick in trace.changes(0, 0.8 * trace.took_s)]
    assert sum(a * b < 0 for a, b in pairwise(deltas)) <= 1
    assert len(deltas) <= 6


def test_dead_actors_are_replaced_and_nothing_is_lost() -> None:
    """Four deaths cost four replacements and no frame."""
    deaths_s = (15.2, 22.2, 22.3, 40.2)
    trace = run(Load(6000, cost(0.05), cost(0.01), deaths_s=deaths_s), actors=6)
    changes = trace.changes(0, 55)
    assert sum(tick.decision.delta for tick in changes) == 4
    assert all("actors gone" in tick.decision.reason for tick in changes)


def test_actors_beyond_the_cores_are_kept_out_by_the_limit() -> None:
    """On 2 cores the encoder cannot be fed; the number goes to the limit and stays."""
    trace = run(Load(1500, cost(0.05), cost(0.01), cores=2), limits=ScalingLimits(1, 2))
    assert [tick.decision.target for tick in trace.changes(0, 35)] == [2]


def test_a_short_job_adds_no_actor() -> None:
    """5 s of drawing do not repay a start after the time to notice."""
    assert not [
        tick for tick in run(Load(100, cost(0.05), cost(0.01))).changes() if tick.decision.delta > 0
    ]


def test_a_stream_of_unknown_length_is_fed_too() -> None:
    """Neither frames nor segments left are known; the rates are enough."""
    trace = run(Load(4000, cost(0.03), cost(0.01), length_known=False))
    assert [tick.decision.target for tick in trace.changes()] == [2, 4]


def test_actors_leave_as_the_segments_run_out() -> None:
    """At the last tick no more are there than had a segment to draw."""
    last = run(Load(3000, cost(0.3), cost(0.01))).ticks[-1].decision
    assert last.target == 1
    assert "segments left to draw" in last.reason or last.delta == 0


def test_actors_that_start_slowly_are_asked_for_once() -> None:
    """Ten seconds of start: the number never passes what the demand calls for."""
    trace = run(Load(9000, cost(0.05), cost(0.01), start_s=10.0), actors=3)
    assert max(tick.decision.target for tick in trace.ticks) <= math.ceil(5 * HEADROOM_DOWN)
    assert len(trace.changes(0, 80)) <= 2
