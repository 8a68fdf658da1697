"""Turning whatever drawing code returns into RGBA pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from rayanim import pixels as pixels_module
from rayanim.errors import FrameError, SettingsError
from rayanim.pixels import Pixels, bytes_of, pixels_of, to_image, to_rgba, to_size

SIZE = (3, 2)


def pixels() -> Pixels:
    """A frame of 3x2 pixels in which every byte is different."""
    return np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def flat_view(array: Pixels) -> memoryview:
    """The bytes of `array` as a buffer without shape."""
    return memoryview(array).cast("B")


@pytest.mark.parametrize(
    "wrap",
    [bytes, bytearray, memoryview, np.asarray, np.asfortranarray, Image.fromarray, flat_view],
)
def test_every_kind_of_frame_gives_the_same_pixels(wrap: Any) -> None:
    """Bytes, buffers, arrays and images are all read row by row as RGBA."""
    frame = wrap(pixels().tobytes()) if wrap in (bytes, bytearray) else wrap(pixels())
    result = to_rgba(frame, SIZE)
    assert np.array_equal(result, pixels())
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


@pytest.mark.parametrize("kind", ["array", "bytearray", "memoryview"])
def test_right_pixels_are_not_copied(kind: str) -> None:
    """The result shares memory with a frame that has the right layout."""
    array = pixels()
    frame = {"array": array, "bytearray": bytearray(array.tobytes()), "memoryview": array.data}
    result = to_rgba(frame[kind], SIZE)
    assert np.shares_memory(result, np.frombuffer(frame[kind], np.uint8))


def test_rgb_arrays_become_opaque() -> None:
    """Three channels get an alpha of 255."""
    result = to_rgba(pixels()[..., :3], SIZE)
    assert np.array_equal(result[..., :3], pixels()[..., :3])
    assert (result[..., 3] == 255).all()


@pytest.mark.parametrize("step", [-1, 2])
def test_views_with_strides_are_read_right(step: int) -> None:
    """A flipped or thinned array or buffer is copied into order."""
    array = np.concatenate([pixels(), pixels() + 100])[::step]
    expected = array.copy()
    assert np.array_equal(to_rgba(array, None), expected)
    assert np.array_equal(to_rgba(memoryview(array), array.shape[1::-1]), expected)


MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "La", "RGBa"]


@pytest.mark.parametrize("mode", [*MODES, "RGBX", "I", "F", "I;16"])
def test_images_of_any_mode_are_taken(mode: str) -> None:
    """Every mode that Pillow can make gives RGBA pixels of the image's size."""
    image = Image.new(mode, SIZE)
    assert to_rgba(image, SIZE).shape == (2, 3, 4)
    assert image.mode == mode
    assert to_image(image, SIZE).mode == "RGBA"


def test_an_image_is_neither_changed_nor_closed() -> None:
    """An image that drawing code keeps can be returned again."""
    image = Image.new("RGB", SIZE, "red")
    for _ in range(2):
        assert to_rgba(image, SIZE)[0, 0].tolist() == [255, 0, 0, 255]


def test_an_image_made_from_a_buffer_is_a_copy() -> None:
    """Drawing into the buffer again does not change the image."""
    canvas = pixels()
    image = to_image(canvas, SIZE)
    canvas[:] = 0
    assert np.array_equal(np.asarray(image), pixels())


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (None, ["None", "return"]),
        ("text", ["got str: 'text'"]),
        ([[0]], ["got list: [[0]]"]),
        (5, ["got int: 5"]),
        (bytes(23), ["3x2", "24 bytes", "23 bytes"]),
        (b"", ["24 bytes", "0 bytes"]),
        (bytes(18), ["24 bytes", "18 bytes", "RGB"]),
        (np.zeros((2, 3, 4)), ["float64", "(frame * 255).astype"]),
        (np.full((2, 3, 4), 200.0), ["float64", " frame.astype"]),
        (np.zeros((2, 3, 4), np.float32).data, ["float32", "(frame * 255).astype"]),
        (np.zeros((2, 3, 4), np.int64), ["int64", "uint8"]),
        (np.zeros((2, 3, 4), object), ["object", "uint8"]),
        (np.zeros((2, 3), np.uint8), ["(2, 3)", "grey"]),
        (np.zeros((2, 3, 2), np.uint8), ["(2, 3, 2)"]),
        (np.zeros((0, 3, 4), np.uint8), ["(0, 3, 4)"]),
        (np.zeros((1, 2, 3, 4), np.uint8), ["(1, 2, 3, 4)"]),
        (np.zeros((3, 2, 4), np.uint8), ["2x3", "3x2", "swapped"]),
        (np.zeros((5, 5, 3), np.uint8), ["Expected 3x2 pixels", "got 5x5"]),
        (Image.new("RGB", (5, 6)), ["5x6", "3x2"]),
        (Image, ["module"]),
        (Image.Image, ["got type: "]),
    ],
)
def test_anything_else_is_refused_by_name(frame: object, words: list[str]) -> None:
    """The error says what was got and what was expected."""
    for convert in (to_rgba, to_image):
        with pytest.raises(FrameError) as caught:
            convert(frame, SIZE)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert caught.value.frame is None


def test_bytes_need_a_size() -> None:
    """Bytes without a frame size cannot be read; arrays can."""
    with pytest.raises(FrameError, match=r"24 bytes.*frombytes\("):
        to_rgba(bytes(24), None)
    assert to_rgba(pixels(), None).shape == (2, 3, 4)


def test_a_canvas_buffer_is_taken() -> None:
    """What matplotlib's Agg canvas calls buffer_rgba() is a frame."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(3, 2), dpi=10, facecolor="lime"))
    canvas.draw()
    assert to_rgba(canvas.buffer_rgba(), (30, 20))[5, 5].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("size", [(3, 2), [3, 2], (np.int64(3), 2.0), np.array([3, 2])])
def test_sizes_are_pairs_of_ints(size: object) -> None:
    """Lists, NumPy's numbers and whole floats are taken for ints."""
    assert to_size(size) == (3, 2)
    assert all(type(side) is int for side in to_size(size))


@pytest.mark.parametrize(
    "size", [None, 5, (3,), (3, 2, 1), (3.5, 2), (0, 2), (-3, 2), ("3", "2"), (float("inf"), 2)]
)
def test_senseless_sizes_are_refused(size: object) -> None:
    """The error shows what was got."""
    with pytest.raises(SettingsError, match="got "):
        to_size(size)


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (640, 481), (3000, 2)])
def test_pixels_are_the_images(size: tuple[int, int]) -> None:
    image = noise(size)
    found = pixels_of(image)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert found.shape == (size[1], size[0], 4)
    assert np.array_equal(found, np.asarray(image))
    assert bytes_of(image) == image.tobytes()


def test_transparent_pixels_are_not_blended_with_what_was_there() -> None:
    image = Image.new("RGBA", (5, 4), (10, 20, 30, 0))
    bytes_of(noise((5, 4)))
    assert np.array_equal(pixels_of(image), np.asarray(image))
    assert bytes_of(image) == image.tobytes()


def test_they_are_a_copy() -> None:
    image = noise((4, 4))
    found = pixels_of(image)
    before = found.copy()
    image.paste((0, 0, 0, 0), (0, 0, 4, 4))
    assert np.array_equal(found, before)
    found[...] = 7
    assert np.asarray(image).max() == 0


def test_an_image_that_is_cut_from_another_is_read_at_its_place() -> None:
    image = noise((9, 9)).crop((2, 3, 7, 8))
    assert np.array_equal(pixels_of(image), np.asarray(image))


@pytest.mark.parametrize("size", [(0, 3), (3, 0)])
def test_an_empty_image_has_no_pixels(size: tuple[int, int]) -> None:
    image = Image.new("RGBA", size)
    assert pixels_of(image).size == 0
    assert bytes_of(image) == b""


def test_this_pillow_pastes_into_the_array() -> None:
    assert pixels_module._can_paste()


def test_a_pillow_that_does_not_is_asked_for_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels_module._can_paste.cache_clear()
    monkeypatch.setattr(Image.Image, "paste", lambda *_: None)
    try:
        assert not pixels_module._can_paste()
        image = noise((6, 5))
        assert np.array_equal(pixels_of(image), np.asarray(image))
        assert bytes_of(image) == image.tobytes()
    finally:
        pixels_module._can_paste.cache_clear()
