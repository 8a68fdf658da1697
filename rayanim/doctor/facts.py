"""What is found out about a machine and a cluster, before anything is judged.

PURE. The same `Look` is taken of this machine and of every node, so that the
two can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Package:
    """One package that rayanim needs.

    Attributes
    ----------
    name
        Its name, as pip knows it.
    wanted
        The versions that rayanim takes, such as ``>=2.55,<2.61``; empty where any.
    version
        The one that is installed; None where none is.
    is_wanted
        Whether that is one of those.
    failure
        Why it cannot be imported; None where it can, or was not tried.
    """

    name: str
    wanted: str
    version: str | None
    is_wanted: bool = True
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Software:
    """What is installed.

    Attributes
    ----------
    python
        Python's version.
    packages
        Those that rayanim needs, rayanim itself first.
    has_cluster_extra
        Whether Ray has its parts for the dashboard, jobs and metrics.
    libraries
        What decides a video's bytes, by name, with versions: those of FFmpeg,
        the kind of processor.
    """

    python: str
    packages: tuple[Package, ...]
    has_cluster_extra: bool
    libraries: Mapping[str, str]

    def version(self, name: str) -> str | None:
        """The version of the package `name`; None where it is missing."""
        return next((each.version for each in self.packages if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder of FFmpeg, and what came of encoding a frame with it.

    Attributes
    ----------
    name
        FFmpeg's name.
    codec
        What it encodes: ``h264``, ``h265``, ``vp9`` or ``av1``.
    is_hardware
        Whether a GPU or the like does the work.
    failure
        Why it does not work; None where it does.
    """

    name: str
    codec: str
    is_hardware: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts that matplotlib finds, and its settings.

    Attributes
    ----------
    families
        Names of all families.
    family
        What ``font.family`` asks for, by the settings.
    default_file
        Name of the file that is taken for it.
    default_digest
        Names that file's bytes.
    default_is_fallback
        Whether none of the families asked for was found.
    cache_folder
        Where the list of fonts is kept.
    cache_is_temporary
        Whether that folder ends with the process, as the usual one cannot be written.
    settings_file
        The ``matplotlibrc`` that was read.
    settings
        What it sets otherwise than matplotlib does, as text by name.
    """

    families: frozenset[str]
    family: tuple[str, ...]
    default_file: str
    default_digest: str
    default_is_fallback: bool
    cache_folder: str
    cache_is_temporary: bool
    settings_file: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What there is to work with; all sizes in bytes.

    Attributes
    ----------
    host
        The machine's name.
    cores, usable_cores
        Processor cores of the hardware, and those that affinity and the
        control group (cgroup) let the process use.
    memory_bytes, free_memory_bytes
        Memory of the hardware, and what may still be taken.
    group_memory_bytes
        What the control group lets be taken in all; None without a limit.
    shared_memory_bytes
        Size of ``/dev/shm``, where Ray keeps its objects; None where there is none.
    temp_folder
        Where Ray puts its sockets, logs and what it spills.
    temp_bytes, temp_free_bytes
        Size of the disk it is on, and what is free there.
    temp_is_writable
        Whether a file can be written there.
    home
        The home folder; empty where none is known.
    home_is_writable
        Whether a file can be written there.
    omp_threads
        What ``OMP_NUM_THREADS`` says; empty where it is not set.
    """

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
    """The test video as it came out in one process; digests are hexadecimal.

    Attributes
    ----------
    panels
        Digest of the pixels of each panel, by what it shows.
    frames
        Digest of all pixels of all frames.
    segments
        Digest of the encoded segment, by encoder.
    failures
        Why an encoder gave none, by encoder.
    """

    panels: Mapping[str, str]
    frames: str
    segments: Mapping[str, str]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """All that one process sees of the machine it runs on.

    Attributes
    ----------
    software, machine
        What is installed, and what there is to work with.
    fonts, drawn, encoders
        None, or none, where the packages that they need cannot be imported.
    failure
        Why the test video could not be drawn; None where it could.
    """

    software: Software
    machine: MachineFacts
    fonts: Fonts | None = None
    drawn: DrawnFacts | None = None
    encoders: tuple[Encoder, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Ray's token for authentication, as this process would find it.

    Attributes
    ----------
    mode
        ``RAY_AUTH_MODE``; None where it is not set.
    origin
        Where the token stands: ``RAY_AUTH_TOKEN``, or a file; None without a token.
    is_usable
        Whether it can be read and is not empty.
    readable_by_others
        Whether it stands in a file that other users may read.
    """

    mode: str | None
    origin: str | None
    is_usable: bool = False
    readable_by_others: bool = False


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node of a cluster; sizes in bytes.

    Attributes
    ----------
    node_id
        Ray's name for it.
    address
        Its address.
    is_head
        Whether the cluster's head runs there.
    is_driver
        Whether this process runs there.
    cpus
        Processor cores as Ray was told.
    memory_bytes, store_bytes
        Memory for processes and for objects as Ray was told.
    labels
        Its labels.
    ray, python
        Versions there; None where the node did not answer.
    rayanim
        rayanim's version there; None where it is not installed, or unknown.
    look
        What a process there saw; None where rayanim could not look.
    failure
        Why not.
    """

    node_id: str
    address: str
    is_head: bool
    is_driver: bool
    cpus: float
    memory_bytes: float
    store_bytes: float
    labels: Mapping[str, str] = field(default_factory=dict)
    ray: str | None = None
    python: str | None = None
    rayanim: str | None = None
    look: Look | None = None
    failure: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages; nodes of one machine share an address."""
        return f"{self.address} ({self.node_id[:8]})"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster, as far as it could be reached.

    Attributes
    ----------
    address
        What was asked for.
    failure, remedy
        Why it could not be reached, and what to do; None where it was.
    ray, python
        The cluster's versions, where it was.
    nodes
        Its nodes, the head first.
    """

    address: str
    failure: str | None = None
    remedy: str | None = None
    ray: str | None = None
    python: str | None = None
    nodes: tuple[NodeFacts, ...] = ()


Level = Literal["well", "note", "mend"]
"""All is well; worth knowing; must be mended, or videos fail or come out otherwise."""

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
