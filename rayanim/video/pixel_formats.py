"""How the frames of each pixel format lie in memory, packed without padding.

The names are FFmpeg's. One packed frame is its planes one after the other,
each row directly after the one above it, samples of more than 8 bits as two
bytes with the lower one first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = Literal["yuv", "gray", "rgb"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One pixel format.

    Parameters
    ----------
    name
        FFmpeg's name.
    colour
        ``yuv`` is luma and chroma in limited range; ``gray`` is luma alone and
        ``rgb`` green, blue and red planes, both in full range.
    chroma_step
        Pixels per chroma sample, horizontally and vertically.
    sample_bytes
        Bytes of one sample.
    has_alpha
        True where a fourth plane holds opacity.
    """

    name: str
    colour: Colour = "yuv"
    chroma_step: tuple[int, int] = (1, 1)
    sample_bytes: int = 1
    has_alpha: bool = False

    @property
    def is_full_range(self) -> bool:
        """True if black is 0 and white the highest sample (JPEG range)."""
        return self.colour != "yuv"

    @property
    def plane_steps(self) -> tuple[tuple[int, int], ...]:
        """Pixels per sample of each plane, horizontally and vertically."""
        full = (1, 1)
        if self.colour == "gray":
            return (full,)
        chroma = self.chroma_step
        return (full, chroma, chroma, full) if self.has_alpha else (full, chroma, chroma)

    def plane_shapes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and bytes per row of each plane of a frame of `size` pixels."""
        width, height = size
        return tuple(
            (-(-height // step_y), -(-width // step_x) * self.sample_bytes)
            for step_x, step_y in self.plane_steps
        )

    def frame_bytes(self, size: tuple[int, int]) -> int:
        """Bytes of one packed frame of `size` pixels."""
        return sum(rows * row_bytes for rows, row_bytes in self.plane_shapes(size))


PIXEL_FORMATS: dict[str, PixelFormat] = {
    pixel_format.name: pixel_format
    for pixel_format in (
        PixelFormat("yuv420p", chroma_step=(2, 2)),
        PixelFormat("yuv422p", chroma_step=(2, 1)),
        PixelFormat("yuv444p"),
        PixelFormat("yuv420p10le", chroma_step=(2, 2), sample_bytes=2),
        PixelFormat("yuv422p10le", chroma_step=(2, 1), sample_bytes=2),
        PixelFormat("yuv444p10le", sample_bytes=2),
        PixelFormat("yuva420p", chroma_step=(2, 2), has_alpha=True),
        PixelFormat("gray", colour="gray"),
        PixelFormat("gbrp", colour="rgb"),
    )
}
"""Every pixel format that rayanim can pack, by FFmpeg's name."""
