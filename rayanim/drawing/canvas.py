"""An Agg canvas that draws only what changed, to the same pixels as a full draw."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from rayanim.drawing.arrangement import Arrangement
from rayanim.drawing.guard import Difference, Guard
from rayanim.drawing.layers import Layers
from rayanim.drawing.ledger import current
from rayanim.drawing.links import every_axes, in_transit
from rayanim.drawing.masks import masks_mix
from rayanim.drawing.order import Order
from rayanim.drawing.private import missing_names
from rayanim.drawing.tape import TapingRenderer
from rayanim.drawing.unit import Unit

WORTH = 0.8
"""Where more than this share of a full draw changed, a full draw is quicker."""

LONGEST_PAUSE = 64
"""Full draws at most between two looks at whether drawing in parts would pay again."""


DIFFERS = "a difference was found"
MIXED_MASKS = "artists share a clip path, but not how it is snapped to pixels"


class IncrementalCanvas(FigureCanvasAgg):
    """A ``FigureCanvasAgg`` whose `draw` leaves the pixels of matplotlib's own, sooner.

    Attributes
    ----------
    drawn_in_parts
        Frames that were drawn without drawing everything.
    drawn_in_full
        Frames that were drawn whole, by the reason why.
    difference
        The first difference from a full draw that was found, or None.
    why_full
        Why the last frame was drawn whole; None where it was drawn in parts.
    refusal
        Why every frame is drawn whole from now on, or None.
    guard
        What compares with full draws.
    always_try
        True draws in parts even where a full draw is likely to be quicker.
    """

    def __init__(self, figure: Figure | None = None) -> None:
        super().__init__(figure)
        self.drawn_in_parts = 0
        self.drawn_in_full: Counter[str] = Counter()
        self.difference: Difference | None = None
        self.why_full: str | None = None
        self.refusal: str | None = None
        self.guard = Guard()
        self.always_try = False
        self._kept: TapingRenderer | None = None
        self._kept_key: tuple[float, ...] | None = None
        self._layers: Layers | None = None
        self._order: Order | None = None
        self._arrangement: Arrangement | None = None
        self._frames = 0
        self._lent = True
        self._pause = 0
        self._pauses = 0
        self._failures = 0
        self._glanced = False
        self._full_s = 0.0
        self._looked_up: int | None = None
        self._missing: tuple[str, ...] = ()
        self._masks_mix = False

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 4) uint8 RGBA, read-only: what was drawn last."""
        view = self._own_renderer().pixels.view()
        view.flags.writeable = False
        return view

    def get_renderer(self) -> TapingRenderer:
        """The renderer; who asks may draw with it, so the next draw repaints everything."""
        self._lent = True
        renderer = self.renderer = self._own_renderer()
        return renderer

    def buffer_rgba(self) -> memoryview:
        """The pixels drawn last, for the caller to do with as it likes."""
        self._lent = True
        return self._own_renderer().buffer_rgba()

    @property
    def units(self) -> list[Unit]:
        """All that was drawn last in parts, lowest first."""
        return self._order.units if self._order else []

    def draw(self) -> None:
        """Draw the figure as it is now."""
        reason = self._why_full()
        if reason:
            self._draw_in_full(reason)
            return
        self._draw_in_parts()

    def check(self) -> bool:
        """Compare the pixels with a full draw; after a difference, all is drawn in full."""
        if self._layers is None or self.difference is not None:
            return self.difference is None
        with self.guard.checking():
            found = self._compare()
        if found is not None and current() is None:
            told = f"draw {found.frame_idx}: {found.message}"
            warnings.warn(told, RuntimeWarning, stacklevel=3)
        return found is None

    def _compare(self) -> Difference | None:
        renderer = self._own_renderer()
        found = self.guard.compare(self.figure, renderer, self.units, self._frames)
        if found is not None:
            self.difference = found
            self.refuse(DIFFERS)
        elif self._order is not None:
            self._order.watch_again()
        return found

    def check_at_end(self) -> None:
        """Compare the last frame at the end of a segment, where that is due."""
        # A stale figure shows something else by now.
        if self.why_full is None and not self.figure.stale and self.guard.due_at_end(self._full_s):
            self.check()

    def refuse(self, reason: str) -> None:
        """Draw every frame whole from now on."""
        self.refusal = reason
        self._layers = self._order = None

    def missing_names(self) -> tuple[str, ...]:
        """The private names that this matplotlib lacks, looked up once.

        Again where axes came, for what some names stand in was not there before.
        """
        if self._looked_up != len(self.figure.axes):
            self._looked_up = len(self.figure.axes)
            self._missing = missing_names(self._own_renderer(), self.figure)
        return self._missing

    def _own_renderer(self) -> TapingRenderer:
        # Its size is matplotlib's to say: before 3.11 it may be a fraction of a pixel.
        plain = super().get_renderer()  # type: ignore[no-untyped-call]
        key = (plain.width, plain.height, self.figure.dpi)
        if self._kept is None or key != self._kept_key:
            self._kept = TapingRenderer(plain.width, plain.height, self.figure.dpi)
            self._kept_key = key
            self._layers = self._order = None
        return self._kept

    def _why_full(self) -> str | None:
        if self.refusal is not None:
            return self.refusal
        if self._frames == 0:
            return "the first frame"
        if self._masks_mix:
            return MIXED_MASKS
        if self._pause:
            self._pause -= 1
            return "nearly everything changes"
        return why_whole(self)

    def _parts(self, renderer: TapingRenderer) -> tuple[Order, Layers]:
        if self._order is None or self._layers is None:
            self._order, self._layers = Order(self.figure), Layers(renderer)
        return self._order, self._layers

    def _rest(self, reason: str) -> None:
        """Draw in full for a while, for longer each time in a row."""
        if self._order is not None and self._layers is not None:
            self._order.distrust()
            self._layers.forget_order()
        self._pauses += 1
        self._failures = 0
        self._pause = min(2**self._pauses, LONGEST_PAUSE) - 1
        self._draw_in_full(reason)

    def _draw_in_full(self, reason: str) -> None:
        start_s = time.perf_counter()
        super().draw()  # type: ignore[no-untyped-call]
        self._full_s = time.perf_counter() - start_s
        self._lent = True
        self._frames += 1
        self.drawn_in_full[reason] += 1
        self.why_full = reason
        if not self._pause and self.refusal is None and why_whole(self) is None:
            renderer = self._own_renderer()
            self._parts(renderer)[0].glance(renderer)
            self._glanced = True

    def _draw_in_parts(self) -> None:
        renderer = self._own_renderer()
        order, layers = self._parts(renderer)
        try:
            if self._glanced and not self.always_try and order.all_moving(renderer):
                self._rest("limits or places of all axes change")
                return
            self._glanced = False
            order.refresh(renderer, self._frames)
            self._lay_out(order, renderer)
            known = all(unit.tape is not None for unit in order.units)
            if known and self._hardly_pays(order):
                self._rest("nearly everything changes")
                return
            self._show(order, layers)
        except BaseException:
            # Half a frame is no ground for the next one.
            self._order = self._layers = None
            raise
        if masks_mix(mask for unit in order.units if unit.tape for mask in unit.tape.masks):
            self._masks_mix = True
            self._draw_in_full(MIXED_MASKS)
            return
        self._frames += 1
        self.drawn_in_parts += 1
        self.why_full = None
        if known and self.guard.due(self._full_s):
            self.check()

    def _lay_out(self, order: Order, renderer: TapingRenderer) -> None:
        if self._arrangement is None:
            self._arrangement = Arrangement(self.figure)
        if not self._arrangement.holds(order.units, order_changed=order.changed):
            changed = order.changed
            self._arrangement.run(order.units)
            order.distrust()
            order.refresh(renderer, self._frames)
            order.changed = order.changed or changed

    def _show(self, order: Order, layers: Layers) -> None:
        if order.changed:
            layers.forget_order()
        if self._lent:
            layers.forget_pixels()
        order.watch_grounds()
        layers.show(order.units, self._frames)
        order.settle()
        self.figure.stale = False
        self._lent = False

    def _hardly_pays(self, order: Order) -> bool:
        dirty_s = sum(unit.cost_s for unit in order.units if unit.dirty)
        all_s = sum(unit.cost_s for unit in order.units)
        if self.always_try or dirty_s <= WORTH * all_s:
            self._pauses = self._failures = 0
            return False
        # Once is no proof: a full draw by someone else makes all look new.
        self._failures += 1
        return self._failures > 1


def why_whole(canvas: Any) -> str | None:
    """Why the figure of `canvas` must be drawn whole now, or None where parts will do."""
    figure = canvas.figure
    missing = canvas.missing_names()
    if missing:
        _warn_once(missing)
        return "this matplotlib lacks " + ", ".join(missing)
    if type(figure).draw is not Figure.draw:
        return "the figure draws itself"
    if not figure.get_visible() or figure.get_agg_filter() is not None:
        return "the figure is hidden or filtered"
    engine = figure.get_layout_engine()
    if engine is not None and not type(engine).__module__.startswith("matplotlib."):
        return "a layout engine that is not matplotlib's runs"
    if figure.suppressComposite is False:
        return "images are composited"
    if canvas.toolbar is not None or canvas.is_saving():
        return "the canvas belongs to a window"
    if figure.canvas is not canvas:
        return "the figure has another canvas"
    if canvas.callbacks.callbacks.get("draw_event"):
        return "something runs after each draw"
    if has_animated_images(figure):
        return "an image is animated"
    if in_transit(figure, canvas.units):
        return "axes move after something was made from them"
    if mpl.rcParams["path.effects"]:
        return "rcParams set path effects"
    return None


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


def has_animated_images(figure: Figure) -> bool:
    """Whether there are animated images, which some versions draw and others do not."""
    return any(
        isinstance(image, AxesImage) and image.get_animated()
        for axes in every_axes(figure.axes)
        for image in axes._children
    )
