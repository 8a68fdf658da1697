"""An Agg canvas that draws only what changed, to the same pixels as a full draw."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rayanim.figure.artists import NOTHING, ArtistNode, FigureDrawing
from rayanim.figure.draw_stats import FIRST_FRAME, open_monitor
from rayanim.figure.private import missing_names
from rayanim.figure.recorder import (
    Box,
    RecordingRenderer,
    inside,
    masks_mix,
    touch,
    union,
)

WORTH = 0.8
"""Where what changed takes more than this share of a full draw, a full draw is quicker."""

LONGEST_PAUSE = 64
"""Full draws at most between two tries whether drawing only what changed would pay again."""

LEARNING = 2
"""Frames in which everything is drawn and watched, before anything is known to be unchanged."""

FIRST_COMPARISONS = 2
"""The first frames after that are all compared with a full draw."""

COMPARING_SHARE = 0.05
"""Comparing takes at most this share of the time since the comparison before, by default."""

AXES_PLACE = ("_viewLim", "_position")

# Reasons for a full draw, as the report shows them.
DIFFERS = "a difference was found"
MIXED_MASKS = "artists share a clip path, but not how it is snapped to pixels"
UNDRAWN = "what was recorded could not be drawn"
CHANGING = "nearly everything changes"
LIMITS = "the limits of the axes changed"

MOVES_FOR = 100
"""Frames after its last change in which a node still counts as moving."""

ROOMS_PX = (1, 8, 64, 512)
"""Pixels around what moves that it is given to move in; the next ones when that was too small."""


class VideoCanvas(FigureCanvasAgg):
    """An Agg canvas that draws the frames of a video as ``savefig`` draws a figure.

    A callback that draws the canvas while it is drawn does not draw into what is half done: what
    it changed is drawn afterwards, once.
    """

    _draws_frame = False
    _is_drawing = False
    _must_draw_again = False

    def draw(self) -> None:
        """Draw the figure as it is now."""
        if self._is_drawing:
            self._must_draw_again = True
            return
        self._is_drawing = True
        try:
            self._draw_once()
            if self._must_draw_again:
                self._draw_once()
        finally:
            self._is_drawing = self._must_draw_again = False

    def _draw_once(self) -> None:
        renderer = self.get_renderer()  # type: ignore[no-untyped-call]
        super().draw()  # type: ignore[no-untyped-call]
        # Saving the figure while it is drawn leaves another one.
        self.renderer = renderer

    def is_saving(self) -> bool:
        """Whether artists with ``animated=True`` are drawn: so they are in what is saved."""
        return self._draws_frame or bool(super().is_saving())

    def draw_frame(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        """Draw a frame of a video."""
        self._draws_frame = True
        try:
            self.draw()
        finally:
            self._draws_frame = False
        return self.pixels

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 4) uint8 RGBA, read-only: what was drawn last."""
        view = np.asarray(self.buffer_rgba()).view()  # type: ignore[no-untyped-call]
        view.flags.writeable = False
        return view


class IncrementalCanvas(VideoCanvas):
    """A `VideoCanvas` whose `draw` leaves the pixels of a full draw, sooner."""

    def __init__(self, figure: Figure | None = None) -> None:
        super().__init__(figure)
        self.drawn_incrementally = 0
        self.drawn_in_full: Counter[str] = Counter()
        self.comparisons = 0
        self.compares_first = True
        self.comparing_share = COMPARING_SHARE
        self.difference: Difference | None = None
        self.why_full: str | None = None
        self.refusal: str | None = None
        self.always_try = False
        # What is known of the figure and its pixels; None after a full draw.
        self._layers: Layers | None = None
        self._drawing: FigureDrawing | None = None
        self._kept_renderer: RecordingRenderer | None = None
        self._renderer_key: tuple[float, ...] | None = None
        self._frames = 0
        self._pause = self._pauses = self._failures = 0
        self._axes_before: list[Any] = []
        self._compare_next = False
        self._last_comparison_s = 0.0
        self._comparison_took_s = 0.0
        self._looked_up_with: int | None = None
        self._missing: tuple[str, ...] = ()

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 4) uint8 RGBA, read-only: what was drawn last."""
        view = self._own_renderer().pixels.view()
        view.flags.writeable = False
        return view

    def get_renderer(self) -> RecordingRenderer:
        """The renderer; what is drawn with it is gone with the next draw."""
        renderer = self.renderer = self._own_renderer()
        return renderer

    @property
    def nodes(self) -> list[ArtistNode]:
        """All that was drawn last, lowest first."""
        return self._drawing.nodes if self._drawing else []

    def draw_frame(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        """Draw a frame of a video, and compare it with a full draw if there is time."""
        self._compare_next = compare and self._has_time()
        return super().draw_frame()

    def _draw_once(self) -> None:
        reason = self._why_full()
        renderer, key = self._own_renderer(), self._renderer_key
        if reason:
            self._draw_in_full(reason)
        else:
            self._draw_incrementally()
        if self._kept_renderer is not renderer:
            # Saving the figure while it is drawn leaves another one.
            self._kept_renderer, self._renderer_key = renderer, key
            self._forget()
        self._frames += 1

    def refuse(self, reason: str) -> None:
        """Draw every frame in full from now on."""
        self.refusal = reason
        self._forget()

    def _missing_names(self) -> tuple[str, ...]:
        """The private names that this matplotlib lacks, looked up again where axes came."""
        if self._looked_up_with != len(self.figure.axes):
            self._looked_up_with = len(self.figure.axes)
            self._missing = missing_names(self._own_renderer(), self.figure)
        return self._missing

    def _own_renderer(self) -> RecordingRenderer:
        # matplotlib rounds the size: before 3.11 it may be a fraction of a pixel.
        width, height = self.get_width_height(physical=True)
        key = (width, height, self.figure.dpi)
        if self._kept_renderer is None or key != self._renderer_key:
            self._kept_renderer = RecordingRenderer(*key)
            self._renderer_key = key
            self._forget()
        return self._kept_renderer

    def _forget(self) -> None:
        self._layers = self._drawing = None

    def _why_full(self) -> str | None:
        if self.refusal is not None:
            return self.refusal
        moving = self._all_axes_move()
        if self._frames == 0:
            return FIRST_FRAME
        missing = self._missing_names()
        if missing:
            _warn_once(missing)
            return "this matplotlib lacks " + ", ".join(missing)
        if self._pause:
            self._pause -= 1
            return CHANGING
        if moving and self._drawing is None and not self.always_try:
            # As long as the limits of all axes move there is nothing to be gained.
            # The first draw itself may have set them, from the data.
            return LIMITS if self._frames == 1 else CHANGING
        if self.callbacks.callbacks.get("draw_event"):
            return "something runs after each draw"
        return None

    def _all_axes_move(self) -> bool:
        """Whether all axes moved or have other limits since the last frame."""
        # Asking for them by their public names would bring them up to date.
        now = [
            (axes, *(vars(axes)[name].get_points().tobytes() for name in AXES_PLACE))
            for axes in self.figure.axes
        ]
        before, self._axes_before = self._axes_before, now
        moved = [new != old for new, old in zip(now, before, strict=False)]
        return bool(moved) and all(moved)

    def _draw_in_full(self, reason: str) -> None:
        super()._draw_once()
        # Whoever draws resets stale flags, so that nothing is known to be unchanged.
        self._forget()
        self._count_full(reason)

    def _count_full(self, reason: str) -> None:
        self.drawn_in_full[reason] += 1
        self.why_full = reason

    def _draw_incrementally(self) -> None:
        renderer = self._own_renderer()
        if self._drawing is None or self._layers is None:
            self._drawing, self._layers = FigureDrawing(self.figure), Layers(renderer)
        drawing = self._drawing
        compare = self._compare_next or (
            self.compares_first
            and self.comparing_share > 0
            and self.comparisons < FIRST_COMPARISONS
            and self.drawn_incrementally >= LEARNING
        )
        self._compare_next = False
        began_s = time.perf_counter()
        if compare:
            renderer.raw.clear()
        try:
            drawing.draw(renderer, self._frames, compare=compare)
            reason = drawing.direct or self._show(renderer, drawing, compare=compare)
        except BaseException:
            # The next frame cannot be drawn from half a frame.
            self._forget()
            raise
        if reason is not None:
            self._forget()
            self._count_full(reason)
            self._pause_trying()
            return
        if compare:
            self._comparison_took_s = time.perf_counter() - began_s
            self._last_comparison_s = time.perf_counter()
        self.drawn_incrementally += 1
        self.why_full = None
        if self._gains_little(drawing):
            self._pause_trying()

    def _show(
        self, renderer: RecordingRenderer, drawing: FigureDrawing, *, compare: bool
    ) -> str | None:
        """Bring the pixels up to date; why they had to be drawn in full, or None."""
        layers = self._layers
        nodes = drawing.nodes
        if layers is None or masks_mix(
            mask for node in nodes if node.recording for mask in node.recording.masks
        ):
            self.refusal = MIXED_MASKS
            super()._draw_once()
            return MIXED_MASKS
        full = renderer.pixels.copy() if compare else None
        recorder = renderer.recorder
        if drawing.order_changed:
            layers.forget_order()
        if compare or recorder.touched or recorder.lent:
            layers.forget_pixels()
            recorder.touched = False
        try:
            layers.show(nodes, self._frames)
        except Exception:
            # What cannot be drawn raises in a full draw, where it is the artist's to catch.
            super()._draw_once()
            return UNDRAWN
        self.figure.stale = False
        if full is not None:
            self.comparisons += 1
            return self._compare(renderer, drawing, full)
        return None

    def _compare(
        self, renderer: RecordingRenderer, drawing: FigureDrawing, full: npt.NDArray[np.uint8]
    ) -> str | None:
        """Compare with a full draw; where they differ, leave the full draw."""
        differs = (renderer.pixels != full).any(axis=2)
        if not differs.any() and not drawing.misplaced:
            return None
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        box = (0, 0, 0, 0)
        if len(rows):
            box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        wrong = [
            str(node.artist)
            for node in drawing.nodes
            if node.fresh is not None and not node.fresh.same_as(node.recording)
        ]
        there = [str(node.artist) for node in drawing.nodes if touch(node.reach, box)]
        names = [str(title) for title in drawing.misplaced] + (wrong or there)
        self.difference = Difference(box, tuple(names[:8]))
        renderer.pixels[...] = full
        self.refusal = DIFFERS
        if open_monitor() is None:
            text = f"draw {self._frames}: {self.difference.message}"
            warnings.warn(text, RuntimeWarning, stacklevel=5)
        return DIFFERS

    def _pause_trying(self) -> None:
        """Draw in full for a while, for longer each time in a row."""
        if self.always_try:
            return
        self._pauses += 1
        self._failures = 0
        self._pause = min(2**self._pauses, LONGEST_PAUSE) - 1

    def _gains_little(self, drawing: FigureDrawing) -> bool:
        changed_s = sum(node.cost_s for node in drawing.nodes if node.drawn_for == "change")
        all_s = sum(node.cost_s for node in drawing.nodes)
        if self.always_try or changed_s <= WORTH * all_s:
            self._pauses = self._failures = 0
            return False
        # At first all is new, and a layout engine that still runs makes all look changed.
        self._failures += 1
        return self._failures > LEARNING

    def _has_time(self) -> bool:
        """Whether comparing stays within its share of the time."""
        passed_s = time.perf_counter() - self._last_comparison_s
        return passed_s * self.comparing_share > self._comparison_took_s


@dataclass(frozen=True, slots=True)
class Difference:
    """A frame that was not the frame drawn in full."""

    box: Box
    artists: tuple[str, ...]

    @property
    def message(self) -> str:
        """What to report to the user; which frame it was goes before it."""
        left, top, right, bottom = self.box
        return (
            "drawing only what changed gave other pixels than a full "
            f"draw in x {left} to {right}, y {top} to {bottom} ({', '.join(self.artists)}). "
            "Frames are drawn in full from now on. Please report the script"
        )


_warned: set[tuple[str, ...]] = set()


def _warn_once(missing: tuple[str, ...]) -> None:
    if missing not in _warned:
        _warned.add(missing)
        warnings.warn(
            f"matplotlib {mpl.__version__} lacks {', '.join(missing)}: every frame is drawn in "
            "full, which is right but slow; a newer rayanim may know it",
            RuntimeWarning,
            stacklevel=4,
        )


class Layers:
    """The pixels of one renderer, kept from frame to frame."""

    def __init__(self, renderer: RecordingRenderer) -> None:
        self.renderer = renderer
        self._picture: npt.NDArray[np.uint8] | None = None
        self._patches: list[Patch] = []
        self._over: set[ArtistNode] = set()
        self._in_picture: set[ArtistNode] = set()
        self._must_repaint = True
        self._outgrown = self._came = 0

    def forget_order(self) -> None:
        """The nodes are others now, or in another order."""
        self._picture = None

    def forget_pixels(self) -> None:
        """Someone else has drawn into the renderer."""
        self._must_repaint = True

    def show(self, nodes: list[ArtistNode], frame_idx: int) -> None:
        """Bring the renderer's pixels up to date."""
        dirty = [node for node in nodes if node.dirty]
        outgrown = [node for node in dirty if node.outgrew_reach()]
        came = [node for node in dirty if node not in self._over]
        if self._picture is None or not self._lie_over(came, nodes):
            self._plan(nodes, frame_idx)
        elif any(node not in came for node in outgrown):
            self._outgrown += 1
            self._plan(nodes, frame_idx)
        self._draw_patches()

    def _lie_over(self, came: list[ArtistNode], nodes: list[ArtistNode]) -> bool:
        """Whether what came is drawn in patches that are there, with all that lies above it.

        As in an ArtistAnimation: one image in the place of another.
        """
        if not came:
            return True
        self._came += 1
        if self._came > MOVES_FOR or not self._in_picture.isdisjoint(came):
            # What came long ago and stays is better off in the picture.
            return False
        places = {node: place for place, node in enumerate(nodes)}
        for node in came:
            patch = next((each for each in self._patches if inside(node.reach, each.box)), None)
            above = nodes[places[node] + 1 :]
            if patch is None or any(
                each in self._in_picture and touch(each.reach, node.reach) for each in above
            ):
                return False
            # What is hidden may come again.
            gone = [each for each in patch.nodes if each.recording is NOTHING]
            patch.nodes = [each for each in patch.nodes if each.recording is not NOTHING]
            patch.nodes = sorted([*patch.nodes, node], key=places.__getitem__)
            self._over.difference_update(gone)
            self._over.add(node)
        return True

    def _plan(self, nodes: list[ArtistNode], frame_idx: int) -> None:
        """Choose what is drawn over the picture, and make the picture."""
        patches: list[Patch] = []
        still: list[ArtistNode] = []
        for node in nodes:
            if node.is_over:
                continue
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
        self._came = 0
        self._in_picture = {node for node in still if node.recording and node.recording.calls}
        self._must_repaint = True

    def _draw_patches(self) -> None:
        """Show the patches with a change in them, or all."""
        pixels, picture = self.renderer.pixels, self._picture
        if picture is None:
            return
        if self._must_repaint:
            pixels[...] = picture
        for patch in self._patches:
            if not self._must_repaint:
                if not any(node.dirty for node in patch.nodes):
                    continue
                if patch.box is not None:
                    left, top, right, bottom = patch.box
                    pixels[top:bottom, left:right] = picture[top:bottom, left:right]
            for node in patch.nodes:
                node.replay()
        self._must_repaint = False


@dataclass(slots=True, eq=False)
class Patch:
    """Nodes whose pixels meet, lowest first, and the box around all of them."""

    box: Box | None
    nodes: list[ArtistNode] = field(default_factory=list)


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
