"""Measures the time until a second process draws: with a Ray of the job's own, and a warm one.

README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

KINDS = ("cold", "warm")

PARTS = ("imports", "first frame here", "Ray", "actor's first frame")

SCRIPT = """
import json, os, sys, time
from pathlib import Path

BEGAN, PATH = float(os.environ["BEGAN"]), sys.argv[1]
import matplotlib.pyplot as plt
import numpy as np
import rayanim
import rayanim.engine.job
from rayanim.engine import ray_session, warm

times = {"imports": time.time() - BEGAN}


def timed(starter):
    init = starter.init

    def wrapped(self):
        init(self)
        times["Ray"] = time.time() - BEGAN

    starter.init = wrapped


timed(ray_session.LocalRay)
timed(warm.AttachedSession)


class Wave(rayanim.Animator):
    def setup(self):
        fig, ax = plt.subplots()
        self.x = np.linspace(0, 4 * np.pi, 200)
        (self.line,) = ax.plot(self.x, np.cos(self.x))
        return fig

    def update(self, frame_idx, params):
        self.line.set_ydata(np.cos(self.x + frame_idx / 15))
        if "ray::" in Path("/proc/self/cmdline").read_text():
            Path(PATH + ".drawn").touch(exist_ok=True)
        else:
            times.setdefault("first frame here", time.time() - BEGAN)
            time.sleep(0.01)


report = Wave().make_video(PATH, range(200), engine="ray", progress=False, cache=False)
assert report.engine == "ray"
times["actor's first frame"] = Path(PATH + ".drawn").stat().st_ctime - BEGAN
usage = os.times()
print(json.dumps({**times, "processor": usage.user + usage.system}))
"""


def main() -> int:
    """Measure what the command line asks for."""
    options = _options()
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="start-", dir="/tmp") as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
        command = [sys.executable, "-m", "rayanim", "warm"]
        for _ in range(options.rounds):
            found["cold"].append(_measured(Path(folder), environment))
            began_s = time.time()
            subprocess.run(command, env=environment, check=True)
            print(f"warm after {time.time() - began_s:.1f} s")
            found["warm"].append(_measured(Path(folder), environment))
            _print({kind: runs[-1:] for kind, runs in found.items()})
            subprocess.run([*command, "--stop"], env=environment, check=True)
    print(f"\nmedians of {options.rounds}")
    _print(found)
    return 0


def _measured(folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """When each part had ended, in seconds since the start; the processor time of the process."""
    script, video = folder / "script.py", folder / "video.mp4"
    script.write_text(SCRIPT)
    (folder / "video.mp4.drawn").unlink(missing_ok=True)
    # The workers that Ray starts in advance are there when the machine is quiet again.
    time.sleep(5)
    run = subprocess.run(
        [sys.executable, str(script), str(video)],
        env={**environment, "BEGAN": str(time.time())},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    print(f"| seconds | {' | '.join(KINDS)} |\n|---|{'---|' * len(KINDS)}")
    ends = {
        kind: {name: median(each[name] for each in runs) for name in (*PARTS, "processor")}
        for kind, runs in found.items()
    }
    for before, name in zip((None, *PARTS), PARTS, strict=False):
        parts = [ends[kind][name] - (ends[kind][before] if before else 0) for kind in KINDS]
        print(f"| {name} | {' | '.join(f'{part:.2f}' for part in parts)} |")
    whole = [ends[kind][PARTS[-1]] for kind in KINDS]
    print(f"| until a second process draws | {' | '.join(f'{each:.2f}' for each in whole)} |")
    processor = [ends[kind]["processor"] for kind in KINDS]
    print(f"| processor time of the job | {' | '.join(f'{each:.2f}' for each in processor)} |")
    print(f"cold / warm: {whole[0] / whole[1]:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
