"""Says what a cap on node-hours allows: whether actors may be added, and when a job ends; PURE."""

from __future__ import annotations

from rayanim.farm.scaling.values import ScalingLimits, Snapshot

HOUR_S = 3600.0


def too_dear(snapshot: Snapshot, limits: ScalingLimits) -> str | None:
    """Why no actor may be added; None where the cap allows it, or there is none.

    The film's price is projected from the present rate: what was spent, and the
    present nodes for the time that is left. More actors would shorten that time
    and not the price, but for each node that they start.
    """
    left_s = snapshot.seconds_left
    if limits.max_node_s is None or left_s is None:
        return None
    projected_s = snapshot.spent_node_s + snapshot.nodes * left_s
    if projected_s <= limits.max_node_s:
        return None
    return (
        f"at this rate the film takes {hours_text(projected_s)} node-hours, and "
        f"{hours_text(limits.max_node_s)} are allowed"
    )


def used_up(snapshot: Snapshot, limits: ScalingLimits) -> str | None:
    """Why the job has to end now; None where it may go on, or has drawn all."""
    most_s, left = limits.max_node_s, snapshot.frames_left
    if most_s is None or snapshot.spent_node_s < most_s or left == 0:
        return None
    missing = "" if left is None else f", with {left} frames still to draw"
    return (
        f"The {hours_text(most_s)} node-hours that max_node_hours (--max-node-hours) allows are "
        f"used up{missing}."
    )


def hours_text(node_s: float) -> str:
    """Node-seconds as hours with two digits that count, ``0.0083`` say."""
    return f"{node_s / HOUR_S:.2g}" if node_s < HOUR_S else f"{node_s / HOUR_S:.1f}"
