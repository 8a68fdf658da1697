"""Names the versions of everything that decides a film's bytes."""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

_PACKAGES = ("matplotlib", "numpy", "pillow")


@functools.cache
def versions() -> Mapping[str, str]:
    """Python, the processor's kind and the libraries with their versions.

    Encoders choose their code by the kind of processor; Python's own version
    decides, among others, what its random numbers are.
    """
    from rayanim.video.libraries import library_versions

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = {name: _version(name) for name in _PACKAGES}
    machine = platform.machine()
    return MappingProxyType(
        {"python": python, "machine": machine, **packages, **library_versions()}
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # put into a bundle without what pip knows of it
        return "unknown"
