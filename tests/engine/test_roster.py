"""The counts that the driver's loop reads are those that looking at every actor would give."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rayanim.engine.plan import Chunk
from rayanim.engine.roster import (
    FORGIVEN_BY,
    GIVEN_UP,
    LATE,
    MAX_DEATHS,
    MAX_FAILURES,
    MAX_NODES_TRIED,
    NOTHING_LATE,
    OPENING_FACTOR,
    OPENING_LIMIT_S,
    SLACK_S,
    VERY_LATE,
    ActorStarts,
    Assignment,
    Member,
    NodeFailures,
    Pace,
    Roster,
    find_late,
)
from rayanim.parameters import Batch


def chunk(index: int) -> Chunk:
    """A chunk of one frame."""
    return Chunk(index, index, index + 1, Batch(range(index, index + 1), None))


class Company(RuleBasedStateMachine):
    """Actors that come, draw, are asked to leave and die, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.numbers = count()
        self.indices = count()

    def pick(self, data: st.DataObject) -> Member:
        return data.draw(st.sampled_from(list(self.roster)))

    @rule(node=st.sampled_from(["a", "b", "c"]))
    def add(self, node: str) -> None:
        self.roster.add(Member(next(self.numbers), node=node))

    @precondition(lambda self: list(self.roster))
    @rule(data=st.data(), step=st.sampled_from(["answer", "open", "leave", "remove"]))
    def step(self, data: st.DataObject, step: str) -> None:
        member = self.pick(data)
        getattr(self.roster, step)(member)
        if step == "remove":
            # Its last call may fail after it was ended.
            self.roster.remove(member)

    @precondition(lambda self: any(each.can_take for each in self.roster))
    @rule(depth=st.integers(1, 3), data=st.data())
    def begin(self, depth: int, data: st.DataObject) -> None:
        wanted = data.draw(st.integers(0, 4))
        places = [
            (len(each.held) + extra, each.number)
            for each in self.roster
            if each.can_take
            for extra in range(depth - len(each.held))
        ]
        given = []
        for number in self.roster.free_places(depth):
            if len(given) == wanted:
                break
            given.append((len(self.roster[number].held), number))
            self.roster.begin(self.roster[number], chunk(next(self.indices)))
        assert len(given) == min(wanted, len(places))
        assert [held for held, _ in given] == sorted(held for held, _ in places)[: len(given)]
        assert set(given) <= set(places)
        assert len(set(given)) == len(given)

    @precondition(lambda self: any(each.held for each in self.roster))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from([each for each in self.roster if each.held]))
        self.roster.end(member, data.draw(st.sampled_from(list(member.held))))

    @invariant()
    def counts_are_those_of_the_members(self) -> None:
        members = list(self.roster)
        assert self.roster.requested == sum(not each.leaving for each in members)
        assert self.roster.alive == sum(each.is_open and not each.leaving for each in members)
        assert self.roster.answered == sum(each.has_answered for each in members)
        assert self.roster.nodes == len({each.node for each in members if each.has_answered})
        opening = {each.number for each in members if each.has_answered and not each.is_open}
        assert {each.number for each in self.roster.opening} == opening
        working = {each.node for each in members if each.can_take}
        assert self.roster.working_nodes() == working
        assert self.roster.drawing() == [each.held[0] for each in members if each.held]


TestCompany = Company.TestCase
TestCompany.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_those_who_have_not_come_are_released_first_then_the_idlest() -> None:
    """An actor that still starts is no loss, and the youngest goes before the older ones."""
    roster = Roster()
    for number in range(4):
        roster.add(Member(number))
        if number < 3:
            roster.open(roster[number])
    roster.begin(roster[2], chunk(0))
    assert [each.number for each in roster.to_release(4)] == [3, 1, 0, 2]
    roster.leave(roster[3])
    assert [each.number for each in roster.to_release(1)] == [1]
    assert roster.to_release(0) == roster.to_release(-1) == []


def test_nodes_with_few_actors_are_emptied_first() -> None:
    """A node on which nothing runs can go; one of ten actors less saves nothing."""
    roster = Roster()
    for number, node in enumerate(["a", "b", "c", "b", "a", "a"]):
        member = Member(number, node=node)
        roster.add(member)
        roster.answer(member)
        roster.open(member)
    assert [each.node for each in roster.to_release(4)] == ["c", "b", "b", "a"]


# ---- what is late

ANSWERING = {"a": 0.0, "b": 0.0, "c": 0.0}


def assignment(index=0, number=1, node="a", age_s=0.0, expected_s=1.0, is_wanted=True):
    return Assignment(number, node, index, age_s, expected_s, is_wanted)


def test_what_a_segment_takes_is_not_known_before_one_was_drawn():
    """Nothing is late then, however long it takes."""
    assert Pace().expected_s(10) is None
    assert find_late([assignment(age_s=1e6, expected_s=None)], ANSWERING, 3).chunks == {}


def test_a_heavy_scene_says_more_than_the_average():
    """Half of the slowest frame's time is expected of all, where the average is less."""
    assert Pace(frame_s=0.1, slowest_s=0.1).expected_s(10) == pytest.approx(1.0)
    assert Pace(frame_s=0.1, slowest_s=1.0).expected_s(10) == pytest.approx(5.0)


def test_nothing_is_late_while_all_is_in_time():
    """A look at actors that do well is the value for nothing, but for the copies left."""
    late = find_late([assignment(0, 1, "a", 1.9), assignment(1, 2, "b", 0.5)], ANSWERING, 2)
    assert (late.chunks, late.very_late) == (
        NOTHING_LATE.chunks,
        NOTHING_LATE.very_late,
    )
    assert late.unresponsive_nodes == frozenset() and late.given_up == ()


def test_a_late_segment_is_for_idle_actors():
    """Twice the expected is enough where there is nothing else to draw."""
    late = find_late([assignment(7, age_s=LATE + 0.1)], ANSWERING, 2)
    assert late.chunks == {7: frozenset({"a"})}
    assert late.very_late == {}


def test_a_very_late_segment_goes_before_new_ones_with_all_that_waits_behind_it():
    """What an actor has not begun is as late as what it draws."""
    age_s = VERY_LATE + SLACK_S + 0.1
    late = find_late([assignment(7, age_s=age_s), assignment(8, age_s=None)], ANSWERING, 2)
    assert late.very_late == {7: frozenset({"a"}), 8: frozenset({"a"})}


def test_a_short_delay_is_none_even_of_short_segments():
    """Ray's own delays on a busy machine are no reason to draw twice before the end."""
    late = find_late([assignment(age_s=1.9, expected_s=0.01)], ANSWERING, 2)
    assert late.very_late == {}


def test_what_others_have_drawn_is_not_drawn_again():
    """Its actor is ended once it is far too late: it cannot be waited for in vain."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    late = find_late([assignment(7, age_s=age_s, is_wanted=False)], ANSWERING, 2)
    assert late.chunks == {} and late.very_late == {}
    assert late.given_up == (1,)


def test_a_slow_actor_whose_segment_is_wanted_goes_on():
    """On a node that speaks it is slow, not gone; its segment may be the last that is drawn."""
    late = find_late([assignment(age_s=1000.0)], ANSWERING, 2)
    assert late.given_up == ()


def test_actors_of_a_node_that_does_not_answer_are_given_up():
    """All of its actors hold what is late, and nothing came from it meanwhile."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(2, 2, "b", 0.1)]
    late = find_late(held, {"a": age_s, "b": 0.0}, 2)
    assert late.unresponsive_nodes == {"a"}
    assert late.given_up == (1,)


def test_one_node_alone_is_never_unresponsive():
    """No other node could do its work: it is waited for."""
    assert find_late([assignment(age_s=100.0)], {"a": 100.0}, 1).unresponsive_nodes == frozenset()


def test_where_no_node_answers_none_is_unresponsive():
    """Then the frames take that long: no actor is ended."""
    age_s = 100 * GIVEN_UP
    held = [assignment(1, 1, "a", age_s), assignment(2, 2, "b", age_s)]
    late = find_late(held, {"a": age_s, "b": age_s}, 2)
    assert late.unresponsive_nodes == frozenset() and late.given_up == ()


def test_what_is_given_up_unfinished_may_take_as_long_elsewhere():
    """Else a heavy scene would be begun again and again, and ended each time."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    unfinished = Assignment(1, "a", 1, age_s, 1.0, frames=10)
    late = find_late([unfinished, assignment(2, 2, "b", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == (1,)
    assert late.patience_s == pytest.approx(age_s / 10)
    assert find_late([assignment(age_s=0.1)], ANSWERING, 2).patience_s == 0.0


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_slow_transfer_is_not_the_actor_s_fault(is_wanted):
    """It is drawn again elsewhere where it is wanted; the actor draws something else by now."""
    age_s = GIVEN_UP + SLACK_S + 0.1
    on_its_way = Assignment(1, "a", 7, age_s, 1.0, is_wanted, in_transfer=True)
    late = find_late([on_its_way, assignment(8, 1, "a", 0.1)], {"a": age_s, "b": 0.0}, 2)
    assert late.given_up == () and late.unresponsive_nodes == frozenset()
    assert set(late.very_late) == ({7} if is_wanted else set())


def test_copies_are_bounded_while_there_are_new_segments():
    """One, and one more for every four actors; those that run count."""
    age_s = VERY_LATE + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(1, 2, "b", 0.1), assignment(2, 3, "c", 0.1)]
    assert find_late(held, ANSWERING, 3).copies_left == 0
    assert find_late(held, ANSWERING, 8).copies_left == 2


def test_a_copy_goes_to_another_node():
    """The nodes where a segment is being drawn are given with it."""
    age_s = VERY_LATE + SLACK_S + 0.1
    held = [assignment(1, 1, "a", age_s), assignment(1, 2, "b", 0.1)]
    assert find_late(held, ANSWERING, 8).very_late == {1: frozenset({"a", "b"})}


# ---- nodes that fail


def book_of(*nodes):
    book = NodeFailures()
    for node in nodes:
        book.seen(node)
    return book


def test_a_node_is_left_out_after_three_failures():
    """Not before."""
    book = book_of("a", "b")
    assert [book.failed("a") for _ in range(MAX_FAILURES - 1)] == [False, False]
    assert book.failed("a") and book.counts["a"] == 3
    assert book.excluded == ["a"]


def test_no_node_is_left_out_where_all_do_badly():
    """Then the video is at fault, which ends it by its segments."""
    book = book_of("a", "b")
    for _ in range(10):
        assert not book.failed("a")
        assert not book.failed("b")
    assert book.excluded == []


def test_the_only_node_is_never_left_out():
    """Somebody has to draw."""
    book = book_of("a")
    assert [book.failed("a") for _ in range(10)] == [False] * 10


def test_what_a_node_drew_makes_good_for_what_it_lost():
    """A machine of a long job may fail now and then."""
    book = book_of("a", "b")
    for _ in range(20):
        assert not book.failed("a")
        for index in range(FORGIVEN_BY):
            book.drawn("a", index)


def test_a_failure_of_full_weight_leaves_a_node_out_at_once():
    """One that never opened the source, where others did."""
    assert book_of("a", "b").failed("a", weight=MAX_FAILURES)


def test_a_segment_is_not_drawn_again_where_it_failed():
    """While there is another node; it is forgotten once the segment is drawn."""
    book = book_of("a", "b")
    book.failed("a", index=7)
    assert book.to_avoid("a", {"a", "b"}) == {7}
    assert book.to_avoid("b", {"a", "b"}) == frozenset()
    assert book.to_avoid("a", {"a"}) == frozenset()
    book.drawn("b", 7)
    assert book.to_avoid("a", {"a", "b"}) == frozenset() and not book.has_failures


def test_a_failure_on_an_unknown_node_is_counted_for_none():
    """An actor may die before it has said where it lives."""
    book = book_of("a", "b")
    assert [book.failed(None) for _ in range(10)] == [False] * 10
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
