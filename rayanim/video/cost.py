"""What encoding a frame may cost, before the first one was encoded.

A prior for choosing between this process and Ray; the report of a run holds
the measured figure, and the next run may start from it.
"""

from __future__ import annotations

from rayanim.video.spec import StreamSpec

SECONDS_PER_PIXEL = {"libx264": 10e-9, "libx265": 40e-9, "libvpx-vp9": 60e-9, "libsvtav1": 30e-9}
"""Processor time of plots at the preset ``medium`` or the codec's default, on 2 cores."""

OTHER_SECONDS_PER_PIXEL = 20e-9

PRESET_FACTORS = {
    "ultrafast": 0.25,
    "superfast": 0.35,
    "veryfast": 0.5,
    "faster": 0.7,
    "fast": 0.9,
    "slow": 1.7,
    "slower": 3.5,
    "veryslow": 6.0,
}
"""Relative to x264's ``medium``."""


def expected_encode_s(spec: StreamSpec) -> float:
    """Seconds of processor time that a frame of `spec` may take to encode."""
    width_px, height_px = spec.size
    per_pixel_s = SECONDS_PER_PIXEL.get(spec.codec, OTHER_SECONDS_PER_PIXEL)
    preset = dict(spec.options).get("preset", "medium")
    return width_px * height_px * per_pixel_s * PRESET_FACTORS.get(preset, 1.0)
