"""What a cluster's nodes have room for: pure arithmetic on what Ray says of them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rayanim.settings import ClusterSettings, Workers

SMALL = 1e-4
"""Ray counts resources in ten-thousandths."""

MEMORY_MARGIN = 1.25
"""An actor is set aside this many times what the first one took after its first segment.

Caches of fonts and of the canvas still grow a little then.
"""

MEMORY_STEP_BYTES = 64 * 2**20
"""Actors that take about as much as each other ask for the same."""

NODE_ID_LABEL = "ray.io/node-id"
"""A label that Ray gives to each node."""


@dataclass(frozen=True, slots=True)
class Node:
    """A living node of a cluster."""

    node_id: str
    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    is_head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one render actor takes of a node."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, settings: ClusterSettings, head_id: str | None = None, memory_bytes: int | None = None
    ) -> Need:
        """What `settings` ask for."""
        memory = settings.actor_memory_bytes or memory_bytes
        resources = {"CPU": settings.actor_cpus, **settings.resources}
        if memory:
            resources["memory"] = float(memory)
        labels = dict(settings.label_selector)
        if settings.keep_head_free and head_id is not None:
            labels.setdefault(NODE_ID_LABEL, f"!{head_id}")
        return cls(resources=resources, labels=labels)


def room_on(node: Node, need: Need) -> int:
    """Render actors that fit on a node that nobody else uses."""
    if not matches(node.labels, need.labels):
        return 0
    fits = [
        math.floor(node.resources.get(name, 0.0) / amount + SMALL)
        for name, amount in need.resources.items()
    ]
    return min(fits, default=0)


def room(nodes: Iterable[Node], need: Need) -> int:
    """Render actors that fit on all of them."""
    return sum(room_on(node, need) for node in nodes)


def most_actors(workers: Workers, max_workers: int | None, room_now: int) -> int:
    """The most render actors that may be asked for; 0 where that is not to be told.

    A number may exceed what there is room for: the actors beyond wait, and a
    cluster that can grow adds nodes for them. Where only `max_workers` is
    given, it is that number. A share is one of the room that there is now.
    """
    if workers.is_auto and max_workers is not None:
        return max_workers
    if workers.count is None and room_now == 0:
        return max_workers or 0
    most = workers.most(room_now)
    return most if max_workers is None else min(most, max_workers)


def affordable_memory(nodes: Iterable[Node], need: Need, memory_bytes: int) -> int:
    """`memory_bytes`, or all that the largest node has, where that is less.

    An actor that asks for more than any node has would wait for ever.
    """
    without = Need(
        resources={name: each for name, each in need.resources.items() if name != "memory"},
        labels=need.labels,
    )
    largest = max(
        (node.resources.get("memory", 0.0) for node in nodes if room_on(node, without)), default=0.0
    )
    return int(min(memory_bytes, largest)) if largest else memory_bytes


def memory_to_ask(rss_bytes: int) -> int:
    """Bytes to set aside for an actor that was seen to take `rss_bytes`, in steps of 64 MiB."""
    return math.ceil(rss_bytes * MEMORY_MARGIN / MEMORY_STEP_BYTES) * MEMORY_STEP_BYTES


def matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Whether a node's labels are such as a selector of Ray's asks for.

    A selector's value is ``value``, ``!value``, ``in(a,b)`` or ``!in(a,b)``.
    """
    return all(_matches_one(labels.get(name), wanted) for name, wanted in selector.items())


def parse_selector(wanted: str) -> tuple[bool, tuple[str, ...]]:
    """Whether one of Ray's label selectors names what a label must not be, and what it names."""
    negated, plain = wanted.startswith("!"), wanted.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", plain)
    named = [each.strip() for each in several[1].split(",")] if several else [plain]
    return negated, tuple(each for each in named if each)


def _matches_one(value: str | None, wanted: str) -> bool:
    negated, named = parse_selector(wanted)
    return (value in named) != negated


def version_fault(
    cluster: Mapping[str, str], own: Mapping[str, str], python_parts: int
) -> str | None:
    """What of a cluster's versions does not fit this process; None where all does."""
    faults = []
    if cluster["ray"] != own["ray"]:
        faults.append(f"Ray {cluster['ray']} there and {own['ray']} here")
    there, here = (each["python"].split(".")[:python_parts] for each in (cluster, own))
    if there != here:
        faults.append(f"Python {cluster['python']} there and {own['python']} here")
    return " and ".join(faults) or None


def options(need: Need | None, left_out: Collection[str] = ()) -> dict[str, Any]:
    """Ray's options for an actor that takes `need`, spread over the nodes."""
    labels = selector({} if need is None else need.labels, left_out)
    chosen: dict[str, Any] = {"label_selector": labels} if labels else {}
    if need is None:
        return chosen
    amounts = dict(need.resources)
    chosen |= {"num_cpus": amounts.pop("CPU"), "scheduling_strategy": "SPREAD"}
    if "memory" in amounts:
        chosen["memory"] = amounts.pop("memory")
    if amounts:
        chosen["resources"] = amounts
    return chosen


def selector(labels: Mapping[str, str], left_out: Collection[str]) -> dict[str, str]:
    """Ray's label selector for nodes with such `labels` that are not left out.

    Ray labels each node with its id. Ray 2.60 reads only the first id of a
    list with blanks in it.
    """
    if not left_out:
        return dict(labels)
    negated, named = parse_selector(labels.get(NODE_ID_LABEL, "!in()"))
    if negated:
        wanted = f"!in({','.join(dict.fromkeys((*named, *left_out)))})"
    else:
        # Where all that were named are left out, no actor can be put anywhere.
        wanted = f"in({','.join(each for each in named if each not in left_out)})"
    return {**labels, NODE_ID_LABEL: wanted}
