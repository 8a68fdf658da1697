"""The box of a recording holds every pixel that its calls touched, and little more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.collections import (
    Collection,
    EllipseCollection,
    LineCollection,
    PathCollection,
    RegularPolyCollection,
)
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform, Transform

from rayanim.figure import recorder
from rayanim.figure.recorder import MARGIN_PX, Recording, RecordingRenderer, inside

SIZE_PX = (200, 150)
STAR = Path([(0, 9), (2, 2), (9, 0), (2, -2), (0, -9), (-2, -2), (-9, 0), (-2, 2), (0, 9)])
CURVE = Path([(0, 0), (30, 80), (60, -80), (90, 0)], [Path.MOVETO, *[Path.CURVE4] * 3])


PIXELS = IdentityTransform()
TURNED = Affine2D().scale(3, 2).rotate_deg(30)


def lines(transform: Transform = PIXELS, **look: object) -> LineCollection:
    segments = [[(40, 30), (90, 90), (60, 100)], [(110, 50), (120, 20)]]
    return LineCollection(segments, transform=transform, **look)


def stars(
    *paths: Path,
    at: Sequence[tuple[float, float]] = ((60, 60), (90, 40)),
    transform: Transform = PIXELS,
    **look: object,
) -> PathCollection:
    look = {"facecolors": ["blue", "red"], **look}
    return PathCollection(paths or [STAR, CURVE], offsets=at, transform=transform, **look)


COLLECTIONS: dict[str, Callable[[], Collection]] = {
    "lines": lines,
    "lines of two widths": lambda: lines(linewidths=[1, 4], joinstyle="miter"),
    "dashes with a colour between": lambda: lines(linestyles="--", gapcolor="red", linewidths=3),
    "a sharp corner": lambda: LineCollection(
        [[(30, 60), (120, 62), (30, 64)]], linewidths=9, joinstyle="miter", transform=PIXELS
    ),
    "lines that are mapped": lambda: lines(Affine2D().scale(0.5, 1.2).translate(30, 5)),
    "stars": stars,
    "stars that are hatched": lambda: stars(STAR, hatch="xx", linewidths=4),
    "stars of several sizes": lambda: stars(sizes=[0.1, 3]),
    # As for the polygons in matplotlib's gallery that are scaled from points to pixels.
    "stars of several sizes that are mapped": lambda: stars(sizes=[1, 4], transform=TURNED),
    "one size for all that is mapped": lambda: stars(STAR, sizes=[4], transform=TURNED),
    "polygons that are mapped": lambda: RegularPolyCollection(
        5, sizes=[90], offsets=[(60, 60), (120, 90)], facecolors=["g", "b"], transform=TURNED
    ),
    "nowhere, in part": lambda: stars(at=[(60, 60), (np.nan, 40)]),
    "partly out of sight": lambda: stars(at=[(195, 145), (-20, 140)]),
    "places that are mapped": lambda: stars(
        at=[(6, 6), (9, 4)], offset_transform=Affine2D().scale(12, 9)
    ),
    "ellipses": lambda: EllipseCollection(
        [30, 10], [8, 40], [20, 70], units="dots", offsets=[(60, 60), (140, 90)],
        facecolors=["g", "b"], transform=PIXELS,
    ),
}  # fmt: skip


def drawn_box(pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(pixels[..., 3])
    if not len(rows):
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def record(artist: Artist, renderer: RecordingRenderer) -> Recording:
    """Draw `artist`, and keep what it asked for."""
    renderer.recorder.mode = "both"
    artist.draw(renderer)
    recording = renderer.recorder.cut()
    renderer.recorder.mode = "pass"
    return recording


def recorded(artist: Artist) -> tuple[Recording, np.ndarray]:
    width, height = SIZE_PX
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    figure.add_artist(artist)
    renderer = RecordingRenderer(width, height, 100)
    recording = record(artist, renderer)
    return recording, renderer.pixels.copy()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_without_a_clip_has_a_box_of_its_own(name: str) -> None:
    recording, pixels = recorded(COLLECTIONS[name]())
    drawn, box = drawn_box(pixels), recording.box
    assert drawn is not None and box is not None
    assert box[0] <= drawn[0] and box[1] <= drawn[1]
    assert drawn[2] <= box[2] and drawn[3] <= box[3]
    assert (box[2] - box[0]) * (box[3] - box[1]) < SIZE_PX[0] * SIZE_PX[1]


def test_the_box_is_close_to_thin_lines() -> None:
    recording, pixels = recorded(lines(linewidths=0.5))
    drawn = drawn_box(pixels)
    assert drawn is not None and recording.box is not None
    spare = np.abs(np.subtract(drawn, recording.box))
    assert spare.max() <= MARGIN_PX + 4


def test_a_collection_that_is_sketched_may_be_anywhere() -> None:
    artist = lines()
    artist.set_sketch_params(40, 100, 2)
    recording, _ = recorded(artist)
    assert recording.box == (0, 0, *SIZE_PX)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_is_replayed_to_the_same_pixels(name: str) -> None:
    artist = COLLECTIONS[name]()
    recording, _ = recorded(artist)
    # The calls go to the renderer that they were recorded with.
    renderer = RecordingRenderer(*SIZE_PX, 100)
    again = record(artist, renderer)
    first = renderer.pixels.copy()
    renderer.clear()
    again.replay()
    assert np.array_equal(renderer.pixels, first)
    assert again.box == recording.box


@pytest.mark.parametrize("name", COLLECTIONS)
def test_two_draws_of_the_same_give_the_same_recording(name: str) -> None:
    renderer = RecordingRenderer(*SIZE_PX, 100)
    figure = Figure(figsize=(2, 1.5), dpi=100)
    artist = figure.add_artist(COLLECTIONS[name]())
    first, second = record(artist, renderer), record(artist, renderer)
    assert first.same_as(second)
    artist.set_alpha(0.5)
    assert not record(artist, renderer).same_as(first)


def test_what_is_only_recorded_leaves_no_pixel() -> None:
    renderer = RecordingRenderer(*SIZE_PX, 100)
    Figure(figsize=(2, 1.5), dpi=100).add_artist(artist := lines())
    renderer.recorder.mode = "record"
    artist.draw(renderer)
    assert drawn_box(renderer.pixels) is None
    renderer.recorder.cut().replay()
    assert drawn_box(renderer.pixels) is not None


def test_a_recording_holds_its_arguments_by_value() -> None:
    """Whatever is done to the artist's arrays later, the replay gives the pixels of then."""
    renderer = RecordingRenderer(*SIZE_PX, 100)
    figure = Figure(figsize=(2, 1.5), dpi=100)
    path = Path(np.array([(40.0, 30), (90, 90), (60, 100)]))
    artist = figure.add_artist(PathPatch(path, transform=PIXELS))
    recording = record(artist, renderer)
    first = renderer.pixels.copy()
    path.vertices[1] = 5, 5
    renderer.clear()
    recording.replay()
    assert np.array_equal(renderer.pixels, first)


def test_arguments_of_an_unknown_order_may_draw_anywhere() -> None:
    assert recorder._collection((None, [STAR]))[0] == recorder.EVERYWHERE
    assert recorder._collection(())[0] == recorder.EVERYWHERE


def test_a_collection_whose_places_are_all_unknown_touches_nothing() -> None:
    recording, pixels = recorded(stars(at=[(np.nan, 3), (3, np.nan)]))
    assert drawn_box(pixels) is None
    assert recording.box is None


def test_a_collection_of_nothing_touches_nothing() -> None:
    recording, pixels = recorded(LineCollection([]))
    assert drawn_box(pixels) is None
    assert recording.box is None


def random_map(rng: np.random.Generator) -> Transform:
    if rng.random() < 0.4:
        return PIXELS
    shape = Affine2D().scale(*rng.uniform(0.2, 4, 2)).skew_deg(*rng.uniform(-30, 30, 2))
    return shape.rotate_deg(rng.uniform(0, 360)).translate(*rng.uniform(-20, 20, 2))


def random_collection(rng: np.random.Generator) -> Collection:
    count = rng.integers(1, 5)
    at = rng.uniform(-40, 220, (count, 2))
    look = {
        "linewidths": rng.uniform(0, 14, rng.integers(1, 3)),
        "edgecolors": ["black", "green"][: rng.integers(1, 3)],
        "joinstyle": rng.choice(["miter", "round", "bevel"]),
        "capstyle": rng.choice(["butt", "projecting", "round"]),
        "linestyles": [rng.choice(["-", "--", ":"])],
        "hatch": "xx" if rng.random() < 0.2 else None,
        "transform": random_map(rng),
    }
    kind = rng.choice(["stars", "polygons", "lines", "ellipses"])
    if kind == "lines":
        places = [rng.uniform(-20, 200, (rng.integers(2, 6), 2)) for _ in range(count)]
        return LineCollection(places, **look)
    look |= {"offsets": at, "offset_transform": random_map(rng), "facecolors": ["red"]}
    if kind == "stars":
        shapes = [STAR, CURVE][: rng.integers(1, 3)]
        sizes = rng.uniform(0.1, 6, rng.integers(1, 4)) if rng.random() < 0.7 else None
        return PathCollection(shapes, sizes=sizes, **look)
    if kind == "polygons":
        areas = rng.uniform(10, 900, rng.integers(1, 4))
        return RegularPolyCollection(int(rng.integers(3, 8)), sizes=areas, **look)
    widths, heights = rng.uniform(2, 60, (2, count))
    turns = rng.uniform(0, 180, count)
    return EllipseCollection(widths, heights, turns, units="dots", **look)


def random_line(rng: np.random.Generator) -> Artist:
    low, high = (70, 90) if rng.random() < 0.5 else (-20, 200)
    places = rng.uniform(low, high, (rng.integers(3, 6), 2))
    width, join = rng.uniform(0.5, 14), rng.choice(["miter", "round", "bevel"])
    if rng.random() < 0.5:
        return PathPatch(
            Path(places), linewidth=width, joinstyle=join, fill=False, transform=PIXELS
        )
    return Line2D(
        *places.T,
        linewidth=width,
        linestyle=rng.choice(["-", "--"]),
        solid_joinstyle=join,
        dash_joinstyle=join,
        marker=rng.choice(["", "^", "*"]),
        markeredgewidth=rng.uniform(0, 6),
        transform=PIXELS,
    )


@pytest.mark.parametrize("make", [random_collection, random_line])
def test_no_pixel_lies_beyond_the_box(make: Callable[[np.random.Generator], Artist]) -> None:
    for seed in range(600):
        recording, pixels = recorded(make(np.random.default_rng(seed)))
        drawn = drawn_box(pixels)
        assert inside(drawn, recording.box), f"seed {seed}: {drawn} in {recording.box}"
