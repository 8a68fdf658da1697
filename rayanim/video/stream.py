"""Sets up FFmpeg's codecs and containers as a specification says."""

from __future__ import annotations

import io
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rayanim.video.ffmpeg_log import quiet_svt
from rayanim.video.packing import Bytes, unpack
from rayanim.video.spec import StreamSpec

# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix; matrix 0 is RGB.
_BT709 = 1
_RGB_MATRIX = 0
# FFmpeg's AVColorRange.
_LIMITED_RANGE = 1
_FULL_RANGE = 2
# FFmpeg's AV_CODEC_FLAG_GLOBAL_HEADER: the header stands once, beside the packets.
_GLOBAL_HEADER = 1 << 22

# Apple's players open H.265 only under this tag; FFmpeg's own choice is hev1.
_CODEC_TAGS = {("mp4", "libx265"): "hvc1", ("mov", "libx265"): "hvc1"}


def open_file(spec: StreamSpec, path: Path | None) -> tuple[OutputContainer, VideoStream]:
    """Open the encoder and the file, and write the file's head.

    Parameters
    ----------
    spec
        Everything that decides the file's bytes except the pixels.
    path
        An absolute path, because FFmpeg reads "a:b.mp4" as protocol and
        address; None writes to memory.
    """
    # bitexact: no dates and no random identifiers. FFmpeg opens the file once
    # more to put the index first, which nothing in memory allows.
    options = {"fflags": "+bitexact"}
    if spec.container in ("mp4", "mov"):
        # Else the film's length is rounded to a thousandth of a second.
        options["movie_timescale"] = str(spec.rate.numerator)
        if path is not None:
            options["movflags"] = "+faststart"
    file = io.BytesIO() if path is None else str(path)
    container = av.open(file, "w", format=spec.container, container_options=options)
    stream = _add_stream(container, spec)
    with quiet_svt(spec.codec):
        container.start_encoding()
    return container, stream


def open_codec(spec: StreamSpec) -> VideoCodecContext:
    """Open the encoder alone; its packets are those that `open_file` would write."""
    context = av.CodecContext.create(spec.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise ValueError(f"{spec.codec} encodes no video")
    context.options = dict(spec.options)
    context.framerate = spec.rate
    context.time_base = 1 / spec.rate
    # As for a stream in any of our containers.
    context.flags |= _GLOBAL_HEADER
    _configure(context, spec)
    with quiet_svt(spec.codec):
        context.open()
    return context


def try_to_open(spec: StreamSpec) -> None:
    """Open the encoder and a file in memory, and close both."""
    # Closed at once: PyAV 15 and 16 crash if an open file in memory is left to
    # the garbage collector.
    container, _stream = open_file(spec, None)
    container.close()


def frame_of(packed: Bytes, spec: StreamSpec, position: int) -> av.VideoFrame:
    """The packed frame as FFmpeg takes it, shown at `position` in units of a frame."""
    frame = unpack(packed, spec.layout, spec.size)
    frame.pts = position
    frame.duration = 1
    frame.time_base = 1 / spec.rate
    return frame


def _add_stream(container: OutputContainer, spec: StreamSpec) -> VideoStream:
    stream = container.add_stream(
        spec.codec, rate=spec.rate, options=dict(spec.options), time_base=1 / spec.rate
    )
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{spec.codec} encodes no video")
    _configure(stream.codec_context, spec)
    tag = _CODEC_TAGS.get((spec.container, spec.codec))
    if tag is not None:
        stream.codec_context.codec_tag = tag
    return stream


def _configure(context: VideoCodecContext, spec: StreamSpec) -> None:
    context.width, context.height = spec.size
    context.pix_fmt = spec.pixel_format
    context.bit_rate = round((spec.bitrate_kbps or 0) * 1000)
    # PyAV's default, slices, nearly doubles the size of x264's files of plots.
    context.thread_type = "FRAME"
    context.color_primaries = _BT709
    context.color_trc = _BT709
    context.colorspace = _RGB_MATRIX if spec.layout.colour == "rgb" else _BT709
    context.color_range = _FULL_RANGE if spec.layout.is_full_range else _LIMITED_RANGE
