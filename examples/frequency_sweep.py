"""A tone sweeps up and rings out: an act at 1080p whose figure is made once per process.

Run it with ``rayanim run examples/frequency_sweep.py -o frequency_sweep.mp4``.
"""

import matplotlib.pyplot as plt
import numpy as np

import rayanim
from rayanim import acts
from rayanim.easing import smoothstep


class Tone(acts.ActState):
    frequency_hz = 1.0
    loudness = 0.0


class Oscilloscope(acts.FigureRenderer):
    def setup(self):
        plt.rcParams.update(
            {"font.size": 22, "text.color": "#e8f1f2", "axes.labelcolor": "#8aa6a3"}
        )
        fig, ax = plt.subplots(figsize=(19.2, 10.8), dpi=100, facecolor="#0b1418")
        fig.subplots_adjust(left=0.07, right=0.97, bottom=0.1, top=0.9)
        self.time_s = np.linspace(0, 1, 1500)
        glow = [(14, 0.08), (8, 0.15), (3, 1.0)]  # wide and faint below, thin and bright above
        self.lines = [ax.plot([], [], color="#5eead4", lw=lw, alpha=alpha)[0] for lw, alpha in glow]
        self.label = ax.set_title("", loc="left", pad=20, fontsize=30)
        ax.set(
            xlim=(0, 1),
            ylim=(-1.2, 1.2),
            xlabel="time (s)",
            ylabel="amplitude",
            facecolor="#0b1418",
        )
        ax.tick_params(colors="#4f6b6f", length=0)
        ax.grid(color="#1d2f35")
        ax.spines[:].set_visible(False)
        return fig

    def update(self, tone):
        # The window fades the wave towards both edges.
        window = tone.loudness * np.sin(np.pi * self.time_s)
        for line in self.lines:
            line.set_data(self.time_s, window * np.sin(2 * np.pi * tone.frequency_hz * self.time_s))
        self.label.set_text(f"{tone.frequency_hz:5.2f} Hz")


class Fade(acts.Scene):
    def apply(self, tone, time_ms, dbg=False):
        tone.frequency_hz, tone.loudness = 1.0, time_ms


class Sweep(acts.Scene):
    def apply(self, tone, time_ms, dbg=False):
        tone.frequency_hz, tone.loudness = 1.0 * 24.0**time_ms, 1.0


fade_in = acts.FluentScene(Fade()).dilate(smoothstep).time_rescale_exact(0.5, "s").build()
sweep = acts.FluentScene(Sweep()).dilate(smoothstep).time_rescale_exact(4, "s").build()
video = acts.Act(
    Tone(), Oscilloscope(), [fade_in, sweep, acts.FluentScene(sweep).reverse().build()]
)

if __name__ == "__main__":
    print(rayanim.produce(video, fps=30, outfile="frequency_sweep.mp4"))
