"""Ripples on water: a plain function of the time is enough, and an array is a frame.

Run it with ``rayanim run examples/function.py -o function.mp4``.
"""

import numpy as np

import rayanim

WIDTH, HEIGHT = 960, 540
PERIOD_MS = 4000
SOURCES = [(-0.9, -0.35), (0.8, -0.5), (0.15, 0.6)]  # where drops fall, in half heights

x, y = np.meshgrid(
    np.linspace(-WIDTH / HEIGHT, WIDTH / HEIGHT, WIDTH, dtype=np.float32),
    np.linspace(-1, 1, HEIGHT, dtype=np.float32),
)
distances = [np.sqrt((x - x0) ** 2 + (y - y0) ** 2 + 0.003) for x0, y0 in SOURCES]

# From deep water to foam, one colour per level.
LEVELS = [0.0, 0.45, 0.75, 1.0]
COLOURS = [(6, 18, 48), (14, 88, 138), (72, 187, 201), (246, 252, 244)]
PALETTE = np.stack(
    [np.interp(np.linspace(0, 1, 256), LEVELS, part) for part in zip(*COLOURS, strict=True)], 1
).astype(np.uint8)


def ripples(time_ms):
    turn = 2 * np.pi * time_ms / PERIOD_MS
    height = sum(
        np.sin(28 * distance - 4 * turn + 2 * number) / (1 + 2 * distance)
        for number, distance in enumerate(distances)
    )
    # Light falls from the left: what rises towards it is bright.
    light = 0.4 + 4.0 * np.gradient(height, axis=1) + 0.12 * height
    return PALETTE[(255 * np.clip(light, 0, 1)).astype(np.uint8)]


if __name__ == "__main__":
    print(rayanim.produce(ripples, 30, outfile="function.mp4", duration=PERIOD_MS))
