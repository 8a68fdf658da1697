"""Frames that carry their number in their pixels, and how to read it back from a video.

Sixteen blocks, black or white, are the number's bits: large enough to survive
any codec, so that count and order of a video's frames can be proved.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import av
import numpy as np

from rayanim import Animator
from rayanim.frame_gen import FrameGenerator

SIZE = (64, 48)
FPS = 30


def numbered_frame(number: int) -> np.ndarray:
    """(48, 64, 4) uint8 RGBA with the bits of `number`."""
    frame = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    for bit in range(16):
        top, left = 24 * (bit // 8), 8 * (bit % 8)
        frame[top : top + 24, left : left + 8, :3] = 255 * (number >> bit & 1)
    return frame


def files_in(folder: Path) -> list[str]:
    """Names of what lies in a folder, finished segments left out."""
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".parts"))


def read_numbers(path: str | os.PathLike[str]) -> list[int]:
    """The numbers of all frames of a video, as decoded, in order."""
    with av.open(str(path)) as container:
        return [_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


def _number(gray: np.ndarray) -> int:
    bits = [gray[12 + 24 * (bit // 8), 4 + 8 * (bit % 8)] > 128 for bit in range(16)]
    return sum(int(on) << bit for bit, on in enumerate(bits))


def in_actor() -> bool:
    """Whether this process is one of Ray's workers."""
    return "ray::" in Path("/proc/self/cmdline").read_text()


class Numbered(FrameGenerator):
    """A generator of numbered frames that can be slow, raise, or kill its process.

    Parameters
    ----------
    n_frames
        How many there are.
    delay_s
        Each frame takes a random time up to twice this.
    kill
        Frames that end their actor's process; each once if `scratch` is given,
        else every time.
    fail
        A frame that raises.
    scratch
        Folder where it is noted which frames have killed.
    """

    frame_size = SIZE

    def __init__(
        self,
        n_frames: int,
        delay_s: float = 0.0,
        kill: tuple[int, ...] = (),
        fail: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.n_frames = n_frames
        self.delay_s = delay_s
        self.kill = kill
        self.fail = fail
        self.scratch = scratch

    @property
    def duration(self) -> float:
        return self.n_frames * 1000 / FPS

    def generate_at(self, time_ms: float) -> np.ndarray:
        number = round(time_ms * FPS / 1000)
        time.sleep(random.random() * 2 * self.delay_s)
        if number == self.fail:
            raise RuntimeError(f"no frame {number} today")
        if number in self.kill and in_actor():
            self._kill_once(number)
        return numbered_frame(number)

    def _kill_once(self, number: int) -> None:
        if self.scratch is not None:
            note = self.scratch / f"killed-{number}"
            if note.exists():
                return
            note.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class NumberedAnimator(Animator):
    """A figure whose pixels are the bits of its parameter."""

    def setup(self):
        # Without pyplot, whose import takes an actor as long as matplotlib's own.
        from matplotlib.figure import Figure

        fig = Figure(figsize=(0.64, 0.48), dpi=100)
        ax = fig.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        self.image = ax.imshow(np.zeros((2, 8)), vmin=0, vmax=1, cmap="gray", aspect="auto")
        return fig

    def update(self, frame_idx, params):
        bits = [params >> bit & 1 for bit in range(16)]
        self.image.set_data(np.array(bits, float).reshape(2, 8))
