"""Every kind of file, joined from segments and reopened with PyAV or Pillow."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import numbered_frame
from PIL import Image

import rayanim
from rayanim.errors import SettingsError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import check_target

N_FRAMES = 30

KINDS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "m4v": (".m4v", {}, "libx264 yuv420p", 20),
    "avi": (".avi", {}, "mpeg4 yuv420p", 4),
    "avi ffv1": (".avi", {"codec": "ffv1"}, "ffv1 bgr0", 0),
    "prores": (".mov", {"codec": "prores"}, "prores_ks yuv422p10le", 2),
    "prores alpha": (
        ".mov", {"codec": "prores", "pixel_format": "yuva444p10le"}, "prores_ks yuva444p10le", 2,
    ),
    "qtrle": (".mov", {"codec": "qtrle"}, "qtrle rgb24", 0),
    "qtrle alpha": (".mov", {"codec": "qtrle", "pixel_format": "argb"}, "qtrle argb", 0),
    "ffv1": (".mkv", {"codec": "ffv1"}, "ffv1 bgr0", 0),
    "ffv1 alpha": (".mkv", {"codec": "ffv1", "pixel_format": "bgra"}, "ffv1 bgra", 0),
}  # fmt: skip
"""Suffix, settings, the codec and pixel format of the report, how far pixels may be off."""


def frame_at(number: int) -> np.ndarray:
    frame = numbered_frame(number)
    frame[:8, :8] = 0
    return frame


@pytest.mark.parametrize("transport", ["segments", "frames"])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_back(tmp_path: Path, kind: str, transport: Any) -> None:
    """In order, at their times, with their colours and their alpha."""
    suffix, settings, made, most = KINDS[kind]
    path = tmp_path / f"video{suffix}"
    report = rayanim.produce(
        frame_at,
        Fraction(30),
        n_frames=N_FRAMES,
        outfile=path,
        transport=transport,
        segment_frames=12 if transport == "segments" else None,
        background="white",
        engine="local",
        progress=False,
        **settings,
    )
    assert f"{report.codec} {report.pixel_format}" == made
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 30
    for number, frame in enumerate(frames):
        assert abs(float(frame.pts * frame.time_base) - number / 30) < 0.001
        expected = frame_at(number).astype(int)
        if "alpha" not in kind:
            expected[:8, :8] = 255
        found = frame.to_ndarray(format="rgba")
        assert np.abs(found - expected).max() <= most
    assert len(frames) == N_FRAMES


def test_avif_is_animated(tmp_path: Path) -> None:
    """As Pillow reads it, and as a first image for what plays no animation."""
    if ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow reads no AVIF")
    path = tmp_path / "video.avif"
    rayanim.produce(
        frame_at, 30, n_frames=N_FRAMES, outfile=path, segment_frames=12, progress=False, loop=2
    )
    with Image.open(path) as image:
        assert (image.n_frames, image.size) == (N_FRAMES, (64, 48))
        for number in (0, 11, 12, 29):
            image.seek(number)
            shown = np.array(image.convert("L"))
            bits = [shown[12 + 24 * (b // 8), 4 + 8 * (b % 8)] > 128 for b in range(1, 16)]
            assert sum(int(on) << b for b, on in enumerate(bits, 1)) == number & ~1
            assert abs(image.info["duration"] - 1000 / 30) < 1


def test_what_a_format_has_not_is_refused() -> None:
    """H.265 keeps no transparency, ProRes has no crf."""
    with pytest.raises(SettingsError, match=r"libx265 in \.mkv does not take .*'yuva420p'"):
        check_target(".mkv", VideoSettings(codec="h265", pixel_format="yuva420p"))
    with pytest.raises(SettingsError, match="prores_ks has no crf"):
        check_target(".mov", VideoSettings(codec="prores", crf=20))
