"""Says how long the first render actor is waited for, and what is told meanwhile and in the end."""

from __future__ import annotations

from collections.abc import Sequence

from rayanim.farm.planning.plan import Segment

ROOM_LIMIT_S = 120.0
"""Where there is room for an actor, it is there in seconds, unless others hold that room."""

MOST_NAMED = 3
"""Segments that a message names, of the many that are being drawn."""

NODE_LIMIT_S = 900.0
"""Where a cluster has to add a node first: clouds take one to five minutes, large images longer."""


def limit_s(has_room: bool) -> float:
    """Seconds that a job goes on without any render actor, by whether there was room for one."""
    return ROOM_LIMIT_S if has_room else NODE_LIMIT_S


def what_lasts(drawing: Sequence[Segment], answered: int, requested: int) -> str:
    """What a job does that has been silent for a while, as a sentence.

    Parameters
    ----------
    drawing
        What is being drawn.
    answered, requested
        Render actors whose process is there, and those asked for.
    """
    if drawing:
        named = [segment.label for segment in drawing[:MOST_NAMED]]
        more = len(drawing) - len(named)
        others = f", and {more} other segments" if more else ""
        return f"Still drawing {', '.join(named)}{others}."
    if answered:
        return "Still opening the source in render actors."
    actors = "a render actor" if requested == 1 else f"{requested} render actors"
    return f"Still waiting for Ray to find room for {actors}; `ray status` tells what it waits for."


def none_came(requested: int, waited_s: float, cpus: float, free_cpus: float) -> str:
    """What is wrong where no actor came.

    Parameters
    ----------
    requested
        Actors asked for.
    waited_s
        How long they were waited for.
    cpus, free_cpus
        What Ray has, and what of that nobody holds.
    """
    what_to_do = (
        "Free some, or draw in this process with workers=1."
        if cpus
        else "Does the cluster's autoscaler run, and may it add nodes? `ray status` tells."
    )
    return (
        f"No render actor started within {waited_s:.0f} s: {requested} were asked for, and this "
        f"Ray has {cpus:g} CPUs in all, {free_cpus:g} of them free. {what_to_do}"
    )
