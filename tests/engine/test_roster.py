"""The counts that the driver's loop reads are those that looking at every actor would give."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rayanim.engine.plan import Segment
from rayanim.engine.pool import Member, Roster
from rayanim.parameters import Batch


def segment(index: int) -> Segment:
    """A segment of one frame."""
    return Segment(index, index, index + 1, Batch(range(index, index + 1), None))


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
        self.roster.add(Member(next(self.numbers), None, node=node))

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
            self.roster.begin(self.roster[number], segment(next(self.indices)))
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
        idle = {each.number for each in members if each.can_take and not each.held}
        assert set(self.roster.idle()) == idle
        assert self.roster.drawing() == [each.held[0] for each in members if each.held]


TestCompany = Company.TestCase
TestCompany.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_those_who_have_not_come_are_released_first_then_the_idlest() -> None:
    """An actor that still starts is no loss, and the youngest goes before the older ones."""
    roster = Roster()
    for number in range(4):
        roster.add(Member(number, None))
        if number < 3:
            roster.open(roster[number])
    roster.begin(roster[2], segment(0))
    assert [each.number for each in roster.to_release(4)] == [3, 1, 0, 2]
    roster.leave(roster[3])
    assert [each.number for each in roster.to_release(1)] == [1]
    assert roster.to_release(0) == roster.to_release(-1) == []


def test_nodes_with_few_actors_are_emptied_first() -> None:
    """A node on which nothing runs can go; one of ten actors less saves nothing."""
    roster = Roster()
    for number, node in enumerate(["a", "b", "c", "b", "a", "a"]):
        member = Member(number, None, node=node)
        roster.add(member)
        roster.answer(member)
        roster.open(member)
    assert [each.node for each in roster.to_release(4)] == ["c", "b", "b", "a"]
