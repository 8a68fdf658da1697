"""Random changes to any figure as a whole, to what all figures share, and draws in between."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from gallery_changes import WORDS, NothingThereError, Pick, change

RC = {
    "hatch.linewidth": [0.5, 3.0],
    "hatch.color": ["black", "red"],
    "axes.unicode_minus": [True, False],
    "path.simplify": [True, False],
    "path.simplify_threshold": [0.1, 1.0],
    "path.snap": [True, False],
    "agg.path.chunksize": [0, 100],
    "text.antialiased": [True, False],
    "text.hinting": ["default", "no_autohint", "force_autohint"],
    "mathtext.fontset": ["dejavusans", "cm", "stix"],
    "mathtext.default": ["it", "rm"],
    "font.family": [["serif"], ["sans-serif"], ["monospace"]],
    "font.size": [8.0, 12.0],
    "axes.formatter.use_mathtext": [True, False],
    "axes.formatter.limits": [[-1, 1], [-5, 6]],
    "axes.titlepad": [2.0, 12.0],
    "image.resample": [True, False],
    "image.composite_image": [True, False],
    "figure.constrained_layout.h_pad": [0.04, 0.3],
    "figure.autolayout": [True, False],
    "legend.fontsize": ["small", "large"],
    "xtick.labelsize": ["small", "large"],
    "lines.linewidth": [1.0, 4.0],
    "lines.scale_dashes": [True, False],
    "axes3d.automargin": [True, False],
    "axes.axisbelow": [True, "line", False],
}
"""Values for settings, most of which are read while a figure is drawn."""


@change
def _rc(pick: Pick) -> str:
    name = pick.one(list(RC))
    mpl.rcParams[name] = pick.one(RC[name])
    return f"{name}={mpl.rcParams[name]}"


@change
def _rc_list_in_place(pick: Pick) -> str:
    name = pick.one(["font.sans-serif", "font.family", "axes.formatter.limits"])
    mpl.rcParams[name].reverse() if name != "font.family" else mpl.rcParams[name].insert(0, "cmr10")
    return name


@change
def _named_color(pick: Pick) -> str:
    """Give a colour's name another colour."""
    name = pick.one(["gold", "tab:blue", "C0", "black"])
    mpl.colors.get_named_colors_mapping()[name] = pick.one(["#a05000", "#204080"])
    return name


@change
def _layout_engine(pick: Pick) -> str:
    name = pick.one(["none", "tight", "constrained", "compressed"])
    pick.figure.set_layout_engine(name)
    return name


@change
def _layout_engine_in_place(pick: Pick) -> None:
    engine = pick.figure.get_layout_engine()
    if engine is None:
        raise NothingThereError
    engine.set(w_pad=pick.number(0, 0.3))


@change
def _adjust(pick: Pick) -> str:
    if pick.random.random() < 0.4:
        pick.figure.tight_layout(pad=pick.number(0.5, 2))
        return "tight_layout"
    pick.figure.subplots_adjust(left=pick.number(0.05, 0.3), hspace=pick.number(0, 0.6))
    return "subplots_adjust"


@change
def _figure_title(pick: Pick) -> str:
    home = pick.one([pick.figure, *pick.figure.subfigs])
    setter = pick.one([home.suptitle, home.supxlabel, home.supylabel])
    setter(pick.one(WORDS))
    return setter.__name__


@change
def _figure_look(pick: Pick) -> None:
    home = pick.one([pick.figure, *pick.figure.subfigs])
    pick.one([home.set_facecolor, home.set_edgecolor])(pick.color())
    home.set_frameon(pick.random.random() < 0.8)


@change
def _figure_text(pick: Pick) -> None:
    pick.figure.text(pick.number(0, 0.8), pick.number(0, 1), pick.one(WORDS), zorder=4)


@change
def _size(pick: Pick) -> None:
    width, height = pick.figure.get_size_inches()
    factor = pick.number(0.8, 1.2)
    pick.figure.set_size_inches(min(12, width * factor), min(12, height))


@change
def _dpi(pick: Pick) -> None:
    pick.figure.set_dpi(pick.one([50, 72, 100, 110]))


@change
def _draw_meanwhile(pick: Pick) -> str:
    """Draw in the middle of an update, in one of the ways that scripts do."""
    figure = pick.figure
    ways: dict[str, Any] = {
        "draw": figure.canvas.draw,
        "draw_idle": figure.canvas.draw_idle,
        "no rendering": figure.draw_without_rendering,
        "png": lambda: figure.savefig(io.BytesIO(), format="png", dpi=40),
        "svg": lambda: figure.savefig(io.BytesIO(), format="svg"),
        "tight png": lambda: figure.savefig(io.BytesIO(), format="png", bbox_inches="tight"),
    }
    way = pick.one(list(ways))
    ways[way]()
    return way


@change
def _measure(pick: Pick) -> str:
    artist = pick.artist()
    artist.get_window_extent()
    artist.get_tightbbox(pick.figure.canvas.get_renderer())
    return type(artist).__name__


@change
def _keep_renderer(pick: Pick) -> None:
    pick.kept["renderer"] = pick.figure.canvas.get_renderer()


@change
def _draw_into_kept_renderer(pick: Pick) -> None:
    if "renderer" not in pick.kept:
        raise NothingThereError
    pick.artist().draw(pick.kept["renderer"])


@change
def _blit(pick: Pick) -> None:
    """What blitting scripts do between two draws."""
    canvas, axes = pick.figure.canvas, pick.axes()
    background = canvas.copy_from_bbox(axes.bbox)
    axes.draw_artist(pick.one([*axes.lines, axes.title]))
    canvas.restore_region(background)
    if pick.random.random() < 0.5:
        axes.draw_artist(pick.one([*axes.lines, axes.title]))
    canvas.blit(axes.bbox)
