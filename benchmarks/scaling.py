"""Prints and plots how rayanim's throughput grows with its actors, beside its peers'.

README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import peers
from contest import CONTESTANTS, Ground, run
from scaling_plot import plot
from throughput import Steady, in_process, in_process_on_one_core, on_ray

FEW, MORE = 100, 300
"""Frames per worker of a peer's two runs: their difference leaves the start out."""


def main() -> int:
    """Measure what the command line asks for."""
    options = _options()
    curves: dict[str, dict[int, float]] = {}
    for case in options.cases:
        with tempfile.TemporaryDirectory(prefix="scaling_") as folder:
            curves |= _ours(case, options, Path(folder))
            if options.peers is not None:
                curves |= _theirs(case, options, Path(folder))
    for name, curve in curves.items():
        print(f"{name}: " + ", ".join(f"{n}: {fps:.1f}/s" for n, fps in curve.items()))
    if options.plot is not None:
        plot(curves, options.plot)
    return 0


def _ours(case: str, options: argparse.Namespace, folder: Path) -> dict[str, dict[int, float]]:
    free = in_process(case, folder, options.seconds)
    one = in_process_on_one_core(case, folder, options.seconds)
    print(
        f"{case}: one worker in process draws and encodes {one.fps:.1f} frames/s on one core, "
        f"{free.fps:.1f} where threads encode beside it on {os.cpu_count()} cores"
    )
    curve = {}
    for actors in options.actors:
        steady = on_ray(case, actors, folder, options.seconds)
        curve[actors] = steady.fps
        print(_line(actors, steady, free, one), flush=True)
    return {
        f"rayanim, {case}": curve,
        f"rayanim in process, {case}": {1: free.fps},
        f"rayanim in process on one core, {case}": {1: one.fps},
    }


def _line(actors: int, steady: Steady, free: Steady, one: Steady) -> str:
    """What so many actors do, beside one worker in process: with all cores, and with one."""
    of_free, of_one = (steady.fps / alone.fps / actors for alone in (free, one))
    return (
        f"  {actors:>3} actors: {steady.fps:8.1f} frames/s, {steady.fps / free.fps:5.2f} times one "
        f"in process, {of_free:.2f} of ideal, {of_one:.2f} of one core's "
        f"({steady.frames} frames in {steady.seconds:.1f} s)"
    )


def _theirs(case: str, options: argparse.Namespace, folder: Path) -> dict[str, dict[int, float]]:
    """The peers' throughput: what more frames took, so that their start is left out."""
    python, ffmpeg_folder = peers.ready(options.peers)
    ground = Ground(folder, python, ffmpeg_folder, 600)
    curves: dict[str, dict[int, float]] = {}
    for contestant in CONTESTANTS:
        if not contestant.own_environment or case not in contestant.cases:
            continue
        curve = curves.setdefault(f"{contestant.name}, {case}", {})
        for workers in options.peer_workers:
            few, more = (
                run(contestant, case, frames * workers, str(workers), ground)
                for frames in (FEW, MORE)
            )
            if few.failure or more.failure:
                print(f"  {contestant.name} with {workers}: {few.failure or more.failure}")
                continue
            curve[workers] = (MORE - FEW) * workers / max(1e-9, more.seconds - few.seconds)
            print(f"  {contestant.name} {workers:>3} workers: {curve[workers]:8.1f} frames/s")
    return curves


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    numbers = _numbers
    parser.add_argument("--cases", type=lambda text: text.split(","), default=["sleep"])
    parser.add_argument("--actors", type=numbers, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--peer-workers", type=numbers, default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=15, help="of full speed to measure")
    parser.add_argument("--peers", type=Path, help="folder for the peers' environment")
    parser.add_argument("--plot", type=Path, help="write the curves to this picture")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
