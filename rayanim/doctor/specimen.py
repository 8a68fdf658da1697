"""Draws and encodes a short test film as every film is, and names what came out.

What makes machines draw otherwise stands in panels of its own: text by family,
formulas, markers, lines, images, surfaces. So a difference tells where it comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rayanim.animator import Animator
from rayanim.doctor.facts import Drawn
from rayanim.errors import EncodeError, SettingsError
from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.collectors import EncodedFrames
from rayanim.farm.rendering.render import SegmentRenderer, close_source, measure_source, open_source
from rayanim.farm.rendering.shipment import Shipment, pack, unpack
from rayanim.feed import Batch
from rayanim.randomness import kept_randomness
from rayanim.settings import VideoSettings
from rayanim.source import AnimatorSource, Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rayanim.video.segment import EncodedSegment

FRAMES = 4
"""The first one is drawn in full, the others in parts; all go through motion search."""

SEED = 0
ROWS, COLUMNS = 2, 3
PANELS = ("text", "formulas", "markers", "lines", "images", "surfaces")
"""What each panel shows, row by row."""


class Specimen(Animator):
    """A figure of 600x400 pixels with one panel for each way to draw."""

    def setup(self) -> Figure:
        """Draw what stays, and keep what moves."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), dpi=100)
        axes = [figure.add_axes(_rectangle(index)) for index in range(len(PANELS))]
        _draw_text(axes[0])
        _draw_formulas(axes[1])
        self._markers = _draw_markers(axes[2])
        self._line = _draw_lines(axes[3])
        self._image = _draw_images(axes[4])
        _draw_surfaces(axes[5])
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        """Move the line, the markers and the picture."""
        self._line.set_ydata(np.sin(_angles() + frame_idx))
        self._markers.set_ydata(np.cos(_angles()[::20] + frame_idx))
        self._image.set_data(_picture(frame_idx))


def packed_specimen() -> Shipment:
    """The test film as a film is packed for actors: with this process's matplotlib settings."""
    import matplotlib.pyplot  # noqa: F401 # what a script that draws has loaded

    return pack(AnimatorSource(Specimen(), {}))


def draw_specimen(shipment: Shipment | None = None) -> Drawn:
    """Draw the test film in this process and encode it with each encoder that there is.

    Parameters
    ----------
    shipment
        The film as it came from another process, whose settings are taken
        over for good; None draws with this process's own.

    Raises
    ------
    ScriptError
        If matplotlib fails.
    """
    source = AnimatorSource(Specimen(), {}) if shipment is None else unpack(shipment)
    with kept_randomness():
        open_source(source, SEED, None)
        try:
            return _drawn(source)
        finally:
            close_source(source)


def _drawn(source: Any) -> Drawn:
    from rayanim.video.codec_tables import CODECS
    from rayanim.video.codecs import make_spec

    size = measure_source(source, SEED, 0, 0).size
    segment = Segment(0, 0, FRAMES, Batch(range(FRAMES), None))
    segments, failures = {}, {}
    for codec in CODECS:
        try:
            spec = make_spec(".mkv", VideoSettings(codec=codec.encoder), size, Fraction(30))
            encoded, _ = SegmentRenderer(source, spec, SEED).collect(segment, EncodedFrames(spec))
            segments[codec.encoder] = _digest(_pieces(encoded))
        except (SettingsError, EncodeError) as error:
            failures[codec.encoder] = error.message
    pictures = [source.draw(number, None).copy() for number in range(FRAMES)]
    return Drawn(
        panels=_panel_digests(pictures),
        frames=_digest(picture.tobytes() for picture in pictures),
        segments=segments,
        failures=failures,
    )


def _pieces(encoded: EncodedSegment) -> Iterator[bytes]:
    yield encoded.header
    for packet in encoded.packets:
        yield packet.data


def _panel_digests(pictures: list[Pixels]) -> dict[str, str]:
    cells = {name: _cell(index, pictures[0].shape) for index, name in enumerate(PANELS)}
    return {
        name: _digest(picture[rows, columns].tobytes() for picture in pictures)
        for name, (rows, columns) in cells.items()
    }


def _cell(index: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of pixels that belong to panel `index`."""
    row, column = divmod(index, COLUMNS)
    height, width = shape[0] // ROWS, shape[1] // COLUMNS
    return (
        slice(row * height, (row + 1) * height),
        slice(column * width, (column + 1) * width),
    )


def _digest(pieces: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _rectangle(index: int) -> tuple[float, float, float, float]:
    """Where the axes of panel `index` stand: left, bottom, width, height in shares."""
    row, column = divmod(index, COLUMNS)
    return (column + 0.1) / COLUMNS, (ROWS - row - 0.9) / ROWS, 0.8 / COLUMNS, 0.8 / ROWS


def _angles() -> Any:
    return np.linspace(0, 4 * np.pi, 200)


def _picture(shift: int) -> Any:
    rows, columns = np.mgrid[0:20, 0:30]
    return np.sin(rows / 3 + shift) * np.cos(columns / 4)


def _draw_text(axes: Axes) -> None:
    axes.axis("off")
    families = (None, "sans-serif", "serif", "monospace")
    for row, family in enumerate(families):
        text = f"{family or 'Default'} Hamburg 0123 äöüß"
        axes.text(0, 0.85 - row / 4, text, family=family, fontsize=8 + row)


def _draw_formulas(axes: Axes) -> None:
    axes.axis("off")
    for row, text in enumerate((r"$\int_0^\infty e^{-x^2}dx$", r"$\sqrt{\alpha}\,\frac{a}{b}$")):
        axes.text(0, 0.7 - row / 2, text, fontsize=14)


def _draw_markers(axes: Axes) -> Any:
    axes.axis("off")
    axes.set(xlim=(-1, 14), ylim=(-2, 4))
    for column, marker in enumerate("osv^D*+x"):
        axes.plot(column * 1.6, 3, marker, markersize=5 + column / 2)
    return axes.plot(_angles()[::20], np.cos(_angles()[::20]), "o", alpha=0.6)[0]


def _draw_lines(axes: Axes) -> Any:
    axes.axis("off")
    axes.set(xlim=(0, 13), ylim=(-1.2, 1.2))
    for index, style in enumerate(("--", ":", "-.")):
        axes.plot([0, 13], [-1, index / 2], style, linewidth=0.7 + index)
    return axes.plot(_angles(), np.sin(_angles()), linewidth=1.3)[0]


def _draw_images(axes: Axes) -> Any:
    axes.axis("off")
    return axes.imshow(
        _picture(0), vmin=-1, vmax=1, cmap="viridis", interpolation="bilinear", aspect="auto"
    )


def _draw_surfaces(axes: Axes) -> None:
    axes.axis("off")
    axes.contourf(_picture(0), levels=7, cmap="magma", alpha=0.8)
    axes.bar([5, 15, 25], [8, 12, 16], width=4, hatch="//", edgecolor="black", alpha=0.5)
