"""Written for parallel-matplotlib-animation: the class, a list of parameters, the call."""

import matplotlib.pyplot as plt
import numpy as np

from rayanim import Animator


class SpiralAnimation(Animator):
    def setup(self):
        fig, ax = plt.subplots(figsize=(2.4, 1.8), dpi=50)
        self.t = np.linspace(0, 6 * np.pi, 150)
        (self.line,) = ax.plot(self.t, np.sin(self.t))
        ax.set_xlim(0, 20)
        ax.set_ylim(-2, 2)
        ax.set_xlabel("t")
        ax.set_title("Spiral")
        return fig

    def update(self, frame_idx, params):
        turn = params["turn"]
        self.line.set_ydata(np.sin(self.t + turn) * self.t / 10)


params = [{"turn": 2 * np.pi * i / 12} for i in range(12)]

anim = SpiralAnimation()
anim.make_video("spiral.mp4", param_by_frame=params, fps=30, num_workers=4)
