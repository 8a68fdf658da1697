"""What people's animation scripts look like, each as a function that makes the animation anew."""

from __future__ import annotations

import functools
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import animation, patheffects
from matplotlib.animation import ArtistAnimation, FuncAnimation
from matplotlib.colors import PowerNorm
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.transforms import Affine2D
from matplotlib.widgets import Slider

PATTERNS: dict[str, Callable[[], Any]] = {}
SAVED_WITH: dict[str, dict[str, Any]] = {}
COME_ONCE: set[str] = set()
"""Those whose frames come once: they are drawn in one process."""

X = np.linspace(0, 2 * np.pi, 50)
N = 6
SIZE = (2.4, 1.8)


def pattern(come_once: bool = False, **saved_with: Any) -> Callable[[Any], Any]:
    """Adds a function to the patterns; `saved_with` are arguments of `save`."""

    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        PATTERNS[make.__name__] = make
        SAVED_WITH[make.__name__] = saved_with
        if come_once:
            COME_ONCE.add(make.__name__)
        return make

    return add


def axes(**options: Any) -> tuple[Any, Any]:
    return plt.subplots(figsize=SIZE, **options)


@pattern()
def closure_sets_data():
    fig, ax = axes()
    (line,) = ax.plot(X, np.sin(X))

    def update(i):
        line.set_ydata(np.sin(X + i / 5))

    return FuncAnimation(fig, update, frames=N)


@pattern(fps=12.5, dpi=80)
def blit_with_init_func():
    fig, ax = axes()
    (line,) = ax.plot([], [], lw=2)
    ax.set(xlim=(0, 6), ylim=(-1, 1))

    def init():
        line.set_data([], [])
        return (line,)

    def update(i):
        line.set_data(X, np.sin(X - i / 10))
        return (line,)

    return FuncAnimation(fig, update, init_func=init, frames=N, interval=20, blit=True)


@pattern()
def blit_without_init_func():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    ax.add_patch(plt.Rectangle((1, 1), 3, 3, zorder=5))

    def update(i):
        line.set_ydata(X * i / N)
        return [line]

    return FuncAnimation(fig, update, frames=N, blit=True)


@pattern()
def method_of_an_object():
    class Scope:
        def __init__(self):
            self.fig, self.ax = axes()
            self.ts, self.ys = [0], [0]
            (self.line,) = self.ax.plot(self.ts, self.ys)
            self.ax.set(xlim=(0, N), ylim=(0, N))

        def update(self, i):
            self.ts.append(i)
            self.ys.append(i**2 % N)
            self.line.set_data(self.ts, self.ys)
            return (self.line,)

    scope = Scope()
    return FuncAnimation(scope.fig, scope.update, frames=N, blit=True)


@pattern()
def fargs():
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def update(i, line, phases):
        line.set_ydata(phases[i] + X)
        return (line,)

    return FuncAnimation(fig, update, N, fargs=(line, np.linspace(0, 1, N)))


@pattern()
def partial_function():
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def update(i, *, line, scale):
        line.set_ydata(np.cos(scale * X + i))

    return FuncAnimation(fig, functools.partial(update, line=line, scale=2), frames=N)


@pattern()
def clear_and_plot_again():
    fig, ax = axes()

    def update(i):
        ax.clear()
        ax.plot(X[: 8 * i + 8], np.sin(X[: 8 * i + 8]))
        ax.set_title(f"step {i}")

    return FuncAnimation(fig, update, frames=N)


@pattern()
def pyplot_s_own_functions():
    fig = plt.figure(figsize=SIZE)

    def update(i):
        plt.cla()
        plt.bar(range(5), np.arange(5) * i)
        plt.ylim(0, 30)
        plt.xlabel("number")

    return FuncAnimation(fig, update, frames=N)


@pattern()
def clear_the_figure():
    fig = plt.figure(figsize=SIZE)

    def update(i):
        fig.clf()
        first, second = fig.subplots(2)
        first.plot(X, np.sin(X + i))
        second.hist(np.sin(X * i), bins=5)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def new_artists_in_each_frame():
    fig, ax = axes()
    ax.set(xlim=(0, N), ylim=(0, N))

    def update(i):
        return ax.scatter(i, i, c="r"), ax.text(i, i, str(i))

    return FuncAnimation(fig, update, frames=N, blit=True)


@pattern()
def artists_taken_away():
    fig, ax = axes()
    ax.set(xlim=(0, N), ylim=(0, N))
    shown: list[Any] = []

    def update(i):
        while shown:
            shown.pop().remove()
        shown.append(ax.axvline(i))
        shown.append(ax.annotate("here", (i, 1), (i, 3), arrowprops={"arrowstyle": "->"}))

    return FuncAnimation(fig, update, frames=N)


@pattern(come_once=True)
def generator_function():
    fig, ax = axes()
    (line,) = ax.plot([], [])
    ax.set(xlim=(0, 6), ylim=(-1, 1))
    xs: list[float] = []

    def data():
        for x in np.linspace(0, 6, N):
            yield x, np.sin(x)

    def update(point):
        xs.append(point[0])
        line.set_data(xs, np.sin(xs))
        return (line,)

    return FuncAnimation(fig, update, data, save_count=100, interval=10)


@pattern(come_once=True)
def sorter_that_yields_one_list():
    values = [5, 3, 6, 1, 4, 2]
    fig, ax = axes()
    bars = ax.bar(range(len(values)), values)
    text = ax.text(0.02, 0.9, "", transform=ax.transAxes)
    steps = [0]

    def sort():
        for end in range(len(values), 1, -1):
            for at in range(end - 1):
                if values[at] > values[at + 1]:
                    values[at], values[at + 1] = values[at + 1], values[at]
                yield values

    def update(state):
        for bar, height in zip(bars, state, strict=True):
            bar.set_height(height)
        steps[0] += 1
        text.set_text(f"{steps[0]} operations")

    return FuncAnimation(fig, update, frames=sort, save_count=1500, repeat=False)


@pattern(come_once=True)
def generator_that_repeats():
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def values() -> Iterator[float]:
        yield from (0.1, 0.5, 0.3, 0.9)

    def update(value):
        line.set_ydata(value * X)

    return FuncAnimation(fig, update, frames=values(), save_count=50)


@pattern(come_once=True)
def generator_that_waits_for_the_update():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    ball = {"y": 10.0, "v": 0.0}

    def until_it_lands():
        number = 0
        while ball["y"] > 0:
            yield number
            number += 1

    def update(i):
        ball["v"] -= 1
        ball["y"] += ball["v"]
        line.set_ydata(X + ball["y"])

    return FuncAnimation(fig, update, until_it_lands, init_func=lambda: None, save_count=99)


@pattern()
def endless_with_save_count():
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def update(i):
        line.set_ydata(np.sin(X * i))

    return FuncAnimation(fig, update, save_count=N)


@pattern()
def list_of_arrays():
    frames = [np.sin(X + each) for each in range(N)]
    fig, ax = axes()
    (line,) = ax.plot(X, frames[0])

    def update(ys):
        line.set_ydata(ys)

    return FuncAnimation(fig, update, frames=frames)


@pattern()
def array_of_angles():
    fig, ax = axes(subplot_kw={"projection": "polar"})
    (line,) = ax.plot([0, 0], [0, 1], lw=3)

    def update(angle):
        line.set_xdata([angle, angle])
        return (line,)

    return FuncAnimation(fig, update, frames=np.linspace(0, 6, N), blit=True)


@pattern()
def state_in_a_simulation():
    rng = np.random.default_rng(3)
    places, speeds = rng.random((20, 2)), rng.normal(size=(20, 2)) / 20
    fig, ax = axes()
    dots = ax.scatter(*places.T)
    ax.set(xlim=(0, 1), ylim=(0, 1))

    def update(i):
        nonlocal places
        places = (places + speeds) % 1
        dots.set_offsets(places)
        dots.set_array(places[:, 0])

    return FuncAnimation(fig, update, frames=N)


@pattern()
def global_random_numbers():
    np.random.seed(4)
    random.seed(4)
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def update(i):
        line.set_ydata(np.random.rand(len(X)) + random.random())

    return FuncAnimation(fig, update, frames=N)


@pattern()
def life_in_an_image():
    grid = np.random.default_rng(1).integers(0, 2, (20, 20))
    fig, ax = axes()
    image = ax.imshow(grid, interpolation="nearest")

    def update(i):
        nonlocal grid
        near = sum(np.roll(grid, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) - grid
        grid = ((near == 3) | ((grid == 1) & (near == 2))).astype(int)
        image.set_data(grid)
        return (image,)

    return FuncAnimation(fig, update, frames=N, blit=True)


@pattern()
def columns_filled_in_an_array():
    data = np.zeros((10, N))
    fig, ax = axes()
    image = ax.imshow(data, vmin=0, vmax=1, aspect="auto")
    fig.colorbar(image)

    def update(i):
        data[:, i] = np.linspace(0, 1, 10)
        image.set_array(data)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def colour_bar_that_changes():
    fig, ax = axes()
    image = ax.pcolormesh(np.outer(X, X))
    fig.colorbar(image, ax=ax)

    def update(i):
        image.set_array(np.outer(np.sin(X + i), X))
        image.set_clim(-i - 1, i + 1)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def arrows():
    fig, ax = axes()
    xs, ys = np.meshgrid(np.arange(5), np.arange(5))
    arrows = ax.quiver(xs, ys, np.cos(xs), np.sin(ys))

    def update(i):
        arrows.set_UVC(np.cos(xs + i / 3), np.sin(ys + i / 3))
        return (arrows,)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def contours_made_again():
    fig, ax = axes()
    xs, ys = np.meshgrid(X, X)
    drawn = [ax.contourf(xs, ys, np.sin(xs))]

    def update(i):
        drawn[0].remove()
        drawn[0] = ax.contourf(xs, ys, np.sin(xs + i / 4) * ys)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def fill_between_made_again():
    fig, ax = axes()
    ax.set(xlim=(0, 6), ylim=(-2, 2))
    filled = ax.fill_between(X, np.sin(X))

    def update(i):
        nonlocal filled
        filled.remove()
        filled = ax.fill_between(X, np.sin(X + i), alpha=0.5)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def subplots():
    fig, axs = axes(nrows=2, ncols=2, sharex=True)
    lines = [ax.plot(X, X * 0)[0] for ax in axs.flat]

    def update(i):
        for number, line in enumerate(lines):
            line.set_ydata(np.sin(X + i * number))
            line.axes.relim()
            line.axes.autoscale_view()

    return FuncAnimation(fig, update, frames=N)


@pattern()
def twin_axes():
    fig, ax = axes()
    other = ax.twinx()
    (first,) = ax.plot(X, X, "b")
    (second,) = other.plot(X, X, "r")

    def update(i):
        first.set_ydata(np.sin(X + i))
        second.set_ydata(10 * np.cos(X + i))
        other.set_ylim(-10 - i, 10 + i)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def turning_in_space():
    fig = plt.figure(figsize=SIZE)
    ax = fig.add_subplot(projection="3d")
    xs, ys = np.meshgrid(X[::10], X[::10])
    ax.plot_surface(xs, ys, np.sin(xs))

    def update(angle):
        ax.view_init(30, angle)

    return FuncAnimation(fig, update, frames=range(0, 90, 20))


@pattern()
def moving_in_space():
    fig = plt.figure(figsize=SIZE)
    ax = fig.add_subplot(projection="3d")
    (line,) = ax.plot([], [], [])
    ax.set(xlim=(0, 6), ylim=(-1, 1), zlim=(-1, 1))

    def update(i):
        line.set_data(X[: 9 * i], np.sin(X[: 9 * i]))
        line.set_3d_properties(np.cos(X[: 9 * i]))

    return FuncAnimation(fig, update, frames=N)


@pattern()
def text_and_title():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    text = ax.text(0.05, 0.9, "", transform=ax.transAxes)

    def update(i):
        line.set_ydata(X + i)
        text.set_text(f"time = {i:.1f}s")
        ax.set_title(f"frame {i}", color=(i / N, 0, 0))
        fig.suptitle(str(i))

    return FuncAnimation(fig, update, frames=N)


@pattern()
def ticks_and_limits():
    fig, ax = axes()
    (line,) = ax.plot([], [])
    xs: list[int] = []

    def update(i):
        xs.append(i)
        line.set_data(xs, [each**3 for each in xs])
        ax.relim()
        ax.autoscale_view()
        ax.set_xticks(xs, [f"t{each}" for each in xs], rotation=30)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def legend_with_a_number():
    fig, ax = axes()
    (line,) = ax.plot(X, np.sin(X), label="0")
    legend = ax.legend(loc="upper right")

    def update(i):
        line.set_ydata(np.sin(X + i))
        legend.get_texts()[0].set_text(f"n = {i}")

    return FuncAnimation(fig, update, frames=N)


@pattern()
def patches_that_move():
    fig, ax = axes()
    circle = plt.Circle((0, 0), 0.3, fc="y")
    ax.add_patch(circle)
    ax.axis("equal")
    ax.set(xlim=(-2, 2), ylim=(-2, 2))

    def update(i):
        circle.center = (np.cos(i), np.sin(i))
        return (circle,)

    return FuncAnimation(fig, update, frames=N, blit=True)


@pattern()
def images_one_after_the_other():
    fig, ax = axes()
    shown = [
        [ax.imshow(np.outer(np.sin(X + i), X), animated=True), ax.text(0, 0, str(i))]
        for i in range(N)
    ]
    return ArtistAnimation(fig, shown, interval=50, blit=True, repeat_delay=1000)


@pattern()
def containers_one_after_the_other():
    fig, ax = axes()
    shown = [ax.bar(range(4), np.arange(4) * i, color="b").patches for i in range(N)]
    return ArtistAnimation(fig, shown, interval=200)


@pattern()
def an_animation_class_of_one_s_own():
    class Spiral(animation.TimedAnimation):
        def __init__(self):
            fig, self.ax = axes()
            (self.line,) = self.ax.plot([], [])
            self.ax.set(xlim=(-6, 6), ylim=(-6, 6))
            super().__init__(fig, interval=50, blit=True)

        def _draw_frame(self, framedata):
            xs = X[:framedata]
            self.line.set_data(xs * np.cos(xs), xs * np.sin(xs))
            self._drawn_artists = [self.line]

        def new_frame_seq(self):
            return iter(range(0, 50, 10))

        def _init_draw(self):
            self.line.set_data([], [])

    return Spiral()


@pattern()
def a_layout_engine():
    fig, ax = axes(layout="constrained")
    image = ax.imshow(np.outer(X, X))
    bar = fig.colorbar(image)

    def update(i):
        image.set_data(np.outer(X, X) * 10**i)
        image.autoscale()
        bar.set_label("a" * i)
        ax.set_title("two\nlines" if i % 2 else "one")

    return FuncAnimation(fig, update, frames=N)


@pattern(dpi=70, savefig_kwargs={"facecolor": "lightblue"})
def tight_layout_and_a_face():
    fig, ax = axes(layout="tight")
    (line,) = ax.plot(X, X)

    def update(i):
        line.set_ydata(X * 10**i)
        ax.set_ylim(0, 6 * 10**i)
        ax.set_ylabel(f"{i}")

    return FuncAnimation(fig, update, frames=N)


@pattern(dpi=63)
def odd_size_and_half_a_face():
    fig, ax = plt.subplots(figsize=(3.01, 1.77), facecolor=(1, 0, 0, 0.3))
    (line,) = ax.plot(X, X)

    def update(i):
        line.set_ydata(np.sin(X + i))
        fig.set_facecolor((0, 1, 0, 0.5))

    return FuncAnimation(fig, update, frames=N)


@pattern(dpi=150)
def places_in_pixels():
    """What is computed from pixels is computed in the figure's own."""
    fig, ax = axes()
    text = ax.text(2, 2, "text")
    (line,) = ax.plot(X, X)

    def update(i):
        box = text.get_window_extent()
        text.set_text("text" * (i % 3))
        x, _ = ax.transData.inverted().transform((box.x1, box.y1))
        line.set_xdata(X + x / fig.dpi)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def reads_its_own_canvas():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    means: list[float] = [0.0]

    def update(i):
        fig.canvas.draw()
        means.append(np.asarray(fig.canvas.buffer_rgba()).mean())
        line.set_data(X, X * means[-1] - means[-2])
        line.set_linewidth(i + 1)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def a_lock_in_reach():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    lock = threading.Lock()

    def update(i):
        with lock:
            line.set_ydata(np.sin(X + i))

    return FuncAnimation(fig, update, frames=N)


@pattern(come_once=True)
def cycle_of_values():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    return FuncAnimation(
        fig, lambda value: line.set_ydata(X * value), itertools.cycle([1, 2, 3]), save_count=5
    )


@pattern()
def stops_itself():
    fig, ax = axes()
    (line,) = ax.plot(X, X)

    def update(i):
        line.set_ydata(X + i)
        if i == 3:
            ani.event_source.stop()

    ani = FuncAnimation(fig, update, frames=N)
    return ani


@pattern()
def limits_that_something_follows():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    ax.callbacks.connect("ylim_changed", lambda ax: ax.set_title(f"up to {ax.get_ylim()[1]:.2f}"))

    def update(i):
        line.set_ydata(X * i)
        ax.set_ylim(0, 6 * i + 1)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def colours_whose_limits_a_later_frame_gives():
    fig, (left, right) = axes(ncols=2)
    dots = left.scatter([], [], c=[])
    left.set(xlim=(0, 1), ylim=(0, 1))
    levels = np.arange(16).reshape(4, 4)
    image = right.imshow(levels)
    x = y = values = np.linspace(0, 1, 3 * N)

    def update(i):
        dots.set_offsets(np.column_stack([x[: 3 * i], y[: 3 * i]]))
        dots.set_array(values[: 3 * i])
        if i == 2:
            image.set_norm(PowerNorm(0.5))
        image.set_data(levels * (i + 1))

    return FuncAnimation(fig, update, frames=N)


@pattern()
def table_whose_letters_shrink_for_good():
    fig, ax = axes()
    ax.axis("off")
    table = ax.table(cellText=[["a", "b"], ["c", "d"]], loc="center")

    def update(i):
        table[0, 0].get_text().set_text("x" * (30 if i == 1 else 1))
        table[1, 1].get_text().set_text(str(i))

    return FuncAnimation(fig, update, frames=N)


@pattern()
def containers_that_are_moved():
    fig, (upper, lower) = axes(nrows=2)
    x = X[::9]
    bars = upper.errorbar(x, np.sin(x), yerr=0.3, capsize=2)
    heads, stems, _ = lower.stem(x, np.cos(x))

    def update(i):
        y = np.sin(x + i)
        bars[0].set_ydata(y)
        bars[2][0].set_segments([[(at, top - 0.2), (at, top + i)] for at, top in np.c_[x, y]])
        heads.set_ydata(y)
        stems.set_segments([[(at, 0), (at, top)] for at, top in np.c_[x, y]])

    return FuncAnimation(fig, update, frames=N)


@pattern()
def outlines_and_a_hand_drawn_line():
    with plt.rc_context({"path.sketch": (1, 100, 2)}):
        fig, ax = axes()
        (line,) = ax.plot(X, X, path_effects=[patheffects.SimpleLineShadow(), patheffects.Normal()])
    text = ax.text(1, 3, "text")

    def update(i):
        line.set_ydata(np.sin(X + i))
        text.set(position=(1 + i / 3, 0), rotation=9 * i)
        text.set_path_effects([patheffects.withStroke(linewidth=1 + i, foreground="y")])

    return FuncAnimation(fig, update, frames=N)


@pattern()
def radar_on_polar_axes():
    fig, ax = axes(subplot_kw={"projection": "polar"})
    ax.set(theta_zero_location="N", theta_direction=-1)
    (sweep,) = ax.plot([], [])
    dots = ax.scatter([], [], c="r")

    def update(i):
        sweep.set_data([i, i], [0, 1])
        dots.set_offsets(np.c_[X[:i], X[:i] / 9])
        return sweep, dots

    return FuncAnimation(fig, update, frames=N, blit=True)


@pattern()
def pies_and_boxes_made_again():
    fig, (left, right) = axes(ncols=2)

    def update(i):
        left.clear()
        right.clear()
        left.pie([1, 2, 3 + i], explode=[0, 0.1, 0], labels=list("abc"), shadow=True)
        right.boxplot([X, X * i, X**2], notch=True)
        right.violinplot([X + i, X], showmedians=True)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def a_picture_in_a_box():
    fig, ax = axes()
    ax.set(xlim=(0, 9), ylim=(0, 9))
    picture = OffsetImage(np.arange(300).reshape(10, 10, 3) / 300, zoom=1.5)
    box = AnnotationBbox(picture, (1, 1))
    ax.add_artist(box)

    def update(i):
        box.xy = box.xybox = (1 + i, 1 + i / 2)
        picture.set_zoom(1 + i / 5)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def an_inset_that_follows():
    fig, ax = axes()
    (line,) = ax.plot(X, np.sin(X))
    inset = ax.inset_axes((0.6, 0.6, 0.35, 0.35), xlim=(1, 2), ylim=(-1, 1))
    (inner,) = inset.plot(X, np.sin(X))
    ax.indicate_inset_zoom(inset)

    def update(i):
        for each in (line, inner):
            each.set_ydata(np.sin(X * i))
        inset.set_xlim(1 + i / 2, 2 + i / 2)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def a_slider_that_is_moved():
    fig, ax = axes()
    (line,) = ax.plot(X, X)
    slider = Slider(fig.add_axes((0.2, 0, 0.6, 0.1)), "factor", 0, 9)
    slider.on_changed(lambda value: line.set_ydata(np.sin(X * value)))
    return FuncAnimation(fig, lambda i: slider.set_val(i), frames=N)


@pattern()
def a_spine_that_moves_and_a_second_axis():
    fig, ax = axes()
    ax.spines["left"].set_position("center")
    ax.secondary_xaxis("top", functions=(lambda x: 2 * x, lambda x: x / 2))
    text = ax.text(0.1, 0.9, "", transform=ax.transAxes, va="top", bbox={"boxstyle": "round"})

    def update(i):
        ax.spines["bottom"].set_position(("data", i / 9))
        text.set_text("\n".join([rf"$\mu = {i}$"] * (i + 1)))
        text.get_bbox_patch().set_boxstyle("round" if i % 2 else "sawtooth")
        ax.set_xlim(0, 1 + i / 5)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def revealed_and_blinking():
    fig, ax = axes()
    lines = [ax.plot([0, 1], [n, 5 - n], lw=3)[0] for n in range(6)]
    image = ax.imshow(np.eye(4), extent=(0, 1, 0, 5), aspect="auto", alpha=0.5)
    ax.set_title("title")

    def update(i):
        for number, line in enumerate(lines):
            line.set_visible((number + i) % 3 == 0 or number < i)
        image.set_visible(i % 2 == 0)
        ax.xaxis.set_visible(i % 4 < 2)
        ax.title.set_visible(i % 3 > 0)

    return FuncAnimation(fig, update, frames=N)


@pattern()
def transforms_that_turn():
    fig, ax = axes()
    ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
    turned = Affine2D()
    ax.add_patch(plt.Rectangle((-1, -0.5), 2, 1, transform=turned + ax.transData))
    image = ax.imshow(np.eye(4), extent=(-0.5, 0.5, -0.5, 0.5), zorder=3)

    def update(i):
        turned.rotate_deg(7)
        image.set_transform(Affine2D().rotate_deg(10 * i) + ax.transData)

    return FuncAnimation(fig, update, frames=N)
