"""The stream specification: everything that decides a film's bytes except the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rayanim.settings import OddSize
from rayanim.video.pixel_formats import PIXEL_FORMATS, PixelFormat


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What the converter and the encoder need to know; it pickles and compares.

    Parameters
    ----------
    source_size
        (width, height) in pixels of what is drawn.
    size
        (width, height) in pixels of what is encoded.
    rate
        Frames per second, exactly.
    container
        FFmpeg's name of the muxer: ``mp4``, ``mov``, ``matroska``, ``webm``.
    codec
        FFmpeg's name of the encoder.
    pixel_format
        FFmpeg's name of the encoded pixel format.
    options
        Names and values of the encoder's options.
    bitrate_kbps
        Target bit rate in kilobits per second; None encodes by quality.
    odd_size
        How `source_size` becomes `size`.
    background
        Red, green and blue, 0 to 255, that show through transparent pixels
        where the pixel format has no alpha.
    """

    source_size: tuple[int, int]
    size: tuple[int, int]
    rate: Fraction
    container: str
    codec: str
    pixel_format: str
    options: tuple[tuple[str, str], ...] = ()
    bitrate_kbps: float | None = None
    odd_size: OddSize = "pad"
    background: tuple[int, int, int] = (255, 255, 255)

    @property
    def layout(self) -> PixelFormat:
        """How the pixel format lies in memory."""
        return PIXEL_FORMATS[self.pixel_format]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one encoded-format frame, packed without row padding."""
        return self.layout.frame_bytes(self.size)

    @property
    def has_alpha(self) -> bool:
        """True if the film keeps transparency."""
        return self.layout.has_alpha
