"""What the doctor says: how bad it is, what was found, what to do.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Level = Literal["well", "note", "mend"]
"""All is well; worth knowing; must be mended, or films fail or come out otherwise."""

NAMED_NODES = 3
"""So many nodes are named in a line; of more, the number is told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level
        How bad it is.
    topic
        What was looked at, in a word or two.
    text
        What was found.
    remedy
        What to do; empty where there is nothing to do.
    nodes
        Names of the nodes where it was found; none where it is this machine.
    """

    level: Level
    topic: str
    text: str
    remedy: str = ""
    nodes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The nodes, for a line; empty for this machine."""
        if len(self.nodes) <= NAMED_NODES:
            return ", ".join(self.nodes)
        return f"{', '.join(self.nodes[:NAMED_NODES])} and {len(self.nodes) - NAMED_NODES} more"

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values that JSON can hold; all nodes are named."""
        return {**asdict(self), "nodes": list(self.nodes)}


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings that differ by their nodes alone, as one each; in the order they came."""
    by_rest: dict[Finding, tuple[str, ...]] = {}
    for each in findings:
        rest = replace(each, nodes=())
        by_rest[rest] = (*by_rest.get(rest, ()), *each.nodes)
    return tuple(replace(rest, nodes=nodes) for rest, nodes in by_rest.items())


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether there is nothing that must be mended."""
    return all(each.level != "mend" for each in findings)


def summary(findings: Iterable[Finding]) -> str:
    """One line: how much there is to mend, and to know of."""
    levels = [each.level for each in findings]
    to_mend, to_know = levels.count("mend"), levels.count("note")
    if not to_mend and not to_know:
        return "All is well."
    if not to_mend:
        return f"All is well; {_things(to_know)} to know of."
    known = f", {to_know} to know of" if to_know else ""
    return f"{_things(to_mend).capitalize()} to mend{known}."


def _things(count: int) -> str:
    return "one thing" if count == 1 else f"{count} things"
