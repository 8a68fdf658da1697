"""Moves frames between FFmpeg's memory and packed arrays."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from rayanim.video.pixel_formats import PixelFormat

Bytes = NDArray[np.uint8]


def packed_planes(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> list[Bytes]:
    """The planes of a packed frame, each (rows, bytes of a row) uint8, sharing its memory.

    Parameters
    ----------
    packed
        ``(frame_bytes,) uint8``, C-contiguous.
    layout, size
        Pixel format and (width, height) of the packed frame.
    """
    planes = []
    offset = 0
    for rows, row_bytes in layout.plane_shapes(size):
        end = offset + rows * row_bytes
        planes.append(packed[offset:end].reshape(rows, row_bytes))
        offset = end
    return planes


def frame_planes(frame: av.VideoFrame, layout: PixelFormat, size: tuple[int, int]) -> list[Bytes]:
    """The planes of `frame`, each (rows, bytes of a row) uint8 without the rows' padding.

    Parameters
    ----------
    frame
        A frame that has at least the planes of `layout`; they share its memory.
    layout, size
        Pixel format and (width, height) of the frame.
    """
    shapes = layout.plane_shapes(size)
    return [
        _plane_rows(frame, index, rows)[:, :row_bytes]
        for index, (rows, row_bytes) in enumerate(shapes)
    ]


def unpack(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> av.VideoFrame:
    """Make a frame of `packed`, sharing its memory where PyAV can.

    Parameters
    ----------
    packed
        ``(frame_bytes,) uint8``, C-contiguous; it may be read-only, because
        encoders only read.
    layout, size
        Pixel format and (width, height) of the packed frame.
    """
    width, height = size
    # from_numpy_buffer takes few planar formats, and rounds the height of
    # yuv420p down to a multiple of 4 (PyAV 15.0 to 18.1).
    if layout.name == "yuv420p" and height % 4 == 0 and width % 2 == 0:
        planes = packed.reshape(height * 3 // 2, width)
        return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
    if layout.name == "gray":
        return av.VideoFrame.from_numpy_buffer(packed.reshape(height, width), format="gray")
    return _copied(packed, layout, size)


def _copied(packed: Bytes, layout: PixelFormat, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, layout.name)
    places = frame_planes(frame, layout, size)
    for place, plane in zip(places, packed_planes(packed, layout, size), strict=True):
        np.copyto(place, plane)
    return frame


def _plane_rows(frame: av.VideoFrame, index: int, rows: int) -> Bytes:
    """The memory of one plane as (rows, line_size), row padding included."""
    plane = frame.planes[index]
    # PyAV's stubs do not say that a plane is a buffer.
    memory: NDArray[np.uint8] = np.frombuffer(cast(Any, plane), dtype=np.uint8)
    return memory.reshape(rows, plane.line_size)
