"""Draws what the simulation gives: four pictures for docs/scalability.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulation.scenario import Result

ACTORS = "render actors (50 ms a frame)"


def plot_all(
    folder: Path,
    scaling: Sequence[Result],
    losses: Mapping[str, Result],
    videos: Mapping[str, tuple[Result, Result]],
) -> None:
    """Write the pictures.

    Parameters
    ----------
    folder
        Where to.
    scaling
        A long video by number of actors.
    losses
        One video, by what is lost meanwhile.
    videos
        By length: with all nodes from the start, and autoscaled.
    """
    for name, figure in {
        "throughput": _throughput(scaling),
        "load": _load(scaling),
        "losses": _losses(losses),
        "node-hours": _node_hours(videos),
    }.items():
        figure.savefig(folder / f"scalability-{name}.png")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.6, 4.0), dpi=100, layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, count)))
    for each in axes:
        each.grid(alpha=0.3)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _by_actors(axes: Axes, scaling: Sequence[Result]) -> list[int]:
    actors = [each.scenario.actors for each in scaling]
    axes.set_xscale("log")
    axes.set_xticks(actors, [f"{each:,}" for each in actors])
    axes.minorticks_off()
    axes.set_xlabel(ACTORS)
    return actors


def _throughput(scaling: Sequence[Result]) -> Figure:
    figure, (speed, share) = _panels(2)
    actors = _by_actors(speed, scaling)
    _by_actors(share, scaling)
    ideal = np.array([count / scaling[0].scenario.frame_s for count in actors])
    curves = {
        "until all is drawn": [each.of_ideal for each in scaling],
        "until it is joined": [each.of_ideal_joined for each in scaling],
        "until the video is finished": [each.of_ideal_finished for each in scaling],
    }
    speed.plot(actors, ideal, color="grey", linestyle="--", label="ideal")
    for marker, (label, curve) in zip("os^", curves.items(), strict=True):
        speed.plot(actors, ideal * curve, marker + "-", markersize=5, label=label)
        share.plot(actors, curve, marker + "-", markersize=5, label=label)
    share.axhline(0.9, color="grey", linestyle=":")
    share.annotate("0.9", (actors[0], 0.9), (0, -12), textcoords="offset points", color="grey")
    share.set(ylim=(0, 1.05), title="share of the ideal")
    speed.set_yscale("log")
    speed.set_title("frames per second")
    speed.legend(frameon=False)
    share.legend(frameon=False, loc="lower left")
    return figure


def _load(scaling: Sequence[Result]) -> Figure:
    figure, (busy, waiting, rates) = _panels(3)
    figure.set_size_inches(12, 4.0)
    for axes in (busy, waiting, rates):
        actors = _by_actors(axes, scaling)
        axes.tick_params(axis="x", labelsize=8)
    for name in scaling[0].busy:
        busy.plot(actors, [100 * each.busy[name] for each in scaling], "o-", label=name)
    busy.set(ylim=(0, 105), title="busy, % of the time")
    queues = {
        "answers for the driver": [each.most_inbox for each in scaling],
        "segments for the encoder": [each.most_encoder for each in scaling],
        "segments to be joined": [each.most_early for each in scaling],
    }
    for name, depths in queues.items():
        waiting.plot(actors, np.maximum(1, depths), "o-", label=name)
    waiting.set_yscale("log")
    waiting.set_title("deepest queues")
    for name in scaling[0].megabytes_per_s:
        curve = np.array([each.megabytes_per_s[name] for each in scaling])
        rates.plot(actors, np.where(curve > 0, curve, np.nan), "o-", label=name)
    rates.set_yscale("log")
    rates.set_title("MB/s, 4 kB a frame")
    for axes in (busy, waiting, rates):
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    rates.set_ylim(top=rates.get_ylim()[1] * 6)
    waiting.set_ylim(top=waiting.get_ylim()[1] * 6)
    return figure


def _losses(losses: Mapping[str, Result]) -> Figure:
    figure, (rate, done) = _panels(2)
    for name, result in losses.items():
        seconds, written, _, drawing = np.array(result.samples).T
        label = f"{name}: {result.of_ideal:.2f} of the ideal"
        done.plot(seconds, written / 1e6, label=label)
        rate.plot(seconds, drawing, label=name)
    most = next(iter(losses.values())).scenario.actors
    rate.axhline(most, color="grey", linestyle="--", linewidth=1)
    rate.set(ylim=(0, 1.1 * most), title="segments being drawn", xlabel="seconds")
    done.set(title="million frames written", xlabel="seconds")
    done.legend(frameon=False, fontsize=9, loc="lower right")
    rate.legend(frameon=False, fontsize=9, loc="lower center")
    return figure


def _node_hours(videos: Mapping[str, tuple[Result, Result]]) -> Figure:
    figure, (cost, time) = _panels(2)
    at = np.arange(len(videos))
    for shift, position, label in ((-0.2, 0, "all nodes from the start"), (0.2, 1, "autoscaled")):
        pool = [pair[position] for pair in videos.values()]
        hours = cost.bar(at + shift, [each.node_s / 3600 for each in pool], 0.4, label=label)
        minutes = time.bar(at + shift, [each.took_s / 60 for each in pool], 0.4, label=label)
        cost.bar_label(hours, fmt="%.2f", fontsize=8)
        time.bar_label(minutes, fmt="%.1f", fontsize=8)
    for axes, title in ((cost, "node-hours"), (time, "minutes until the video is finished")):
        axes.set_xticks(at, list(videos))
        axes.set(title=title, xlabel="video of")
    cost.legend(frameon=False, loc="upper left")
    return figure
