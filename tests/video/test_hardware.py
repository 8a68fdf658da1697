"""Encoders of graphics cards: without a device software stands in; a fake one shows the rest."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from numbered import FPS, Numbered, read_numbers

import rayanim
from rayanim.errors import ResumeError, SettingsError
from rayanim.video import hardware, spec
from rayanim.video.spec import HARDWARE, Hardware

FAKE = (Hardware((("mpeg4", "libx264"),), "compression_level", ("1", "2", "3"), (("q", "{}"),)),)
"""A software encoder in the place of a device's."""


def render(path: Path, **options: Any) -> rayanim.Report:
    options = {"progress": False, "engine": "local", **options}
    return rayanim.produce(Numbered(300), FPS, outfile=path, **options)


@pytest.fixture(scope="module")
def in_software(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    video = tmp_path_factory.mktemp("software") / "video.mp4"
    render(video, crf=30)
    return video.read_bytes()


@pytest.mark.parametrize("options", [{"codec": "h264_nvenc"}, {"hwaccel": "auto"}])
def test_without_a_device_software_encodes(
    tmp_path: Path,
    in_software: bytes,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
) -> None:
    """The file is that of the software encoder of the same codec; one line says so."""
    with caplog.at_level(logging.WARNING, "rayanim"):
        report = render(tmp_path / "video.mp4", crf=30, **options)
    if report.codec in ("h264_nvenc", "h264_qsv", "h264_amf"):
        pytest.skip("there is a device here")
    assert (report.codec, report.transport) == ("libx264", "segments")
    assert (tmp_path / "video.mp4").read_bytes() == in_software
    (line,) = caplog.messages
    assert "h264_nvenc does not work here" in line
    assert "libx264 encodes in its place" in line
    assert "\n" not in line


@pytest.mark.parametrize("options", [{"codec": "MPEG4"}, {"hwaccel": "auto"}])
def test_a_device_that_encodes_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
) -> None:
    """In one encoder, which the report explains; there is nothing to resume."""
    for module in (hardware, spec):
        monkeypatch.setattr(module, "HARDWARE", FAKE)
    with caplog.at_level(logging.WARNING, "rayanim"):
        report = render(tmp_path / "video.mp4", crf=20, **options)
    assert (report.codec, report.transport) == ("mpeg4", "frames")
    assert "other bytes on another machine" in report.details()
    assert not caplog.messages
    assert read_numbers(tmp_path / "video.mp4") == list(range(300))
    with pytest.raises(ResumeError, match="other bytes on another machine"):
        render(tmp_path / "video.mp4", resume=True, **options)


def test_the_device_gets_the_settings_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the software encoder mean nothing to it."""
    from fractions import Fraction

    from rayanim.settings import VideoSettings
    from rayanim.video.codecs import make_spec

    monkeypatch.setattr(hardware, "why_not", lambda spec: None)

    def options_of(**settings: Any) -> tuple[str, dict[str, str]]:
        found = make_spec(".mp4", VideoSettings(**settings), (640, 480), Fraction(30))
        return found.codec, dict(found.options)

    quality = {"rc": "vbr", "cq": "20", "preset": "p7", "g": "250"}
    assert options_of(hwaccel="auto", crf=20, preset="small") == ("h264_nvenc", quality)
    assert options_of(codec="hevc_qsv") == (
        "hevc_qsv",
        {"g": "250", "preset": "medium", "global_quality": "19"},
    )
    assert options_of(codec="h264_amf", bitrate=900) == (
        "h264_amf",
        {"g": "250", "quality": "balanced"},
    )


def test_other_pixels_stay_in_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Devices differ in what they take besides yuv420p; and not every codec has one."""
    for module in (hardware, spec):
        monkeypatch.setattr(module, "HARDWARE", FAKE)
    report = render(tmp_path / "a.mp4", hwaccel="auto", pixel_format="yuv444p")
    assert report.codec == "libx264"
    assert "it takes no yuv444p" in caplog.text
    caplog.clear()
    assert render(tmp_path / "a.gif", hwaccel="auto").codec == "gif"
    assert not caplog.messages
    with pytest.raises(SettingsError, match=r"webm files cannot contain codec"):
        render(tmp_path / "a.webm", codec="mpeg4")
    with pytest.raises(SettingsError, match="hwaccel must be 'auto'"):
        render(tmp_path / "a.mp4", hwaccel="cuda")


def test_every_device_s_encoder_has_software_in_its_place() -> None:
    """By which it is known what containers take it."""
    encoders = [name for device in HARDWARE for name, _ in device.encoders]
    assert len(set(encoders)) == len(encoders)
    known = {codec.encoder for codec in spec.CODECS}
    assert {software for device in HARDWARE for _, software in device.encoders} <= known
