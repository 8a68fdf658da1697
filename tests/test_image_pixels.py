"""Pixels of Pillow images as arrays."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rayanim import pixels as pixels_module
from rayanim.pixels import bytes_of, pixels_of


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (640, 481), (3000, 2)])
def test_pixels_are_the_images(size: tuple[int, int]) -> None:
    image = noise(size)
    pixels = pixels_of(image)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert pixels.shape == (size[1], size[0], 4)
    assert np.array_equal(pixels, np.asarray(image))
    assert bytes_of(image) == image.tobytes()


def test_transparent_pixels_are_not_blended_with_what_was_there() -> None:
    image = Image.new("RGBA", (5, 4), (10, 20, 30, 0))
    bytes_of(noise((5, 4)))
    assert np.array_equal(pixels_of(image), np.asarray(image))
    assert bytes_of(image) == image.tobytes()


def test_they_are_a_copy() -> None:
    image = noise((4, 4))
    pixels = pixels_of(image)
    before = pixels.copy()
    image.paste((0, 0, 0, 0), (0, 0, 4, 4))
    assert np.array_equal(pixels, before)
    pixels[...] = 7
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
