"""Written for parallel-matplotlib-animation: what is rarer, in one script.

An ``__init__`` of its own, a generator of parameters that come out of order,
``n_frames``, a dpi for saving, log intervals, a chosen play speed.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rayanim import Animator, IndexedFrameParams
from rayanim.animator import get_rendered_frame_ids


class Recording(Animator):
    def __init__(self, n_samples, colour="tab:red"):
        self.data = np.cumsum(np.random.default_rng(7).normal(size=n_samples))
        self.colour = colour

    def setup(self):
        self.fig, (self.ax, self.hist_ax) = plt.subplots(1, 2, figsize=(3, 1.6))
        (self.line,) = self.ax.plot([], [], color=self.colour)
        self.ax.set(xlim=(0, len(self.data)), ylim=(self.data.min(), self.data.max()))
        self.text = self.hist_ax.text(0.5, 0.5, "", ha="center")
        return self.fig

    def update(self, frame_idx, params):
        self.line.set_data(np.arange(params), self.data[:params])
        self.text.set_text(f"{frame_idx}: {self.data[params]:.2f}")


def shuffled(ids):
    for number in [*range(1, len(ids), 2), *range(0, len(ids), 2)]:
        yield IndexedFrameParams(frame_id=number, params=int(ids[number]))


frame_ids = get_rendered_frame_ids(data_fps=330, play_speed=0.5, rendered_fps=30, n_data_frames=80)
recording = Recording(80, colour="tab:blue")
recording.make_video(
    Path("videos") / "recording.mp4",
    shuffled(frame_ids),
    fps=30,
    n_frames=len(frame_ids),
    num_workers=2,
    disable_progress_bar=True,
    plotting_log_interval=5,
    saving_log_interval=5,
    savefig_params={"dpi": 60},
    video_mode="cpu",
    video_preset="fast",
    preload_factor=4,
)
