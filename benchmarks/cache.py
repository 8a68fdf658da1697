"""Rendering again after a change: a wave's first video, the same again, and with other parameters.

Whole processes, in turn, with their processor time, which other programs change less than the
clock's. Fails where a video from the cache has other bytes than a fresh one.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SCRIPT = """
import sys
import time
from pathlib import Path
import matplotlib.pyplot as plt
import numpy as np
import rayanim

n_frames, size, segment_frames = sys.argv[1:4]
n_frames, width = int(n_frames), int(size)

class Wave(rayanim.Animator):
    def setup(self):
        fig, ax = plt.subplots(figsize=(width / 100, width * 9 / 1600), dpi=100)
        self.x = np.linspace(0, 4 * np.pi, 200)
        (self.line,) = ax.plot(self.x, np.cos(self.x))
        ax.set(xlim=(0, 4 * np.pi), ylim=(-1.5, 1.5), xlabel="x", ylabel="y", title="A wave")
        return fig

    def update(self, frame_idx, params):
        self.line.set_ydata(params["height"] * np.cos(self.x + params["phase"]))

def main():
    start = n_frames // 6
    edited = range(start, start + n_frames // 20) if Path("changed").exists() else ()
    params = [
        {"phase": 2 * np.pi * i / 90, "height": 1 - 0.3 * (i in edited)} for i in range(n_frames)
    ]
    began_s = time.process_time()
    report = Wave().make_video(
        sys.argv[4], params, fps=30, cache=sys.argv[5] == "1", progress=False,
        segment_frames=int(segment_frames) or None, engine="local",
    )
    print(report.cached_frames, time.process_time() - began_s)

main()
"""


@dataclass
class Run:
    """One process: what it and its rendering took, and how many frames came from the cache."""

    wall_s: float
    cpu_s: float
    render_cpu_s: float
    cached_frames: int
    video: bytes


def run(script: Path, *words: str) -> Run:
    video = script.with_name("wave.mp4")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), *words[:3], str(video), words[3]],
        check=True, capture_output=True, text=True, cwd=script.parent,
    )  # fmt: skip
    wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cached_frames, render_cpu_s = done.stdout.split()[-2:]
    return Run(wall_s, cpu_s, float(render_cpu_s), int(cached_frames), video.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--segment-frames", type=int, default=0, help="0 for rayanim's own")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: list[dict[str, Run]] = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            # matplotlib's list of fonts is not what is measured.
            os.environ |= {"XDG_CACHE_HOME": folder, "MPLCONFIGDIR": f"{folder}/matplotlib"}
            script = Path(folder, "script.py")
            script.write_text(SCRIPT)
            given = (str(options.width), str(options.segment_frames))
            run(script, "20", *given, "0")
            n_frames = str(options.frames)
            runs = {
                "without a cache": run(script, n_frames, *given, "0"),
                "first, kept": run(script, n_frames, *given, "1"),
                "again, nothing changed": run(script, n_frames, *given, "1"),
            }
            Path(folder, "changed").touch()
            runs["a twentieth changed"] = run(script, n_frames, *given, "1")
            runs["the same, without a cache"] = run(script, n_frames, *given, "0")
            rounds.append(runs)
    print(f"{options.frames} frames, {options.width} pixels wide; {options.rounds} rounds")
    for name in rounds[0]:
        of_name = [each[name] for each in rounds]
        shares = {
            kind: median(
                getattr(each[name], kind) / getattr(each["without a cache"], kind)
                for each in rounds
            )
            for kind in ("render_cpu_s", "cpu_s", "wall_s")
        }
        print(
            f"{name:26} processors {median(each.render_cpu_s for each in of_name):7.2f} s "
            f"({shares['render_cpu_s']:.3f}), with the start of Python "
            f"{median(each.cpu_s for each in of_name):7.2f} s ({shares['cpu_s']:.3f}); clock "
            f"{median(each.wall_s for each in of_name):7.2f} s ({shares['wall_s']:.3f}); "
            f"{of_name[0].cached_frames} frames from the cache"
        )
    for each in rounds:
        if each["a twentieth changed"].video != each["the same, without a cache"].video:
            sys.exit("A video from the cache has other bytes than a fresh one.")
        if each["again, nothing changed"].video != each["without a cache"].video:
            sys.exit("A video from the cache has other bytes than a fresh one.")


if __name__ == "__main__":
    main()
