"""Plants faults in jobs on Ray, and counts how many audits find; then what audits and replay cost.

README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import locale
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib.text
import numpy as np
import ray

import rayanim

QUIET, HEAD_START_S = 20, 0.05
"""No fault shows in the first frames, which the job draws in the calling process. Each takes so
long there that actors draw nearly all others: then the share that a fault changes is known."""


def in_actor() -> bool:
    return bool(ray.is_initialized() and ray.get_runtime_context().get_actor_id())


class Wave(rayanim.Animator):
    """A line; `is_wrong(frame)` says which frames the fault would change."""

    update_s = 0.0

    def __init__(self, share: float, chance: int) -> None:
        self.share = share
        self.chance = chance

    def is_wrong(self, frame_idx: int) -> bool:
        dice = random.Random(f"{self.chance} {frame_idx}")
        return frame_idx >= QUIET and dice.random() < self.share

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(3.2, 2.4), dpi=50)
        self.x = np.linspace(0, 4 * np.pi, 200)
        (self.line,) = ax.plot(self.x, np.cos(self.x))
        self.mark = ax.text(1, 0, "x")
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        is_slow = self.share > 0 and frame_idx < QUIET and not in_actor()
        time.sleep(HEAD_START_S if is_slow else self.update_s)
        self.line.set_ydata(np.cos(self.x + frame_idx / 15))


class MissedChange(Wave):
    """A text of which an actor's incremental draw misses the change."""

    def setup(self) -> Any:
        fig = super().setup()
        if in_actor():
            hide_changes()
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.mark._text = "y" if self.is_wrong(frame_idx) else "x"


def hide_changes() -> None:
    """Have no text know that it has changed."""
    from rayanim.figure.artists import ArtistNode

    changed = ArtistNode.changed

    def blind(self: Any, epoch: int) -> Any:
        seen = changed(self, epoch)
        return False if isinstance(self.artist, mpl.text.Text) else seen

    ArtistNode.changed = blind  # type: ignore[method-assign]


class HiddenState(Wave):
    """A costly update whose state shows in some frames only."""

    update_s = 0.02
    count = 0

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.count += 1
        self.mark.set_text(f"{self.count}" if self.is_wrong(frame_idx) else "x")


class OtherSetting(Wave):
    """A setting of matplotlib's that is another one in actors."""

    def setup(self) -> Any:
        if in_actor():
            mpl.rcParams["text.color"] = "red"
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.mark.set_color(mpl.rcParams["text.color"] if self.is_wrong(frame_idx) else "black")


LABEL = "y"


class OtherVariable(Wave):
    """A module's variable that is another one in actors."""

    def setup(self) -> Any:
        if in_actor():
            global LABEL
            LABEL = "z"
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.mark.set_text(LABEL if self.is_wrong(frame_idx) else "x")


class OtherLocale(Wave):
    """A locale that is another one in actors."""

    def setup(self) -> Any:
        if in_actor():
            locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        name = locale.setlocale(locale.LC_NUMERIC)
        self.mark.set_text(name if self.is_wrong(frame_idx) else "x")


FAULTS = {
    "missed change": MissedChange,
    "hidden state": HiddenState,
    "other setting": OtherSetting,
    "other variable": OtherVariable,
    "other locale": OtherLocale,
}


def make(thing: Any, folder: Path, n_frames: int, **options: Any) -> rayanim.Report:
    return rayanim.produce(
        thing,
        30,
        outfile=folder / "video.mp4",
        n_frames=n_frames,
        progress=False,
        cache=False,
        **options,
    )


@contextlib.contextmanager
def ray_of_our_own() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()


def find_faults(
    names: list[str], jobs: int, n_frames: int, folder: Path
) -> dict[str, dict[str, int]]:
    """How many faults were found, and how many videos were right."""
    found: dict[str, dict[str, int]] = {}
    for name in names:
        kind = FAULTS[name]
        count = found[name] = {"jobs": 0, "found": 0, "right": 0}
        for job in range(jobs):
            # From a tenth of the frames to all of them.
            share = 0.1 + 0.9 * job / max(1, jobs - 1)
            make(kind(share, job), folder, n_frames, engine="local")
            right = (folder / "video.mp4").read_bytes()
            report = make(kind(share, job), folder, n_frames, engine="ray", workers=2)
            count["jobs"] += 1
            count["found"] += any("drawn again" in event for event in report.events)
            count["right"] += (folder / "video.mp4").read_bytes() == right
        print(
            f"{name}: {count['found']} of {count['jobs']} found, {count['right']} videos right",
            flush=True,
        )
    return found


def costs(rounds: int, n_frames: int, folder: Path) -> dict[str, float]:
    """Time with audits over time without; with replay over time without; in turn."""
    ways = {
        "audits": ({"audit": None}, {"audit": 0}, Wave),
        "replay": ({"audit": 0}, {"audit": 0, "independent": True}, Wave),
        "costly updates": ({}, {"independent": True, "audit": 0}, HiddenState),
    }
    ratios = {}
    for name, (one, other, kind) in ways.items():
        taken: list[float] = []
        frames = n_frames if kind is Wave else n_frames // 10
        for _ in range(rounds):
            spent = []
            for options in (one, other):
                began = time.perf_counter()
                make(kind(0.0, 0), folder, frames, engine="ray", workers=2, **options)
                spent.append(time.perf_counter() - began)
            taken.append(spent[0] / spent[1])
        ratios[name] = median(taken)
        print(f"{name}: {ratios[name]:.3f} of the time without ({frames} frames)")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20, help="for each kind of fault")
    parser.add_argument(
        "--kinds", nargs="+", choices=FAULTS, default=list(FAULTS), help="kinds of faults"
    )
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5, help="of each cost; 0 for none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ray_of_our_own():
        result: dict[str, Any] = {}
        if options.jobs:
            result["faults"] = find_faults(options.kinds, options.jobs, options.frames, Path(name))
        if options.rounds:
            result["costs"] = costs(options.rounds, 3000, Path(name))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
