"""Finds out which packages are installed here, in which versions, and whether they load."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from rayanim.doctor.facts import Package, Software

MODULES = {"pillow": "PIL"}
"""Names of modules by package, where they differ."""

NOT_LOADED = frozenset({"ray"})
"""Loaded only once it is known how the cluster authenticates: Ray reads that when it is loaded."""

CLUSTER_MODULE = "aiohttp_cors"
"""A module that only ``ray[default]`` brings."""


def find_software() -> Software:
    """What is installed in this process's environment."""
    return Software(
        python=platform.python_version(),
        packages=(Package("rayanim", "", _version("rayanim")), *_needed()),
        has_cluster_extra=importlib.util.find_spec(CLUSTER_MODULE) is not None,
        libraries={"machine": platform.machine(), **_libraries()},
    )


def _needed() -> Iterator[Package]:
    from packaging.requirements import Requirement

    for text in _requirements():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = _version(requirement.name)
            yield Package(
                requirement.name,
                str(requirement.specifier),
                found,
                found is None or requirement.specifier.contains(found, prereleases=True),
                None if found is None else _failure(requirement.name),
            )


def _requirements() -> list[str]:
    try:
        return sorted(requires("rayanim") or ())
    except PackageNotFoundError:  # a copy of the source that is not installed
        return []


def _failure(name: str) -> str | None:
    if name in NOT_LOADED:
        return None
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # a broken extension may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _libraries() -> dict[str, str]:
    try:
        from rayanim.video.libraries import library_versions

        return library_versions()
    except Exception:  # told by the package that cannot be imported
        return {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
