"""Frozen settings of a run on a Ray cluster: where it is, and what may be asked of it."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from rayanim.errors import SettingsError
from rayanim.settings import plain

_logger = logging.getLogger("rayanim")

RAY_ADDRESS = "RAY_ADDRESS"
"""The variable in which Ray's own tools look for an address."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

SMALLEST_MEMORY_BYTES = 16 * 2**20
"""No Python process with NumPy and matplotlib fits into less: a slip of the unit."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is, and who said so.

    Attributes
    ----------
    text
        ``auto``, or ``HOST:PORT`` of the head.
    origin
        How it was given, for messages: ``address='auto'``, say.
    """

    text: str
    origin: str

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The two parts; None for ``auto``."""
        found = _HOST_AND_PORT.fullmatch(self.text)
        return (found[1].strip("[]"), int(found[2])) if found else None


def read_address(given: str | None, environment: Mapping[str, str] = os.environ) -> Address | None:
    """The cluster that is asked for; None where Ray runs on this machine alone.

    Parameters
    ----------
    given
        ``auto``, ``HOST:PORT``, ``local``, or None, which looks into the
        environment. ``auto`` does so first too, as in Ray itself.
    environment
        Where `RAY_ADDRESS` may stand.

    Raises
    ------
    SettingsError
        If it is no address, or one that only jobs can be sent to.
    """
    if given is not None and not isinstance(given, str):
        raise SettingsError(f"address must be 'auto' or 'HOST:PORT', got {given!r}.")
    text, origin = given, f"address={given!r}"
    known = environment.get(RAY_ADDRESS, "").strip()
    if given in (None, "auto") and known:
        text, origin = known, f"{RAY_ADDRESS}={known}"
    if text is None or text == "local":
        return None
    address = Address(text, origin)
    _check(address)
    return address


def _check(address: Address) -> None:
    text, origin = address.text, address.origin
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("ray", "http", "https"):
        why = (
            "Ray Client keeps the driver outside of the cluster, where every frame would have to "
            "pass through its one connection, and it cannot stream an actor's results"
            if scheme == "ray"
            else "that is the address of the dashboard, which takes jobs"
        )
        host = rest.partition("/")[0].rpartition(":")[0] or "HEAD"
        at = f"http://{host}:8265" if scheme == "ray" else text
        raise SettingsError(
            f"{origin}: {why}. Send the script there with `rayanim submit SCRIPT.py --address "
            f"{at}`; or run it on a machine of the cluster with --address auto."
        )
    if text == "auto":
        return
    parts = address.host_and_port
    if parts is None or not 0 < parts[1] < 65536:
        raise SettingsError(
            f"{origin}: an address is 'auto', or HOST:PORT of the cluster's head, such as "
            "10.0.0.1:6379 (`ray start --head` prints it)."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What may be asked of a cluster, and what is sent to it.

    The two bounds hold on one machine too; all else counts only where an
    address is given (``auto``, where the script has connected to Ray itself).

    Parameters
    ----------
    min_workers, max_workers
        Bounds for the number of render actors. None for the upper one means
        what `workers` says. Actors for which there is no room yet wait: they
        are what makes a cluster that can grow add nodes.
    actor_cpus
        CPUs that Ray sets aside for each render actor.
    actor_memory_bytes
        Memory that Ray sets aside for each; None sets none aside.
    resources
        Other resources that each needs, by name.
    keep_head_free
        Whether render actors stay off the cluster's head.
    label_selector
        Labels that a node must have for render actors to run there.
    max_node_hours
        The most that the job may cost: hours for which render actors hold
        nodes, of all nodes together. Where the film would take more at its
        present rate no actors are added, and a job that has used it up ends,
        with its finished segments kept for `resume`. None sets no bound.
    packages
        Requirements that pip installs on each node; a name that ends in
        ``.txt`` is a file of them.
    working_dir
        The folder that travels; None takes the script's.
    exclude
        Gitignore patterns of what stays behind.

    Raises
    ------
    SettingsError
        If one of them makes no sense.
    """

    min_workers: int | None = None
    max_workers: int | None = None
    actor_cpus: float = 1.0
    actor_memory_bytes: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    keep_head_free: bool = False
    label_selector: Mapping[str, str] = field(default_factory=dict)
    max_node_hours: float | None = None
    packages: tuple[str, ...] = ()
    working_dir: str | os.PathLike[str] | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        for name in ("min_workers", "max_workers"):
            _check_count(name, getattr(self, name))
        if (self.min_workers or 1) > (self.max_workers or math.inf):
            raise SettingsError(
                f"min_workers={self.min_workers} is above max_workers={self.max_workers}."
            )
        _check_positive("actor_cpus", self.actor_cpus)
        _check_memory(self.actor_memory_bytes)
        if self.max_node_hours is not None:
            _check_positive("max_node_hours", self.max_node_hours)
        _check_resources(self.resources)
        _check_labels(self.label_selector)
        for name in ("packages", "exclude"):
            _check_texts(name, getattr(self, name))

    @property
    def counts_on_clusters_only(self) -> tuple[str, ...]:
        """Names of those that were given and mean nothing on one machine."""
        plain = ClusterSettings()
        given = (each.name for each in fields(self))
        return tuple(
            name
            for name in given
            if name not in ("min_workers", "max_workers")
            and getattr(self, name) != getattr(plain, name)
        )

    @property
    def max_node_s(self) -> float | None:
        """`max_node_hours` in seconds."""
        return None if self.max_node_hours is None else 3600 * self.max_node_hours


def _check_count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}.")


def _is_positive(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value > 0


def _check_positive(name: str, value: Any) -> None:
    if not _is_positive(value):
        raise SettingsError(f"{name} must be a number above 0, got {value!r}.")


def _check_memory(value: Any) -> None:
    if value is None:
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < SMALLEST_MEMORY_BYTES:
        raise SettingsError(
            "actor_memory_bytes must be a whole number of bytes, at least "
            f"{SMALLEST_MEMORY_BYTES} (16 MiB), got {value!r}."
        )


def _check_resources(resources: Any) -> None:
    whole = isinstance(resources, Mapping) and all(
        isinstance(name, str) and _is_positive(amount) for name, amount in resources.items()
    )
    if not whole:
        raise SettingsError(
            f"resources must be amounts above 0 by name, such as {{'render': 1}}, "
            f"got {resources!r}."
        )
    own = {"CPU": "actor_cpus", "memory": "actor_memory_bytes"}
    for name in resources:
        if name in own:
            raise SettingsError(f"resources: {name!r} is set by {own[name]}.")
        if name in ("GPU", "object_store_memory"):
            raise SettingsError(f"resources: {name!r} is nothing that a render actor uses.")


def _check_labels(labels: Any) -> None:
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise SettingsError(
            f"label_selector must be texts by label, such as {{'role': 'render'}}, got {labels!r}."
        )


def _check_texts(name: str, values: Any) -> None:
    if isinstance(values, str) or not all(isinstance(each, str) for each in values):
        raise SettingsError(f"{name} must be a tuple of texts, got {values!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRequest:
    """A cluster that a job is to run on.

    Attributes
    ----------
    address
        Where it is.
    settings
        What may be asked of it.
    workers
        As the caller gave it; a share is one of the cluster's CPUs.
    """

    address: Address
    settings: ClusterSettings
    workers: int | str


def cluster_request(
    given: str | None, settings: ClusterSettings | None, workers: int | str, engine: str
) -> ClusterRequest | None:
    """The cluster that a call of `produce` asks for; None where Ray stays on this machine.

    Settings that mean something on a cluster only are not refused here: a script
    that carries them is tried at home first. They are told.

    Parameters
    ----------
    given, settings, workers, engine
        That call's arguments.

    Raises
    ------
    SettingsError
        If they make no sense together.
    """
    if settings is not None and not isinstance(settings, ClusterSettings):
        raise SettingsError(f"cluster must be ClusterSettings, got {settings!r:.80}.")
    address = None if engine == "local" and given is None else read_address(given)
    if address is None:
        _tell_of_idle(settings)
        return None
    if engine == "local":
        raise SettingsError(
            f"engine='local' and {address.origin} exclude each other: the first draws in this "
            "process, the second on a cluster. Leave one of them out."
        )
    return ClusterRequest(address=address, settings=settings or ClusterSettings(), workers=workers)


def _tell_of_idle(settings: ClusterSettings | None) -> None:
    idle = () if settings is None else settings.counts_on_clusters_only
    if idle:
        _logger.warning(
            "On this machine alone %s mean%s nothing; address='auto' (--address auto) draws on "
            "the Ray cluster that it belongs to.",
            ", ".join(idle),
            "s" if len(idle) == 1 else "",
        )


SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZES |= {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str) -> int:
    """Bytes from text such as ``2GB``, ``1.5GiB`` or ``800M``.

    Raises
    ------
    SettingsError
        If it is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in SIZES:
        raise SettingsError(f"A size is a number and a unit, such as 2GB or 800MiB, got {text!r}.")
    return int(float(found[1]) * SIZES[found[2].upper()])
