"""Ends a job whose actors die, one after the other, while they open their source."""

from __future__ import annotations

from rayanim.errors import FarmStartError
from rayanim.farm.connection.blame import first_line
from rayanim.farm.connection.cluster_link import usable_nodes
from rayanim.farm.faults.openings import MAX_LOST, MOST_NODES_TRIED, Openings
from rayanim.farm.scaling.fleet import Need


def count_lost_start(
    openings: Openings, node: str | None, error: Exception, *, need: Need | None, alive: int
) -> None:
    """An actor died that could not draw yet.

    Parameters
    ----------
    openings
        The account of those before, which this one is added to.
    node, error
        Where it lived, None where that is not known, and what Ray says of it.
    need
        What an actor takes; None for one core.
    alive
        Actors that can draw: while there are some, there is no hurry to end the job.

    Raises
    ------
    FarmStartError
        If too many did, on too many nodes.
    """
    usable = usable_nodes(need)
    if node is not None and node not in usable:
        # Its machine has gone, and all on it: that says nothing of the source.
        return
    openings.lost += 1
    if openings.lost < MAX_LOST:
        return
    if openings.too_many_lost(MOST_NODES_TRIED if alive else len(usable)):
        raise FarmStartError(
            f"{openings.lost} render actors in a row died while they opened the source "
            f"({first_line(error)}). Does setup() or start() need more memory than there is? "
            "Try workers=1."
        ) from error
