"""Keeps what an artist asks of the Agg renderer, so that it can be asked again.

A `TapingRenderer` is matplotlib's own `RendererAgg`. While a tape runs, a
`Head` stands before its C++ part: each call goes through at once and is noted
with its arguments by value and the box of pixels that it can have touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path, get_path_collection_extents
from matplotlib.transforms import Affine2D, Bbox, Transform, TransformedPath

from rayanim.drawing.boxes import (
    MARGIN_PX,
    Box,
    Extents,
    from_extents,
    of_points,
    overlap,
    union,
)
from rayanim.drawing.masks import Mask, mask_of

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

LEAST_MITER_LIMIT = 4.0
"""Half line widths that a sharp corner may reach at least; Agg's own default.

matplotlib sets Agg's limit to the line's width in pixels (src/_backend_agg.h), so
that wide lines reach further.
"""

CAP = 1.5
"""The corners of a projecting cap are the root of two half line widths away, all else is nearer."""

PATHS, OFFSET_TRANSFORM, LINE_WIDTHS = 1, 4, 7
"""Places of these among the arguments of ``draw_path_collection`` that follow the context."""

EVERYWHERE = (-math.inf, -math.inf, math.inf, math.inf)
"""Extents of what is not known to be anywhere in particular."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What one artist asked of the renderer.

    Attributes
    ----------
    calls
        The calls with their arguments; None where only the box was kept.
    box
        All pixels that they can have touched.
    limit
        The pixels that they could touch at all, for they are clipped to them.
    masks
        The clip paths of the calls that have one.
    """

    calls: tuple[Call, ...] | None
    box: Box | None
    limit: Box | None
    masks: tuple[Mask, ...] = ()

    def replay(self) -> None:
        """Ask the same again, in the same order."""
        for function, args, named in self.calls or ():
            function(*args, **named)


class TapingRenderer(RendererAgg):
    """matplotlib's Agg renderer, whose C++ calls can be put on a tape."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)  # type: ignore[no-untyped-call]
        # Where the name is missing, everything is drawn in full: see `private`.
        self._raw = getattr(self, "_renderer", None)
        self._head = Head(self._raw, int(width), int(height), dpi)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 4) uint8 RGBA: the buffer itself, not a copy."""
        return np.asarray(self.buffer_rgba())

    def tape(self, draw: Callable[[Any], None], *, keep_calls: bool) -> Tape:
        """Let `draw` draw into this renderer and return what it asked for.

        Parameters
        ----------
        draw
            Called with this renderer.
        keep_calls
            False keeps only the box: quicker, but cannot be replayed.
        """
        head = self._head
        head.start(keep_calls)
        self._renderer = head
        self._update_methods()  # type: ignore[no-untyped-call]
        try:
            draw(self)
        finally:
            self._renderer = self._raw
            self._update_methods()  # type: ignore[no-untyped-call]
            self._filter_renderers.clear()
        return head.finish()

    def buffer_rgba(self) -> memoryview:
        """The pixels drawn so far: those of a filter while one runs."""
        if self._raw is None:
            return super().buffer_rgba()  # type: ignore[no-untyped-call, no-any-return]
        kept = self._renderer is self._head
        return memoryview(self._raw if kept else self._renderer)

    def tostring_argb(self) -> bytes:
        """The pixels as ARGB bytes."""
        return np.asarray(self.buffer_rgba()).take([3, 0, 1, 2], axis=2).tobytes()


class Head:
    """Stands before the C++ renderer, passes calls on and notes them."""

    def __init__(self, raw: Any, width_px: int, height_px: int, dpi: float) -> None:
        self._raw = raw
        self._size_px = (width_px, height_px)
        self._px_per_point = dpi / 72
        self._calls: list[Call] | None = None
        self._box: Box | None = None
        self._limit: Box | None = None
        self._masks: list[Mask] = []

    def start(self, keep_calls: bool) -> None:
        """Begin an empty tape."""
        self._calls = [] if keep_calls else None
        self._box = self._limit = None
        self._masks = []

    def finish(self) -> Tape:
        """End the tape and give it."""
        calls = None if self._calls is None else tuple(self._calls)
        self._calls = None
        return Tape(calls, self._box, self._limit, tuple(self._masks))

    def draw_path(self, gc: Any, path: Any, transform: Any, face: Any = None) -> None:
        """Outline and fill one path."""
        self._raw.draw_path(gc, path, transform, face)
        extents = of_points(path.vertices, _matrix(transform))
        corners = path.codes is not None or len(path.vertices) > 2
        self._touch(extents, self._line_pad_px(gc, corners=corners), gc)
        if self._calls is not None:
            self._note("draw_path", (gc, path, transform, face), {})

    def draw_markers(
        self, gc: Any, marker: Any, marker_transform: Any, path: Any, transform: Any, face: Any
    ) -> None:
        """Put one small path at each vertex of another."""
        args = (gc, marker, marker_transform, path, transform, face)
        self._raw.draw_markers(*args)
        stamp = of_points(marker.vertices, _matrix(marker_transform))
        places = of_points(path.vertices, _matrix(transform))
        if stamp is not None and places is not None:
            (x0, y0, x1, y1), (left, bottom, right, top) = stamp, places
            extents = (x0 + left, y0 + bottom, x1 + right, y1 + top)
            # Marker and place are each moved to whole pixels.
            self._touch(extents, self._line_pad_px(gc, corners=True) + 1, gc)
        if self._calls is not None:
            self._note("draw_markers", args, {})

    def draw_text_image(self, image: Any, x: float, y: float, angle: float, gc: Any) -> None:
        """Put a picture of letters with its lower left corner at x, y (y downwards)."""
        self._raw.draw_text_image(image, x, y, angle, gc)
        height, width = np.asarray(image).shape[:2]
        around = (width + height) if angle else 0
        left, bottom = x - around, self._size_px[1] - y - around
        right = x + max(width, around)
        top = self._size_px[1] - y + max(height, around)
        # A blank is an empty picture, put anywhere.
        self._touch((left, bottom, right, top) if width and height else None, MARGIN_PX, gc)
        if self._calls is not None:
            picture = np.array(image, dtype=np.uint8)
            self._calls.append((self._raw.draw_text_image, (picture, x, y, angle, freeze(gc)), {}))

    def draw_image(self, gc: Any, x: float, y: float, image: Any) -> None:
        """Put an RGBA picture with its lower left corner at x, y (y upwards)."""
        self._raw.draw_image(gc, x, y, image)
        height, width = np.asarray(image).shape[:2]
        self._touch((x, y, x + width, y + height), MARGIN_PX, gc)
        if self._calls is not None:
            self._note("draw_image", (gc, x, y, image), {})

    def draw_path_collection(self, gc: Any, *args: Any, **named: Any) -> None:
        """Many paths, each with its own look."""
        # A TypeError for an argument that this version does not know is the artist's to catch.
        self._raw.draw_path_collection(gc, *args, **named)
        if len(args) > PATHS and not len(args[PATHS]):
            # So matplotlib asks which arguments are known.
            return
        extents, width = _collection(args)
        self._touch(extents, self._line_pad_px(gc, corners=True, width=width) + 1, gc)
        if self._calls is not None:
            self._note("draw_path_collection", (gc, *args), named)

    def draw_quad_mesh(self, gc: Any, *args: Any, **named: Any) -> None:
        """A mesh of quadrilaterals."""
        self._anywhere("draw_quad_mesh", gc, args, named)

    def draw_gouraud_triangles(self, gc: Any, *args: Any, **named: Any) -> None:
        """Triangles with a colour at each corner."""
        self._anywhere("draw_gouraud_triangles", gc, args, named)

    def clear(self) -> None:
        """Make all pixels transparent."""
        self._raw.clear()
        self._all()
        if self._calls is not None:
            self._calls.append((self._raw.clear, (), {}))

    def copy_from_bbox(self, bbox: Any) -> Any:
        """A copy of some pixels; what depends on it cannot be replayed."""
        self._calls = None
        return self._raw.copy_from_bbox(bbox)

    def restore_region(self, *args: Any) -> None:
        """Put copied pixels back; cannot be replayed."""
        self._calls = None
        self._raw.restore_region(*args)
        self._all()

    def _anywhere(self, name: str, gc: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        # A TypeError for an argument that this version does not know is the artist's to catch.
        getattr(self._raw, name)(gc, *args, **named)
        self._touch(EVERYWHERE, 0, gc)
        if self._calls is not None:
            self._note(name, (gc, *args), named)

    def _note(self, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._calls is not None:
            frozen = tuple(map(freeze, args))
            kept = {key: freeze(value) for key, value in named.items()}
            self._calls.append((getattr(self._raw, name), frozen, kept))

    def _touch(self, extents: Extents | None, pad_px: float, gc: Any) -> None:
        """Note what a call can have touched: its extents, where they are not clipped away."""
        mask = mask_of(gc)
        if mask is not None:
            self._masks.append(mask)
        frame: Box = (0, 0, *self._size_px)
        clip = _clip_extents(gc)
        if clip is not None:
            clipped = overlap(from_extents(clip, MARGIN_PX, self._size_px[1]), frame)
        else:
            clipped = frame
        self._limit = union(self._limit, clipped)
        if extents is not None:
            box = from_extents(extents, pad_px, self._size_px[1])
            self._box = union(self._box, overlap(box, clipped))

    def _all(self) -> None:
        self._box = self._limit = (0, 0, *self._size_px)

    def _line_pad_px(self, gc: Any, *, corners: bool, width: float | None = None) -> float:
        """How far a line reaches beyond its points; `width` in points if not the context's."""
        if gc.get_sketch_params() is not None:
            return float("nan")
        sharp = corners and gc.get_joinstyle() == "miter"
        width_px = (gc.get_linewidth() if width is None else width) * self._px_per_point
        factor = max(width_px, LEAST_MITER_LIMIT) if sharp else CAP
        return float(width_px / 2 * factor + MARGIN_PX)


class FrozenPath:
    """The part of a path that the C++ renderer reads, by value."""

    __slots__ = ("codes", "should_simplify", "simplify_threshold", "vertices")

    def __init__(self, path: Path) -> None:
        self.vertices = np.array(path.vertices)
        self.codes = None if path.codes is None else np.array(path.codes)
        self.should_simplify = path.should_simplify
        self.simplify_threshold = path.simplify_threshold


def freeze(thing: Any) -> Any:
    """An argument of the renderer such that nothing done to the original changes it."""
    if thing is None or isinstance(thing, int | float | str):
        return thing
    if isinstance(thing, GraphicsContextBase):
        return _freeze_context(thing)
    if isinstance(thing, Path):
        return FrozenPath(thing)
    if isinstance(thing, Transform):
        return _matrix(thing)
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if isinstance(thing, tuple):
        return tuple(map(freeze, thing))
    if isinstance(thing, list):
        return list(map(freeze, thing))
    return thing


def _freeze_context(gc: Any) -> Any:
    frozen: Any = GraphicsContextBase()
    frozen.copy_properties(gc)
    rectangle = gc.get_clip_rectangle()
    if rectangle is not None:
        frozen.set_clip_rectangle(Bbox(np.array(rectangle.get_points())))
    path, transform = gc.get_clip_path()
    if path is None:
        frozen.set_clip_path(None)
    else:
        copied = Path(
            np.array(path.vertices),
            None if path.codes is None else np.array(path.codes),
        )
        copied.should_simplify = path.should_simplify
        copied.simplify_threshold = path.simplify_threshold
        clip = TransformedPath(copied, Affine2D(_matrix(transform)))
        frozen.set_clip_path(clip)
    return frozen


def _collection(args: tuple[Any, ...]) -> tuple[Extents, float]:
    """Where the outlines of ``draw_path_collection(gc, *args)`` can lie, and the widest line."""
    try:
        master, paths, own_maps, offsets, offset_map = args[: OFFSET_TRANSFORM + 1]
        widest = float(np.max(args[LINE_WIDTHS], initial=0.0))
        if len(own_maps):
            # Drawn is through a path's own map and then the master's, where this
            # function of matplotlib's takes the own ones alone.
            own_maps = _matrix(master) @ np.asarray(own_maps, dtype=float)
        found = get_path_collection_extents(master, paths, own_maps, offsets, offset_map)
        return tuple(np.asarray(found.extents, dtype=float).tolist()), widest
    except (IndexError, TypeError, ValueError):
        # Other arguments than this version of matplotlib's: they draw, somewhere.
        return EVERYWHERE, 0.0


def _matrix(transform: Any) -> npt.NDArray[np.float64] | None:
    return None if transform is None else np.array(transform, dtype=float)


def _clip_extents(gc: Any) -> Extents | None:
    """The clip rectangle as the C++ renderer understands it: four zeros mean none."""
    rectangle = gc.get_clip_rectangle()
    if rectangle is None:
        return None
    (x0, y0), (x1, y1) = rectangle.get_points().tolist()
    if x0 == y0 == x1 == y1 == 0:
        return None
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
