"""Promises of the scheduler's parts: ordering, overdue segments, nodes, starts, limits, chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.scheduler import (
    FAR_OVERDUE,
    FORGIVEN_BY,
    GIVEN_UP,
    MAX_CHUNK_FRAMES,
    MAX_DEATHS,
    MAX_FAILURES,
    MAX_NODES_TRIED,
    MIN_TIMEOUT_S,
    NOTHING_OVERDUE,
    OPENING_FACTOR,
    OPENING_LIMIT_S,
    OVERDUE,
    SLACK_S,
    ActorStarts,
    Assignment,
    NodeFailures,
    Ordering,
    Pace,
    Prefix,
    chunk_frames,
    find_overdue,
    timeout_s,
)

# ---- what comes in any order


@given(st.permutations(range(15)), st.integers(0, 100))
def test_every_permutation_leaves_in_order(order: list[int], first: int) -> None:
    """Each item is released as soon as all before it have come, and none is kept."""
    ordering: Ordering[str] = Ordering(first)
    released: list[str] = []
    arrived: set[int] = set()
    for index in order:
        arrived.add(index)
        released += ordering.put(first + index, f"item {index}")
        in_order = next(each for each in range(16) if each not in arrived)
        assert released == [f"item {each}" for each in range(in_order)]
        assert len(ordering) == len(arrived) - in_order


@given(st.lists(st.integers(0, 12)), st.data())
def test_a_prefix_is_taken_once_without_a_gap(indices: list[int], data: st.DataObject) -> None:
    """In whatever order they come and are taken, and however often one comes."""
    prefix, arrived, taken = Prefix(), set[int](), list[int]()
    for index in indices:
        assert prefix.add(index) == (index not in arrived)
        arrived.add(index)
        if data.draw(st.booleans()):
            is_ready = prefix.is_ready
            run = prefix.take()
            assert is_ready == bool(run)
            taken += run
    taken += prefix.take()
    assert taken == list(range(next(each for each in range(14) if each not in arrived)))
    assert (prefix.next, prefix.is_ready) == (len(taken), False)


# ---- what is overdue


ANSWERING = {"a": 0.0, "b": 0.0, "c": 0.0}


def assignment(index=0, number=1, node="a", age_s=0.0, expected_s=1.0, is_wanted=True):
    return Assignment(number, node, index, age_s, expected_s, is_wanted)


def test_what_a_segment_takes_is_not_known_before_one_was_drawn():
    """Nothing is overdue then, however long it takes."""
    assert Pace().expected_s(10) is None
    assert find_overdue([assignment(age_s=1e6, expected_s=None)], ANSWERING, 3).overdue == {}


def test_a_heavy_scene_says_more_than_the_average():
    """Half of the slowest frame's time is expected of all, where the average is less."""
    assert Pace(frame_s=0.1, slowest_s=0.1).expected_s(10) == pytest.approx(1.0)
    assert Pace(frame_s=0.1, slowest_s=1.0).expected_s(10) == pytest.approx(5.0)


def test_nothing_is_late_while_all_is_in_time():
    """A look at actors that do well is the value for nothing, but for the copies left."""
    late = find_overdue([assignment(0, 1, "a", 1.9), assignment(1, 2, "b", 0.5)], ANSWERING, 2)
    assert (late.overdue, late.far_overdue) == (
        NOTHING_OVERDUE.overdue,
        NOTHING_OVERDUE.far_overdue,
    )
    assert late.unresponsive_nodes == frozenset() and late.given_up == ()


def test_an_overdue_segment_is_for_idle_actors():
    """Twice the expected is enough where there is nothing else to draw."""
    late = find_overdue([assignment(7, age_s=OVERDUE + 0.1)], ANSWERING, 2)
    assert late.overdue == {7: frozenset({"a"})}
    assert late.far_overdue == {}


def test_a_far_overdue_segment_goes_before_new_ones_with_all_that_waits_behind_it():
    """What an actor has not begun is as late as what it draws."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    late = find_overdue([assignment(7, age_s=age_s), assignment(8, age_s=None)], ANSWERING, 2)
    assert late.far_overdue == {7: frozenset({"a"}), 8: frozenset({"a"})}


def test_a_short_delay_is_none_even_of_short_segments():
    """Ray's own delays on a busy machine are no reason to draw twice before the end."""
    late = find_overdue([assignment(age_s=1.9, expected_s=0.01)], ANSWERING, 2)
    assert late.far_overdue == {}


def test_what_others_have_drawn_is_not_drawn_again():
    """Its actor is ended once it is far too late: it cannot be waited for in vain."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    late = find_overdue([assignment(7, age_s=age_s, is_wanted=False)], ANSWERING, 2)
    assert late.overdue == {} and late.far_overdue == {}
    assert late.given_up == (1,)


def test_a_slow_actor_whose_segment_is_wanted_goes_on():
    """On a node that speaks it is slow, not gone; its segment may be the last that is drawn."""
    late = find_overdue([assignment(age_s=1000.0)], ANSWERING, 2)
    assert late.given_up == ()


def test_actors_of_a_node_that_does_not_answer_are_given_up():
    """All of its actors hold what is overdue, and nothing came from it meanwhile."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(2, 2, "b", 0.1)]
    late = find_overdue(held, {"a": age_s, "b": 0.0}, 2)
    assert late.unresponsive_nodes == {"a"}
    assert late.given_up == (1,)


def test_one_node_alone_is_never_unresponsive():
    """No other node could do its work: it is waited for."""
    assert (
        find_overdue([assignment(age_s=100.0)], {"a": 100.0}, 1).unresponsive_nodes == frozenset()
    )


def test_where_no_node_answers_none_is_unresponsive():
    """Then the frames take that long: no actor is ended."""
    age_s = 100 * GIVEN_UP
    held = [assignment(1, 1, "a", age_s), assignment(2, 2, "b", age_s)]
    late = find_overdue(held, {"a": age_s, "b": age_s}, 2)
    assert late.unresponsive_nodes == frozenset() and late.given_up == ()


def test_what_is_given_up_unfinished_may_take_as_long_elsewhere():
    """Else a heavy scene would be begun again and again, and ended each time."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    unfinished = Assignment(1, "a", 1, age_s, 1.0, frames=10)
    late = find_overdue([unfinished, assignment(2, 2, "b", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == (1,)
    assert late.patience_s == pytest.approx(age_s / 10)
    assert find_overdue([assignment(age_s=0.1)], ANSWERING, 2).patience_s == 0.0


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_slow_transfer_is_not_the_actor_s_fault(is_wanted):
    """It is drawn again elsewhere where it is wanted; the actor draws something else by now."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    on_its_way = Assignment(1, "a", 7, age_s, 1.0, is_wanted, in_transfer=True)
    late = find_overdue([on_its_way, assignment(8, 1, "a", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == () and late.unresponsive_nodes == frozenset()
    assert set(late.far_overdue) == ({7} if is_wanted else set())


def test_copies_are_bounded_while_there_are_new_segments():
    """One, and one more for every four actors; those that run count."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(1, 2, "b", 0.1), assignment(2, 3, "c", 0.1)]
    assert find_overdue(held, ANSWERING, 3).copies_left == 0
    assert find_overdue(held, ANSWERING, 8).copies_left == 2


def test_a_copy_goes_to_another_node():
    """The nodes where a segment is being drawn are given with it."""
    age_s = FAR_OVERDUE + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(1, 2, "b", 0.1)]
    assert find_overdue(held, ANSWERING, 8).far_overdue == {1: frozenset({"a", "b"})}


# ---- nodes that fail


def book_of(*nodes):
    book = NodeFailures()
    for node in nodes:
        book.seen(node)
    return book


def test_a_node_is_left_out_after_three_failures():
    """Not before, and with what happened there."""
    book = book_of("a", "b")
    assert [book.failed("a", "died") for _ in range(MAX_FAILURES - 1)] == [None, None]
    exclusion = book.failed("a", "died at last")
    assert (exclusion.node, exclusion.failures, exclusion.why) == ("a", 3, "died at last")
    assert book.excluded == ["a"]


def test_no_node_is_left_out_where_all_do_badly():
    """Then the video is at fault, which ends it by its segments."""
    book = book_of("a", "b")
    for _ in range(10):
        assert book.failed("a", "died") is None
        assert book.failed("b", "died") is None
    assert book.excluded == []


def test_the_only_node_is_never_left_out():
    """Somebody has to draw."""
    book = book_of("a")
    assert [book.failed("a", "died") for _ in range(10)] == [None] * 10


def test_what_a_node_drew_makes_good_for_what_it_lost():
    """A machine of a long job may fail now and then."""
    book = book_of("a", "b")
    for _ in range(20):
        assert book.failed("a", "died") is None
        for index in range(FORGIVEN_BY):
            book.drawn("a", index)


def test_a_failure_of_full_weight_leaves_a_node_out_at_once():
    """One that never opened the source, where others did."""
    assert book_of("a", "b").failed("a", "hung", weight=MAX_FAILURES) is not None


def test_a_segment_is_not_drawn_again_where_it_failed():
    """While there is another node; it is forgotten once the segment is drawn."""
    book = book_of("a", "b")
    book.failed("a", "died", index=7)
    assert book.to_avoid("a", {"a", "b"}) == {7}
    assert book.to_avoid("b", {"a", "b"}) == frozenset()
    assert book.to_avoid("a", {"a"}) == frozenset()
    book.drawn("b", 7)
    assert book.to_avoid("a", {"a", "b"}) == frozenset() and not book.has_failures


def test_a_failure_on_an_unknown_node_is_counted_for_none():
    """An actor may die before it has said where it lives."""
    book = book_of("a", "b")
    assert [book.failed(None, "died") for _ in range(10)] == [None] * 10
    assert book.excluded == []


# ---- actors that start


def test_the_first_opening_may_take_for_ever():
    """Its time is not known before."""
    assert ActorStarts().limit_s == float("inf")


def test_an_opening_may_take_ten_times_the_slowest():
    """And half a minute, however quick the others were."""
    starts = ActorStarts()
    starts.opened(0.5)
    assert starts.limit_s == OPENING_LIMIT_S
    starts.opened(60.0)
    starts.opened(1.0)
    assert starts.limit_s == 60.0 * OPENING_FACTOR


def test_actors_that_die_are_counted_in_a_row_and_by_nodes():
    """Three on each of a few nodes; one that opens its source makes good for all."""
    starts = ActorStarts(deaths=MAX_DEATHS)
    assert starts.too_many_deaths(nodes=0) and starts.too_many_deaths(nodes=1)
    assert not starts.too_many_deaths(nodes=2)
    starts.deaths = MAX_DEATHS * MAX_NODES_TRIED
    assert starts.too_many_deaths(nodes=1000)
    starts.opened(1.0)
    assert not starts.too_many_deaths(nodes=1)


# ---- how long a job waits


def test_short_work_has_a_quarter_of_an_hour() -> None:
    """A machine may be busy with other things."""
    assert timeout_s(48, 0.02, 1.0) == MIN_TIMEOUT_S == 900


def test_slow_frames_are_waited_for_from_the_first_segment_on() -> None:
    """250 frames of 5 s are first reported after 21 minutes."""
    assert timeout_s(250, 5.0, 1.0) > 2 * 250 * 5


def test_a_heavy_scene_in_a_light_video_is_waited_for() -> None:
    """Frames so far were quick, and only whole segments are reported."""
    assert timeout_s(250, 0.02, 1.0) > 2 * 250 * 5


def test_an_open_that_takes_minutes_is_waited_for() -> None:
    """Data may be loaded from a slow disk in each actor."""
    assert timeout_s(48, 0.02, 120.0) == 2400


def test_patience_with_a_frame_that_hangs_does_not_lengthen_the_timeout() -> None:
    """A frame that hangs wherever it is drawn would otherwise do so for hours."""
    pace = Pace(frame_s=0.1, slowest_s=0.3, patience_s=60.0)
    assert pace.expected_s(10) == 300
    assert pace.known_s == 0.15


# ---- chunks of raw frames


MIB = 2**20
HD_BYTES = 1920 * 1080 * 3 // 2


def test_a_chunk_is_a_quarter_of_a_second_of_drawing() -> None:
    """Ray's 2 to 3 ms per chunk are then about one per cent."""
    assert chunk_frames(1000, 0.0125, None, 2, 256 * MIB, 2) == 20


def test_a_costly_frame_is_a_chunk() -> None:
    """Here one of a second."""
    assert chunk_frames(1000, 1.0, None, 2, 256 * MIB, 2) == 1


@pytest.mark.parametrize("draw_s", [0.0, 1e-9, 0.001])
def test_cheap_frames_stop_at_the_largest_chunk(draw_s: float) -> None:
    """Frames that cost nothing measurable are no division by zero."""
    assert chunk_frames(1000, draw_s, None, 2, 256 * MIB, 2) == MAX_CHUNK_FRAMES


def test_large_frames_make_chunks_that_fit_the_window() -> None:
    """8 actors with 2 chunks each, one in the encoder, one that waits: 18 fit."""
    assert chunk_frames(HD_BYTES, 0.001, None, 8, 256 * MIB, 2) == 4


def test_a_short_job_gives_each_actor_several_chunks() -> None:
    """100 frames for 4 actors are cut into at least 16 chunks."""
    assert chunk_frames(1000, 0.001, 100, 4, 256 * MIB, 2) == 6


@given(
    st.integers(1, 10**9),
    st.floats(0.0, 10.0),
    st.none() | st.integers(0, 10**7),
    st.integers(0, 1000),
    st.integers(1, 2**34),
    st.integers(1, 8),
)
def test_a_chunk_is_never_empty_and_fits_unless_it_is_one_frame(
    frame_bytes: int,
    draw_s: float,
    frames: int | None,
    actors: int,
    in_flight_bytes: int,
    queue_size: int,
) -> None:
    """All chunks that there may be at once fit the window, if single frames do."""
    size = chunk_frames(frame_bytes, draw_s, frames, actors, in_flight_bytes, queue_size)
    assert 1 <= size <= MAX_CHUNK_FRAMES
    at_once = (2 + queue_size * actors) * size * frame_bytes
    assert size == 1 or at_once <= in_flight_bytes
    assert size == 1 or frames is None or frames // size >= 4 * actors
