"""Contestant: parallel-matplotlib-animation. Arguments as for `run_rayanim`."""

from __future__ import annotations

import sys

import drawings
from parallel_animate import Animator


class Wave(drawings.Wave, Animator):
    pass


class Sleep(drawings.Sleep, Animator):
    pass


class Panels(drawings.Panels, Animator):
    pass


class Sweep(drawings.Sweep, Animator):
    pass


class Heavy(drawings.Heavy, Animator):
    pass


KINDS = {"wave": Wave, "panels": Panels, "sleep": Sleep, "sweep_kept": Sweep, "heavy": Heavy}


if __name__ == "__main__":
    case, frames, output, workers = sys.argv[1:]
    animator = KINDS[case]()
    shares = [number / int(frames) for number in range(int(frames))]
    animator.make_video(
        output, param_by_frame=shares, fps=drawings.FPS, num_workers=int(workers), video_mode="cpu"
    )
