"""Sound, subtitles and chapters: written beside the frames while the file is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer

from rayanim.errors import EncodeError, SettingsError
from rayanim.settings import Samples
from rayanim.video.spec import StreamSpec

Packets: TypeAlias = "Iterator[av.Packet[Any]]"


class TrackWriter(Protocol):
    """Gives the packets of one track as the video goes on."""

    def until(self, time_s: Fraction) -> Packets:
        """What belongs before this time, and was not given yet."""

    def finish(self, end_s: Fraction) -> Packets:
        """All up to the video's end."""


def open_tracks(container: OutputContainer, spec: StreamSpec) -> list[TrackWriter]:
    """Add the streams to a container of which no header is written yet."""
    tracks, writers = spec.tracks, list[TrackWriter]()
    if tracks.audio:
        writers.append(AudioWriter(container, tracks.audio, tracks.audio_codec))
    if tracks.subtitles:
        cues = read_subtitles(tracks.subtitles)
        writers.append(SubtitleWriter(container, cues, tracks.subtitle_codec, tracks.end_s))
    if tracks.chapters:
        begins_s = [begin_s for begin_s, _ in tracks.chapters]
        ends_s = [*begins_s[1:], max(tracks.end_s or 0, begins_s[-1])]
        chapters: Any = [
            {
                "id": number,
                "start": round(begin_s / _MS),
                "end": round(end_s / _MS),
                "time_base": _MS,
                "metadata": {"title": title},
            }
            for number, ((begin_s, title), end_s) in enumerate(
                zip(tracks.chapters, ends_s, strict=True)
            )
        ]
        container.set_chapters(chapters)
    return writers


def has_chapters() -> bool:
    """Whether this PyAV writes chapters."""
    return hasattr(OutputContainer, "set_chapters")


_MS = Fraction(1, 1000)

OPUS_RATE = 48_000
"""Samples per second of Opus, and of what AAC cannot have."""

CHANNEL_BITS = 96_000
"""Bits per second of each channel; transparent for AAC and Opus."""

STEP_S = Fraction(1)
"""Sound is encoded in steps of this length; containers keep ten seconds to sort packets."""


def packet_of(data: bytes) -> av.Packet[Any]:
    """A packet with a copy of `data`.

    PyAV 17.0 has a packet refer to bytes that may be gone when the container, which
    sorts the packets of several streams, writes it.
    """
    packet: av.Packet[Any] = av.Packet(len(data))
    packet.update(data)
    return packet


class AudioWriter:
    """Encodes a file's sound, cut or padded with silence to the video's length."""

    def __init__(self, container: OutputContainer, path: str, codec: str) -> None:
        self._path = path
        self._input = av.open(path, metadata_errors="ignore")
        self._source: Any = self._input.streams.audio[0]
        rates = av.Codec(codec, "w").audio_rates
        is_known = codec != "libopus" and rates is not None and self._source.rate in rates
        self._rate = self._source.rate if is_known else OPUS_RATE
        self._layout = "mono" if self._source.channels == 1 else "stereo"
        stream: Any = container.add_stream(codec, rate=self._rate)
        self._stream = stream
        self._stream.layout = self._layout
        self._stream.bit_rate = CHANNEL_BITS * (1 if self._layout == "mono" else 2)
        self._blocks = self._decoded()
        self._rest: npt.NDArray[Any] = np.empty((1, 0), np.float32)
        self._is_over = False
        self._samples = 0

    def until(self, time_s: Fraction) -> Packets:
        if time_s - Fraction(self._samples, self._rate) >= STEP_S:
            yield from self._encoded(int(time_s * self._rate))

    def finish(self, end_s: Fraction) -> Packets:
        yield from self._encoded(round(end_s * self._rate))
        yield from self._stream.encode(None)
        self._input.close()

    def _encoded(self, stop: int) -> Packets:
        while self._samples < stop:
            samples = self._next(stop - self._samples)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
            frame.sample_rate = self._rate
            frame.time_base = Fraction(1, self._rate)
            frame.pts = self._samples
            self._samples += samples.shape[1]
            yield from self._stream.encode(frame)

    def _next(self, most: int) -> npt.NDArray[Any]:
        """The next samples, (channels, n) float32, or silence."""
        if not self._rest.shape[1] and not self._is_over:
            block = next(self._blocks, None)
            self._is_over = block is None
            self._rest = self._rest if block is None else block
        if self._is_over:
            channels = 1 if self._layout == "mono" else 2
            return np.zeros((channels, min(most, self._rate)), np.float32)
        samples, self._rest = self._rest[:, :most], self._rest[:, most:]
        return np.ascontiguousarray(samples)

    def _decoded(self) -> Iterator[npt.NDArray[Any]]:
        resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        try:
            for frame in self._input.decode(self._source):
                frame.pts = None
                for resampled in resampler.resample(frame):
                    yield resampled.to_ndarray()
            for resampled in resampler.resample(None):
                yield resampled.to_ndarray()
        except av.FFmpegError as error:
            raise EncodeError(
                f"The sound in {self._path!r} cannot be read: {error.strerror}."
            ) from error


def check_audio(path: str) -> float | None:
    """How many seconds of sound there are, None where the file does not say; an error without."""
    try:
        with av.open(path, metadata_errors="ignore") as container:
            if container.streams.audio:
                stream = container.streams.audio[0]
                if stream.duration is not None and stream.time_base is not None:
                    return float(stream.duration * stream.time_base)
                return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError) as error:
        raise SettingsError(f"audio {path!r} cannot be read: {error.strerror}.") from error
    raise SettingsError(f"audio {path!r} has no sound in it.")


def write_wav(samples: Samples, path: Path) -> None:
    """Write sound as a .wav file of 16 bits."""
    rows = samples.rows()
    import wave  # here: scripts are often called wave.py, and lie on the path before it

    with wave.open(str(path), "wb") as file:
        file.setnchannels(rows.shape[1])
        file.setsampwidth(2)
        file.setframerate(samples.rate)
        for begin in range(0, len(rows), samples.rate):
            block = rows[begin : begin + samples.rate]
            if block.dtype != np.int16:
                block = np.rint(np.clip(np.nan_to_num(block), -1, 1) * 32767)
            file.writeframes(block.astype("<i2").tobytes())


class Cue(NamedTuple):
    """A text and when it is shown, in milliseconds."""

    begin_ms: int
    end_ms: int
    text: str


def read_subtitles(path: str) -> list[Cue]:
    """The subtitles in an .srt file."""
    try:
        with av.open(path, format="srt") as container:
            found = [
                Cue(packet.pts, packet.pts + (packet.duration or 0), bytes(packet).decode())
                for packet in container.demux(container.streams[0])
                if packet.pts is not None
            ]
        data = Path(path).read_bytes()
        is_utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        lines = data.decode("utf-16" if is_utf_16 else "utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise SettingsError(
            f"The text in subtitles {path!r} is not encoded in UTF-8: save the file again, with "
            "the encoding UTF-8."
        ) from None
    except (av.FFmpegError, OSError) as error:
        raise SettingsError(f"subtitles {path!r} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, 1):
        times = _TIMES.match(line)
        if times is None:
            continue
        begin, end = (tuple(map(int, each)) for each in (times.groups()[:4], times.groups()[4:]))
        if end < begin:
            raise SettingsError(
                f"subtitles {path!r}, line {number}: a text ends before it starts, got "
                f"{line.strip()!r}."
            )
    if not found:
        read = ((at, line.strip()) for at, line in enumerate(lines, 1))
        unread = (
            f"line {at} is {line!r:.80}" for at, line in read if line and not line.isdecimal()
        )
        raise SettingsError(
            f"subtitles {path!r}: there is no line such as {_TIMES_EXAMPLE}, which stands before "
            f"each text of an .srt file; {next(unread, 'the file is empty')}."
        )
    return sorted(found)


_TIME = r"\s*(\d+):(\d+):(\d+)[,.](\d+)\s*"
_TIMES = re.compile(f"{_TIME}-->{_TIME}")
_TIMES_EXAMPLE = "00:00:01,000 --> 00:00:02,500"


def late_subtitles(path: str, video_s: float) -> str | None:
    """What is to be said of those that a video of that length does not show."""
    cues = read_subtitles(path)
    late = sum(each.begin_ms >= 1000 * video_s for each in cues)
    return f"{late} of {len(cues)} subtitles lie after the end of the video." if late else None


def can_write_subtitles() -> bool:
    """Whether this PyAV writes text tracks."""
    return hasattr(OutputContainer, "add_mux_stream")


# FFmpeg's encoder of QuickTime's text takes the style of its text from this.
_STYLE = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1
"""

_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")


class SubtitleWriter:
    """Gives subtitles as packets of a text track."""

    def __init__(
        self, container: OutputContainer, cues: list[Cue], codec: str, end_s: Fraction | None
    ) -> None:
        self._cues = cues[::-1]
        self._is_mov_text = codec == "mov_text"
        self._end_ms = None if end_s is None else round(end_s / _MS)
        self._stream: Any
        if self._is_mov_text:
            self._stream = container.add_stream(codec)
            self._stream.codec_context.subtitle_header = _STYLE
        else:
            self._stream = container.add_mux_stream(codec)

    def until(self, time_s: Fraction) -> Packets:
        time_ms = time_s / _MS
        while self._cues and self._cues[-1].begin_ms <= time_ms:
            yield self._packet(self._cues.pop())

    def finish(self, end_s: Fraction) -> Packets:
        self._end_ms = round(end_s / _MS)
        while self._cues and self._cues[-1].begin_ms < self._end_ms:
            yield self._packet(self._cues.pop())

    def _packet(self, cue: Cue) -> av.Packet[Any]:
        data = cue.text.encode()
        if self._is_mov_text:  # ISO/IEC 14496-17: its length in two bytes, and no tags
            data = _TAG.sub("", cue.text).encode()
            data = len(data).to_bytes(2, "big") + data
        packet = packet_of(data)
        packet.stream = self._stream
        packet.time_base = _MS
        packet.pts = packet.dts = cue.begin_ms
        end_ms = cue.end_ms if self._end_ms is None else min(cue.end_ms, self._end_ms)
        packet.duration = max(1, end_ms - cue.begin_ms)
        return packet
