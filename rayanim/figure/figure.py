"""Turns a matplotlib figure into pixels, again and again, without pyplot's help.

The canvas that the figure came with is put back when drawing ends, so the
caller's backend never notices.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.errors import SettingsError
from rayanim.figure.draw_stats import open_monitor
from rayanim.figure.hints import ArtistGrowth
from rayanim.figure.layout import LayoutStart, restored_layout, runs_layout, settle_layout
from rayanim.settings import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in inches, from the lower left corner of the figure."""


_wanted: ContextVar[Drawing] = ContextVar("rayanim_drawing", default="auto")


@contextlib.contextmanager
def drawn_as(drawing: Drawing) -> Iterator[None]:
    """Have figures that are first drawn inside be drawn so, unless they are given another way."""
    token = _wanted.set(drawing)
    try:
        yield
    finally:
        _wanted.reset(token)


ASKED_FOR = "drawing='full' was asked for"
SAVED = "savefig options that only savefig knows"


class AnyPixels:
    """The pixels of one figure, drawn again and again, by one of the two ways below."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.growth = ArtistGrowth()
        self._layout = LayoutStart()

    @property
    def why_full(self) -> str | None:
        """Why the last frame was drawn in full; None where it was drawn incrementally."""
        raise NotImplementedError

    @property
    def difference(self) -> str | None:
        """What differed from a full draw, as text for the user, or None."""
        return None

    @property
    def comparisons(self) -> int:
        """How many frames were compared with a full draw so far."""
        return 0

    def compare_within(self, share: float) -> None:
        """Comparing with full draws may take this share of the time; 0 for never."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of what `draw` gives."""
        raise NotImplementedError

    def draw(self) -> npt.NDArray[np.uint8]:
        """Draw the figure as it is now."""
        monitor = open_monitor()
        return self.draw_now() if monitor is None else monitor.draw(self)

    def draw_now(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        """Draw without being counted, and compare that with a full draw if asked to."""
        raise NotImplementedError

    def draw_in_full_from_now(self) -> None:
        """Draw nothing incrementally any more: a difference was found elsewhere."""

    def release(self) -> None:
        """Give the figure back what was changed on it."""

    def close(self) -> None:
        """Release the figure and let pyplot forget it."""
        self.release()
        close_figure(self.figure)


class FigurePixels(AnyPixels):
    """The pixels of one figure on a canvas of ours."""

    def __init__(
        self,
        figure: Figure,
        dpi: float | None = None,
        drawing: Drawing | None = None,
    ) -> None:
        from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas

        super().__init__(figure)
        self._canvas_before, self._dpi_before = figure.canvas, figure.dpi
        if dpi is not None and dpi != figure.dpi:
            figure.set_dpi(dpi)
        wanted = IncrementalCanvas if (drawing or _wanted.get()) == "auto" else VideoCanvas
        canvas: Any = figure.canvas
        self._canvas: VideoCanvas = canvas if type(canvas) is wanted else wanted(figure)

    @property
    def size(self) -> tuple[int, int]:
        width_px, height_px = self._canvas.get_width_height(physical=True)
        return int(width_px), int(height_px)

    def draw_now(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        self._layout.begin(self.figure)
        return self._canvas.draw_frame(compare=compare)

    @property
    def why_full(self) -> str | None:
        return getattr(self._canvas, "why_full", ASKED_FOR)

    @property
    def difference(self) -> str | None:
        found = getattr(self._canvas, "difference", None)
        return None if found is None else str(found.message)

    @property
    def comparisons(self) -> int:
        return getattr(self._canvas, "comparisons", 0)

    def compare_within(self, share: float) -> None:
        canvas: Any = self._canvas
        canvas.comparing_share = share

    def draw_in_full_from_now(self) -> None:
        from rayanim.figure.canvas import DIFFERS, IncrementalCanvas

        if isinstance(self._canvas, IncrementalCanvas):
            self._canvas.refuse(DIFFERS)

    def release(self) -> None:
        """Give the figure its own canvas and dpi back."""
        if self.figure.canvas is not self._canvas_before:
            self.figure.set_canvas(self._canvas_before)
        if self.figure.dpi != self._dpi_before:
            self.figure.set_dpi(self._dpi_before)


class SavedFigurePixels(AnyPixels):
    """The pixels that ``Figure.savefig`` gives, for options that only it has.

    Slower than `FigurePixels` (matplotlib lays the figure out twice), and the
    way to cut every frame by the same box.
    """

    why_full = SAVED

    def __init__(self, figure: Figure, options: dict[str, Any], box: Box | None) -> None:
        super().__init__(figure)
        self._dpi = _dpi_of(figure, options)
        self._options = {**options, "format": "raw", "dpi": self._dpi}
        self._box = box

    @property
    def size(self) -> tuple[int, int]:
        width_in, height_in = self.figure.get_size_inches()
        if self._box is not None:
            x0, y0, x1, y1 = self._box
            width_in, height_in = x1 - x0, y1 - y0
        # Cut off as matplotlib does: a figure of 333.7 pixels is 333 wide.
        return int(width_in * self._dpi), int(height_in * self._dpi)

    def draw_now(self, *, compare: bool = False) -> npt.NDArray[np.uint8]:
        from matplotlib.transforms import Bbox

        memory = io.BytesIO()
        # A Bbox, never "tight": that would measure every frame anew.
        box = None if self._box is None else Bbox.from_extents(*self._box)
        self._layout.begin(self.figure)
        with _without_own_box():
            self.figure.savefig(memory, bbox_inches=box, **self._options)
        width_px, height_px = self.size
        return np.frombuffer(memory.getbuffer(), np.uint8).reshape(height_px, width_px, 4)


def open_pixels(
    figure: Figure,
    options: dict[str, Any],
    box: Box | None,
    drawing: Drawing = "auto",
) -> AnyPixels:
    """The quickest way to the pixels that ``savefig`` with these options would give."""
    rest = set(options) - {"dpi", "bbox_inches", "pad_inches", "bbox_extra_artists", "format"}
    if box is None and not rest:
        return FigurePixels(figure, _dpi_of(figure, options), drawing)
    kept = {name: options[name] for name in rest}
    kept["dpi"] = _dpi_of(figure, options)
    return SavedFigurePixels(figure, kept, box)


def given_box(options: dict[str, Any]) -> Box | None:
    """The box that the ``savefig`` options give, None where it is to be measured or left out."""
    value = options.get("bbox_inches")
    if value is None or (isinstance(value, str) and value in ("tight", "standard")):
        return None
    try:
        x0, y0, x1, y1 = (float(side) for side in value.extents)
    except (AttributeError, TypeError, ValueError):
        raise SettingsError(
            f"bbox_inches must be 'tight', a matplotlib Bbox in inches or None, got {value!r}."
        ) from None
    return x0, y0, x1, y1


def settled_box(figure: Figure, options: dict[str, Any]) -> Box | None:
    """What every frame of the video is cut by, None for the whole figure."""
    if options.get("bbox_inches") != "tight":
        return given_box(options)
    with _as_drawn(figure, _dpi_of(figure, options)), restored_layout(figure):
        # The first draw of the video jumps; the box is for those after it.
        if runs_layout(figure):
            settle_layout(figure)
        return _measure_tight_box(figure, options)


def _measure_tight_box(figure: Figure, options: dict[str, Any]) -> Box:
    """The box around all that the figure shows now, widened to whole pixels."""
    import matplotlib as mpl

    pad_in = options.get("pad_inches")
    if pad_in is None or pad_in == "layout":
        pad_in = mpl.rcParams["savefig.pad_inches"]
    figure.draw_without_rendering()
    tight = figure.get_tightbbox(bbox_extra_artists=options.get("bbox_extra_artists"))
    padded = tight.padded(pad_in)
    low = np.floor(np.array([padded.x0, padded.y0]) * figure.dpi)
    high = np.ceil(np.array([padded.x1, padded.y1]) * figure.dpi)
    # matplotlib truncates box size times dpi: a hair more keeps the last pixel.
    high = high + 1e-6
    x0, y0 = low / figure.dpi
    x1, y1 = high / figure.dpi
    return float(x0), float(y0), float(x1), float(y1)


@contextlib.contextmanager
def _as_drawn(figure: Figure, dpi: float) -> Iterator[None]:
    """Give `figure` an Agg canvas of `dpi` for a while: text is measured as it is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas_before, dpi_before = figure.canvas, figure.dpi
    FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    try:
        yield
    finally:
        figure.set_canvas(canvas_before)
        figure.set_dpi(dpi_before)


@contextlib.contextmanager
def _without_own_box() -> Iterator[None]:
    """Keep ``rcParams["savefig.bbox"]``, which would cut every frame otherwise, out of it."""
    import matplotlib as mpl

    if mpl.rcParams["savefig.bbox"] is None:
        yield
        return
    with mpl.rc_context({"savefig.bbox": None}):
        yield


def _dpi_of(figure: Figure, options: dict[str, Any]) -> float:
    dpi = options.get("dpi", "figure")
    return float(figure.dpi if dpi in (None, "figure") else dpi)


def is_figure(thing: Any) -> bool:
    """Whether `thing` is a matplotlib `Figure`; never imports matplotlib to find out."""
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(thing, module.Figure)


def close_figure(figure: Figure) -> None:
    """Let pyplot forget `figure`, if pyplot is what made it."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)


@contextlib.contextmanager
def kept_figures() -> Iterator[None]:
    """Leave pyplot, which may be asked for its current figure, as it was before."""
    before = _figures_of_pyplot()
    try:
        yield
    finally:
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        now = _figures_of_pyplot()
        for number in set(now) - set(before):
            pyplot.close(number)
        if before and before[-1] in now:
            pyplot.figure(before[-1])


def _figures_of_pyplot() -> list[int]:
    """Numbers of the figures that pyplot holds, the current one last."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    numbers = [] if pyplot is None else list(pyplot.get_fignums())
    return sorted(numbers, key=lambda number: number == pyplot.gcf().number)
