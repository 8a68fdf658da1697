"""Puts a frame together: a picture of all that stands still, and patches drawn over it.

A node is drawn over the picture if it moves, or if it lies above pixels of one
that moves; all others commute with it and are in the picture. Nodes drawn over
it whose pixels meet form a patch: to show a change, the patch's rectangle is
copied back from the picture and the recordings of its nodes are replayed, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rayanim.drawing.artists import ArtistNode
from rayanim.drawing.boxes import Box, touch, union
from rayanim.drawing.recorder import RecordingRenderer

MOVES_FOR = 100
"""Frames after its last change in which a node still counts as moving."""

ROOMS_PX = (1, 8, 64, 512)
"""Pixels around what moves that it is given to move in; the next ones when that was too small."""


@dataclass(slots=True, eq=False)
class Patch:
    """Nodes whose pixels meet, lowest first, and the box around all of them."""

    box: Box | None
    nodes: list[ArtistNode] = field(default_factory=list)


class Layers:
    """The pixels of one renderer, kept from frame to frame."""

    def __init__(self, renderer: RecordingRenderer) -> None:
        self.renderer = renderer
        self._picture: npt.NDArray[np.uint8] | None = None
        self._patches: list[Patch] = []
        self._over: set[ArtistNode] = set()
        self._whole = True
        self._outgrown = 0

    def forget_order(self) -> None:
        """The nodes are others now, or in another order."""
        self._picture = None

    def forget_pixels(self) -> None:
        """Someone else has drawn into the renderer."""
        self._whole = True

    def show(self, nodes: list[ArtistNode], frame_idx: int) -> None:
        """Bring the renderer's pixels up to date.

        Parameters
        ----------
        nodes
            All nodes, lowest first, each with its recording.
        """
        outgrown = [node.outgrew_reach() for node in nodes if node.dirty]
        if self._picture is None or any(node.dirty and node not in self._over for node in nodes):
            self._plan(nodes, frame_idx)
        elif any(outgrown):
            self._outgrown += 1
            self._plan(nodes, frame_idx)
        self._draw_patches()

    def _plan(self, nodes: list[ArtistNode], frame_idx: int) -> None:
        """Choose what is drawn over the picture, and make the picture."""
        patches: list[Patch] = []
        still: list[ArtistNode] = []
        for node in nodes:
            moves = node.moved_at is not None and frame_idx - node.moved_at < MOVES_FOR
            if moves:
                node.give_room(ROOMS_PX[min(self._outgrown, len(ROOMS_PX) - 1)])
            if moves or any(touch(node.reach, patch.box) for patch in patches):
                patches = _joined(patches, node)
            else:
                still.append(node)
        self._patches = patches
        self._over = {node for patch in patches for node in patch.nodes}
        places = {node: place for place, node in enumerate(nodes)}
        for patch in patches:
            patch.nodes.sort(key=places.__getitem__)
        self.renderer.raw.clear()
        for node in still:
            node.replay()
        self._picture = self.renderer.pixels.copy()
        self._whole = True

    def _draw_patches(self) -> None:
        """Show the patches with a change in them, or all."""
        pixels, picture = self.renderer.pixels, self._picture
        if picture is None:
            return
        if self._whole:
            pixels[...] = picture
        for patch in self._patches:
            if not self._whole:
                if not any(node.dirty for node in patch.nodes):
                    continue
                if patch.box is not None:
                    left, top, right, bottom = patch.box
                    pixels[top:bottom, left:right] = picture[top:bottom, left:right]
            for node in patch.nodes:
                node.replay()
        self._whole = False


def _joined(patches: list[Patch], node: ArtistNode) -> list[Patch]:
    """The patches with `node` added; those that it connects become one."""
    joined = Patch(node.reach, [node])
    apart = patches
    while True:
        meeting = [patch for patch in apart if touch(patch.box, joined.box)]
        if not meeting:
            return [*apart, joined]
        apart = [patch for patch in apart if patch not in meeting]
        for patch in meeting:
            joined.box = union(joined.box, patch.box)
            joined.nodes.extend(patch.nodes)
