"""Blending with a background, against the formula."""

from __future__ import annotations

import numpy as np
import pytest
from video_reading import solid_rgba

from rayanim.video.convert import Blender

EVERY = np.arange(256)


@pytest.mark.parametrize("behind", [0, 1, 10, 127, 128, 254, 255])
def test_every_level_and_opacity_is_rounded_to_the_nearest(behind):
    """All 65,536 pairs of level and opacity, in each channel; no channel leaks into another."""
    for channel in range(3):
        rgba = np.full((256, 256, 4), 255, np.uint8)
        rgba[..., channel] = EVERY[:, None]
        rgba[..., 3] = EVERY
        background = [255, 255, 255]
        background[channel] = behind
        blended = Blender((256, 256), tuple(background)).opaque(rgba)
        sums = EVERY[:, None] * EVERY + behind * (255 - EVERY)
        assert (blended[..., channel] == (2 * sums + 255) // 510).all()
        assert (np.delete(blended, channel, axis=2) == 255).all()


def test_noise_is_blended_to_the_last_row():
    """Images of several blocks, the last one shorter, follow the formula in each pixel."""
    rgba = np.random.default_rng(4).integers(0, 256, (333, 211, 4), np.uint8)
    rgba[40:150, :, 3] = 255
    rgba[200:280, :, 3] = 0
    background = (10, 100, 50)
    blended = Blender((211, 333), background).opaque(rgba)
    alpha = rgba[..., 3:].astype(int)
    sums = rgba[..., :3] * alpha + np.array(background) * (255 - alpha)
    assert (blended[..., :3] == (2 * sums + 255) // 510).all()


def test_opaque_images_are_handed_through():
    """Nothing is copied where nothing shines through."""
    rgba = solid_rgba((16, 150), (1, 2, 3))
    assert Blender((16, 150), (0, 0, 0)).opaque(rgba) is rgba


def test_one_transparent_pixel_is_found():
    """A single pixel that is not opaque is blended, and the image given is left alone."""
    rgba = solid_rgba((64, 600), (9, 9, 9))
    rgba[555, 33] = (200, 200, 200, 0)
    before = rgba.copy()
    blended = Blender((64, 600), (1, 2, 3)).opaque(rgba)
    assert tuple(blended[555, 33]) == (1, 2, 3, 255)
    assert (np.delete(blended.reshape(-1, 4), 555 * 64 + 33, axis=0) == (9, 9, 9, 255)).all()
    assert (rgba == before).all()
