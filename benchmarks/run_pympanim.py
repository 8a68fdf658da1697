"""Contestant: pympanim. Arguments as for `run_rayanim`; ffmpeg must be on the PATH."""

from __future__ import annotations

import sys

import drawings
import pympanim.frame_gen as fg
import pympanim.worker as pmaw


class Sweep(fg.FrameGenerator):
    def __init__(self, frames: int) -> None:
        self.frames = frames

    @property
    def duration(self) -> float:
        return self.frames * (1000 / drawings.FPS)

    @property
    def frame_size(self) -> tuple[int, int]:
        return (1920, 1080)

    def generate_at(self, time_ms: float) -> bytes:
        return drawings.rgba_of_new_sweep(time_ms / self.duration)


class Square(Sweep):
    @property
    def frame_size(self) -> tuple[int, int]:
        return (640, 480)

    def generate_at(self, time_ms: float) -> bytes:
        return fg.img_to_bytes(drawings.image_of_square(time_ms / self.duration))


if __name__ == "__main__":
    case, frames, output, workers = sys.argv[1:]
    video = {"square": Square, "sweep": Sweep}[case](int(frames))
    settings = pmaw.PerformanceSettings(num_workers=int(workers))
    pmaw.produce(video, fps=drawings.FPS, dpi=100, bitrate=-1, outfile=output, settings=settings)
