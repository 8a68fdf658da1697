"""Prints and plots how throughput scales; docs/scalability.md explains the results.

``PYTHONPATH=benchmarks python -m simulation [--quick] [--check] [--plots FOLDER]``
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from simulation.job import simulate
from simulation.plot import plot_all
from simulation.scenario import Result, Scenario

SEGMENTS_EACH = 40
"""Segments of 250 frames that each actor draws: 500 s of 50 ms frames."""

LOSSES = {
    "no loss": {},
    "a node a minute": {"loss_every_s": 60.0},
    "a tenth every 2 min": {"loss_every_s": 120.0, "loss_share": 0.1},
}


LENGTHS_MIN = (1, 10, 100)
"""Videos whose node-hours are compared, in minutes at 25 frames a second."""


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no more than 1,000 actors")
    parser.add_argument("--plots", type=Path, help="write the pictures to this folder")
    parser.add_argument("--check", action="store_true", help="only what real runs can be held to")
    options = parser.parse_args()
    if options.check:
        _check()
        return
    most = 1_000 if options.quick else 10_000
    sizes = [size for size in (10, 30, 100, 300, 1_000, 3_000, 10_000) if size <= most]
    scaling = [_run("long video", _long_video(size)) for size in sizes]
    losses = {}
    for name, fault in LOSSES.items():
        for size in (100, 1_000):
            losses[name] = _run(name, replace(_long_video(size), **fault))
    for longest in (None, 100, 30, 8):
        label = f"30,000 frames, {longest or 250} a segment"
        _run(label, Scenario(30_000, most, longest=longest))
    videos = {
        f"{minutes} min": (_video(minutes, False), _video(minutes, True)) for minutes in LENGTHS_MIN
    }
    if options.plots is not None:
        plot_all(options.plots, scaling, losses, videos)


def _check() -> None:
    """Frames that sleep 200 ms, ten to a segment: ``SLEEP_MS=200 python scaling.py``."""
    for size in (2, 4, 8, 16, 32, 64):
        frames = 10 * 100 * size
        _run(
            "check",
            Scenario(
                frames,
                size,
                draw_s=0.2,
                encode_s=0.0,
                scatter=0.0,
                longest=10,
                cores=64,
                actors_per_node=64,
            ),
        )


def _video(minutes: int, autoscaled: bool) -> Result:
    video = Scenario(minutes * 1500, 100, draw_s=0.4975, autoscaled=autoscaled)
    return _run(f"{minutes} min video, " + ("autoscaled" if autoscaled else "fixed"), video)


def _long_video(actors: int) -> Scenario:
    # The largest would take minutes to simulate, and is bound long before its end.
    each = SEGMENTS_EACH if actors <= 3_000 else SEGMENTS_EACH // 4
    return Scenario(each * 250 * actors, actors)


def _run(label: str, scenario: Scenario) -> Result:
    result = simulate(scenario)
    busy = ", ".join(f"{name} {share:.0%}" for name, share in result.busy.items())
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result.megabytes_per_s.items())
    print(
        f"{label}: {scenario.actors:,} actors on {scenario.nodes:,} nodes, "
        f"{scenario.frames:,} frames: {result.of_ideal:.3f} of ideal, joined "
        f"{result.of_ideal_joined:.3f}, finished {result.of_ideal_finished:.3f}; "
        f"{result.drawn_s:,.0f} s + {result.joined_s - result.drawn_s:,.1f} s + "
        f"{result.took_s - result.joined_s:,.1f} s; busy: {busy}; most waiting: "
        f"{result.most_inbox} answers, {result.most_encoder} segments, {result.most_early} parts, "
        f"{result.most_in_flight_bytes / 2**20:.0f} MiB; MB/s: {rates}; "
        f"{result.node_s / 3600:.2f} node-hours; job ended by {result.ends_job} chunks; "
        f"{result.whole_segments} of {result.segments} segments encoded by actors",
        flush=True,
    )
    return result


if __name__ == "__main__":
    main()
