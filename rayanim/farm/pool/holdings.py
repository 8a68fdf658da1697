"""Lists what render actors have in hand, and for how long, for the look at what is overdue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rayanim.farm.faults.overdue import Holding, Pace
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.arrivals import Arrivals
from rayanim.farm.pool.roster import Roster


def all_holdings(
    roster: Roster, arrivals: Arrivals, pace: Pace, is_wanted: Callable[[Segment], bool]
) -> Iterator[Holding]:
    """What all actors hold, and what is on its way from them.

    Parameters
    ----------
    roster, arrivals
        The actors, and what travels.
    pace
        How long segments take.
    is_wanted
        Whether nobody has drawn a segment.
    """
    now_s = time.perf_counter()
    for member in roster:
        for position, segment in enumerate(member.held):
            yield Holding(
                member.number,
                member.node,
                segment.index,
                now_s - member.began_s if position == 0 else None,
                pace.expected_s(len(segment)),
                is_wanted(segment),
                len(segment),
            )
    for each in arrivals:
        yield Holding(
            each.number,
            each.node,
            each.segment.index,
            now_s - each.since_s,
            arrivals.slowest_s,
            is_wanted(each.segment),
            len(each.segment),
            travels=True,
        )
