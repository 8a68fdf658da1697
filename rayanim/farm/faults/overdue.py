"""Tells which segments are overdue, and which actors are waited for in vain; PURE.

A frozen or cut-off node says nothing: its calls stay open until Ray has given
the node up, which takes 15 s and more. How long a segment takes is known from
those before it, and often tells earlier. An overdue segment may be slow, too:
so its actor goes on, and another one draws a copy. Whichever comes first
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OVERDUE = 2.0
"""After so many times the expected an actor with nothing else to do may draw a copy."""

FAR_OVERDUE = 4.0
"""After so many times the expected a copy goes before new segments."""

GIVEN_UP = 10.0
"""After so many times the expected an actor is ended that nobody waits for any more."""

SLACK_S = 2.0
"""What a call may take beyond drawing: Ray's own delays on a busy machine."""

COPIED_SHARE = 0.25
"""The share of the actors that may draw copies while there are new segments."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long frames have taken so far, encoding included where actors encode.

    Attributes
    ----------
    frame_s
        What a frame takes on average; None before the first.
    slowest_s
        What a frame took in the slowest segment.
    patience_s
        See `Lateness`: what a frame may take that nobody has drawn yet.
    """

    frame_s: float | None = None
    slowest_s: float = 0.0
    patience_s: float = 0.0

    @property
    def known_s(self) -> float:
        """What a frame may well take, by those that were drawn; 0 before the first.

        In a film with heavy scenes the slowest segment says more than the average.
        """
        return max(self.frame_s or 0.0, self.slowest_s / 2)

    def expected_s(self, frames: int) -> float | None:
        """What a segment of so many frames may well take; None before one was drawn."""
        if self.frame_s is None:
            return None
        return frames * max(self.known_s, self.patience_s / 2)


@dataclass(frozen=True, slots=True)
class Holding:
    """A segment in an actor's hands, or on its way from there to the driver's node.

    Attributes
    ----------
    number, node
        The actor, and where it lives.
    index
        The segment.
    age_s
        Seconds since it was begun, or since it was drawn where it is on its
        way; None where it was not begun.
    expected_s
        What that may well take; None where nothing is known.
    is_wanted
        Whether nobody else has drawn it.
    frames
        How many it has.
    travels
        Whether it is drawn and on its way. Its actor draws something else by
        now: a slow link says nothing against it.
    """

    number: int
    node: str | None
    index: int
    age_s: float | None
    expected_s: float | None
    is_wanted: bool = True
    frames: int = 1
    travels: bool = False

    def is_late(self, factor: float, slack_s: float = 0.0) -> bool:
        """Whether it has lasted so many times the expected, and the slack."""
        if self.age_s is None or self.expected_s is None:
            return False
        return self.age_s > factor * self.expected_s + slack_s

    @property
    def frame_s(self) -> float:
        """What a frame of it has taken so far."""
        return (self.age_s or 0.0) / max(1, self.frames)


@dataclass(frozen=True, slots=True)
class Lateness:
    """What is overdue at one moment.

    Attributes
    ----------
    overdue
        Segments that an actor with nothing else to do may draw, too, with the
        nodes where they are being drawn.
    far_overdue
        Those that go before new ones, at most `copies_left` of them.
    silent_nodes
        Nodes from which nothing came since one of their segments was due. They
        get nothing new.
    given_up
        Actors that nobody waits for: another one has drawn their segment, or
        their node is silent.
    copies_left
        Copies that may be begun while there are new segments.
    patience_s
        What a frame took in the segments that are given up though nobody else
        has drawn them: wherever they are drawn next, they may well take as long.
    """

    overdue: Mapping[int, frozenset[str | None]]
    far_overdue: Mapping[int, frozenset[str | None]]
    silent_nodes: frozenset[str]
    given_up: tuple[int, ...]
    copies_left: int
    patience_s: float = 0.0


NOTHING_LATE = Lateness({}, {}, frozenset(), (), 0)


def look_for_late(
    holdings: Iterable[Holding], heard_ago_s: Mapping[str, float], actors: int
) -> Lateness:
    """What is overdue.

    Parameters
    ----------
    holdings
        What all actors hold.
    heard_ago_s
        Seconds since something came from each node.
    actors
        Actors that can draw.
    """
    all_held = list(holdings)
    drawing = [each for each in all_held if not each.travels]
    far_actors = {each.number for each in drawing if each.is_late(FAR_OVERDUE, SLACK_S)}
    silent = frozenset(_silent_nodes(drawing, far_actors, heard_ago_s))
    wanted = [each for each in all_held if each.is_wanted]
    # What waits behind an overdue segment is no better off.
    far = [
        each
        for each in wanted
        if (each.is_late(FAR_OVERDUE, SLACK_S) if each.travels else each.number in far_actors)
    ]
    given_up = [
        each
        for each in drawing
        if each.is_late(GIVEN_UP, SLACK_S) and (not each.is_wanted or each.node in silent)
    ]
    idle_worthy = [each for each in wanted if each.age_s is None or each.is_late(OVERDUE)]
    copies = len(wanted) - len({each.index for each in wanted})
    return Lateness(
        overdue=_with_nodes([*idle_worthy, *far], wanted),
        far_overdue=_with_nodes(far, wanted),
        silent_nodes=silent,
        given_up=tuple(sorted({each.number for each in given_up})),
        copies_left=max(0, 1 + int(actors * COPIED_SHARE) - copies),
        patience_s=max((each.frame_s for each in given_up if each.is_wanted), default=0.0),
    )


def _silent_nodes(
    holdings: list[Holding], far_actors: set[int], heard_ago_s: Mapping[str, float]
) -> set[str]:
    """Nodes that said nothing for half of the time that an overdue segment lasts.

    Never all of them: then the film's frames take that long, and there would be
    nobody to do their work. One node alone is not silent, therefore.
    """
    silent = {
        each.node
        for each in holdings
        if each.number in far_actors
        and each.age_s is not None
        and each.node is not None
        and heard_ago_s.get(each.node, 0.0) > max(SLACK_S, each.age_s / 2)
    }
    return silent if set(heard_ago_s) - silent else set()


def _with_nodes(
    chosen: list[Holding], wanted: list[Holding]
) -> Mapping[int, frozenset[str | None]]:
    if not chosen:
        return {}
    nodes: dict[int, set[str | None]] = {each.index: set() for each in chosen}
    for each in wanted:
        if each.index in nodes:
            nodes[each.index].add(each.node)
    return {index: frozenset(names) for index, names in nodes.items()}
