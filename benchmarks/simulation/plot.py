"""Draws throughput and load against the number of actors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from simulation.scenario import Result


def plot(results: Sequence[Result], path: Path) -> None:
    """Write two panels to a picture.

    Parameters
    ----------
    results
        By number of actors.
    path
        The picture; its suffix chooses the format.
    """
    figure = Figure(figsize=(9, 3.8), dpi=110, layout="constrained")
    speed, load = figure.subplots(1, 2)
    actors = [each.scenario.actors for each in results]
    speed.plot(actors, [each.of_ideal for each in results], "o-", label="until all is drawn")
    speed.plot(actors, [each.of_ideal_joined for each in results], "s-", label="until joined")
    speed.axhline(0.9, color="grey", linestyle=":", label="0.9")
    speed.set(ylim=(0, 1.05), ylabel="throughput, share of the ideal")
    for name in results[0].busy:
        load.plot(actors, [each.busy[name] for each in results], "o-", label=name)
    load.set(ylim=(0, 1.05), ylabel="busy share of the time")
    for axes in (speed, load):
        axes.set_xscale("log")
        axes.set_xlabel("render actors (50 ms frames, simulated)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
