"""Names the versions of everything that decides a film's bytes."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("matplotlib", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Python, the processor's kind and the libraries with their versions.

    Encoders choose their code by the kind of processor; Python's own version
    decides, among others, what its random numbers are.
    """
    from rayanim.video.libraries import library_versions

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = {name: _version(name) for name in _PACKAGES}
    return {"python": python, "machine": platform.machine(), **packages, **library_versions()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # put into a bundle without what pip knows of it
        return "unknown"
