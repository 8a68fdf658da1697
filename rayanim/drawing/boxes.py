"""Rectangles of pixels: which part of a frame something can have touched.

PURE. A box is ``(left, top, right, bottom)`` in pixels from the upper left
corner, half-open; an empty one is None.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]

MARGIN_PX = 3
"""What snapping to pixels and antialiasing can add to a shape, with one to spare."""


def union(first: Box | None, second: Box | None) -> Box | None:
    """The smallest box around both."""
    if first is None:
        return second
    if second is None:
        return first
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def touch(first: Box | None, second: Box | None) -> bool:
    """Whether the two share a pixel."""
    return (
        first is not None
        and second is not None
        and first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def inside(inner: Box | None, outer: Box | None) -> bool:
    """Whether no pixel of `inner` lies beyond `outer`."""
    if inner is None:
        return True
    return (
        outer is not None
        and outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def cut(box: Box, width_px: int, height_px: int) -> Box | None:
    """The part of `box` that lies in a frame of this size."""
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width_px), min(box[3], height_px)
    return (left, top, right, bottom) if left < right and top < bottom else None


def from_extents(extents: tuple[float, float, float, float], pad_px: float, height_px: int) -> Box:
    """A box around x0, y0, x1, y1 in pixels counted upwards, widened on each side.

    Numbers too large for a frame are brought to its neighbourhood, NaN to
    everything: a box may be too large, never too small.
    """
    x0, x1 = _whole(extents[0] - pad_px, -1), _whole(extents[2] + pad_px, 1)
    y0, y1 = _whole(extents[1] - pad_px, -1), _whole(extents[3] + pad_px, 1)
    return x0, height_px - y1, x1, height_px - y0


def of_points(
    points: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64] | None
) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of the finite ones among (n, 2) points after a (3, 3) map; None for none."""
    points = np.asarray(points, dtype=float)
    if matrix is not None:
        with np.errstate(all="ignore"):
            points = points @ matrix[:2, :2].T + matrix[:2, 2]
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (None, None)
    if low is None or high is None:
        return None
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            return None
        low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _whole(number: float, side: int) -> int:
    if math.isnan(number):
        return side * 1_000_000
    number = min(max(number, -1e6), 1e6)
    return math.floor(number) if side < 0 else math.ceil(number)
