"""Turns whatever drawing code returns into RGBA pixels, or raises what is wrong with it."""

from __future__ import annotations

import threading
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rayanim.errors import FrameError, SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels: TypeAlias = NDArray[np.uint8]
"""``(height, width, 4)`` uint8, RGBA."""

Size: TypeAlias = tuple[int, int]
"""``(width, height)`` in pixels."""

Frame: TypeAlias = "bytes | bytearray | memoryview | Pixels | Image"
"""What drawing code may return: RGBA bytes, ``(height, width, 3 or 4)`` uint8, or an image."""

_WANTED = "a Pillow image, a (height, width, 3 or 4) uint8 array or RGBA bytes"


def to_size(value: Any, name: str = "frame_size") -> Size:
    """`value` as a pair of ints ``(width, height)``."""
    try:
        width, height = (int(side) for side in value if side == int(side))
    except (TypeError, ValueError, OverflowError):
        width = height = 0
    if width < 1 or height < 1:
        hint = " Is @property missing above it?" if callable(value) else ""
        raise SettingsError(
            f"{name} must be (width, height) in whole pixels above 0, got {value!r}.{hint}"
        )
    return width, height


def to_rgba(frame: Any, size: Size | None) -> Pixels:
    """The pixels of `frame`, sharing its memory where the layout is right already."""
    if isinstance(frame, (bytes, bytearray)):
        return _from_bytes(memoryview(frame), size)
    if isinstance(frame, memoryview) and frame.format in ("B", "b", "c"):
        return _from_bytes(frame, size)
    if _is_image(frame):
        return _from_array(pixels_of(_image_to_rgba(frame)), size)
    if hasattr(frame, "__array__") or isinstance(frame, memoryview):
        return _from_array(np.asarray(frame), size)
    raise FrameError(_unknown(frame))


def to_image(frame: Any, size: Size | None) -> Image:
    """`frame` itself if it is a Pillow image in RGBA mode, otherwise such a copy of it."""
    from PIL import Image

    if _is_image(frame):
        _check_size(frame.size, size)
        return _image_to_rgba(frame)
    # fromarray may share memory with a canvas that the next frame overwrites.
    return Image.fromarray(to_rgba(frame, size)).copy()


def pixels_of(image: Image) -> NDArray[np.uint8]:
    """A copy of the pixels of an RGBA image."""
    # Image.tobytes, and the array interface that uses it, go through an encoder in
    # blocks of 64 kB, which takes ten times as long as pasting the image into one
    # that shares the array's memory.
    width, height = image.size
    if not (width and height and _can_paste()):
        return np.asarray(image)
    pixels = np.empty((height, width, 4), np.uint8)
    _paste(image, pixels)
    return pixels


def bytes_of(image: Image) -> bytes:
    """The pixels of an RGBA image as bytes, row by row."""
    width, height = image.size
    if not (width and height and _can_paste()):
        return image.tobytes()
    pixels: NDArray[np.uint8] | None = getattr(_kept, "pixels", None)
    if pixels is None or pixels.shape[:2] != (height, width):
        pixels = _kept.pixels = np.empty((height, width, 4), np.uint8)
    _paste(image, pixels)
    return pixels.tobytes()


# Each thread reuses one array.
_kept = threading.local()


def _paste(image: Image, pixels: NDArray[np.uint8]) -> None:
    import PIL.Image

    over = PIL.Image.frombuffer("RGBA", image.size, pixels, "raw", "RGBA", 0, 1)
    # A read-only image would be copied before the first change.
    over.readonly = 0
    over.paste(image)


@cache
def _can_paste() -> bool:
    """Whether this version of Pillow pastes into the array's memory."""
    import PIL.Image

    colour = (1, 20, 103, 254)
    pixels = np.zeros((2, 1, 4), np.uint8)
    _paste(PIL.Image.new("RGBA", (1, 2), colour), pixels)
    return pixels.tolist() == [[list(colour)]] * 2


def _from_bytes(view: memoryview, size: Size | None) -> Pixels:
    if size is None:
        raise FrameError(
            f"The size of a frame cannot be read from {view.nbytes} bytes. "
            "Return an array, or a Pillow image: "
            "PIL.Image.frombytes('RGBA', (width, height), frame)."
        )
    width, height = size
    if view.nbytes != width * height * 4:
        raise FrameError(_wrong_byte_count(view.nbytes, width, height))
    flat = view if view.c_contiguous else memoryview(view.tobytes())
    return np.frombuffer(flat, np.uint8).reshape(height, width, 4)


def _from_array(array: NDArray[Any], size: Size | None) -> Pixels:
    if array.dtype != np.uint8:
        raise FrameError(_wrong_dtype(array))
    if array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        raise FrameError(_wrong_shape(array))
    height, width, channels = array.shape
    _check_size((width, height), size)
    if channels == 4:
        return np.ascontiguousarray(array)
    opaque = np.full((height, width, 4), 255, np.uint8)
    opaque[..., :3] = array
    return opaque


def _check_size(got: Size, expected: Size | None) -> None:
    if expected is None or tuple(got) == tuple(expected):
        return
    hint = " All frames need one size; for figures, leave size and dpi as they are in update()."
    if got == tuple(expected)[::-1]:
        hint = " Width and height seem to be swapped."
    raise FrameError(
        f"Expected {expected[0]}x{expected[1]} pixels (width x height), the size of the video's "
        f"frames, got {got[0]}x{got[1]}.{hint}"
    )


def _is_image(frame: Any) -> bool:
    # By name, so that Pillow is not imported for scripts that draw arrays.
    return any(kind.__module__ == "PIL.Image" for kind in type(frame).__mro__)


def _image_to_rgba(image: Image) -> Image:
    if image.mode == "RGBA":
        return image
    # Some modes cannot be converted directly: premultiplied grey, and 16 bits in older Pillows.
    for modes in (("RGBA",), ("LA", "RGBA"), ("L", "RGBA")):
        try:
            return reduce(type(image).convert, modes, image)
        except ValueError:
            continue
    raise FrameError(
        f"Pillow cannot turn an image of mode {image.mode!r} into 'RGBA'; "
        "convert it before returning it."
    )


def _wrong_byte_count(count: int, width: int, height: int) -> str:
    hint = " That is RGB: add alpha." if count == width * height * 3 else ""
    return (
        f"A frame of {width}x{height} pixels (width x height) must be "
        f"{width * height * 4} bytes of RGBA, got {count} bytes.{hint}"
    )


def _wrong_dtype(array: NDArray[Any]) -> str:
    hint = "convert it to uint8 with values from 0 to 255"
    if array.dtype.kind in "fb":
        is_to_1 = not array.size or float(np.nanmax(array)) <= 1
        hint = f"convert it: {'(frame * 255)' if is_to_1 else 'frame'}.astype('uint8')"
    return f"A frame must be a uint8 array, got dtype {array.dtype.name!r}; {hint}."


def _wrong_shape(array: NDArray[Any]) -> str:
    hint = "."
    if array.ndim == 2:
        hint = "; for grey pixels return numpy.stack([frame] * 3, axis=-1)."
    return (
        f"A frame must be an array of shape (height, width, 3 or 4), got shape {array.shape}{hint}"
    )


def _unknown(frame: Any) -> str:
    if frame is None:
        return f"Expected {_WANTED}, got None. Is a return statement missing?"
    kind = f"{type(frame).__module__}.{type(frame).__qualname__}".removeprefix("builtins.")
    return f"Expected {_WANTED}, got {kind}: {repr(frame)[:80]}."
