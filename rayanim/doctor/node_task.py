"""Runs on a node whatever is installed there: it travels by value and needs the standard library.

What it answers is plain, so that a node with another rayanim can answer, too.
"""

from __future__ import annotations


def answer(version: str, shipment: bytes) -> dict[str, object]:
    """What a node is like, and what rayanim saw there if it is `version`."""
    import importlib.metadata
    import pickle
    import platform

    def installed(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    found: dict[str, object] = {
        "python": platform.python_version(),
        "ray": installed("ray"),
        "rayanim": installed("rayanim"),
    }
    if found["rayanim"] == version:
        from rayanim.doctor.probe import look_here

        video = pickle.loads(shipment)  # noqa: S301 # the driver's own, through Ray
        found["look"] = pickle.dumps(look_here(video, with_encoders=False))
    return found
