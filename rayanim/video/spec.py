"""`StreamSpec`, which with the pixels decides a video's bytes; tables of codecs and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from rayanim.settings import OddSize
from rayanim.video.timing import Clock, Timing

ENCODER_THREADS = 4
"""Threads of every encoder, whatever the machine.

The output of libx264 and libx265 depends on the number of threads, so the machine's
number of cores would make other bytes on another machine. Four keep small machines
busy; with more, libx264 limits the vertical range of motion vectors in low images.
Segments of libx264 use them, too: at 640x480 they cost as much processor time as one
thread, and no bytes. So do those of libvpx-vp9: without row-mt, which needs several
threads, smooth images take 4 % more. Segments of the others are encoded in one thread.
"""

KEYFRAME_DISTANCE = 250
"""Frames from one keyframe to the next, at most, of every encoder.

The default of libx264 and libx265. That of libvpx is 128 and that of SVT-AV1 five
seconds, which would put a second keyframe into a segment of 250 frames.
"""

OWN_PRESETS = ("small", "balanced", "quick")
"""rayanim's own presets, which every codec has; ``balanced`` is the default."""

_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip

_FFV1_FORMATS = (
    "bgr0", "bgra", "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le",
    "yuva420p", "gray",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preset:
    """One of rayanim's presets of a codec: the encoder's own, a crf, and options on top."""

    name: str
    crf: float
    options: tuple[tuple[str, str], ...] = ()


NO_PRESET = Preset("", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One encoder of FFmpeg: its presets, its limits, its fixed options.

    `crf_range` is None for one without a quality; `pixel_formats` are those that
    frames are packed in for it, the usual one first, where its own are not meant; `size`
    is that of a wave's file (``benchmarks/drawing.py``), libx264's being 1.
    """

    encoder: str
    aliases: tuple[str, ...]
    small: Preset = NO_PRESET
    balanced: Preset = NO_PRESET
    quick: Preset = NO_PRESET
    crf_range: tuple[float, float] | None = None
    crf_is_whole: bool = False
    presets: tuple[str, ...] = ()
    preset_option: str = ""
    pixel_formats: tuple[str, ...] = ()
    keeps_alpha: bool = True
    size: float
    max_size: tuple[int, int]
    min_side_px: int = 1
    max_fps: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    bitrate_options: tuple[tuple[str, str], ...] = ()
    segment_options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One file format, by suffix."""

    suffix: str
    muxer: str
    codecs: tuple[str, ...]
    keeps_alpha: bool = False
    loops: bool = False
    has_one_rate: bool = False
    audio_codec: str = ""
    subtitle_codec: str = ""


IMAGES = "image2"
"""What FFmpeg calls a folder with an image for each frame."""

PLAYLIST = "hls"
"""What it calls a folder with a playlist and its segments, for streaming."""

PLAYLIST_SEGMENT_S = (4, 6)
"""How long those are on average, and how far keyframes may be apart, for which Apple says six.

FFmpeg counts from the beginning: the nth one ends at the first keyframe from 4 n seconds on. The
last one is as long as what is left or is held.
"""

STILL = "image of one frame"
"""In the place of a container's name: one frame beside a video, a poster for example."""

CODECS: tuple[Codec, ...] = (
    # Compared with `Animation.save`, FFmpeg's medium at crf 23, in
    # benchmarks/codec_defaults.py: no file is larger, at no lower PSNR, in 0.8 to 1.0 of
    # the processor time. psy and strong aq spend bits on what lowers the PSNR of plots;
    # without psy, x264 no longer lowers the quantizer of chroma, which thin coloured
    # lines need. Five B-frames save 10 % where things move evenly; direct-pred chooses
    # between two ways for each frame, which saves 3 % of a scatter plot. Each of these
    # alone is quicker and makes one of the six kinds larger: subq 6, refs 2, no trellis,
    # fewer partitions, the diamond search without mixed references. quick: no
    # adaptive quantization, a short motion search. Largest side: x264's
    # encoder/encoder.c refuses more than 16384. CRF 0 to 51: x264's --fullhelp.
    # cpu-independent: otherwise the bytes depend on the CPU, and the AVX-512 code reads
    # uninitialised memory.
    Codec(
        encoder="libx264",
        aliases=("h264", "h.264", "avc", "x264"),
        small=Preset("slow", 24.4, (("bf", "5"),)),
        balanced=Preset("medium", 24.4, (("bf", "5"), ("direct-pred", "auto"))),
        quick=Preset(
            "veryfast",
            23.9,
            (
                ("refs", "3"),
                ("trellis", "1"),
                ("subq", "1"),
                ("motion-est", "dia"),
                ("aq-mode", "0"),
            ),
        ),
        crf_range=(0, 51),
        presets=_X26X_PRESETS,
        preset_option="preset",
        size=1,
        max_size=(16384, 16384),
        options=(
            ("x264-params", "cpu-independent=1:chroma-qp-offset=-2"),
            ("psy", "0"),
            ("aq-strength", "0.5"),
        ),
    ),
    # log-level: x265 prints to stderr by itself. info: it would write its build and
    # the CPU's features into the stream. pools: the default size depends on the
    # machine, and decides about wavefront coding, and so about the bytes.
    # Largest side: H.265 (08/2021) A.4.1, sqrt(8 * MaxLumaPs) of level 6.2 is 16888.
    Codec(
        encoder="libx265",
        aliases=("h265", "h.265", "hevc", "x265"),
        small=Preset("slow", 21),
        balanced=Preset("medium", 19),
        quick=Preset("superfast", 18),
        crf_range=(0, 51),
        presets=_X26X_PRESETS,
        preset_option="preset",
        # FFmpeg lists yuva420p, and refuses it.
        keeps_alpha=False,
        size=2.2,
        max_size=(16888, 16888),
        min_side_px=16,
        options=(("x265-params", f"log-level=none:info=0:pools={ENCODER_THREADS}"),),
        segment_options=(
            ("threads", "1"),
            ("x265-params", "log-level=none:info=0:pools=none:frame-threads=1"),
        ),
    ),
    # deadline "good" with cpu-used 0 to 5 is libvpx's range for files; for plots,
    # 3 took as long as 4 and gave smaller files, 2 took twice as long. row-mt lets
    # four threads work on small images, too. Largest side: the VP9 bitstream
    # specification 7.2, frame_width_minus_1 has 16 bits.
    Codec(
        encoder="libvpx-vp9",
        aliases=("vp9", "vpx-vp9"),
        small=Preset("1", 30),
        balanced=Preset("3", 30),
        quick=Preset("5", 26, (("deadline", "realtime"),)),
        crf_range=(0, 63),
        crf_is_whole=True,
        presets=tuple("012345"),
        preset_option="cpu-used",
        size=0.95,
        max_size=(65536, 65536),
        options=(("deadline", "good"), ("row-mt", "1")),
    ),
    # Up to preset 7 SVT-AV1 uses its tools for screen content: plots take half the
    # bytes of preset 8, and 1.5 times its time. lp is the number of threads: with
    # more than one, bit rate control gives different bytes in each run. Largest side
    # and rate: what svt_av1_verify_settings accepts.
    Codec(
        encoder="libsvtav1",
        aliases=("av1", "svtav1", "svt-av1"),
        small=Preset("5", 32),
        balanced=Preset("7", 32),
        quick=Preset("8", 28),
        crf_range=(0, 63),
        crf_is_whole=True,
        presets=tuple(str(preset) for preset in range(14)),
        preset_option="preset",
        size=0.6,
        max_size=(16384, 8704),
        min_side_px=4,
        max_fps=240,
        options=(("svtav1-params", f"lp={ENCODER_THREADS}"),),
        bitrate_options=(("svtav1-params", "lp=1"),),
        segment_options=(("threads", "1"), ("svtav1-params", "lp=1")),
    ),
    # Used for "av1" if a build of FFmpeg lacks SVT-AV1. Largest side: the AV1
    # bitstream specification 5.5.1, frame_width_bits_minus_1 has 4 bits.
    Codec(
        encoder="libaom-av1",
        aliases=("av1", "aom", "aom-av1"),
        small=Preset("4", 32),
        balanced=Preset("6", 32),
        quick=Preset("8", 32),
        crf_range=(0, 63),
        crf_is_whole=True,
        presets=tuple("012345678"),
        preset_option="cpu-used",
        size=0.6,
        max_size=(65536, 65536),
        options=(("row-mt", "1"),),
        segment_options=(("threads", "1"), ("row-mt", "0")),
    ),
    # Lossless, and for archives: level 3 has checksums. The number of slices would
    # depend on that of the threads. bgr0 and bgra keep every pixel as it was drawn.
    # Largest side: FFV1 (RFC 9043) sets none; that of Matroska's players.
    Codec(
        encoder="ffv1",
        aliases=("ffv1",),
        pixel_formats=_FFV1_FORMATS,
        size=38,
        min_side_px=2,
        max_size=(65535, 65535),
        options=(("threads", "4"), ("g", "25"), ("level", "3"), ("slices", "4")),
        segment_options=(("threads", "1"),),
    ),
    # For editors. The profile follows the pixel format: 422 HQ, or 4444 with alpha.
    # Frames are independent. Largest side: prores_ks writes 16 bits.
    Codec(
        encoder="prores_ks",
        aliases=("prores", "prores_ks"),
        pixel_formats=("yuv422p10le", "yuv444p10le", "yuva444p10le"),
        size=140,
        max_size=(65535, 65535),
        options=(("threads", "4"), ("g", "25"), ("vendor", "apl0")),
        segment_options=(("threads", "1"),),
    ),
    # Lossless, with alpha; what QuickTime calls Animation.
    Codec(
        encoder="qtrle",
        aliases=("qtrle", "animation"),
        pixel_formats=("rgb24", "argb"),
        size=38,
        max_size=(65535, 65535),
        options=(("threads", "1"), ("g", "25")),
    ),
    # What every player of .avi files knows; B-frames have no times there.
    # 3: visually lossless. Largest side: ISO/IEC 14496-2 6.2.3 has 13 bits.
    Codec(
        encoder="mpeg4",
        aliases=("mpeg4",),
        pixel_formats=("yuv420p",),
        size=9,
        max_size=(8191, 8191),
        options=(
            ("threads", "1"),
            ("g", "250"),
            ("flags", "+qscale+bitexact"),
            ("global_quality", "354"),
        ),
    ),
    # Frames come as they are drawn, and get their palette in the encoder: most of its
    # work, and it needs the frame before. Segments are short, because the joined file
    # is the same whatever their length. Largest side: GIF89a, section 18, has 16 bits.
    # Above 100 fps a frame would last no time.
    Codec(
        encoder="gif",
        aliases=("gif",),
        pixel_formats=("bgra", "bgr0"),
        size=10,
        max_size=(65535, 65535),
        max_fps=100,
        options=(("g", "50"),),
    ),
    # Lossless by default: line drawings are as small as with loss, and exact. Segments
    # are short, as those of a GIF. Largest side: VP8L has 14 bits.
    Codec(
        encoder="libwebp",
        aliases=("webp", "webp-lossless"),
        pixel_formats=("rgba", "rgb24"),
        size=10,
        max_size=(16383, 16383),
        options=(("g", "25"), ("lossless", "1"), ("quality", "50"), ("method", "2")),
    ),
    Codec(
        encoder="libwebp_anim",
        aliases=("webp-lossy",),
        pixel_formats=("rgba", "rgb24"),
        size=11,
        max_size=(16383, 16383),
        options=(("g", "25"), ("lossless", "0"), ("quality", "85"), ("method", "2")),
    ),
    Codec(
        encoder="apng",
        aliases=("apng",),
        pixel_formats=("rgba", "rgb24"),
        size=30,
        max_size=(2**31 - 1, 2**31 - 1),
        options=(("g", "25"),),
    ),
    # Largest side: PNG (Third Edition) 11.2.1, and ITU-T T.81 B.2.2.
    Codec(
        encoder="png",
        aliases=("png",),
        pixel_formats=("rgba", "rgb24"),
        size=50,
        max_size=(2**31 - 1, 2**31 - 1),
        options=(("g", "25"),),
    ),
    Codec(
        encoder="mjpeg",
        aliases=("jpeg", "jpg"),
        pixel_formats=("rgb24",),
        size=60,
        max_size=(65535, 65535),
        options=(("g", "25"),),
    ),
)
"""Every codec; if two have the same alias, the first that is installed is used."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """The encoders of one kind of device, each with the software encoder for which it stands.

    `presets` are rayanim's own in the device's words. `quality` is what has it encode at a
    constant quality: the crf of the software encoder stands where ``{}`` does. Frames in
    yuv420p are given to it as `pixel_format`.
    """

    encoders: tuple[tuple[str, str], ...]
    preset_option: str
    presets: tuple[str, str, str]
    quality: tuple[tuple[str, str], ...]
    pixel_format: str = "yuv420p"


def _encoders(device: str, *codecs: str) -> tuple[tuple[str, str], ...]:
    software = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
    return tuple((f"{codec}_{device}", software[codec]) for codec in codecs)


HARDWARE: tuple[Hardware, ...] = (
    Hardware(
        _encoders("nvenc", "h264", "hevc", "av1"),
        "preset",
        ("p7", "p5", "p2"),
        (("rc", "vbr"), ("cq", "{}")),
    ),
    Hardware(
        _encoders("qsv", "h264", "hevc", "av1"),
        "preset",
        ("veryslow", "medium", "veryfast"),
        (("global_quality", "{}"),),
        pixel_format="nv12",
    ),
    Hardware(
        _encoders("amf", "h264", "hevc", "av1"),
        "quality",
        ("quality", "balanced", "speed"),
        (("rc", "cqp"), ("qp_i", "{}"), ("qp_p", "{}")),
    ),
)
"""Encoders of graphics cards, in the order in which ``hwaccel="auto"`` tries them.

Their bytes depend on the device and its driver. That of macOS counts quality the other way, and is
not among them.
"""

CONTAINERS: tuple[Container, ...] = (
    Container(
        suffix=".mp4",
        muxer="mp4",
        codecs=("libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1"),
        audio_codec="aac",
        subtitle_codec="mov_text",
    ),
    Container(
        suffix=".mov",
        muxer="mov",
        codecs=("libx264", "libx265", "prores_ks", "qtrle"),
        keeps_alpha=True,
        audio_codec="aac",
        subtitle_codec="mov_text",
    ),
    Container(
        suffix=".mkv",
        muxer="matroska",
        codecs=("libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1", "ffv1"),
        keeps_alpha=True,
        audio_codec="libopus",
        subtitle_codec="subrip",
    ),
    Container(
        suffix=".webm",
        muxer="webm",
        codecs=("libvpx-vp9", "libsvtav1", "libaom-av1"),
        keeps_alpha=True,
        audio_codec="libopus",
        subtitle_codec="webvtt",
    ),
    Container(
        suffix=".m4v",
        muxer="mp4",
        codecs=("libx264", "libx265"),
        audio_codec="aac",
        subtitle_codec="mov_text",
    ),
    Container(
        suffix=".avi",
        muxer="avi",
        codecs=("mpeg4", "ffv1"),
        keeps_alpha=True,
        has_one_rate=True,
    ),
    # Not H.265, AV1 or VP9: there are devices that play none of them from segments.
    Container(suffix=".m3u8", muxer=PLAYLIST, codecs=("libx264",), audio_codec="aac"),
    Container(suffix=".avif", muxer="avif", codecs=("libsvtav1", "libaom-av1"), loops=True),
    Container(suffix=".gif", muxer="gif", codecs=("gif",), keeps_alpha=True, loops=True),
    Container(
        suffix=".webp",
        muxer="webp",
        codecs=("libwebp", "libwebp_anim"),
        keeps_alpha=True,
        loops=True,
    ),
    Container(suffix=".apng", muxer="apng", codecs=("apng",), keeps_alpha=True, loops=True),
    Container(suffix=".png", muxer=IMAGES, codecs=("png",), keeps_alpha=True),
    Container(suffix=".jpg", muxer=IMAGES, codecs=("mjpeg",)),
    Container(suffix=".jpeg", muxer=IMAGES, codecs=("mjpeg",)),
)
"""Every container."""


Colour = Literal["yuv", "gray", "rgb"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One pixel format; with `is_packed` a pixel's samples stand together, and count as one."""

    name: str
    colour: Colour = "yuv"
    chroma_step: tuple[int, int] = (1, 1)
    sample_bytes: int = 1
    has_alpha: bool = False
    is_packed: bool = False

    @property
    def is_full_range(self) -> bool:
        """True if black is 0 and white the highest sample (JPEG range)."""
        return self.colour != "yuv"

    @property
    def plane_steps(self) -> tuple[tuple[int, int], ...]:
        """Pixels per sample of each plane, horizontally and vertically."""
        full = (1, 1)
        if self.colour == "gray" or self.is_packed:
            return (full,)
        chroma = self.chroma_step
        return (full, chroma, chroma, full) if self.has_alpha else (full, chroma, chroma)

    def plane_shapes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and bytes per row of each plane of a frame of `size` pixels."""
        width, height = size
        return tuple(
            (-(-height // step_y), -(-width // step_x) * self.sample_bytes)
            for step_x, step_y in self.plane_steps
        )

    def frame_bytes(self, size: tuple[int, int]) -> int:
        """Bytes of one packed frame of `size` pixels."""
        return sum(rows * row_bytes for rows, row_bytes in self.plane_shapes(size))


PIXEL_FORMATS: dict[str, PixelFormat] = {
    pixel_format.name: pixel_format
    for pixel_format in (
        PixelFormat("yuv420p", chroma_step=(2, 2)),
        PixelFormat("yuv422p", chroma_step=(2, 1)),
        PixelFormat("yuv444p"),
        PixelFormat("yuv420p10le", chroma_step=(2, 2), sample_bytes=2),
        PixelFormat("yuv422p10le", chroma_step=(2, 1), sample_bytes=2),
        PixelFormat("yuv444p10le", sample_bytes=2),
        PixelFormat("yuva420p", chroma_step=(2, 2), has_alpha=True),
        PixelFormat("gray", colour="gray"),
        PixelFormat("gbrp", colour="rgb"),
        PixelFormat("bgra", colour="rgb", sample_bytes=4, has_alpha=True, is_packed=True),
        PixelFormat("bgr0", colour="rgb", sample_bytes=4, is_packed=True),
        PixelFormat("rgba", colour="rgb", sample_bytes=4, has_alpha=True, is_packed=True),
        PixelFormat("argb", colour="rgb", sample_bytes=4, has_alpha=True, is_packed=True),
        PixelFormat("yuva444p10le", sample_bytes=2, has_alpha=True),
        PixelFormat("rgb24", colour="rgb", sample_bytes=3, is_packed=True),
    )
}
"""Every pixel format that rayanim can pack, by FFmpeg's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """What is in the file beside frames: paths of sound and .srt, and chapters.

    Each chapter has its begin in seconds, and its title; `end_s` is the video's end, and
    `audio_s` how long the sound is, as far as they are known before.
    """

    audio: str = ""
    audio_codec: str = ""
    audio_s: float | None = None
    subtitles: str = ""
    subtitle_codec: str = ""
    chapters: tuple[tuple[Fraction, str], ...] = ()
    end_s: Fraction | None = None


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """All settings of the converter and the encoder; picklable and comparable.

    `loop` is how often the video plays, 0 for ever. `palette` has the 256 colours of
    a GIF, each blue, green, red and alpha, in hexadecimal digits; it is empty until
    some frames have been drawn. `names` are those of the images in a folder, such as
    ``%04d.png``, or that of a playlist. `timing` is None where all frames last ``1 / rate``.
    `frame` is the number of the only one that an image shows. `segment_frames` is the most
    frames of a segment where that was chosen.

    `others` are the other outputs of the same run. Their frames are packed one behind the
    other, those of the same pixels once; behind them stands a byte for each image of one
    frame, 1 in its frame.
    """

    source_size: tuple[int, int]
    size: tuple[int, int]
    rate: Fraction
    container: str
    codec: str
    pixel_format: str
    options: tuple[tuple[str, str], ...] = ()
    bitrate_kbps: float | None = None
    odd_size: OddSize = "pad"
    background: tuple[int, int, int] = (255, 255, 255)
    loop: int = 0
    dither: str = ""
    colors: int = 0
    palette: str = ""
    names: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    timing: Timing | None = None
    tracks: Tracks = Tracks()
    frame: int | None = None
    segment_frames: int = 0
    others: tuple[StreamSpec, ...] = ()

    @property
    def is_ping_pong(self) -> bool:
        """Whether all frames follow once more, in reverse."""
        return self.timing is not None and self.timing.ping_pong

    def track_texts(self, n_frames: int) -> tuple[str, ...]:
        """The sound and the subtitles of a video of so many frames, if known, for people."""
        tracks, found = self.tracks, []
        if tracks.audio:
            text = f"{tracks.audio_codec.removeprefix('lib')} sound"
            if tracks.audio_s is not None and n_frames:
                missing_s = float(Clock(self.rate, self.timing).length_s(n_frames)) - tracks.audio_s
                # Files of sound are a few hundredths of a second longer than what was recorded.
                if abs(missing_s) > 0.1:
                    text += " padded with silence" if missing_s > 0 else " cut to the length"
            found.append(text)
        return (*found, "subtitles") if tracks.subtitles else tuple(found)

    @property
    def outputs(self) -> tuple[StreamSpec, ...]:
        """The specification of each output alone."""
        return (replace(self, others=()), *self.others)

    @property
    def places(self) -> tuple[slice, ...]:
        """Where in a packed frame each output has its pixels."""
        places: dict[object, slice] = {}
        found, end = [], 0
        for each in self.outputs:
            kind = each.size, each.pixel_format, each.odd_size, each.background
            if kind not in places:
                places[kind] = slice(end, end + each.frame_bytes)
                end = places[kind].stop
            found.append(places[kind])
        return tuple(found)

    @property
    def layout(self) -> PixelFormat:
        """The pixel format's layout in memory."""
        return PIXEL_FORMATS[self.pixel_format]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in the encoder's pixel format, packed without row padding."""
        if self.others:
            stills = sum(each.frame is not None for each in self.outputs)
            pixels: int = max(each.stop for each in self.places)
            return pixels + stills
        return self.layout.frame_bytes(self.size)

    @property
    def has_alpha(self) -> bool:
        """True if the video keeps transparency."""
        return self.layout.has_alpha


def with_others(main: StreamSpec, others: Sequence[StreamSpec], first: int) -> StreamSpec:
    """`main` with the other outputs of its run; images for which no frame is named get `first`.

    They take their pixels from where another output has them, if one does.
    """
    found = []
    for each in others:
        if each.container == STILL:
            frame = first if each.frame is None else each.frame
            is_there = any(
                (other.pixel_format, other.size) == ("bgra", each.size) for other in (main, *others)
            )
            is_taken = is_there and each.has_alpha
            each = replace(
                each, frame=frame, pixel_format="bgra" if is_taken else each.pixel_format
            )
        found.append(each)
    return replace(main, others=tuple(found))


def hardware_of(encoder: str) -> Hardware | None:
    """The kind of device whose encoder it is; None for software."""
    return next((each for each in HARDWARE if encoder in dict(each.encoders)), None)


def gop_frames(spec: StreamSpec) -> int:
    """Frames from one keyframe to the next, at most: how long a segment may be."""
    if spec.segment_frames:
        return spec.segment_frames
    # Those of each output end where these do.
    return KEYFRAME_DISTANCE if spec.others else int(dict(spec.options)["g"])


def segment_lengths(n_frames: int | None, longest: int = KEYFRAME_DISTANCE) -> Iterator[int]:
    """How many frames each segment has, without end where `n_frames` is None.

    As few segments as `longest` allows, whose lengths differ by one at most. Where those
    are shorter than usual, each of the usual ones is cut so: a run with several outputs
    then has segments that end where those of each output alone do.
    """
    if n_frames is None:
        while True:
            yield longest
    if longest < KEYFRAME_DISTANCE < n_frames:
        for length in segment_lengths(n_frames):
            yield from segment_lengths(length, longest)
        return
    count = -(-n_frames // longest)
    for index in range(count):
        yield (index + 1) * n_frames // count - index * n_frames // count


def playlist_files(name: str) -> tuple[str, str]:
    """What FFmpeg is to call the segments of a playlist, with their number, and their header.

    In the playlist these names are addresses, where other characters have a meaning. No video
    ends so, and the line keeps ``clip1.m3u8`` and ``clip11.m3u8`` apart.
    """
    stem = re.sub(r"[^\w.-]", "_", name.rpartition(".")[0])
    return f"{stem}_%d.m4s", f"{stem}_header.m4s"


def has_palette(suffix: str) -> bool:
    """Whether the frames of such a file share a palette, which is chosen from some of them."""
    return any(each.suffix == suffix.lower() and each.muxer == "gif" for each in CONTAINERS)


def without_effect(suffix: str) -> tuple[str, ...]:
    """Names of the settings that mean nothing to files of this suffix."""
    container = next((each for each in CONTAINERS if each.suffix == suffix.lower()), None)
    if container is None:
        return ()
    usual = next(each for each in CODECS if each.encoder == container.codecs[0])
    of_videos = ("codec", "crf", "preset", "bitrate", "pixel_format")
    return (
        *(of_videos if usual.crf_range is None else ()),
        *(() if container.loops else ("loop",)),
        *(() if container.muxer == "gif" else ("dither", "colors")),
        *(("hold", "durations") if container.has_one_rate else ()),
        *(() if container.audio_codec else ("audio",)),
        *(() if container.subtitle_codec else ("subtitles", "chapters")),
    )


SECONDS_PER_PIXEL = {
    "libx264": 10e-9,
    "libx265": 40e-9,
    "libvpx-vp9": 60e-9,
    "libsvtav1": 30e-9,
    "gif": 15e-9,
    "libwebp": 60e-9,
}
"""Processor time of plots at the preset ``medium``, or the codec's default."""

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
    """Roughly the seconds of processor time to encode a frame of `spec`."""
    if spec.others:
        return sum(expected_encode_s(each) for each in spec.outputs)
    width_px, height_px = spec.size
    per_pixel_s = SECONDS_PER_PIXEL.get(spec.codec, OTHER_SECONDS_PER_PIXEL)
    preset = dict(spec.options).get("preset", "medium")
    return width_px * height_px * per_pixel_s * PRESET_FACTORS.get(preset, 1.0)


def library_versions() -> dict[str, str]:
    """PyAV and FFmpeg's libraries with their versions, such as ``{"libavcodec": "62.28.102"}``."""
    import av

    found = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return {"av": av.__version__, **found}
