"""Unchanged animation scripts: ``python script.py`` against ``rayanim run script.py``.

Whole processes, in turn. matplotlib needs a program named ``ffmpeg`` for .mp4: that of the peers'
environment is used, see README.md, unless there is one on the search path.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import peers

HEAD = """
import numpy as np
import matplotlib.pyplot as plt
from matplotlib.animation import ArtistAnimation, FuncAnimation
N = {frames}
x = np.linspace(0, 4 * np.pi, 500)
"""

LINE = """
fig, ax = plt.subplots()
line, = ax.plot(x, np.sin(x))
ax.set_title("a wave")
ax.grid()
def update(i):
    line.set_ydata(np.sin(x + i / 10))
    return line,
ani = FuncAnimation(fig, update, frames=N, interval=33)
"""

CLEAR = """
fig, ax = plt.subplots()
def update(i):
    ax.clear()
    ax.plot(x, np.sin(x + i / 10))
    ax.set(xlim=(0, 12), ylim=(-1, 1), title=f"frame {i}", xlabel="x", ylabel="sin x")
ani = FuncAnimation(fig, update, frames=N, interval=33)
"""

ARTISTS = """
fig, ax = plt.subplots()
shown = []
for i in range(N):
    image = ax.imshow(np.sin(x[:100] + i / 10)[:, None] * np.cos(x[:100]), animated=True)
    shown.append([image])
ani = ArtistAnimation(fig, shown, interval=33, blit=True)
"""

PANELS = """
fig, axs = plt.subplots(2, 7, figsize=(16, 6))
lines = [ax.plot(x, np.sin(x))[0] for ax in axs.flat]
for number, ax in enumerate(axs.flat):
    ax.set(title=f"panel {number}", xlabel="x", ylabel="y")
def update(i):
    for number, line in enumerate(lines):
        line.set_ydata(np.sin(x + i * number / 50))
    return lines
ani = FuncAnimation(fig, update, frames=N, interval=33)
"""

SIMULATION = """
rng = np.random.default_rng(0)
places = rng.random((150, 2))
speeds = rng.normal(size=(150, 2)) / 100
fig, ax = plt.subplots(figsize=(6, 6))
dots = ax.scatter(*places.T, s=8)
ax.set(xlim=(0, 1), ylim=(0, 1), title="bodies")
def update(i):
    global places, speeds
    between = places[:, None] - places[None]
    distances = (between**2).sum(2) + 0.01
    speeds = speeds - (between / distances[..., None]**1.5).sum(1) * 1e-6
    places = (places + speeds) % 1
    dots.set_offsets(places)
    return dots,
ani = FuncAnimation(fig, update, frames=N, interval=33)
"""

TAIL = """
ani.save("{name}", fps=30)
"""

CASES = {
    "line_300": (LINE, 300, 8),
    "line_3000": (LINE, 3000, 10),
    "clear_300": (CLEAR, 300, 3),
    "artists_300": (ARTISTS, 300, 5),
    "panels_300": (PANELS, 300, 4),
    "simulation_300": (SIMULATION, 300, 8),
}
"""The script, its frames, and how many times as fast it is meant to be."""


def main() -> None:
    options = _options()
    environment = {**os.environ, "MPLBACKEND": "agg"}
    if shutil.which("ffmpeg") is None:
        _, folder = peers.ready(peers.default_folder())
        environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    print(
        f"{'':24}{'matplotlib':>12}{'rayanim':>10}{'ratio':>8}{'wanted':>8}{'processor time':>16}"
    )
    for name in options.cases:
        script, frames, wanted = CASES[name]
        for suffix in options.suffixes:
            runs = [_run_pair(script, frames, suffix, environment) for _ in range(options.rounds)]
            old_s, new_s, old_cpu_s, new_cpu_s = (
                median(column) for column in zip(*runs, strict=True)
            )
            print(
                f"{name + suffix:24}{old_s:>10.1f} s{new_s:>8.1f} s{old_s / new_s:>7.1f}x"
                f"{wanted:>7}x{old_cpu_s / new_cpu_s:>15.1f}x",
                flush=True,
            )


def _run_pair(
    script: str, frames: int, suffix: str, environment: dict[str, str]
) -> tuple[float, float, float, float]:
    """Seconds of matplotlib and of rayanim, and their processor time."""
    with tempfile.TemporaryDirectory(prefix="unchanged_") as folder:
        path = Path(folder) / "old.py"
        text = HEAD.format(frames=frames) + script + TAIL.format(name=f"out{suffix}")
        path.write_text(text, encoding="utf-8")
        old = _timed([sys.executable, "old.py"], folder, environment)
        _check(Path(folder), suffix)
        new = _timed(
            [sys.executable, "-m", "rayanim", "run", "--no-cache", "old.py"], folder, environment
        )
        _check(Path(folder), suffix)
        return old[0], new[0], old[1], new[1]


def _timed(command: list[str], folder: str, environment: dict[str, str]) -> tuple[float, float]:
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, timeout=3600
    )
    took_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _check(folder: Path, suffix: str) -> None:
    """A video was written, which the next run does not find."""
    (folder / f"out{suffix}").unlink()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--suffixes", nargs="+", default=[".mp4"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
