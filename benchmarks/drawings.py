"""The drawing code that every contestant runs, each in its own interpreter.

Nothing here knows a library that makes videos: only matplotlib, NumPy and Pillow.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

FPS = 50
"""Frames per second of every video: a frame lasts whole milliseconds, so that a
duration means the same number of frames to everyone."""


SLEEP_S = float(os.environ.get("SLEEP_MS", "50")) / 1000
"""What a frame of `Sleep` takes."""


class Drawing:
    """A figure that is set up once and updated for every frame.

    Attributes
    ----------
    moving
        The artists that a blitting loop draws anew, lowest first: all that
        changes, and all that lies above it. Empty where everything changes.
    """

    def __init__(self) -> None:
        self.moving: list[Any] = []

    def setup(self) -> Figure:
        """Make the figure."""
        raise NotImplementedError

    def update(self, frame_idx: int, params: float) -> None:
        """Show a frame; `params` is the share of the video that has passed."""
        raise NotImplementedError


class Wave(Drawing):
    """640x480: a line of 200 points moves in one axes."""

    def setup(self) -> Figure:
        figure = _new_figure(6.4, 4.8)
        axes = figure.subplots()
        self.x = np.linspace(0, 4 * np.pi, 200)
        (self.line,) = axes.plot(self.x, np.cos(self.x))
        axes.set(xlim=(0, 4 * np.pi), ylim=(-1.5, 1.5), xlabel="x", ylabel="y", title="A wave")
        self.moving = [self.line, *axes.spines.values()]
        return figure

    def update(self, frame_idx: int, params: float) -> None:
        self.line.set_ydata(np.cos(self.x + 20 * np.pi * params))


class Sleep(Drawing):
    """160x120: a page that only waits for each frame, as if for something slow."""

    def setup(self) -> Figure:
        figure = _new_figure(1.6, 1.2)
        self.page = figure.patch
        return figure

    def update(self, frame_idx: int, params: float) -> None:
        time.sleep(SLEEP_S)
        self.page.set_facecolor((params, 0.5, 0.5))


class Panels(Drawing):
    """2000x400: five axes side by side, the last one in 3D; something moves in each."""

    def setup(self) -> Figure:
        figure = _new_figure(20, 4)
        line, dots, bars, image = (figure.add_subplot(1, 5, n) for n in range(1, 5))
        space = figure.add_subplot(1, 5, 5, projection="3d")
        self.x = np.linspace(0, 2 * np.pi, 200)
        (self.line,) = line.plot(self.x, np.sin(self.x))
        line.set(ylim=(-1.2, 1.2), title="line")
        self.dots = dots.scatter(np.cos(self.x[::4]), np.sin(self.x[::4]), c=self.x[::4])
        dots.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), title="dots")
        self.bars = bars.bar(np.arange(12), np.ones(12))
        bars.set(ylim=(0, 2.2), title="bars")
        self.image = image.imshow(np.zeros((60, 60)), vmin=-1, vmax=1)
        image.set_title("image")
        (self.helix,) = space.plot(np.cos(self.x), np.sin(self.x), self.x)
        space.set_title("space")
        return figure

    def update(self, frame_idx: int, params: float) -> None:
        turn = 4 * np.pi * params
        angle = self.x[::4] + turn
        self.line.set_ydata(np.sin(self.x + turn))
        self.dots.set_offsets(np.column_stack([np.cos(angle), np.sin(2 * angle)]))
        for number, bar in enumerate(self.bars):
            bar.set_height(1 + np.sin(turn + number / 2))
        steps = np.linspace(-3, 3, 60)
        self.image.set_data(np.sin(steps[:, None] * steps + turn))
        self.helix.set_data_3d(np.cos(self.x + turn), np.sin(self.x + turn), self.x)


class Heavy(Drawing):
    """1920x1080: 14 axes, each cleared and filled with new artists in every update."""

    def setup(self) -> Figure:
        figure = _new_figure(19.2, 10.8)
        self.axes = list(figure.subplots(2, 7).flat)
        self.x = np.linspace(0, 2 * np.pi, 400)
        return figure

    def update(self, frame_idx: int, params: float) -> None:
        for number, axes in enumerate(self.axes):
            axes.clear()
            turn = 4 * np.pi * params + number
            axes.plot(self.x, np.sin(self.x + turn), label="sine")
            axes.scatter(self.x[::8], np.cos(self.x[::8] + turn), c=self.x[::8], label="cosine")
            axes.set(ylim=(-1.2, 1.2), title=f"Panel {number}", xlabel="x", ylabel="y")
            axes.legend(loc="upper right")


class Sweep(Drawing):
    """1920x1080: a line of 1,000 points whose frequency rises."""

    def setup(self) -> Figure:
        figure = _new_figure(19.2, 10.8)
        axes = figure.subplots()
        self.x = np.linspace(0, 1, 1000)
        (self.line,) = axes.plot(self.x, self.x)
        axes.set(xlim=(0, 1), ylim=(-1.2, 1.2), xlabel="time", ylabel="amplitude", title="A sweep")
        axes.grid(True)
        self.moving = [self.line, *axes.spines.values()]
        return figure

    def update(self, frame_idx: int, params: float) -> None:
        self.line.set_ydata(np.sin(2 * np.pi * (1 + 19 * params) * self.x))


ANIMATED = {"wave": Wave, "panels": Panels, "sweep_kept": Sweep, "heavy": Heavy}
"""The cases that are a figure with updates, by name."""


def _new_figure(width_in: float, height_in: float) -> Figure:
    # pyplot's figures are what users make; its state is the same for everyone.
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width_in, height_in), dpi=100)


def rgba_of_new_sweep(share: float) -> bytes:
    """A frame of the sweep from a figure that is made for it and thrown away, as RGBA bytes."""
    figure = Figure(figsize=(19.2, 10.8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    x = np.linspace(0, 1, 1000)
    axes.plot(x, np.sin(2 * np.pi * (1 + 19 * share) * x))
    axes.set(xlim=(0, 1), ylim=(-1.2, 1.2), xlabel="time", ylabel="amplitude", title="A sweep")
    axes.grid(True)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def image_of_square(share: float) -> Image.Image:
    """640x480: a red square that crosses a white page."""
    image = Image.new("RGBA", (640, 480), "white")
    left = round(540 * share)
    ImageDraw.Draw(image).rectangle((left, 190, left + 100, 290), fill="red")
    return image
