"""Containers and codecs that rayanim writes, as tables, with the reasons for each default.

The defaults of libx264 give films about the PSNR that its preset medium has at a
crf of 18, which FFmpeg's H.264 guide calls visually lossless or nearly so. Those
of the others give the luma PSNR of H.264 in that preset, 46.5 to
47 dB, for 60 frames of a matplotlib plot of lines and points in 640x480; that of
libaom-av1 is SVT-AV1's, not measured. Sizes there: H.264 264 kB, H.265 314 kB,
VP9 275 kB, AV1 194 kB.

The same bytes on every x86 processor: libx264 gives them with cpu-independent,
from plain C to AVX-512, at no cost in time. libvpx and SVT-AV1 gave them as
they are with their code for each processor switched on in turn, and libx265 in
PyAV's builds, which show no sign of code for processors. What remains: another
version of a codec gives other bytes, and so may another architecture; and the
rate controls use the C library's exp, log and pow, whose last bit differs with
and without FMA. That difference reached no film that was tried.
"""

from __future__ import annotations

from dataclasses import dataclass

ENCODER_THREADS = 4
"""Threads of every encoder, whatever the machine.

libx264's and libx265's output depends on their number of threads, so a number
taken from the machine would give other bytes on another machine. Four keep
small machines busy; with more, libx264 limits how far motion vectors reach down
a low picture.
"""

KEYFRAME_DISTANCE = 250
"""Frames from one keyframe to the next, at most, in segments.

libx264's and libx265's own; libvpx's is 128 and SVT-AV1's five seconds, which
would put a second keyframe into a segment of that length.
"""

_X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One encoder of FFmpeg.

    Parameters
    ----------
    encoder
        FFmpeg's name of the encoder.
    aliases
        Other names that users know it by; the first is the codec's usual name.
    crf, crf_range
        Default and bounds, both included, of the constant rate factor.
    crf_is_whole
        True if the encoder takes whole numbers only.
    preset, presets, preset_option
        Default and known values of the trade of speed against size, and the
        encoder's name for that option.
    preset_options
        Options that go with the default preset, if no other is asked for.
    min_side_px, max_size
        Smallest width and height, and largest (width, height), in pixels.
    max_fps
        Highest frame rate, if the encoder has one.
    options
        Further options, the same for every film.
    bitrate_options
        Options that take their place where a bit rate is asked for.
    segment_options
        Options that take their place where the film is encoded in segments,
        side by side, each in one thread.
    """

    encoder: str
    aliases: tuple[str, ...]
    crf: float
    crf_range: tuple[float, float]
    crf_is_whole: bool
    preset: str
    presets: tuple[str, ...]
    preset_option: str
    max_size: tuple[int, int]
    min_side_px: int = 1
    max_fps: int | None = None
    preset_options: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    bitrate_options: tuple[tuple[str, str], ...] = ()
    segment_options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One file format, by suffix.

    Parameters
    ----------
    suffix
        The file name's ending, with its dot.
    muxer
        FFmpeg's name of the muxer.
    codecs
        Encoders that it takes, the default first.
    keeps_alpha
        True if it stores the transparency of VP9, which lies beside the
        packets in what Matroska calls block additions.
    """

    suffix: str
    muxer: str
    codecs: tuple[str, ...]
    keeps_alpha: bool = False


CODECS: tuple[Codec, ...] = (
    # Eight kinds of plots, 640x480 to 1920x1080, one thread, beside medium at crf 18
    # (benchmarks/x264_settings.py): at the same luma PSNR (median +0.2 dB, at worst 0.3
    # less, but for a plain square above 52 dB) 0.42 of the processor time and 1.20 of
    # the bytes (1.00 to 1.36). From veryfast: adaptive quantization spends bits on
    # white ground; three reference frames and trellis save bytes; its search for motion
    # to the last fraction of a pixel does not: with subq 2 and hex, 0.60 of the time
    # and 1.17 of the bytes. Without lookahead films of moving lines take up to twice the
    # bytes at the same PSNR; more of it takes memory and saves 2 %. Sides: x264
    # encoder/encoder.c refuses more than 16384. CRF 0 to 51: x264's --fullhelp.
    # cpu-independent: else each CPU takes its own shortcuts, and the AVX-512 code reads
    # memory that it has not written.
    Codec(
        encoder="libx264",
        aliases=("h264", "h.264", "avc", "x264"),
        crf=20,
        crf_range=(0, 51),
        crf_is_whole=False,
        preset="veryfast",
        presets=_X26X_PRESETS,
        preset_option="preset",
        preset_options=(("refs", "3"), ("trellis", "1"), ("subq", "1"), ("motion-est", "dia")),
        max_size=(16384, 16384),
        options=(("x264-params", "cpu-independent=1"), ("aq-mode", "0")),
    ),
    # log-level: x265 prints to stderr by itself. info: it would write its build
    # and the CPU's features into the stream. pools: with a pool of its own size
    # on each machine it would switch wavefront coding, and so the bytes.
    # Sides: H.265 (08/2021) A.4.1, sqrt(8 * MaxLumaPs) of level 6.2 is 16888.
    Codec(
        encoder="libx265",
        aliases=("h265", "h.265", "hevc", "x265"),
        crf=19,
        crf_range=(0, 51),
        crf_is_whole=False,
        preset="medium",
        presets=_X26X_PRESETS,
        preset_option="preset",
        max_size=(16888, 16888),
        min_side_px=16,
        options=(("x265-params", f"log-level=none:info=0:pools={ENCODER_THREADS}"),),
        segment_options=(("x265-params", "log-level=none:info=0:pools=none:frame-threads=1"),),
    ),
    # deadline "good" with cpu-used 0 to 5 is libvpx's range for files; for plots
    # 3 took as long as 4 and gave smaller files, 2 took twice as long. row-mt
    # lets four threads work on small pictures too. Sides: the VP9 bitstream
    # specification 7.2, frame_width_minus_1 has 16 bits.
    Codec(
        encoder="libvpx-vp9",
        aliases=("vp9", "vpx-vp9"),
        crf=30,
        crf_range=(0, 63),
        crf_is_whole=True,
        preset="3",
        presets=tuple("012345"),
        preset_option="cpu-used",
        max_size=(65536, 65536),
        options=(("deadline", "good"), ("row-mt", "1")),
        segment_options=(("row-mt", "0"), ("g", str(KEYFRAME_DISTANCE))),
    ),
    # From preset 7 down SVT-AV1 uses its tools for screen content: plots take half
    # the bytes of preset 8, in one and a half of its time. lp sets its threads:
    # with more than one, the bytes of its bit rate control are a matter of luck.
    # Sides and rate: what svt_av1_verify_settings takes.
    Codec(
        encoder="libsvtav1",
        aliases=("av1", "svtav1", "svt-av1"),
        crf=32,
        crf_range=(0, 63),
        crf_is_whole=True,
        preset="7",
        presets=tuple(str(preset) for preset in range(14)),
        preset_option="preset",
        max_size=(16384, 8704),
        min_side_px=4,
        max_fps=240,
        options=(("svtav1-params", f"lp={ENCODER_THREADS}"),),
        bitrate_options=(("svtav1-params", "lp=1"),),
        segment_options=(("svtav1-params", "lp=1"), ("g", str(KEYFRAME_DISTANCE))),
    ),
    # Taken for "av1" where a build of FFmpeg lacks SVT-AV1. Sides: the AV1
    # bitstream specification 5.5.1, frame_width_bits_minus_1 has 4 bits.
    Codec(
        encoder="libaom-av1",
        aliases=("av1", "aom", "aom-av1"),
        crf=32,
        crf_range=(0, 63),
        crf_is_whole=True,
        preset="6",
        presets=tuple("012345678"),
        preset_option="cpu-used",
        max_size=(65536, 65536),
        options=(("row-mt", "1"),),
        segment_options=(("row-mt", "0"), ("g", str(KEYFRAME_DISTANCE))),
    ),
)
"""Every codec; where an alias belongs to two, the first that is installed is taken."""

CONTAINERS: tuple[Container, ...] = (
    Container(
        suffix=".mp4",
        muxer="mp4",
        codecs=("libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1"),
    ),
    Container(suffix=".mov", muxer="mov", codecs=("libx264", "libx265")),
    Container(
        suffix=".mkv",
        muxer="matroska",
        codecs=("libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1"),
        keeps_alpha=True,
    ),
    Container(
        suffix=".webm",
        muxer="webm",
        codecs=("libvpx-vp9", "libsvtav1", "libaom-av1"),
        keeps_alpha=True,
    ),
)
"""Every container."""
