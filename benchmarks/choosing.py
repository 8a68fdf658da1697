"""Compares automatic mode with drawing in process and with Ray on all cores, as whole processes.

README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ENGINES = ("auto", "local", "ray")

SCRIPT = """
import sys
import numpy as np
from rayanim import Animator
import run_rayanim


class Video(run_rayanim.Wave):
    def update(self, frame_idx, params):
        super().update(frame_idx, params)
        if weight == "heavy":
            np.linalg.svd(matrix)


frames, engine, weight, path = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
matrix = np.random.default_rng(0).random((140, 140))
shares = [number / frames for number in range(frames)]
report = Video().make_video(path, shares, 50, progress=False, cache=False, engine=engine)
print(report.engine, report.actors_peak, report.engine_reason, sep="; ")
"""


def main() -> int:
    """Measure what the command line asks for."""
    options = _options()
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="choosing_") as folder:
        for weight in options.weights:
            for frames in options.frames:
                worst = max(worst, _compared(weight, frames, options.rounds, Path(folder)))
    print(f"the worst: {worst:.2f} times the best of the two")
    return 0


def _compared(weight: str, frames: int, rounds: int, folder: Path) -> float:
    """How many times as long automatic mode took as the better of the two; prints it."""
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    told = ""
    for turn in range(rounds):
        # Each comes first in turn: what ran before leaves the machine warm, or busy.
        first = turn % len(ENGINES)
        for engine in ENGINES[first:] + ENGINES[:first]:
            took_s, text = _run(weight, frames, engine, folder)
            seconds[engine].append(took_s)
            told = text if engine == "auto" else told
    auto, local, ray = (median(seconds[engine]) for engine in ENGINES)
    ratio = auto / min(local, ray)
    print(
        f"{weight:5} {frames:>6} frames: auto / best {ratio:5.2f}   in process {local:7.1f} s, "
        f"Ray {ray:7.1f} s, auto {auto:7.1f} s ({told})",
        flush=True,
    )
    return ratio


def _run(weight: str, frames: int, engine: str, folder: Path) -> tuple[float, str]:
    here = Path(__file__).resolve().parent
    script = folder / "video.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), str(frames), engine, weight, str(folder / "video.mp4")]
    began_s = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=_environment(here)
    )
    return time.perf_counter() - began_s, done.stdout.strip().splitlines()[-1]


def _environment(here: Path) -> dict[str, str]:
    paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
    # One thread for linear algebra: the machine's cores are shared out by rayanim.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    default = [10, 30, 100, 300, 1000, 3000, 10000]
    parser.add_argument("--frames", type=_numbers, default=default)
    parser.add_argument("--weights", type=lambda text: text.split(","), default=["light", "heavy"])
    parser.add_argument("--rounds", type=int, default=1, help="the median counts")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
