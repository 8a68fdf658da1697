"""Runs on a node, with or without rayanim there: sent by value, it needs the standard library.

It answers in plain values, which a node with another rayanim can give, too.
"""

from __future__ import annotations


def answer(version: str, packed_video: bytes) -> dict[str, object]:
    """The versions on a node, and its probe if its rayanim is `version`."""
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
        from rayanim.doctor.probe import probe_here

        video = pickle.loads(packed_video)  # noqa: S301 # the driver's own, through Ray
        found["probe"] = pickle.dumps(probe_here(video))
    return found
