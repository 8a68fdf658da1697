"""Contestant: rayanim with its defaults. ``run_rayanim.py CASE FRAMES OUTPUT WORKERS``."""

from __future__ import annotations

import json
import sys
from typing import Any

import drawings

import rayanim
from rayanim import acts
from rayanim import frame_gen as fg


class Wave(drawings.Wave, rayanim.Animator):
    pass


class Sleep(drawings.Sleep, rayanim.Animator):
    pass


class Panels(drawings.Panels, rayanim.Animator):
    pass


class Heavy(drawings.Heavy, rayanim.Animator):
    pass


ANIMATORS = {"wave": Wave, "panels": Panels, "sleep": Sleep, "heavy": Heavy}


class Timed(fg.FrameGenerator):
    frame_size = (1920, 1080)

    def __init__(self, frames: int) -> None:
        self.frames = frames

    @property
    def duration(self) -> float:
        return self.frames * (1000 / drawings.FPS)

    def generate_at(self, time_ms: float) -> bytes:
        return drawings.rgba_of_new_sweep(time_ms / self.duration)


class Square(Timed):
    frame_size = (640, 480)

    def generate_at(self, time_ms: float) -> bytes:
        return fg.img_to_bytes(drawings.image_of_square(time_ms / self.duration))


class State(acts.ActState):
    share = 0.0


class Grow(acts.Scene):
    def apply(self, act_state: State, time_ms: float, dbg: bool = False) -> None:
        act_state.share = time_ms


class KeptSweep(drawings.Sweep, acts.FigureRenderer):
    def update(self, act_state: State) -> None:  # type: ignore[override]
        super().update(0, act_state.share)


def render(case: str, frames: int, output: str, workers: str) -> rayanim.Report:
    count: int | str = workers if workers == "auto" else int(workers)
    if case in ANIMATORS:
        animator: Any = ANIMATORS[case]()
        shares = [number / frames for number in range(frames)]
        report: rayanim.Report = animator.make_video(
            output, shares, drawings.FPS, num_workers=count, progress=False, cache=False
        )
        return report
    video: Any
    if case == "sweep_kept":
        grow = acts.FluentScene(Grow()).time_rescale_exact(frames * 1000 / drawings.FPS, "ms")
        video = acts.Act(State(), KeptSweep(), [grow])
    else:
        video = {"square": Square, "sweep": Timed}[case](frames)
    return rayanim.produce(
        video, drawings.FPS, outfile=output, workers=count, progress=False, cache=False
    )


if __name__ == "__main__":
    case, frames, output, workers = sys.argv[1:]
    report = render(case, int(frames), output, workers)
    stages = report.stages
    print(
        json.dumps(
            {
                "engine": report.engine,
                "reason": report.engine_reason,
                "actors": report.actors_peak,
                "binding": report.binding,
                "elapsed_s": report.elapsed_s,
                "start_s": report.start_s,
                "draw_s": stages.draw_s,
                "convert_s": stages.convert_s,
                "encode_s": stages.encode_s,
                "wait_s": stages.wait_s,
            }
        )
    )
