"""Rectangles of pixels: which part of a frame something can have touched.

PURE. A box is ``(left, top, right, bottom)`` in pixels from the upper left
corner, half-open; an empty one is None.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]
Extents = tuple[float, float, float, float]

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


def overlap(first: Box | None, second: Box | None) -> Box | None:
    """The pixels that both have."""
    if first is None or second is None:
        return None
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


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
    ax0, ax1, by0, by1 = a * x0, a * x1, b * y0, b * y1
    if ax0 > ax1:
        ax0, ax1 = ax1, ax0
    if by0 > by1:
        by0, by1 = by1, by0
    return ax0 + by0 + shift, ax1 + by1 + shift


def _whole(number: float, side: int) -> int:
    if math.isnan(number):
        return side * 1_000_000
    number = min(max(number, -1e6), 1e6)
    return math.floor(number) if side < 0 else math.ceil(number)
