"""Puts a frame together: a picture of all that stands still, and patches drawn over it.

A unit is drawn over the picture if it moves, or if it lies above pixels of one
that moves; all others commute with it and are in the picture. Units drawn over
it whose pixels meet form a patch: to show a change, the patch's rectangle is
copied back from the picture and its units are replayed or drawn, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rayanim.drawing.boxes import Box, touch, union
from rayanim.drawing.tape import TapingRenderer
from rayanim.drawing.unit import Unit

MOVES_FOR = 100
"""Frames after its last change in which a unit still counts as moving."""

ROOMS_PX = (1, 8, 64, 512)
"""Pixels around what moves that it is given to move in; the next ones when that was too small."""


@dataclass(slots=True, eq=False)
class Patch:
    """Units whose pixels meet, lowest first, and the box around all of them."""

    box: Box | None
    units: list[Unit] = field(default_factory=list)


class Layers:
    """The pixels of one renderer, kept from frame to frame.

    Attributes
    ----------
    repainted
        Boxes that the last `show` wrote to, or None for the whole frame.
    """

    def __init__(self, renderer: TapingRenderer) -> None:
        self.renderer = renderer
        self._picture: npt.NDArray[np.uint8] | None = None
        self._patches: list[Patch] = []
        self._over: set[int] = set()
        self._whole = True
        self._outgrown = 0
        self.repainted: list[Box] | None = None

    def forget_order(self) -> None:
        """The units are others now, or in another order."""
        self._picture = None

    def forget_pixels(self) -> None:
        """Someone else has drawn into the renderer."""
        self._whole = True

    def show(self, units: list[Unit], frame_idx: int) -> None:
        """Bring the renderer's pixels up to date; draws the dirty units.

        Parameters
        ----------
        units
            All units, lowest first; those that are not dirty can be replayed.
        """
        if any(unit.tape is None for unit in units):
            self._draw_in_order(units)
            return
        if self._picture is None or any(
            unit.dirty and id(unit) not in self._over for unit in units
        ):
            self._plan(units, frame_idx)
        if not self._draw_patches(units):
            self._outgrown += 1
            self._draw_in_order(units)

    def _draw_in_order(self, units: list[Unit]) -> None:
        """Draw everything, as matplotlib would, and learn where each unit draws."""
        self._picture = None
        self.repainted = None
        self.renderer.clear()  # type: ignore[no-untyped-call]
        for unit in units:
            if unit.dirty or not unit.replayable:
                unit.draw(self.renderer)
            elif unit.tape is not None:
                unit.tape.replay()
            unit.drawn_beyond_reach()
        self._whole = True

    def _plan(self, units: list[Unit], frame_idx: int) -> None:
        """Choose what is drawn over the picture, and make the picture."""
        patches: list[Patch] = []
        still: list[Unit] = []
        for unit in units:
            moves = unit.dirty or not unit.replayable or frame_idx - unit.dirty_at < MOVES_FOR
            if unit.dirty_at <= 1 and not unit.dirty:
                moves = not unit.replayable
            if moves:
                unit.give_room(ROOMS_PX[min(self._outgrown, len(ROOMS_PX) - 1)])
            if moves or any(touch(unit.reach, patch.box) for patch in patches):
                patches = _joined(patches, unit)
            else:
                still.append(unit)
        self._patches = patches
        self._over = {id(unit) for patch in patches for unit in patch.units}
        places = {id(unit): place for place, unit in enumerate(units)}
        for patch in patches:
            patch.units.sort(key=lambda unit: places[id(unit)])
        self.renderer.clear()  # type: ignore[no-untyped-call]
        for unit in still:
            if unit.tape is not None:
                unit.tape.replay()
        self._picture = self.renderer.pixels.copy()
        self._whole = True

    def _draw_patches(self, units: list[Unit]) -> bool:
        """Show the patches with a change in them; False where one outgrew its place."""
        pixels, picture = self.renderer.pixels, self._picture
        if picture is None:
            return False
        self.repainted = None if self._whole else []
        if self._whole:
            pixels[...] = picture
        contained = True
        for patch in self._patches:
            if not self._whole and not any(unit.dirty for unit in patch.units):
                continue
            if patch.box is not None and not self._whole:
                left, top, right, bottom = patch.box
                pixels[top:bottom, left:right] = picture[top:bottom, left:right]
            for unit in patch.units:
                if unit.dirty:
                    unit.draw(self.renderer)
                    contained = not unit.drawn_beyond_reach() and contained
                elif unit.tape is not None and unit.replayable:
                    unit.tape.replay()
                else:
                    unit.draw(self.renderer)
            if self.repainted is not None and patch.box is not None:
                self.repainted.append(patch.box)
        self._whole = False
        return contained


def _joined(patches: list[Patch], unit: Unit) -> list[Patch]:
    """The patches with `unit` added; those that it connects become one."""
    joined = Patch(unit.reach, [unit])
    apart = patches
    while True:
        meeting = [patch for patch in apart if touch(patch.box, joined.box)]
        if not meeting:
            return [*apart, joined]
        apart = [patch for patch in apart if patch not in meeting]
        for patch in meeting:
            joined.box = union(joined.box, patch.box)
            joined.units.extend(patch.units)
