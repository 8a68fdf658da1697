"""The box of a tape holds every pixel that its calls touched, and little more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.collections import EllipseCollection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

from rayanim.drawing import tape
from rayanim.drawing.boxes import MARGIN_PX
from rayanim.drawing.tape import TapingRenderer

SIZE_PX = (200, 150)
STAR = Path([(0, 9), (2, 2), (9, 0), (2, -2), (0, -9), (-2, -2), (-9, 0), (-2, 2), (0, 9)])
CURVE = Path([(0, 0), (30, 80), (60, -80), (90, 0)], [Path.MOVETO, *[Path.CURVE4] * 3])


def lines(**look: object) -> LineCollection:
    return LineCollection([[(40, 30), (90, 90), (60, 100)], [(110, 50), (120, 20)]], **look)


COLLECTIONS: dict[str, Callable[[], Artist]] = {
    "lines": lines,
    "wide lines": lambda: lines(linewidths=[1, 12], joinstyle="miter"),
    "dashes with a colour between": lambda: lines(linestyles="--", gapcolor="red", linewidths=3),
    "a sharp corner": lambda: LineCollection(
        [[(30, 60), (120, 62), (30, 64)]], linewidths=9, joinstyle="miter"
    ),
    "stars": lambda: PathCollection(
        [STAR, CURVE], offsets=[(60, 60), (90, 40)], facecolors=["blue", "red"]
    ),
    "stars that are hatched": lambda: PathCollection(
        [STAR], offsets=[(60, 60), (90, 40)], facecolors=["blue", "red"], hatch="xx", linewidths=4
    ),
    "nowhere": lambda: PathCollection(
        [STAR, CURVE], offsets=[(60, 60), (np.nan, 40)], facecolors=["blue", "red"]
    ),
    "partly out of sight": lambda: PathCollection(
        [STAR, CURVE], offsets=[(195, 145), (-20, 140)], facecolors=["blue", "red"]
    ),
    "ellipses": lambda: EllipseCollection(
        [30, 10], [8, 40], [20, 70], offsets=[(60, 60), (140, 90)], facecolors=["g", "b"]
    ),
}


def drawn_box(pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(pixels[..., 3])
    if not len(rows):
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def taped(artist: Artist) -> tuple[tape.Tape, np.ndarray]:
    width, height = SIZE_PX
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    artist.set_transform(IdentityTransform())
    figure.add_artist(artist)
    renderer = TapingRenderer(width, height, 100)
    kept = renderer.tape(artist.draw, keep_calls=True)
    return kept, renderer.pixels.copy()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_without_a_clip_has_a_box_of_its_own(name: str) -> None:
    kept, pixels = taped(COLLECTIONS[name]())
    drawn, box = drawn_box(pixels), kept.box
    assert drawn is not None and box is not None
    assert box[0] <= drawn[0] and box[1] <= drawn[1]
    assert drawn[2] <= box[2] and drawn[3] <= box[3]
    assert (box[2] - box[0]) * (box[3] - box[1]) < SIZE_PX[0] * SIZE_PX[1]


def test_the_box_is_close_to_thin_lines() -> None:
    kept, pixels = taped(lines(linewidths=0.5))
    drawn = drawn_box(pixels)
    assert drawn is not None and kept.box is not None
    spare = np.abs(np.subtract(drawn, kept.box))
    assert spare.max() <= MARGIN_PX + 4


def test_a_collection_that_is_sketched_may_be_anywhere() -> None:
    artist = lines()
    artist.set_sketch_params(40, 100, 2)
    kept, _ = taped(artist)
    assert kept.box == (0, 0, *SIZE_PX)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_is_replayed_to_the_same_pixels(name: str) -> None:
    artist = COLLECTIONS[name]()
    kept, _ = taped(artist)
    # The tape's calls go to the renderer that it was made with.
    renderer = TapingRenderer(*SIZE_PX, 100)
    again = renderer.tape(artist.draw, keep_calls=True)
    first = renderer.pixels.copy()
    renderer.clear()
    again.replay()
    assert np.array_equal(renderer.pixels, first)
    assert again.box == kept.box


def test_arguments_of_an_unknown_order_may_draw_anywhere() -> None:
    assert tape._collection((None, [STAR]))[0] == tape.EVERYWHERE
    assert tape._collection(())[0] == tape.EVERYWHERE


def test_a_collection_of_nothing_touches_nothing() -> None:
    kept, pixels = taped(LineCollection([]))
    assert drawn_box(pixels) is None
    assert kept.box is None
