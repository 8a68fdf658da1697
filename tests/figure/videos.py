"""Small videos that each use one thing of matplotlib: how it is built and how it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.patches import Circle, ConnectionPatch, FancyArrowPatch, Rectangle
from matplotlib.ticker import FuncFormatter

Build = Callable[[], Figure]
Step = Callable[[Figure, int], None]

VIDEOS: dict[str, tuple[Build, Step]] = {}
STEPS: dict[str, int] = {}
X = np.linspace(0, 10, 60)


def video(step: Step, n_steps: int = 4) -> Callable[[Build], Build]:
    """Register a video, of steps that differ, under the name of the function that builds it."""

    def register(build: Build) -> Build:
        VIDEOS[build.__name__] = (build, step)
        STEPS[build.__name__] = n_steps
        return build

    return register


def new(width_in: float = 3.2, height_in: float = 2.4, dpi: float = 80) -> Figure:
    """An empty figure, small so that tests are quick."""
    return Figure(figsize=(width_in, height_in), dpi=dpi)


def move_line(figure: Figure, step: int) -> None:
    """Move the first line of every axes."""
    for axes in figure.axes:
        if axes.lines:
            axes.lines[0].set_ydata(np.cos(X + step / 3))


def wave_axes(figure: Figure, *place: int) -> None:
    """An axes with a line that `move_line` moves."""
    axes = figure.add_subplot(*place)
    axes.plot(X, np.cos(X), label="wave")
    axes.set(xlim=(0, 10), ylim=(-1.2, 1.2))


@video(move_line)
def wave() -> Figure:
    figure = new()
    wave_axes(figure)
    figure.axes[0].set(title="A wave", xlabel="x", ylabel="y")
    return figure


@video(move_line)
def wave_with_grid_above() -> Figure:
    figure = wave()
    figure.axes[0].grid(True, linestyle=":")
    figure.axes[0].set_axisbelow(False)
    figure.axes[0].minorticks_on()
    return figure


@video(move_line)
def grid_of_waves() -> Figure:
    figure = new(6, 5)
    for number in range(1, 10):
        wave_axes(figure, 3, 3, number)
    return figure


@video(move_line)
def overlapping_axes() -> Figure:
    figure = new()
    for left in (0.1, 0.3, 0.5):
        axes = figure.add_axes((left, left, 0.45, 0.45))
        axes.plot(X, np.cos(X), lw=5)
        axes.patch.set_alpha(0.5)
    return figure


@video(move_line)
def markers_and_dashes() -> Figure:
    figure = new()
    wave_axes(figure)
    axes = figure.axes[0]
    axes.lines[0].set(marker="o", markevery=5, linestyle="--", gapcolor="red", clip_on=False)
    axes.plot(X, np.sin(X), "s:", mfc="none")
    axes.axhline(0, color="k")
    axes.axvspan(2, 3, alpha=0.3)
    return figure


def move_dots(figure: Figure, step: int) -> None:
    dots = figure.axes[0].collections[0]
    dots.set_offsets(np.column_stack([X, np.sin(X + step / 3)]))
    if step % 3 == 0:
        dots.set_array(np.cos(X + step))


@video(move_dots, n_steps=7)
def scatter_under_legend() -> Figure:
    figure = new()
    axes = figure.subplots()
    axes.scatter(X, np.sin(X), c=X, s=X * 5, label="dots")
    axes.legend(loc="upper right")
    return figure


@video(move_dots, n_steps=7)
def scatter_under_best_legend() -> Figure:
    figure = new()
    axes = figure.subplots()
    axes.scatter(X, np.sin(X), s=9, label="dots")
    axes.plot(X, np.sin(X) / 2, label="half")
    axes.legend()
    return figure


def change_image(figure: Figure, step: int) -> None:
    figure.axes[0].images[0].set_data(np.outer(np.sin(X + step), np.cos(X)))


@video(change_image)
def heat_map_with_colour_bar() -> Figure:
    figure = new()
    axes = figure.subplots()
    image = axes.imshow(np.outer(np.sin(X), np.cos(X)), vmin=-1, vmax=1)
    figure.colorbar(image, extend="both")
    return figure


def change_limits_of_colour(figure: Figure, step: int) -> None:
    figure.axes[0].images[0].set_clim(-1, 1 + step % 3)


@video(change_limits_of_colour)
def colour_bar_that_changes() -> Figure:
    return heat_map_with_colour_bar()


@video(change_image)
def adjacent_images() -> Figure:
    figure = new()
    axes = figure.subplots()
    for left, method in ((0, "bilinear"), (10, "nearest"), (20, "hanning")):
        axes.imshow(
            np.outer(np.sin(X), np.cos(X)), extent=(left, left + 10, 0, 10), interpolation=method
        )
    axes.set(xlim=(0, 30), ylim=(0, 10))
    return figure


def change_mesh(figure: Figure, step: int) -> None:
    figure.axes[0].collections[0].set_array(np.outer(np.sin(X + step), np.cos(X)))


@video(change_mesh)
def mesh() -> Figure:
    figure = new()
    axes = figure.subplots()
    axes.pcolormesh(X, X, np.outer(np.sin(X), np.cos(X)), shading="gouraud")
    axes.contour(X, X, np.outer(np.cos(X), np.cos(X)))
    return figure


def replace_contours(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    for old in list(axes.collections):
        old.remove()
    axes.contourf(X, X, np.outer(np.sin(X + step / 5), np.cos(X)), levels=np.linspace(-1, 1, 6))


@video(replace_contours)
def contours() -> Figure:
    figure = new()
    figure.subplots().contourf(X, X, np.outer(np.sin(X), np.cos(X)), levels=np.linspace(-1, 1, 6))
    return figure


def change_bars(figure: Figure, step: int) -> None:
    for number, bar in enumerate(figure.axes[0].patches):
        bar.set_height(2 + np.sin(step + number))


@video(change_bars)
def bars() -> Figure:
    figure = new()
    axes = figure.subplots()
    axes.bar(range(6), range(1, 7), hatch="//", edgecolor="k")
    axes.set_ylim(0, 4)
    axes.errorbar(range(6), range(6), 0.5, capsize=3)
    axes.fill_between(range(6), 1, 2, alpha=0.4)
    return figure


def change_texts(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    axes.set_title("frame " * (step % 3) + str(step))
    axes.texts[0].set_text(f"here {step}\nand there")
    axes.texts[0].set_position((step % 7, 0))
    figure.texts[0].set_text(f"$x^{step}$")


@video(change_texts, n_steps=7)
def texts() -> Figure:
    figure = wave()
    axes = figure.axes[0]
    axes.text(2, 0, "here", rotation=30, bbox={"boxstyle": "round"})
    figure.text(0.1, 0.1, "figure")
    figure.suptitle("all")
    axes.annotate("note", (5, 0), (7, 1), arrowprops={"arrowstyle": "->"})
    return figure


def change_label(figure: Figure, step: int) -> None:
    figure.axes[0].set_xlabel(f"x {step}")


@video(change_label)
def label() -> Figure:
    return wave()


def change_limits(figure: Figure, step: int) -> None:
    move_line(figure, step)
    figure.axes[0].set_xlim(0, 10 + step)


@video(change_limits)
def limits() -> Figure:
    return wave()


def autoscale(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    axes.lines[0].set_ydata(np.cos(X) * (1 + 1000 * step))
    axes.relim()
    axes.autoscale_view()


@video(autoscale)
def autoscaled() -> Figure:
    figure = new()
    axes = figure.subplots()
    axes.plot(X, np.cos(X))
    axes.set_title("offset")
    axes.ticklabel_format(axis="y", scilimits=(0, 0))
    return figure


def change_twin(figure: Figure, step: int) -> None:
    figure.axes[1].lines[0].set_ydata(np.sin(X + step))
    if step % 3 == 2:
        figure.axes[1].set_ylim(0, step)


@video(change_twin, n_steps=7)
def twins() -> Figure:
    figure = wave()
    twin = figure.axes[0].twinx()
    twin.plot(X, np.sin(X), "r")
    twin.xaxis.tick_top()
    return figure


def change_shared(figure: Figure, step: int) -> None:
    move_line(figure, step)
    if step % 4 == 3:
        figure.axes[0].set_xlim(step, 10)


@video(change_shared, n_steps=7)
def shared_axes() -> Figure:
    figure = new()
    for axes in figure.subplots(2, 2, sharex=True, sharey=True).flat:
        axes.plot(X, np.cos(X))
    return figure


def change_hidden(figure: Figure, step: int) -> None:
    """What axes share is measured on the first of them, hidden or not."""
    figure.axes[0].set_visible(step % 4 == 0)
    figure.axes[0].tick_params(labelsize=6 + step % 6)


@video(change_hidden, n_steps=7)
def shared_with_hidden_axes() -> Figure:
    """Two axes with a common x axis, the first of which comes and goes."""
    figure = new()
    figure.subplots(1, 2, sharex=True)
    return figure


def change_inset(figure: Figure, step: int) -> None:
    figure.axes[0].child_axes[0].lines[0].set_ydata(np.sin(X + step))
    if step == 4:
        figure.axes[0].child_axes[0].set_xlim(0, 4)


@video(change_inset, n_steps=7)
def inset() -> Figure:
    figure = wave()
    axes = figure.axes[0]
    small = axes.inset_axes((0.5, 0.5, 0.4, 0.4))
    small.plot(X, np.sin(X))
    axes.indicate_inset_zoom(small)
    return figure


@video(move_line)
def polar() -> Figure:
    figure = new()
    axes = figure.add_subplot(121, projection="polar")
    axes.plot(X, np.cos(X))
    wave_axes(figure, 1, 2, 2)
    return figure


def move_helix(figure: Figure, step: int) -> None:
    figure.axes[0].lines[0].set_data_3d(np.cos(X + step / 3), np.sin(X + step / 3), X)


@video(move_helix)
def space() -> Figure:
    figure = new()
    axes = figure.add_subplot(projection="3d")
    axes.plot(np.cos(X), np.sin(X), X)
    axes.set(title="space", xlabel="x")
    axes.text(0, 0, 5, "middle")
    return figure


def turn(figure: Figure, step: int) -> None:
    move_helix(figure, step)
    figure.axes[0].view_init(30, 10 * step)


@video(turn)
def turning_space() -> Figure:
    return space()


@video(move_helix)
def surface() -> Figure:
    figure = space()
    axes = figure.axes[0]
    across = np.linspace(-1, 1, 8)
    axes.plot_surface(across[:, None], across[None, :], 3 + np.outer(across, across))
    axes.scatter(across, across, across)
    return figure


def swap(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    move_line(figure, step)
    if step % 4 == 1:
        axes.add_patch(Circle((step % 9, 0), 0.5, alpha=0.5))
    if step % 4 == 3 and axes.patches:
        axes.patches[0].remove()
    if step == 6:
        axes.lines[0].set_zorder(10)
    if step == 8:
        axes.clear()
        axes.plot(X, np.sin(X))


@video(swap, n_steps=12)
def added_and_removed() -> Figure:
    figure = wave()
    figure.axes[0].axhline(0.5, lw=5)
    return figure


def look(figure: Figure, step: int) -> None:
    line, other = figure.axes[0].lines
    move_line(figure, step)
    other.set_visible(step % 2 == 0)
    other.set_alpha(0.2 + step / 30)
    line.set_clip_path(Circle((5, 0), 3, transform=figure.axes[0].transData) if step > 4 else None)
    figure.axes[0].spines["top"].set_visible(step % 3 > 0)
    figure.axes[0].set_facecolor("w" if step < 7 else "y")


@video(look, n_steps=10)
def looks() -> Figure:
    figure = wave()
    figure.axes[0].plot(X, np.sin(X), lw=6)
    return figure


@video(move_line)
def effects() -> Figure:
    figure = wave()
    axes = figure.axes[0]
    axes.lines[0].set_path_effects([patheffects.withStroke(linewidth=5, foreground="r")])
    axes.plot(X, np.sin(X))
    axes.lines[1].set_sketch_params(2, 10, 2)
    axes.plot(X, np.sin(X) / 2, rasterized=True, antialiased=False)
    axes.add_patch(FancyArrowPatch((1, 1), (9, -1), mutation_scale=20))
    axes.add_patch(Rectangle((2, -1), 3, 1, snap=True, hatch="x", fill=False, clip_on=False))
    axes.lines[1].set_agg_filter(lambda image, dpi: (image[..., [2, 1, 0, 3]], 3, 3))
    return figure


def change_scale(figure: Figure, step: int) -> None:
    move_line(figure, step)
    figure.axes[0].set_yscale(("linear", "symlog", "log")[step // 3 % 3])


@video(change_scale, n_steps=12)
def scales() -> Figure:
    return wave()


def tell_ticks(figure: Figure, step: int) -> None:
    SPOKEN["x"] = f"{step}!"


SPOKEN = {"x": ""}


@video(tell_ticks)
def users_own_ticks() -> Figure:
    figure = wave()
    figure.axes[0].xaxis.set_major_formatter(FuncFormatter(lambda x, at: SPOKEN["x"]))
    return figure


def in_place(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    axes.patches[0].get_path().vertices[:, 1] += 0.05 * step
    axes.xaxis.get_major_locator().set_params(nbins=3 + step % 4)
    axes.title.get_fontproperties().set_size(8 + step)


@video(in_place)
def changed_in_place() -> Figure:
    figure = wave()
    figure.axes[0].fill([1, 2, 3], [0, 1, 0])
    figure.axes[0].patches[0].get_path()
    return figure


def whole(figure: Figure, step: int) -> None:
    move_line(figure, step)
    if step == 3:
        figure.set_dpi(60)
    if step == 5:
        figure.set_facecolor("c")
    if step == 7:
        figure.axes[0].set_position((0.3, 0.3, 0.4, 0.4))
    if step == 9:
        figure.axes[0].remove()


@video(whole, n_steps=12)
def figure_changes() -> Figure:
    figure = new()
    wave_axes(figure, 1, 2, 1)
    wave_axes(figure, 1, 2, 2)
    return figure


@video(move_line)
def laid_out() -> Figure:
    figure = Figure(figsize=(4, 3), dpi=60, layout="constrained")
    wave_axes(figure, 1, 2, 1)
    wave_axes(figure, 1, 2, 2)
    figure.axes[0].set_ylabel("y")
    figure.suptitle("all")
    return figure


def change_layout(figure: Figure, step: int) -> None:
    move_line(figure, step)
    if step % 4 == 2:
        figure.axes[0].set_ylabel("y" * step)
    if step == 7:
        figure.axes[1].plot(X, X / 10, clip_on=False)


@video(change_layout, n_steps=10)
def laid_out_anew() -> Figure:
    return laid_out()


@video(move_line)
def laid_out_tightly() -> Figure:
    figure = laid_out()
    figure.set_layout_engine("tight")
    return figure


def clear_once(figure: Figure, step: int) -> None:
    if step == 2:
        figure.axes[0].clear()
        figure.axes[0].plot(X, np.sin(X))


@video(clear_once)
def spine_that_axis_moves() -> Figure:
    """A cleared spine is put back by its axis, which is drawn after it: it lags behind a frame."""
    figure = new()
    axes = figure.subplots()
    axes.set_axisbelow(False)
    axes.spines["left"].set_position(("data", 0.7))
    return figure


def move_animated(figure: Figure, step: int) -> None:
    text = figure.axes[0].texts[0]
    text.set_animated(step < 9)
    text.set_position((step * 3, step % 2))


@video(move_animated, n_steps=12)
def undrawn_text_in_a_tight_layout() -> Figure:
    """The layout makes room for a text that is not drawn."""
    figure = Figure(figsize=(4, 3), dpi=60, layout="tight")
    wave_axes(figure)
    figure.axes[0].text(0, 0, "a text that is not drawn")
    return figure


def add_line_once(figure: Figure, step: int) -> None:
    if step == 2:
        figure.axes[0].axis("off")
    if step == 4:
        figure.axes[0].plot(X, np.sin(X))


@video(add_line_once, n_steps=7)
def layout_before_limits() -> Figure:
    """The layout measures what is not clipped before the limits are brought up to date."""
    figure = Figure(figsize=(4, 3), dpi=60, layout="constrained")
    figure.subplots().add_patch(Rectangle((5, -1), 2, 3, clip_on=False, fill=False, lw=3))
    return figure


@video(move_line)
def twins_of_a_shape() -> Figure:
    """Each of the twins moves the other when it is drawn, for only one of them has a shape."""
    figure = wave()
    figure.axes[0].set_box_aspect(0.5)
    figure.axes[0].twinx().plot(X, np.sin(X), "r")
    return figure


@video(move_line)
def twins_apart() -> Figure:
    """Twins that were put to different places: each takes the other along when it is drawn."""
    figure = wave()
    twin = figure.axes[0].twinx()
    twin.plot(X, np.sin(X), "r")
    twin._originalPosition.p0 = (0.3, 0.3)
    return figure


@video(move_line)
def snapped_markers_under_a_round_clip() -> Figure:
    """One mask serves a line and its markers, which are to be snapped and the line is not."""
    figure = new()
    axes = figure.add_subplot(projection="polar")
    axes.plot(X, X, "s--")
    axes.plot(X, X / 2)
    return figure


def leave(figure: Figure, step: int) -> None:
    pass


@video(leave)
def inset_in_a_tight_layout() -> Figure:
    """The layout moves the axes after what points at the inset was placed: it lags behind."""
    figure = Figure(figsize=(4, 3), dpi=60, layout="tight")
    axes = figure.subplots()
    axes.boxplot([X * 24, X])
    axes.indicate_inset_zoom(axes.inset_axes((0.1, 0.5, 0.3, 0.3), xlim=(1, 3), ylim=(-1, 0)))
    return figure


def rescale_both(figure: Figure, step: int) -> None:
    for axes in figure.axes:
        move_line(figure, step)
        axes.lines[0].set_ydata(np.cos(X + step) * (1 + step))
        axes.relim()
        axes.autoscale_view()


@video(rescale_both)
def line_between_axes() -> Figure:
    """A line that belongs to the first of two axes and ends in the second."""
    figure = new()
    first, second = figure.subplots(1, 2)
    for axes in (first, second):
        axes.plot(X, np.cos(X))
    first.add_artist(
        ConnectionPatch((5, 0), (5, 0), coordsA=first.transData, coordsB=second.transData)
    )
    return figure


@video(move_line)
def still_polar() -> Figure:
    figure = polar()
    figure.axes[0].lines[0].set_data([], [])
    figure.axes[0].lines[0].remove()
    return figure


@video(move_line)
def subfigures() -> Figure:
    figure = new(5, 3)
    for part in figure.subfigures(1, 2):
        wave_axes(part, 1, 1, 1)
        part.suptitle("part")
        part.set_facecolor("0.9")
    return figure


@video(change_label)
def aligned() -> Figure:
    figure = new(4, 4)
    for number in range(1, 5):
        wave_axes(figure, 2, 2, number)
        figure.axes[-1].set(ylabel="y", xlabel="x", title="t")
    figure.axes[1].tick_params(labelrotation=45)
    figure.align_labels()
    figure.align_titles()
    return figure


def equal_step(figure: Figure, step: int) -> None:
    axes = figure.axes[0]
    axes.lines[0].set_ydata(np.cos(X) * (1 + step))
    axes.relim()
    axes.autoscale_view()


@video(equal_step)
def equal_aspect() -> Figure:
    figure = wave()
    figure.axes[0].set_aspect("equal", adjustable="datalim")
    figure.axes[0].autoscale(True)
    return figure


def dates_step(figure: Figure, step: int) -> None:
    days = np.datetime64("2024-01-01") + np.arange(60) * (1 + step // 4)
    figure.axes[0].lines[0].set_data(days, np.sin(X + step))
    figure.axes[1].lines[0].set_ydata(np.roll([1, 2, 3], step))


@video(dates_step, n_steps=7)
def dates_and_categories() -> Figure:
    figure = new(5, 3)
    first, second = figure.subplots(1, 2)
    first.plot(np.datetime64("2024-01-01") + np.arange(60), np.sin(X))
    second.plot(["a", "b", "c"], [1, 2, 3])
    figure.autofmt_xdate()
    return figure


def wind(figure: Figure, step: int) -> None:
    figure.axes[0].collections[0].set_UVC(np.cos(X + step), np.sin(X + step))


@video(wind)
def arrows() -> Figure:
    figure = new()
    axes = figure.subplots()
    quiver = axes.quiver(X, X, np.cos(X), np.sin(X))
    axes.quiverkey(quiver, 0.5, 0.9, 1, "one")
    axes.table([["1", "2"]], loc="bottom")
    return figure


def all_videos() -> Iterator[str]:
    """Names of all videos."""
    yield from VIDEOS
