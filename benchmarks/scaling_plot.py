"""Draws throughput against the number of workers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure


def plot(curves: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Write the curves to a picture.

    Parameters
    ----------
    curves
        Frames per second by number of workers, by name.
    path
        The picture; its suffix chooses the format.
    """
    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        if len(curve) > 1:
            axes.plot(list(curve), list(curve.values()), marker="o", markersize=4, label=name)
    ones = [curve[1] for name, curve in curves.items() if "in process" in name and 1 in curve]
    most = max((count for curve in curves.values() for count in curve), default=1)
    for one in ones:
        axes.plot([1, most], [one, one * most], ":", color="grey", label="ideal")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("workers")
    axes.set_ylabel("frames per second, start-up apart")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
