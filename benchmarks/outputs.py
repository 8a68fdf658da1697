"""Several outputs of one run against each of them alone, by processor time.

python benchmarks/outputs.py [--frames 120] [--runs 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import rayanim


class Wave(rayanim.Animator):
    """A moving line in 640x480."""

    def setup(self):
        from matplotlib.figure import Figure

        fig = Figure(figsize=(6.4, 4.8))
        ax = fig.add_subplot(ylim=(-1.1, 1.1), xlabel="x", ylabel="y")
        self.x = np.linspace(0, 10, 400)
        (self.line,) = ax.plot(self.x, np.sin(self.x))
        return fig

    def update(self, frame_idx, params):
        self.line.set_ydata(np.sin(self.x + frame_idx / 10))


def processor_s() -> float:
    return sum(os.times()[:2])


def run(names: list[str], thing: Any = None, **options: Any) -> tuple[float, rayanim.Report]:
    """Processor time of one run, and its report."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"{Path(folder)}/{name}" for name in names]
        began_s = processor_s()
        report = rayanim.produce(
            thing or Wave(),
            outfile=outputs,
            engine="local",
            workers=1,
            progress=False,
            cache=False,
            **options,
        )
        return processor_s() - began_s, report


def drawn(n_frames: int) -> list[Any]:
    """The frames, to be encoded without drawing them again."""
    with tempfile.TemporaryDirectory() as folder:
        rayanim.produce(
            Wave(),
            n_frames=n_frames,
            outfile=f"{folder}/f/%04d.png",
            workers=1,
            progress=False,
            cache=False,
        )
        return [np.array(Image.open(each)) for each in sorted(Path(folder, "f").iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    n_frames, frames = options.frames, drawn(options.frames)
    kinds = {"mp4": ["a.mp4"], "gif": ["a.gif"]}
    kinds["all"] = [*kinds["mp4"], *kinds["gif"], f"poster.png:frame={n_frames // 2}"]
    times: dict[str, list[float]] = {}
    for _ in range(options.runs):
        for name, outputs in kinds.items():
            took_s, report = run(outputs, n_frames=n_frames)
            times.setdefault(name, []).append(took_s)
            count = report.incremental_frames + sum(each for _, each in report.full_frames)
            print(f"{name}: {took_s:.2f} s, {count} frames drawn")
        for name in ("mp4", "gif"):
            times.setdefault(f"{name} of given frames", []).append(run(kinds[name], frames)[0])
    best = {name: min(found) for name, found in times.items()}
    for name, took_s in best.items():
        print(f"{name}: {took_s:.2f} s at best")
    dearer, other = sorted(("mp4", "gif"), key=lambda name: -best[name])
    rest_s = best["all"] - best[f"{other} of given frames"]
    print(
        f"all without the encoding of the {other}: {rest_s / best[dearer]:.2f} of the {dearer} "
        f"alone; all: {best['all'] / (best['mp4'] + best['gif']):.2f} of both in turn"
    )


if __name__ == "__main__":
    main()
