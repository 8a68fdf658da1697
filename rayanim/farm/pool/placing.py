"""Says where Ray may put a render actor, in the options that Ray takes; PURE."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rayanim.farm.scaling.fleet import NODE_ID_LABEL, Need, parse_selector


def options(need: Need | None, left_out: Collection[str] = ()) -> dict[str, Any]:
    """Ray's options for an actor that takes `need`, spread over the nodes.

    Parameters
    ----------
    need
        None where Ray runs on this machine alone: one core is enough, which
        the actor's class says.
    left_out
        Ids of nodes that get no more actors.
    """
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

    Parameters
    ----------
    labels
        What the labels must be; the id's among them, perhaps.
    left_out
        Ids of nodes that get no more actors.
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
