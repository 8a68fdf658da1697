"""Copies the pixels of Pillow images into arrays."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_kept = threading.local()


def pixels_of(image: Image) -> NDArray[np.uint8]:
    """A copy of the pixels.

    Pillow's own ways, `Image.tobytes` and the array interface that rests on it, go
    through an encoder in pieces of 64 kB: ten times as long as pasting the image
    into one that lies over the array.

    Parameters
    ----------
    image
        In mode ``RGBA``.

    Returns
    -------
    numpy.ndarray
        ``(height, width, 4)`` uint8, RGBA, C-contiguous.
    """
    width, height = image.size
    if not (width and height and _can_paste()):
        return np.asarray(image)
    pixels = np.empty((height, width, 4), np.uint8)
    _paste(image, pixels)
    return pixels


def bytes_of(image: Image) -> bytes:
    """The same pixels row by row as bytes; each thread keeps one array on the way."""
    width, height = image.size
    if not (width and height and _can_paste()):
        return image.tobytes()
    pixels: NDArray[np.uint8] | None = getattr(_kept, "pixels", None)
    if pixels is None or pixels.shape[:2] != (height, width):
        pixels = _kept.pixels = np.empty((height, width, 4), np.uint8)
    _paste(image, pixels)
    return pixels.tobytes()


def _paste(image: Image, pixels: NDArray[np.uint8]) -> None:
    import PIL.Image

    over = PIL.Image.frombuffer("RGBA", image.size, pixels, "raw", "RGBA", 0, 1)
    # Otherwise Pillow would give it memory of its own before the first change.
    over.readonly = 0
    over.paste(image)


@cache
def _can_paste() -> bool:
    """Whether this Pillow pastes into the array's own memory."""
    import PIL.Image

    colour = (1, 20, 103, 254)
    pixels = np.zeros((2, 1, 4), np.uint8)
    _paste(PIL.Image.new("RGBA", (1, 2), colour), pixels)
    return pixels.tolist() == [[list(colour)]] * 2
