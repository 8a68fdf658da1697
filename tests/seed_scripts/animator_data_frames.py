"""A recording shown slower, whose frames keep the numbers that they have in the recording."""

import matplotlib.pyplot as plt
import numpy as np

from rayanim import Animator, IndexedFrameParams
from rayanim.util import get_rendered_frame_ids

N_DATA_FRAMES = 36
IDS = get_rendered_frame_ids(
    data_fps=np.int64(330), play_speed=30 / 330 * 1.2, rendered_fps=30, n_data_frames=N_DATA_FRAMES
)


class Trace(Animator):
    def setup(self):
        self.fig, self.ax = plt.subplots(figsize=(2, 1.5), dpi=60)
        (self.line,) = self.ax.plot(np.arange(20), np.zeros(20))
        self.ax.set_ylim(-1, 1)
        return self.fig

    def update(self, frame_id, data):
        super().update(frame_id, data)
        self.line.set_ydata(data)
        self.ax.set_title(f"data frame {frame_id}")


def trace(frame_id):
    return np.sin(np.arange(20) / 3 + frame_id / 5)


def recording():
    for frame_id in range(N_DATA_FRAMES):
        if frame_id in IDS:
            yield IndexedFrameParams(frame_id=frame_id, params=trace(frame_id))


if __name__ == "__main__":
    Trace().make_video(
        output_file="trace.mp4",
        param_by_frame=recording(),
        fps=30,
        n_frames=len(IDS),
        num_workers=-1,
        disable_progress_bar=True,
        preload_factor=0,
        savefig_params={"metadata": {"Title": "trace"}},
    )
