"""A cosine wave that travels: the figure is made once, one line moves.

Run it with ``rayanim run examples/wave.py -o wave.mp4``.
"""

import matplotlib.pyplot as plt
import numpy as np

import rayanim


class Wave(rayanim.Animator):
    def setup(self):
        fig, ax = plt.subplots()
        self.x = np.linspace(0, 4 * np.pi, 200)
        (self.line,) = ax.plot(self.x, np.cos(self.x))
        ax.set(
            xlim=(0, 4 * np.pi), ylim=(-1.5, 1.5), xlabel="x", ylabel="y", title="Travelling wave"
        )
        return fig

    def update(self, frame_idx, params):
        self.line.set_ydata(np.cos(self.x + params["phase"]))


if __name__ == "__main__":
    phases = [{"phase": 2 * np.pi * i / 90} for i in range(180)]
    print(Wave().make_video("wave.mp4", phases, fps=30))
