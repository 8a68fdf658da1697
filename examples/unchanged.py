"""Three double pendulums that begin a hair apart: a script for matplotlib alone, as it is.

Run it with ``rayanim run examples/unchanged.py -o unchanged.mp4``.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

STEPS, DT_S, G = 20, 1 / 600, 9.81

# Two angles and their speeds, one row for each pendulum.
states = np.array([[2.2, 2.6 + 1e-3 * number, 0.0, 0.0] for number in range(3)])
trails = [[] for _ in states]

fig, ax = plt.subplots(figsize=(6.4, 4.8))
ax.set(xlim=(-2.9, 2.9), ylim=(-2.2, 2.2), aspect="equal", title="A thousandth of a radian apart")
rods = [ax.plot([], [], "o-", lw=2)[0] for _ in states]
paths = [ax.plot([], [], "-", lw=1, alpha=0.5, color=rod.get_color())[0] for rod in rods]
clock = ax.text(0.02, 0.93, "", transform=ax.transAxes)


def slopes(state):
    a, b, va, vb = state.T
    d = a - b
    m = 3 - np.cos(2 * d)
    accelerate_a = -3 * G * np.sin(a) - G * np.sin(a - 2 * b)
    accelerate_a -= 2 * np.sin(d) * (vb**2 + va**2 * np.cos(d))
    accelerate_b = 2 * np.sin(d) * (2 * va**2 + 2 * G * np.cos(a) + vb**2 * np.cos(d))
    return np.stack([va, vb, accelerate_a / m, accelerate_b / m], axis=1)


def start():
    return [*rods, *paths, clock]


def update(frame):
    global states
    for _ in range(STEPS):
        middle = states + slopes(states) * DT_S / 2
        states = states + slopes(middle) * DT_S
    for state, trail, rod, path in zip(states, trails, rods, paths, strict=True):
        x, y = np.sin(state[:2]).cumsum(), -np.cos(state[:2]).cumsum()
        trail.append((x[1], y[1]))
        rod.set_data([0, *x], [0, *y])
        path.set_data(*np.transpose(trail[-60:]))
    clock.set_text(f"{(frame + 1) * STEPS * DT_S:.1f} s")
    return start()


ani = FuncAnimation(fig, update, frames=300, init_func=start, interval=1000 / 30, blit=True)

if __name__ == "__main__":
    ani.save("unchanged.mp4")
