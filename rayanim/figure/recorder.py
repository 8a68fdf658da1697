"""Records what an artist asks of the Agg renderer, so that it can be asked again.

A `RecordingRenderer` is matplotlib's own `RendererAgg`. A `Recorder` stands
before its C++ part: while something is recorded, calls are kept with their
arguments by value and the box of pixels that they can touch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path, get_path_collection_extents
from matplotlib.transforms import Affine2D, Bbox, Transform, TransformedPath

Box = tuple[int, int, int, int]
Extents = tuple[float, float, float, float]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

Mode = Literal["pass", "record", "both"]
"""Whether calls are passed on to the C++ renderer, recorded, or both."""

MARGIN_PX = 3
"""What snapping to pixels and antialiasing can add to a shape, with one to spare."""

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

READS = "pixels are read while the figure is drawn"

CURVES = (Path.CURVE3, Path.CURVE4)


class RecordingRenderer(RendererAgg):
    """matplotlib's Agg renderer, whose C++ calls can be recorded."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        self.drawing: Any = None
        super().__init__(width, height, dpi)  # type: ignore[no-untyped-call]
        # Where the name is missing, everything is drawn in full: see `private`.
        self.raw: Any = getattr(self, "_renderer", None)
        self.recorder = Recorder(self, int(width), int(height), dpi)
        if self.raw is not None:
            self._renderer = self.recorder
            self._update_methods()  # type: ignore[no-untyped-call]

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 4) uint8 RGBA: the buffer itself, not a copy."""
        return np.asarray(super().buffer_rgba() if self.raw is None else self.raw)  # type: ignore[no-untyped-call]

    @property
    def filtering(self) -> bool:
        """Whether an artist with a filter is being drawn, into a picture of its own."""
        return self._renderer is not self.recorder

    def buffer_rgba(self) -> memoryview:
        """The pixels drawn so far: those of a filter while one runs."""
        if self.raw is None or self.filtering:
            return super().buffer_rgba()  # type: ignore[no-untyped-call, no-any-return]
        self.recorder.lend()
        return memoryview(self.raw)

    def tostring_argb(self) -> bytes:
        """The pixels as ARGB bytes."""
        return np.asarray(self.buffer_rgba()).take([3, 0, 1, 2], axis=2).tobytes()

    def end_filters(self) -> None:
        """After an error: leave the pictures of filters that were never finished."""
        self._filter_renderers.clear()
        if self.raw is not None:
            self._renderer = self.recorder
            self._update_methods()  # type: ignore[no-untyped-call]


class Recorder:
    """Stands before the C++ renderer, and passes calls on or records them."""

    def __init__(
        self, renderer: RecordingRenderer, width_px: int, height_px: int, dpi: float
    ) -> None:
        self.mode: Mode = "pass"
        self.touched = True
        self.lent = False
        self._renderer = renderer
        self._raw = renderer.raw
        self._size_px = (width_px, height_px)
        self._px_per_point = dpi / 72
        self._calls: list[Call] = []
        self._box: Box | None = None
        self._limit: Box | None = None
        self._masks: list[Mask] = []

    @property
    def has_calls(self) -> bool:
        """Whether anything was recorded since the last cut."""
        return bool(self._calls)

    def cut(self) -> Recording:
        """End the recording and begin the next one."""
        recording = Recording(tuple(self._calls), self._box, self._limit, tuple(self._masks))
        self._calls = []
        self._box = self._limit = None
        self._masks = []
        return recording

    def lend(self) -> None:
        """The pixels are about to be read, or written by somebody else."""
        if self.mode == "pass":
            self.touched = self.lent = True
        else:
            self._stop_recording()

    def draw_path(self, gc: Any, path: Any, trans: Any, face: Any = None) -> None:
        """Outline and fill one path."""
        if not self._pass_on(self._raw.draw_path, gc, path, trans, face):
            return
        extents = of_points(path.vertices, _matrix(trans))
        corners = path.codes is not None or len(path.vertices) > 2
        self._touch(extents, self._line_pad_px(gc, corners=corners), gc)
        self._note(self._raw.draw_path, (gc, path, trans, face), {})

    def draw_markers(
        self,
        gc: Any,
        marker_path: Any,
        marker_path_trans: Any,
        path: Any,
        trans: Any,
        face: Any = None,
    ) -> None:
        """Put one small path at each vertex of another."""
        args = (gc, marker_path, marker_path_trans, path, trans, face)
        if not self._pass_on(self._raw.draw_markers, *args):
            return
        stamp = of_points(marker_path.vertices, _matrix(marker_path_trans))
        places = of_points(path.vertices, _matrix(trans))
        if stamp is not None and places is not None:
            (x0, y0, x1, y1), (left, bottom, right, top) = stamp, places
            extents = (x0 + left, y0 + bottom, x1 + right, y1 + top)
            # Marker and place are each moved to whole pixels.
            self._touch(extents, self._line_pad_px(gc, corners=True) + 1, gc)
        self._note(self._raw.draw_markers, args, {})

    def draw_text_image(self, image: Any, x: float, y: float, angle: float, gc: Any) -> None:
        """Put a picture of letters with its lower left corner at x, y (y downwards)."""
        if not self._pass_on(self._raw.draw_text_image, image, x, y, angle, gc):
            return
        height, width = np.asarray(image).shape[:2]
        around = (width + height) if angle else 0
        left, bottom = x - around, self._size_px[1] - y - around
        right = x + max(width, around)
        top = self._size_px[1] - y + max(height, around)
        # A blank is an empty picture, put anywhere.
        self._touch((left, bottom, right, top) if width and height else None, MARGIN_PX, gc)
        picture = np.array(image, dtype=np.uint8)
        self._calls.append((self._raw.draw_text_image, (picture, x, y, angle, freeze(gc)), {}))

    def draw_image(self, gc: Any, x: float, y: float, image: Any) -> None:
        """Put an RGBA picture with its lower left corner at x, y (y upwards)."""
        if not self._pass_on(self._raw.draw_image, gc, x, y, image):
            return
        height, width = np.asarray(image).shape[:2]
        self._touch((x, y, x + width, y + height), MARGIN_PX, gc)
        self._note(self._raw.draw_image, (gc, x, y, image), {})

    def draw_path_collection(self, gc: Any, *args: Any, **named: Any) -> None:
        """Many paths, each with its own look."""
        is_question = len(args) > PATHS and not len(args[PATHS])
        if is_question and self.mode == "record":
            # So matplotlib asks which arguments are known: nothing is drawn.
            self._raw.draw_path_collection(gc, *args, **named)
        is_recorded = self._pass_on(self._raw.draw_path_collection, gc, *args, **named)
        if is_question or not is_recorded:
            return
        extents, width = _collection(args)
        self._touch(extents, self._line_pad_px(gc, corners=True, width=width) + 1, gc)
        self._note(self._raw.draw_path_collection, (gc, *args), named)

    def draw_quad_mesh(self, gc: Any, *args: Any, **named: Any) -> None:
        """A mesh of quadrilaterals."""
        self._anywhere(self._raw.draw_quad_mesh, gc, args, named)

    def draw_gouraud_triangles(self, gc: Any, *args: Any, **named: Any) -> None:
        """Triangles with a colour at each corner."""
        self._anywhere(self._raw.draw_gouraud_triangles, gc, args, named)

    def clear(self) -> None:
        """Make all pixels transparent."""
        self._stop_recording()
        self._raw.clear()

    def copy_from_bbox(self, bbox: Any) -> Any:
        """A copy of some pixels."""
        self._stop_recording()
        return self._raw.copy_from_bbox(bbox)

    def restore_region(self, *args: Any, **named: Any) -> None:
        """Put copied pixels back."""
        self._stop_recording()
        self._raw.restore_region(*args, **named)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The pixels themselves, as an array of the C++ renderer is: many scripts ask for it."""
        self.lend()
        pixels = np.asarray(self._raw, dtype=dtype)
        return pixels.copy() if copy else pixels

    def _stop_recording(self) -> None:
        """Pixels are about to be read, written or cleared: they must be there."""
        if self.mode != "pass":
            self._renderer.drawing.go_direct(READS)
        self.touched = True

    def _pass_on(self, function: Callable[..., Any], *args: Any, **named: Any) -> bool:
        """Pass a call on, unless it is only recorded; whether it is to be recorded."""
        if self.mode != "record":
            function(*args, **named)
        if self.mode == "pass":
            self.touched = True
        return self.mode != "pass"

    def _anywhere(
        self, function: Callable[..., Any], gc: Any, args: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        if not self._pass_on(function, gc, *args, **named):
            return
        self._touch(EVERYWHERE, 0, gc)
        self._note(function, (gc, *args), named)

    def _note(
        self, function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        kept = {key: freeze(value) for key, value in named.items()}
        self._calls.append((function, tuple(map(freeze, args)), kept))

    def _touch(self, extents: Extents | None, pad_px: float, gc: Any) -> None:
        """Note what a call can have touched: its extents, where they are not clipped away."""
        mask = _mask_of(gc)
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

    def _line_pad_px(self, gc: Any, *, corners: bool, width: float | None = None) -> float:
        """How far a line reaches beyond its points; `width` in points if not the context's."""
        if gc.get_sketch_params() is not None:
            return float("nan")
        sharp = corners and gc.get_joinstyle() == "miter"
        width_px = (gc.get_linewidth() if width is None else width) * self._px_per_point
        factor = max(width_px, LEAST_MITER_LIMIT) if sharp else CAP
        return float(width_px / 2 * factor + MARGIN_PX)


@dataclass(frozen=True, slots=True)
class Recording:
    """What one artist asked of the renderer."""

    calls: tuple[Call, ...]
    box: Box | None
    limit: Box | None
    masks: tuple[Mask, ...] = ()

    def replay(self) -> None:
        """Ask the same again, in the same order."""
        for function, args, named in self.calls:
            function(*args, **named)

    def same_as(self, other: Recording | None) -> bool:
        """Whether both hold the same calls."""
        return other is not None and (self is other or same_value(self.calls, other.calls))


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The clip path of one call and how it would be snapped; keeps its points alive.

    The C++ renderer keeps the mask that it made of the last clip path, snapped to
    pixels or not as the artist asked that came first. Another artist with the
    same clip path gets that mask, whatever it asks for itself: recordings that
    are replayed in another company could not give the same pixels.
    """

    points: Any
    matrix: bytes
    snap: bool | None

    @property
    def key(self) -> tuple[int, bytes]:
        """What the renderer takes for the same path."""
        return id(self.points), self.matrix


def _mask_of(gc: Any) -> Mask | None:
    """The clip path of a graphics context, None where it has none."""
    path, transform = gc.get_clip_path()
    if path is None:
        return None
    snap = gc.get_snap()
    if snap is None and path.codes is not None and np.isin(path.codes, CURVES).any():
        # Left to choose, the renderer snaps no curves.
        snap = False
    return Mask(path.vertices, np.array(transform, dtype=float).tobytes(), snap)


def masks_mix(masks: Iterable[Mask]) -> bool:
    """Whether some calls ask for one path's mask in different ways."""
    asked: dict[tuple[int, bytes], bool | None] = {}
    return any(asked.setdefault(mask.key, mask.snap) != mask.snap for mask in masks)


class FrozenPath:
    """The part of a path that the C++ renderer reads, by value."""

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
    offset, dashes = gc.get_dashes()
    frozen.set_dashes(offset, None if dashes is None else np.array(dashes))
    rectangle = gc.get_clip_rectangle()
    if rectangle is not None:
        frozen.set_clip_rectangle(Bbox(np.array(rectangle.get_points())))
    path, transform = gc.get_clip_path()
    if path is None:
        frozen.set_clip_path(None)
    else:
        codes = None if path.codes is None else np.array(path.codes)
        copied = Path(np.array(path.vertices), codes)
        copied.should_simplify = path.should_simplify
        copied.simplify_threshold = path.simplify_threshold
        clip = TransformedPath(copied, Affine2D(_matrix(transform)))
        frozen.set_clip_path(clip)
    return frozen


def _matrix(transform: Any) -> npt.NDArray[np.float64] | None:
    return None if transform is None else np.array(transform, dtype=float)


def same_value(value: Any, other: Any) -> bool:
    """Whether two arguments that were kept by value are the same."""
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    if isinstance(value, np.ndarray):
        same_kind = value.shape == other.shape and value.dtype == other.dtype
        return bool(same_kind and value.tobytes() == other.tobytes())
    if isinstance(value, tuple | list):
        return len(value) == len(other) and all(map(same_value, value, other))
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(
            same_value(item, other[name]) for name, item in value.items()
        )
    if isinstance(value, FrozenPath | GraphicsContextBase | Path):
        return same_value(vars(value), vars(other))
    if isinstance(value, Bbox):
        return same_value(value.get_points(), other.get_points())
    if isinstance(value, TransformedPath):
        return same_value(
            value.get_transformed_path_and_affine(), other.get_transformed_path_and_affine()
        )
    if isinstance(value, Affine2D):
        return same_value(value.get_matrix(), other.get_matrix())
    if isinstance(value, int | float | str | np.generic) or callable(value):
        return bool(value == other)
    return False


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


def _clip_extents(gc: Any) -> Extents | None:
    """The clip rectangle as the C++ renderer understands it: four zeros mean none."""
    rectangle = gc.get_clip_rectangle()
    if rectangle is None:
        return None
    (x0, y0), (x1, y1) = rectangle.get_points().tolist()
    if x0 == y0 == x1 == y1 == 0:
        return None
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def union(first: Box | None, second: Box | None) -> Box | None:
    """The smallest box around both."""
    if first is None or second is None:
        return first or second
    (l0, t0, r0, b0), (l1, t1, r1, b1) = first, second
    return min(l0, l1), min(t0, t1), max(r0, r1), max(b0, b1)


def overlap(first: Box | None, second: Box | None) -> Box | None:
    """The pixels that both have."""
    if first is None or second is None:
        return None
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def touch(first: Box | None, second: Box | None) -> bool:
    """Whether the two share a pixel."""
    return overlap(first, second) is not None


def inside(inner: Box | None, outer: Box | None) -> bool:
    """Whether no pixel of `inner` lies beyond `outer`."""
    return inner is None or union(inner, outer) == outer


def widened(box: Box | None, by_px: int) -> Box | None:
    """`box` with so many pixels more on each side."""
    if box is None:
        return None
    left, top, right, bottom = box
    return left - by_px, top - by_px, right + by_px, bottom + by_px


def from_extents(extents: Extents, pad_px: float, height_px: int) -> Box:
    """A box around x0, y0, x1, y1 in pixels counted upwards, widened on each side.

    Numbers too large for a frame are brought to its neighbourhood, NaN to
    everything: a box may be too large, never too small.
    """
    x0, x1 = _whole(extents[0] - pad_px, -1), _whole(extents[2] + pad_px, 1)
    y0, y1 = _whole(extents[1] - pad_px, -1), _whole(extents[3] + pad_px, 1)
    return x0, height_px - y1, x1, height_px - y0


def of_points(
    points: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64] | None
) -> Extents | None:
    """x0, y0, x1, y1 around the finite ones among (n, 2) points after a (3, 3) map.

    None for none. The map is applied to the rectangle around them, so the
    result may be too large where it turns or shears.
    """
    points = np.asarray(points, dtype=float)
    if not len(points):
        return None
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    if not (math.isfinite(x0 + x1) and math.isfinite(y0 + y1)):
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            return None
        (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    if matrix is None:
        return x0, y0, x1, y1
    (a, c, e), (b, d, f) = matrix[:2].tolist()
    left, right = _span(a, x0, x1, c, y0, y1, e)
    bottom, top = _span(b, x0, x1, d, y0, y1, f)
    return left, bottom, right, top


def _span(
    a: float, x0: float, x1: float, b: float, y0: float, y1: float, shift: float
) -> tuple[float, float]:
    """The least and the largest ``a x + b y + shift`` for x and y between these."""
    ax0, ax1 = sorted((a * x0, a * x1))
    by0, by1 = sorted((b * y0, b * y1))
    return ax0 + by0 + shift, ax1 + by1 + shift


def _whole(number: float, side: int) -> int:
    if math.isnan(number):
        return side * 1_000_000
    number = min(max(number, -1e6), 1e6)
    return math.floor(number) if side < 0 else math.ceil(number)
