"""The stream specification: everything that decides a video's bytes except the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rayanim.settings import OddSize

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
    """One encoder of FFmpeg."""

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
    """One file format, by suffix."""

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
    # and 1.17 of the bytes. Without lookahead videos of moving lines take up to twice the
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


Colour = Literal["yuv", "gray", "rgb"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One pixel format."""

    name: str
    colour: Colour = "yuv"
    chroma_step: tuple[int, int] = (1, 1)
    sample_bytes: int = 1
    has_alpha: bool = False

    @property
    def is_full_range(self) -> bool:
        """True if black is 0 and white the highest sample (JPEG range)."""
        return self.colour != "yuv"

    @property
    def plane_steps(self) -> tuple[tuple[int, int], ...]:
        """Pixels per sample of each plane, horizontally and vertically."""
        full = (1, 1)
        if self.colour == "gray":
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
    )
}
"""Every pixel format that rayanim can pack, by FFmpeg's name."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What the converter and the encoder need to know; it pickles and compares."""

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

    @property
    def layout(self) -> PixelFormat:
        """How the pixel format lies in memory."""
        return PIXEL_FORMATS[self.pixel_format]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one encoded-format frame, packed without row padding."""
        return self.layout.frame_bytes(self.size)

    @property
    def has_alpha(self) -> bool:
        """True if the video keeps transparency."""
        return self.layout.has_alpha


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


def library_versions() -> dict[str, str]:
    """PyAV and FFmpeg's libraries with their versions, such as ``{"libavcodec": "62.28.102"}``."""
    import av

    found = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return {"av": av.__version__, **found}
