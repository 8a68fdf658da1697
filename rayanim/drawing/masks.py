"""Finds figures in which the C++ renderer's one clip mask depends on what was drawn before.

The renderer keeps the mask that it made of the last clip path, snapped to
pixels or not as the artist asked that came first. Another artist with the
same clip path gets that mask, whatever it asks for itself: a draw in parts,
in which others come first, could not give the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.path import Path

CURVES = (Path.CURVE3, Path.CURVE4)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The clip path of one call and how it would be snapped; keeps its points alive."""

    points: Any
    matrix: bytes
    snap: bool | None

    @property
    def key(self) -> tuple[int, bytes]:
        """What the renderer takes for the same path."""
        return id(self.points), self.matrix


def mask_of(gc: Any) -> Mask | None:
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
