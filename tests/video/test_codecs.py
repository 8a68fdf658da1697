"""What `rayanim.video.codecs` chooses, and what it refuses before any work."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rayanim.errors import EncodeError, OutputError, SettingsError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import check_target, make_spec, probe
from rayanim.video.encode import frame_of, open_codec, segment_spec
from rayanim.video.spec import OWN_PRESETS, StreamSpec, gop_frames

RATE = Fraction(30000, 1001)


def spec_of(suffix: str = ".mp4", size=(64, 48), **settings) -> StreamSpec:
    return make_spec(suffix, VideoSettings(**settings), size, RATE)


@pytest.mark.parametrize(
    ("suffix", "container", "codec"),
    [
        (".mp4", "mp4", "libx264"),
        (".MP4", "mp4", "libx264"),
        (".mov", "mov", "libx264"),
        (".mkv", "matroska", "libx264"),
        (".webm", "webm", "libvpx-vp9"),
    ],
)
def test_suffix_chooses_container_and_codec(suffix, container, codec):
    """Without a codec, each suffix gets the one that its players know best."""
    spec = spec_of(suffix)
    assert (spec.container, spec.codec, spec.pixel_format) == (container, codec, "yuv420p")


@pytest.mark.parametrize(
    ("alias", "codec"),
    [
        ("h264", "libx264"),
        ("H264", "libx264"),
        ("libx264", "libx264"),
        ("hevc", "libx265"),
        ("h265", "libx265"),
        ("vp9", "libvpx-vp9"),
        ("av1", "libsvtav1"),
    ],
)
def test_codecs_go_by_their_usual_names(alias, codec):
    """A codec may be named as people name it or as FFmpeg does."""
    assert spec_of(".mkv", codec=alias).codec == codec


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_one_image_is_no_video(suffix):
    """The message says how a folder of them is named, and what draws one."""
    with pytest.raises(OutputError, match=rf"frames/%04d\{suffix}'.*still"):
        check_target(suffix, VideoSettings())


@pytest.mark.parametrize("suffix", [".xyz", "", "mp4", ".mp4.part", "%04d.mp4"])
def test_unknown_suffix_lists_the_known_ones(suffix):
    """A suffix that no container has is an OutputError that names those there are."""
    with pytest.raises(OutputError, match=r"\.mp4, \.mov, .*%04d.png.*--formats") as caught:
        check_target(suffix, VideoSettings())
    assert (repr(suffix) if suffix else "a folder") in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "settings", "words"),
    [
        (".mp4", {"codec": "h999"}, r"no codec 'h999'.*h264 \(libx264\), h265"),
        (".webm", {"codec": "h264"}, r"\.webm files cannot contain codec 'h264'.*vp9"),
        (".mov", {"codec": "vp9"}, r"cannot contain codec 'vp9'.*h264"),
        (".mp4", {"pixel_format": "rgb24"}, r"'rgb24'. It takes: yuv420p, "),
        (".webm", {"codec": "av1", "pixel_format": "yuv444p"}, r"takes: yuv420p, yuv420p10le\."),
        (".mp4", {"codec": "vp9", "pixel_format": "yuva420p"}, r"\.mp4 does not take.*'yuva420p'"),
        (".mp4", {"crf": 52.0}, r"crf of libx264 must be a number from 0 to 51, got 52\.$"),
        (".webm", {"crf": 20.5}, r"whole number from 0 to 63, got 20.5"),
        (
            ".mp4",
            {"preset": "warp"},
            r"no preset 'warp'. Its presets: ultra.*placebo; .* small, balanced",
        ),
        (".webm", {"preset": "fast"}, r"libvpx-vp9 has no preset 'fast'. Its presets: 0, 1"),
        (".gif", {"crf": 20}, r"gif has no crf, got 20"),
        (".gif", {"bitrate": 500}, r"gif has no bit rate, got 500"),
        (".gif", {"pixel_format": "yuv420p"}, r"\.gif does not take .*'yuv420p'.*: bgra, bgr0"),
        (".mp4", {"loop": 2}, r"A \.mp4 file does not say how often it plays: .* got 2"),
        (".mp4", {"colors": 64}, r"colors goes with \.gif alone, got 64"),
        (".webm", {"dither": "bayer"}, r"dither goes with \.gif alone, got 'bayer'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_there_is(suffix, settings, words):
    """Each refusal names what was got and lists what can be chosen instead."""
    with pytest.raises(SettingsError, match=words):
        check_target(suffix, VideoSettings(**settings))


def test_encoder_that_ffmpeg_lacks_is_named(monkeypatch):
    """A codec known to rayanim but not built into FFmpeg is refused by its encoder's name."""
    monkeypatch.setattr("rayanim.video.codecs._is_installed", lambda codec: "x265" in codec.encoder)
    with pytest.raises(SettingsError, match=r"no encoder 'libx264'. For \.mp4 it has: h265"):
        check_target(".mp4", VideoSettings(codec="h264"))


def test_av1_falls_back_to_libaom(monkeypatch):
    """Where SVT-AV1 is not built in, "av1" means libaom-av1."""
    from rayanim.video import codecs

    target = codecs._container(".webm")
    monkeypatch.setattr(codecs, "_is_installed", lambda codec: codec.encoder == "libaom-av1")
    assert codecs._codec(target, "av1").encoder == "libaom-av1"


@pytest.mark.parametrize(
    "size",
    [
        (0, 48),
        (64, -2),
        (64.0, 48),
        (math.nan, 48),
        (math.inf, 48),
        ("64", 48),
        (True, 48),
        (64,),
        (64, 48, 4),
        None,
    ],
)
def test_what_is_no_size_is_refused(size):
    """A size is two whole numbers of at least 1."""
    with pytest.raises(SettingsError, match="whole width and height"):
        spec_of(size=size)


@pytest.mark.parametrize(
    ("codec", "size", "words"),
    [
        ("h264", (16386, 64), r"up to 16384x16384 px, got 16386x64"),
        ("h265", (8, 64), r"at least 16x16 px, got 8x64"),
        ("av1", (64, 8706), r"up to 16384x8704"),
        ("av1", (2, 2), r"at least 4x4"),
        ("ffv1", (640, 1), r"at least 2x2"),
    ],
)
def test_sizes_outside_the_codec_are_refused(codec, size, words):
    """The message names the codec's own bound."""
    with pytest.raises(SettingsError, match=words):
        spec_of(".mkv", size=size, codec=codec)


def test_rate_above_the_codecs_is_refused():
    """SVT-AV1 goes up to 240 frames per second, and the message says so."""
    with pytest.raises(SettingsError, match="libsvtav1 encodes up to 240 fps, got '1000'"):
        make_spec(".mp4", VideoSettings(codec="av1"), (64, 48), Fraction(1000))


@pytest.mark.parametrize(
    ("policy", "pixel_format", "size"),
    [
        ("pad", "yuv420p", (66, 48)),
        ("crop", "yuv420p", (64, 46)),
        ("scale", "yuv420p", (66, 48)),
        ("pad", "yuv422p", (66, 47)),
        ("crop", "yuv422p", (64, 47)),
        ("error", "yuv444p", (65, 47)),
        ("pad", "gray", (65, 47)),
    ],
)
def test_odd_size_becomes_what_the_chroma_needs(policy, pixel_format, size):
    """Only directions in which chroma is subsampled are changed, by one pixel."""
    spec = spec_of(size=(65, 47), pixel_format=pixel_format, odd_size=policy)
    assert (spec.source_size, spec.size) == ((65, 47), size)


def test_odd_size_can_be_an_error():
    """The message names the size, the format and the ways out."""
    with pytest.raises(SettingsError, match=r"65x47 px cannot be yuv420p.*'pad', 'crop'"):
        spec_of(size=(65, 47), odd_size="error")


def test_even_size_stays_under_every_policy():
    """A policy for odd sizes changes nothing else."""
    for policy in ("pad", "crop", "scale", "error"):
        assert spec_of(size=(64, 48), odd_size=policy).size == (64, 48)


def test_cropping_to_nothing_is_refused():
    """One pixel less than one is no size."""
    with pytest.raises(SettingsError, match="at least 1x1 px, got 0x48"):
        spec_of(size=(1, 48), odd_size="crop")


def test_bitrate_takes_the_place_of_crf():
    """A video has a target size or a quality, not both."""
    by_rate, by_quality = dict(spec_of(bitrate=500).options), dict(spec_of().options)
    assert "crf" not in by_rate
    assert float(by_quality["crf"]) > 0


CODEC_NAMES = ["h264", "h265", "vp9", "av1"]


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_own_presets_are_there_for_every_codec(codec):
    """The default is the balanced one; each can be opened, and none is another's."""
    specs = {name: spec_of(codec=codec, preset=name, suffix=".mkv") for name in OWN_PRESETS}
    assert specs["balanced"] == spec_of(codec=codec, suffix=".mkv")
    assert len({spec.options for spec in specs.values()}) == len(OWN_PRESETS)
    for spec in specs.values():
        probe(spec)


@pytest.mark.parametrize("name", OWN_PRESETS)
def test_an_explicit_crf_wins_over_a_presets(name):
    """The rest of the preset stays."""
    by_name, by_both = dict(spec_of(preset=name).options), dict(spec_of(preset=name, crf=7).options)
    assert by_both.pop("crf") == "7"
    del by_name["crf"]
    assert by_both == by_name


def test_refinements_of_own_presets_go_with_them_alone():
    """A preset of the encoder's is as it made it, but for what suits all plots."""
    by_default, by_name = dict(spec_of().options), dict(spec_of(preset="medium").options)
    assert set(by_default) - set(by_name) == {"bf", "direct-pred"}
    assert {name: by_default[name] for name in by_name} == by_name
    assert (by_name["psy"], by_name["aq-strength"]) == ("0", "0.5")


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_keyframe_distance_is_that_of_the_encoder(codec):
    """One encoder puts a keyframe where the plan cuts a video, and no other."""
    spec = spec_of(codec=codec, suffix=".mkv", preset="quick")
    assert gop_frames(spec) == gop_frames(segment_spec(spec)) == 250
    context = open_codec(spec)
    still = np.full((1, spec.frame_bytes), 128, np.uint8)
    packets = []
    for position in range(251):
        packets += context.encode(frame_of(still[0], spec, position))
    packets += context.encode(None)
    keyframes = [packet.pts for packet in packets if packet.is_keyframe]
    assert keyframes == [0, gop_frames(spec)]


@pytest.mark.parametrize(
    ("pixel_format", "frame_bytes"),
    [
        ("yuv420p", 64 * 48 * 3 // 2),
        ("yuv422p", 64 * 48 * 2),
        ("yuv444p", 64 * 48 * 3),
        ("yuv420p10le", 64 * 48 * 3),
        ("yuv444p10le", 64 * 48 * 6),
        ("gray", 64 * 48),
    ],
)
def test_frame_bytes_are_those_of_the_planes(pixel_format, frame_bytes):
    """A packed frame has no padding."""
    assert spec_of(pixel_format=pixel_format).frame_bytes == frame_bytes


def test_spec_survives_pickling():
    """A specification reaches actors as it was made."""
    spec = spec_of(".webm", pixel_format="yuva420p", background="#102030")
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert spec.has_alpha
    assert spec.background == (16, 32, 48)


def test_probe_takes_what_ffmpeg_takes():
    """A specification that works raises nothing."""
    probe(spec_of())


def test_probe_raises_ffmpegs_message(capfd):
    """An option that only FFmpeg knows to be wrong is a SettingsError before any work."""
    spec = replace(spec_of(), options=(("profile", "nonsense"),))
    with pytest.raises(SettingsError, match=r"libx264.*nonsense") as caught:
        probe(spec)
    assert isinstance(caught.value.__cause__, EncodeError)


def test_probe_leaves_ffmpegs_log_as_it_was():
    """The log that a refusal turns on for its words is off again."""
    import av.logging

    level = av.logging.get_level()
    with pytest.raises(SettingsError):
        probe(replace(spec_of(), options=(("profile", "nonsense"),)))
    assert av.logging.get_level() == level
