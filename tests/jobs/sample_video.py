"""The script that the tests submit: numbered frames with noise beside them, a note of who drew.

``video.py NOTES FRAMES DELAY_S``: NOTES is a folder; each node with an actor that draws
leaves a file there that has its name, and the script's own process one called ``driver``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numbered import FPS, SIZE, Numbered

import rayanim


class Video(Numbered):
    """Numbered frames in a corner of noise, so that the file is some megabytes large."""

    frame_size = (160, 120)

    def __init__(self, notes: Path, n_frames: int, delay_s: float) -> None:
        super().__init__(n_frames, delay_s)
        self.notes = notes

    def generate_at(self, time_ms: float) -> np.ndarray:
        (self.notes / drawn_by()).touch()
        numbered = super().generate_at(time_ms)
        noise = np.random.default_rng(round(time_ms)).integers(0, 256, (120, 160, 4), np.uint8)
        noise[: SIZE[1], : SIZE[0]] = numbered
        return noise


def drawn_by() -> str:
    """The node of the actor that draws, or "driver"."""
    import ray

    context = ray.get_runtime_context() if ray.is_initialized() else None
    return context.get_node_id() if context and context.get_actor_id() else "driver"


if __name__ == "__main__":
    print("hello from the script")
    given = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    print(rayanim.produce(Video(*given), FPS, outfile="video.mp4"))
