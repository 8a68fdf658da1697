"""Prints what each fault on a cluster costs, beside the same video without one.

docs/fault-tolerance.md explains the results.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harm
from numbered import FPS

import rayanim
from rayanim.engine.roster import SLACK_S, VERY_LATE

Harm = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A fault.

    Attributes
    ----------
    name
        What happens.
    harm
        Makes it happen; None where nothing does.
    left
        Render actors that can go on at once.
    """

    name: str
    harm: Harm | None
    left: int


CASES = (
    Case("nothing", None, harm.ACTORS),
    Case("a render actor is killed", harm.kill_an_actor, harm.ACTORS),
    Case("the encoder actor is killed", harm.kill_the_encoder, harm.ACTORS),
    Case("a node is frozen", harm.freeze_a_node, harm.ACTORS - 1),
    Case("two nodes are killed", harm.kill_two_nodes, harm.ACTORS - 2),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one video took, from when actors began to draw, and what came of it."""

    seconds: float
    again: int
    digest: str


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--frame-ms", type=float, default=30.0, help="what drawing a frame takes")
    options = parser.parse_args()
    frame_s = options.frame_ms / 1000
    bound_s = VERY_LATE * harm.SEGMENT * frame_s + SLACK_S
    print(
        f"{options.frames} frames of {options.frame_ms:g} ms on {harm.ACTORS} nodes, in segments "
        f"of {harm.SEGMENT}; a segment is late after {bound_s:.1f} s"
    )
    print("| fault | seconds | of the run without | at best | lost | drawn again |")
    print("|---|---|---|---|---|---|")
    with harm.small_cluster() as cluster:
        whole: Run | None = None
        for case in CASES:
            run = _run(cluster, case.harm, options.frames, frame_s)
            whole = whole or run
            print(_row(case, run, whole), flush=True)
            harm.end_the_frozen(cluster)
            harm.mend(cluster)
    return 0


def _row(case: Case, run: Run, whole: Run) -> str:
    if run.digest != whole.digest:
        raise SystemExit(f"{case.name}: the video is another one")
    best_s = whole.seconds * (0.25 + 0.75 * harm.ACTORS / case.left)
    return (
        f"| {case.name} | {run.seconds:.1f} | {run.seconds / whole.seconds:.2f} | {best_s:.1f} "
        f"| {run.seconds - best_s:.1f} s | {run.again} frames |"
    )


def _run(cluster: Any, harm_done: Harm | None, n_frames: int, frame_s: float) -> Run:
    with tempfile.TemporaryDirectory(prefix="faults_") as name:
        folder = Path(name)
        once = harm.Once(lambda: None if harm_done is None else harm_done(cluster), folder)
        rayanim.produce(
            harm.Traced(n_frames, folder, delay_s=frame_s),
            FPS,
            outfile=folder / "video.mp4",
            address=cluster.address,
            engine="ray",
            workers=harm.ACTORS,
            segment_frames=harm.SEGMENT,
            audit=0,
            progress=once,
            cache=False,
        )
        seconds = time.perf_counter() - (once.began_s or 0.0)
        digest = hashlib.sha256((folder / "video.mp4").read_bytes()).hexdigest()
        return Run(seconds, harm.drawn_again(folder), digest)


if __name__ == "__main__":
    raise SystemExit(main())
