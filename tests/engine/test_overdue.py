"""Promises of the decision which segments are overdue."""

from __future__ import annotations

import pytest

from rayanim.engine.scheduler import (
    FAR_OVERDUE,
    GIVEN_UP,
    NOTHING_LATE,
    OVERDUE,
    SLACK_S,
    Holding,
    Pace,
    look_for_late,
)

TALKATIVE = {"a": 0.0, "b": 0.0, "c": 0.0}


def holding(index=0, number=1, node="a", age_s=0.0, expected_s=1.0, is_wanted=True):
    return Holding(number, node, index, age_s, expected_s, is_wanted)


def test_what_a_segment_takes_is_not_known_before_one_was_drawn():
    """Nothing is overdue then, however long it takes."""
    assert Pace().expected_s(10) is None
    assert look_for_late([holding(age_s=1e6, expected_s=None)], TALKATIVE, 3).overdue == {}


def test_a_heavy_scene_says_more_than_the_average():
    """Half of the slowest frame's time is expected of all, where the average is less."""
    assert Pace(frame_s=0.1, slowest_s=0.1).expected_s(10) == pytest.approx(1.0)
    assert Pace(frame_s=0.1, slowest_s=1.0).expected_s(10) == pytest.approx(5.0)


def test_nothing_is_late_while_all_is_in_time():
    """A look at actors that do well is the value for nothing, but for the copies left."""
    late = look_for_late([holding(0, 1, "a", 1.9), holding(1, 2, "b", 0.5)], TALKATIVE, 2)
    assert (late.overdue, late.far_overdue) == (NOTHING_LATE.overdue, NOTHING_LATE.far_overdue)
    assert late.silent_nodes == frozenset() and late.given_up == ()


def test_an_overdue_segment_is_for_idle_actors():
    """Twice the expected is enough where there is nothing else to draw."""
    late = look_for_late([holding(7, age_s=OVERDUE + 0.1)], TALKATIVE, 2)
    assert late.overdue == {7: frozenset({"a"})}
    assert late.far_overdue == {}


def test_a_far_overdue_segment_goes_before_new_ones_with_all_that_waits_behind_it():
    """What an actor has not begun is as late as what it draws."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    late = look_for_late([holding(7, age_s=age_s), holding(8, age_s=None)], TALKATIVE, 2)
    assert late.far_overdue == {7: frozenset({"a"}), 8: frozenset({"a"})}


def test_a_short_delay_is_none_even_of_short_segments():
    """Ray's own delays on a busy machine are no reason to draw twice before the end."""
    late = look_for_late([holding(age_s=1.9, expected_s=0.01)], TALKATIVE, 2)
    assert late.far_overdue == {}


def test_what_others_have_drawn_is_not_drawn_again():
    """Its actor is ended once it is far too late: it cannot be waited for in vain."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    late = look_for_late([holding(7, age_s=age_s, is_wanted=False)], TALKATIVE, 2)
    assert late.overdue == {} and late.far_overdue == {}
    assert late.given_up == (1,)


def test_a_slow_actor_whose_segment_is_wanted_goes_on():
    """On a node that speaks it is slow, not gone; its segment may be the last that is drawn."""
    late = look_for_late([holding(age_s=1000.0)], TALKATIVE, 2)
    assert late.given_up == ()


def test_a_node_that_says_nothing_is_silent_and_its_actors_are_given_up():
    """All of its actors hold what is overdue, and nothing came from it meanwhile."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    held = [holding(1, 1, "a", age_s), holding(2, 2, "b", 0.1)]
    late = look_for_late(held, {"a": age_s, "b": 0.0}, 2)
    assert late.silent_nodes == {"a"}
    assert late.given_up == (1,)


def test_one_node_alone_is_never_silent():
    """There is nobody to do its work: it is waited for."""
    assert look_for_late([holding(age_s=100.0)], {"a": 100.0}, 1).silent_nodes == frozenset()


def test_where_all_nodes_say_nothing_none_is_silent():
    """Then the frames take that long: nobody is ended, and somebody goes on to draw."""
    age_s = 100 * GIVEN_UP
    held = [holding(1, 1, "a", age_s), holding(2, 2, "b", age_s)]
    late = look_for_late(held, {"a": age_s, "b": age_s}, 2)
    assert late.silent_nodes == frozenset() and late.given_up == ()


def test_what_is_given_up_unfinished_may_take_as_long_elsewhere():
    """Else a heavy scene would be begun again and again, and ended each time."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    unfinished = Holding(1, "a", 1, age_s, 1.0, frames=10)
    late = look_for_late([unfinished, holding(2, 2, "b", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == (1,)
    assert late.patience_s == pytest.approx(age_s / 10)
    assert look_for_late([holding(age_s=0.1)], TALKATIVE, 2).patience_s == 0.0


@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_travels_slowly_says_nothing_against_its_actor(is_wanted):
    """It is drawn again elsewhere where it is wanted; the actor draws something else by now."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    on_its_way = Holding(1, "a", 7, age_s, 1.0, is_wanted, travels=True)
    late = look_for_late([on_its_way, holding(8, 1, "a", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == () and late.silent_nodes == frozenset()
    assert set(late.far_overdue) == ({7} if is_wanted else set())


def test_copies_are_bounded_while_there_are_new_segments():
    """One, and one more for every four actors; those that run count."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    held = [holding(1, 1, "a", age_s), holding(1, 2, "b", 0.1), holding(2, 3, "c", 0.1)]
    assert look_for_late(held, TALKATIVE, 3).copies_left == 0
    assert look_for_late(held, TALKATIVE, 8).copies_left == 2


def test_a_copy_goes_to_another_node():
    """The nodes where a segment is being drawn are told with it."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    held = [holding(1, 1, "a", age_s), holding(1, 2, "b", 0.1)]
    assert look_for_late(held, TALKATIVE, 8).far_overdue == {1: frozenset({"a", "b"})}
