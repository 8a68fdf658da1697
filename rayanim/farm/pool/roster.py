"""Knows each render actor's state: who is there, who can draw and who has a place free; PURE.

Everything that is asked in every turn of the driver's loop is counted along,
so that a turn costs the same with 10 actors as with 10,000.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rayanim.farm.planning.plan import Segment


@dataclass(slots=True, eq=False)
class Member:
    """One render actor as the driver sees it; a `Roster` changes it.

    Attributes
    ----------
    handle
        What calls reach it by.
    asked_s
        When it was asked for.
    node
        Where it lives; None before it has said so.
    answered_s
        When it said so.
    held
        Its segments, the one that it draws first.
    began_s
        When it began to draw that one.
    refs
        Calls to it that it has not answered.
    """

    number: int
    handle: Any
    asked_s: float = 0.0
    has_answered: bool = False
    node: str | None = None
    answered_s: float = 0.0
    is_open: bool = False
    held: deque[Segment] = field(default_factory=deque)
    began_s: float = 0.0
    leaving: bool = False
    refs: set[Any] = field(default_factory=set)

    @property
    def can_take(self) -> bool:
        """Whether it may get segments."""
        return self.is_open and not self.leaving


class Roster:
    """All render actors of a job.

    Attributes
    ----------
    requested
        Actors asked for, those included that have answered; without those told to leave.
    alive
        Actors that can draw and were not told to leave.
    answered
        Actors whose process is there, those included that still open their source.
    """

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        # Those that can take segments, by how many they hold; dicts are ordered sets.
        self._by_held: list[dict[int, None]] = [{}]
        self._on_node: Counter[str] = Counter()
        self.requested = 0
        self.alive = 0
        self.answered = 0

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, number: int) -> bool:
        return number in self._members

    def __getitem__(self, number: int) -> Member:
        return self._members[number]

    @property
    def nodes(self) -> int:
        """Nodes on which actors have answered."""
        return len(self._on_node)

    def add(self, member: Member) -> None:
        """An actor was asked for."""
        self._members[member.number] = member
        self.requested += 1
        self._enlist(member)

    def answer(self, member: Member) -> None:
        """Its process is there."""
        if not member.has_answered:
            member.has_answered = True
            self.answered += 1
            if member.node is not None:
                self._on_node[member.node] += 1

    def open(self, member: Member) -> None:
        """It can draw."""
        if not member.is_open:
            member.is_open = True
            self._enlist(member)

    def leave(self, member: Member) -> None:
        """It was told to leave, and gets nothing more."""
        if not member.leaving:
            self._strike(member)
            member.leaving = True
            self.requested -= 1

    def begin(self, member: Member, segment: Segment) -> None:
        """It was given a segment."""
        self._strike(member)
        member.held.append(segment)
        self._enlist(member)

    def end(self, member: Member, segment: Segment) -> None:
        """It has drawn a segment."""
        self._strike(member)
        member.held.remove(segment)
        self._enlist(member)

    def remove(self, member: Member) -> None:
        """It is gone, or ended; nothing happens where it is not known any more."""
        if self._members.pop(member.number, None) is None:
            return
        self._strike(member)
        self.answered -= member.has_answered
        if member.has_answered and member.node is not None:
            self._on_node[member.node] -= 1
            if not self._on_node[member.node]:
                del self._on_node[member.node]
        self.requested -= not member.leaving

    def idle(self) -> list[int]:
        """Numbers of the actors that could draw and have nothing to."""
        return list(self._by_held[0])

    def drawing(self) -> list[Segment]:
        """What is being drawn now, one segment per busy actor."""
        return [member.held[0] for member in self if member.held]

    def free_places(self, depth: int) -> Iterator[int]:
        """Actors that can take a segment, the idlest first; once per free place.

        What they get in the meantime changes nothing.

        Parameters
        ----------
        depth
            Segments that one actor holds, the one it draws included.
        """
        by_held = [list(numbers) for numbers in self._by_held[:depth]]
        for level in range(depth):
            for numbers in by_held[: level + 1]:
                yield from numbers

    def to_release(self, count: int) -> list[Member]:
        """The members to let go first: such as have not answered, then those with the least to do.

        Of those the ones on nodes with the fewest actors go first, so that nodes
        are empty soon, and can go.

        Parameters
        ----------
        count
            How many; none where it is not positive.
        """
        if count <= 0:
            return []
        staying = [member for member in self if not member.leaving]
        staying.sort(key=self._dispensability)
        return staying[:count]

    def _dispensability(self, member: Member) -> tuple[bool, int, int, str, int]:
        node = member.node or ""
        return member.is_open, len(member.held), self._on_node[node], node, -member.number

    def _enlist(self, member: Member) -> None:
        if member.can_take:
            while len(self._by_held) <= len(member.held):
                self._by_held.append({})
            self._by_held[len(member.held)][member.number] = None
            self.alive += 1

    def _strike(self, member: Member) -> None:
        if member.can_take:
            del self._by_held[len(member.held)][member.number]
            self.alive -= 1
