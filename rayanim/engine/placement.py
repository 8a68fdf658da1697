"""What a cluster's nodes have room for: pure arithmetic on what Ray reports of them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rayanim.settings import ClusterSettings, Workers

SMALL = 1e-4
"""Ray counts resources in ten-thousandths."""

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
    def of(cls, settings: ClusterSettings, head_id: str | None = None) -> Need:
        """What `settings` ask for."""
        resources = {"CPU": settings.actor_cpus, **settings.resources}
        if settings.actor_memory_bytes:
            resources["memory"] = float(settings.actor_memory_bytes)
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
    """The most render actors that may be asked for; 0 where that cannot be known.

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


def actor_options(need: Need | None, excluded: Collection[str] = ()) -> dict[str, Any]:
    """Ray's options for an actor that takes `need`, spread over the nodes."""
    labels = selector({} if need is None else need.labels, excluded)
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


def selector(labels: Mapping[str, str], excluded: Collection[str]) -> dict[str, str]:
    """Ray's label selector for nodes with such `labels` that are not excluded.

    Ray labels each node with its id. Ray 2.60 reads only the first id of a
    list with blanks in it.
    """
    if not excluded:
        return dict(labels)
    negated, named = parse_selector(labels.get(NODE_ID_LABEL, "!in()"))
    if negated:
        wanted = f"!in({','.join(dict.fromkeys((*named, *excluded)))})"
    else:
        # Where all that were named are excluded, no actor can be put anywhere.
        wanted = f"in({','.join(each for each in named if each not in excluded)})"
    return {**labels, NODE_ID_LABEL: wanted}
