"""What is found out about a machine and a cluster, and what is said of it.

PURE. A `Probe` is made of this machine and of every node, so that the two can
be compared. The names of all fields are keys in ``rayanim doctor --json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Installed:
    """One package that rayanim needs; ``failure`` says why it cannot be imported."""

    name: str
    wanted: str
    version: str | None
    is_wanted: bool = True
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Software:
    """What is installed; rayanim itself is the first of the packages."""

    python: str
    packages: tuple[Installed, ...]
    has_cluster_extra: bool
    libraries: Mapping[str, str]

    def version(self, name: str) -> str | None:
        """The version of the package `name`; None where it is missing."""
        return next((each.version for each in self.packages if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of the encoders that rayanim uses; ``failure`` says why it does not work."""

    name: str
    codec: str
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts that matplotlib finds, and its settings that are not the default ones."""

    families: tuple[str, ...]
    family: tuple[str, ...]
    default_file: str
    default_digest: str
    default_is_fallback: bool
    cache_is_temporary: bool
    settings_file: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Cores, memory, disks and folders; all sizes in bytes."""

    host: str
    cores: int
    usable_cores: int
    memory_bytes: int
    free_memory_bytes: int
    group_memory_bytes: int | None
    shared_memory_bytes: int | None
    temp_folder: str
    temp_bytes: int
    temp_free_bytes: int
    temp_is_writable: bool
    home: str
    home_is_writable: bool
    omp_threads: str = ""


@dataclass(frozen=True, slots=True)
class DrawnFacts:
    """Hashes of the test video: of each panel, all frames, and the segment of each encoder."""

    panels: Mapping[str, str]
    frames: str
    segments: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one process finds out about the machine it runs on."""

    software: Software
    machine: MachineFacts
    fonts: Fonts | None = None
    drawn: DrawnFacts | None = None
    encoders: tuple[Encoder, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Ray's token for authentication, as this process would find it."""

    mode: str | None
    origin: str | None
    is_usable: bool = False
    readable_by_others: bool = False


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node of a cluster; ``probe`` where it has this rayanim."""

    node_id: str
    address: str
    is_head: bool
    cpus: float
    memory_bytes: float
    store_bytes: float
    ray: str | None = None
    python: str | None = None
    rayanim: str | None = None
    probe: Probe | None = None
    failure: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages; nodes of one machine share an address."""
        return f"{self.address} ({self.node_id[:8]})"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster and its nodes; ``failure`` says why it could not be asked."""

    address: str
    failure: str | None = None
    ray: str | None = None
    python: str | None = None
    nodes: tuple[NodeFacts, ...] = ()


Level = Literal["ok", "warning", "error"]
"""All is well; a warning; an error, with which videos fail or look different."""

NAMED_NODES = 3
"""So many nodes are named in a line; of more, the number is given."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    level: Level
    topic: str
    text: str
    remedy: str = ""
    nodes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The nodes, for a line; empty for this machine."""
        more = len(self.nodes) - NAMED_NODES
        return ", ".join(self.nodes[:NAMED_NODES]) + (f" and {more} more" if more > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values for JSON, with all nodes."""
        return {**asdict(self), "nodes": list(self.nodes)}


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings that differ by their nodes alone, as one each; in the order they came."""
    by_rest: dict[Finding, tuple[str, ...]] = {}
    for each in findings:
        rest = replace(each, nodes=())
        by_rest[rest] = (*by_rest.get(rest, ()), *each.nodes)
    return tuple(replace(rest, nodes=nodes) for rest, nodes in by_rest.items())
