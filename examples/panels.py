"""Three weather forecasts that diverge: the Lorenz attractor in five panels, one of them in 3D.

Run it with ``rayanim run examples/panels.py -o panels.mp4``.
"""

import matplotlib.pyplot as plt
import numpy as np

import rayanim

N_FRAMES, STEPS_PER_FRAME, TAIL, STEP_S = 300, 20, 700, 0.005
COLOURS = ("#ff6b6b", "#ffd166", "#4cc9f0")
PANELS = [["space", "x"], ["space", "z"], ["space", "apart"], ["space", "plane"]]


def lorenz(n_steps):
    """Paths from three starts a thousandth apart, (steps, starts, xyz)."""
    at = np.add([-8.0, 8.0, 27.0], [[0.0], [0.001], [0.002]])
    path = np.empty((n_steps, 3, 3))
    for number in range(n_steps):
        path[number] = at
        x, y, z = at.T
        at = at + STEP_S * np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)
    return path


class Forecasts(rayanim.Animator):
    def setup(self):
        self.path = lorenz(TAIL + STEPS_PER_FRAME * N_FRAMES)
        with plt.style.context(["dark_background", {"axes.grid": True, "grid.color": "#2a3142"}]):
            fig = plt.figure(figsize=(12.8, 7.2), facecolor="#10141f")
            self.axes = fig.subplot_mosaic(
                PANELS,
                per_subplot_kw={"space": {"projection": "3d"}},
                width_ratios=[1.6, 1],
                height_ratios=[1, 1, 1, 1.6],
                gridspec_kw={"left": 0, "right": 0.98, "top": 0.95, "bottom": 0.05, "hspace": 0.35},
            )
            self.lines = {name: self.draw_panel(name, ax) for name, ax in self.axes.items()}
        return fig

    def draw_panel(self, name, ax):
        ax.set_facecolor("#10141f")
        if name == "space":
            ax.set(xlim=(-18, 18), ylim=(-24, 24), zlim=(4, 46))
            ax.set_axis_off()
            ax.set_box_aspect((1, 1, 0.9), zoom=1.25)
            return [ax.plot([], [], [], color=colour, lw=1.4)[0] for colour in COLOURS]
        limits = {"x": (-22, 22), "z": (0, 50), "apart": (1e-4, 1e2), "plane": (0, 50)}
        ax.set(ylim=limits[name], xlim=(-22, 22) if name == "plane" else (-TAIL * STEP_S, 0))
        ax.set_title({"apart": "distance", "plane": "x and z"}.get(name, name), loc="left", size=9)
        ax.set_yscale("log" if name == "apart" else "linear")
        ax.tick_params(labelsize=8, length=0, labelcolor="#8b93a7", labelbottom=name == "plane")
        ax.spines[:].set_visible(False)
        return [ax.plot([], [], color=colour, lw=1.2)[0] for colour in COLOURS]

    def update(self, frame_idx, params):
        tail = self.path[frame_idx * STEPS_PER_FRAME :][:TAIL]
        time_s = STEP_S * np.arange(-TAIL, 0)
        apart = np.linalg.norm(tail - tail[:, :1], axis=2)  # 0 has no logarithm: not drawn
        for run in range(3):
            x, y, z = tail[:, run].T
            self.lines["space"][run].set_data_3d(x, y, z)
            self.lines["x"][run].set_data(time_s, x)
            self.lines["z"][run].set_data(time_s, z)
            self.lines["apart"][run].set_data(time_s, apart[:, run])
            self.lines["plane"][run].set_data(x, z)
        self.axes["space"].view_init(elev=12, azim=30 + 0.6 * frame_idx)


if __name__ == "__main__":
    print(Forecasts().make_video("panels.mp4", n_frames=N_FRAMES, fps=30))
