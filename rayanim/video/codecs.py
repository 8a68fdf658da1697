"""Chooses a video's container, codec and options from the suffix and the settings."""

from __future__ import annotations

import logging
import operator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from rayanim.errors import EncodeError, OutputError, SettingsError
from rayanim.settings import OddSize, VideoSettings, number_text
from rayanim.video.formats import file_encoder
from rayanim.video.hardware import in_hardware
from rayanim.video.spec import (
    CODECS,
    CONTAINERS,
    ENCODER_THREADS,
    IMAGES,
    KEYFRAME_DISTANCE,
    OWN_PRESETS,
    PIXEL_FORMATS,
    PLAYLIST,
    PLAYLIST_SEGMENT_S,
    STILL,
    Codec,
    Container,
    PixelFormat,
    Preset,
    StreamSpec,
    Tracks,
    hardware_of,
)
from rayanim.video.timing import Clock, Timing
from rayanim.video.tracks import can_write_subtitles, check_audio, has_chapters, read_subtitles

_logger = logging.getLogger("rayanim")

DEFAULT_PIXEL_FORMAT = "yuv420p"
"""Every player supports it; 4:4:4 keeps thin coloured lines sharper, but browsers refuse it."""

GIF_FPS = 50
"""Browsers play faster GIFs at 10 frames per second."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What the suffix and the settings decide without the frame size."""

    container: Container
    codec: Codec
    pixel_format: PixelFormat


def check_target(
    suffix: str,
    settings: VideoSettings,
    rate: Fraction | None = None,
    *,
    is_beside: bool = False,
) -> None:
    """Check the suffix, the settings and the rate against this build of FFmpeg.

    One that `is_beside` a video may be an image of one frame.
    """
    target = _resolve(suffix, settings)
    if target.container.muxer == IMAGES and "%" not in suffix and not is_beside:
        raise OutputError(
            f"A video is many {suffix} images: name a folder and their numbers, such as "
            f"'frames/%04d{suffix}', or a video beside it. `rayanim still` draws one of them."
        )
    if rate is not None:
        _check_rate(rate, target.codec)


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """One kind of file that can be written here; `size` as in `Codec`."""

    suffix: str
    codec: str
    encoder: str
    keeps_alpha: bool
    loops: bool
    audio: str
    has_subtitles: bool
    size: float


def output_formats() -> list[OutputFormat]:
    """All kinds of files that this build of FFmpeg and Pillow can write."""
    return [
        OutputFormat(
            f"%d{container.suffix}" if container.muxer == IMAGES else container.suffix,
            codec.aliases[0],
            codec.encoder,
            any(PIXEL_FORMATS[name].has_alpha for name in _pixel_formats(container, codec)),
            container.loops,
            container.audio_codec.removeprefix("lib"),
            bool(container.subtitle_codec) and can_write_subtitles(),
            codec.size,
        )
        for container in CONTAINERS
        for encoder in container.codecs
        for codec in CODECS
        if codec.encoder == encoder and _is_installed(codec)
    ]


def make_spec(
    suffix: str,
    settings: VideoSettings,
    source_size: tuple[int, int],
    rate: Fraction,
    n_frames: int | None = None,
) -> StreamSpec:
    """The complete specification of a video; `n_frames` where it is known how many are drawn."""
    target = _resolve(suffix, settings)
    # What plays more slowly has fewer frames per second. Images have no clock, and are repeated.
    frame_s = 1 / (rate * (1 if settings.durations else min(Fraction(1), settings.speed)))
    rate = rate if target.container.muxer == IMAGES else 1 / frame_s
    drawn = _checked_size(source_size)
    odd_size, scaled = settings.odd_size, drawn
    if settings.width is not None:
        odd_size = "error" if odd_size == "error" else "scale"
        scaled = settings.width, max(1, round(drawn[1] * settings.width / drawn[0]))
    size = _encoded_size(scaled, target.pixel_format, odd_size)
    _check_limits(size, target.codec)
    _check_rate(rate, target.codec)
    _warn_of_slow_gif(rate, target.codec)
    if size != scaled:
        _logger.info(
            "%s needs an even width and height: %s becomes %s (odd_size=%r).",
            target.pixel_format.name,
            _times(scaled),
            _times(size),
            odd_size,
        )
    is_still = target.container.muxer == IMAGES and "%" not in suffix
    timing = None if is_still else _timing(settings, rate, frame_s)
    spec = StreamSpec(
        source_size=drawn,
        size=size,
        rate=rate,
        container=STILL if is_still else target.container.muxer,
        codec=target.codec.encoder,
        pixel_format=target.pixel_format.name,
        options=_options(target, settings, rate),
        bitrate_kbps=settings.bitrate,
        odd_size=odd_size,
        background=settings.background_rgb(),
        loop=settings.loop or 0,
        dither=(settings.dither or "none") if target.codec.encoder == "gif" else "",
        colors=settings.colors or 0,
        names=suffix if "%" in suffix or target.container.muxer == PLAYLIST else "",
        metadata=settings.metadata,
        timing=timing,
        tracks=_tracks(settings, target.container, Clock(rate, timing), n_frames),
        frame=settings.frame,
    )
    return in_hardware(spec, settings)


def _timing(settings: VideoSettings, rate: Fraction, frame_s: Fraction) -> Timing | None:
    """When frames are shown; None where all last ``1 / rate``."""
    holds = dict(settings.hold)
    pauses_s: dict[int, Fraction] = {}
    for at, hold_s in holds.items():
        position = None if isinstance(at, str) else settings.position_of(at)
        if position is not None:
            pauses_s[position] = pauses_s.get(position, Fraction(0)) + hold_s
    durations_s = tuple(
        each / settings.speed
        for number, each in enumerate(settings.durations)
        if settings.position_of(number) is not None
    )
    timing = Timing(
        frame_s=frame_s,
        durations_s=durations_s,
        pauses_s=tuple(sorted(pauses_s.items())),
        first_s=holds.get("first", Fraction(0)),
        last_s=holds.get("last", Fraction(0)),
        ping_pong=settings.ping_pong,
    )
    return None if timing == Timing(frame_s=1 / rate) else timing


def _tracks(
    settings: VideoSettings, container: Container, clock: Clock, n_frames: int | None
) -> Tracks:
    chapters = {}
    for number, title in settings.chapters or ():
        position = settings.position_of(number)
        if position is not None and (n_frames is None or position < n_frames):
            chapters[clock.at(position) * clock.tick] = title
    # A video that was made from an array has its sound in a file by now.
    audio = settings.audio if isinstance(settings.audio, str) else None
    return Tracks(
        audio=str(Path(audio).absolute()) if audio else "",
        audio_codec=container.audio_codec,
        audio_s=check_audio(audio) if audio else None,
        subtitles=str(Path(settings.subtitles).absolute()) if settings.subtitles else "",
        subtitle_codec=container.subtitle_codec,
        chapters=tuple(chapters.items()),
        end_s=None if n_frames is None else clock.length_s(n_frames),
    )


def probe(spec: StreamSpec) -> None:
    """Encode one frame in memory, so that FFmpeg refuses settings before any work starts."""
    try:
        encoder = file_encoder(spec, None)
    except EncodeError as error:
        raise SettingsError(error.message) from error
    try:
        # Of ones, also where an image of one frame has the sign that it is this one.
        encoder.encode(np.ones((1, spec.frame_bytes), dtype=np.uint8))
        encoder.finish()
    finally:
        encoder.abort()


def _resolve(suffix: str, settings: VideoSettings) -> _Target:
    container = _container(suffix)
    device = hardware_of(str(settings.codec).lower())
    name = settings.codec if device is None else dict(device.encoders)[str(settings.codec).lower()]
    codec = _codec(container, name)
    pixel_format = _pixel_format(container, codec, settings.pixel_format)
    _check_crf(codec, settings.crf)
    _check_preset(codec, settings.preset)
    _check_others(suffix, container, codec, settings)
    return _Target(container, codec, pixel_format)


def _container(suffix: str) -> Container:
    for container in CONTAINERS:
        if container.suffix == str(suffix).lower() or (
            container.muxer in (IMAGES, PLAYLIST) and suffix.lower().endswith(container.suffix)
        ):
            return container
    known = ", ".join(each.suffix for each in CONTAINERS if each.muxer != IMAGES)
    raise OutputError(
        f"{f'No video format has the suffix {suffix!r}' if suffix else 'That is a folder'}. "
        "Choose a file name that ends in one of "
        f"{known}; frames/%04d.png writes an image for each frame. rayanim --formats "
        "lists all."
    )


def _codec(container: Container, name: str | None) -> Codec:
    wanted = container.codecs[0] if name is None else str(name).lower()
    named = [codec for codec in CODECS if wanted in (codec.encoder, *codec.aliases)]
    allowed = [codec for codec in named if codec.encoder in container.codecs]
    if not allowed:
        reason = f"{container.suffix} files cannot contain" if named else "There is no"
        raise SettingsError(
            f"{reason} codec {name!r}. For {container.suffix} there are: {_codec_names(container)}."
        )
    for codec in allowed:
        if _is_installed(codec):
            return codec
    raise SettingsError(
        f"This build of FFmpeg (PyAV {av.__version__}) has no encoder {allowed[0].encoder!r}. "
        f"For {container.suffix} it has: {_codec_names(container)}."
    )


def _codec_names(container: Container) -> str:
    return ", ".join(
        f"{codec.aliases[0]} ({codec.encoder})"
        for codec in CODECS
        if codec.encoder in container.codecs and _is_installed(codec)
    )


def _is_installed(codec: Codec) -> bool:
    try:
        av.Codec(codec.encoder, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _pixel_format(container: Container, codec: Codec, name: str | None) -> PixelFormat:
    formats = _pixel_formats(container, codec)
    usual = formats[0] if codec.pixel_formats else DEFAULT_PIXEL_FORMAT
    wanted = usual if name is None else name
    if wanted not in formats:
        raise SettingsError(
            f"{codec.encoder} in {container.suffix} does not take the pixel format {wanted!r}. "
            f"It takes: {', '.join(formats)}."
        )
    return PIXEL_FORMATS[wanted]


def _pixel_formats(container: Container, codec: Codec) -> list[str]:
    """Names of the formats that rayanim, the encoder and the container all support."""
    own = {video_format.name for video_format in av.Codec(codec.encoder, "w").video_formats or ()}
    known = codec.pixel_formats or [name for name in PIXEL_FORMATS if name in own]
    return [
        name
        for name in known
        if (container.keeps_alpha and codec.keeps_alpha) or not PIXEL_FORMATS[name].has_alpha
    ]


def _check_crf(codec: Codec, crf: float | None) -> None:
    if crf is None:
        return
    if codec.crf_range is None:
        raise SettingsError(f"{codec.encoder} has no crf, got {number_text(crf)}. Leave it out.")
    low, high = codec.crf_range
    if not low <= crf <= high or (codec.crf_is_whole and crf != int(crf)):
        kind = "whole number" if codec.crf_is_whole else "number"
        raise SettingsError(
            f"crf of {codec.encoder} must be a {kind} from {low:g} to {high:g}, got "
            f"{number_text(crf)}."
        )


def _check_preset(codec: Codec, preset: str | None) -> None:
    if preset is not None and preset not in (*OWN_PRESETS, *codec.presets):
        raise SettingsError(
            f"{codec.encoder} has no preset {preset!r}. Its presets: {', '.join(codec.presets)}; "
            f"rayanim's own: {', '.join(OWN_PRESETS)}."
        )


def _check_others(suffix: str, container: Container, codec: Codec, settings: VideoSettings) -> None:
    """Refuse what the format has not."""
    if settings.bitrate is not None and codec.crf_range is None:
        raise SettingsError(f"{codec.encoder} has no bit rate, got {settings.bitrate!r}.")
    if settings.loop is not None and not container.loops:
        raise SettingsError(
            f"A {container.suffix} file does not say how often it plays: leave loop out, got "
            f"{settings.loop!r}."
        )
    for name in ("hold", "durations"):
        if getattr(settings, name) and container.has_one_rate:
            others = ", ".join(each.suffix for each in CONTAINERS if not each.has_one_rate)
            raise SettingsError(
                f"All frames of a {container.suffix} file last the same: leave {name} out, or "
                f"write one of {others}."
            )
    _check_tracks(container, settings)
    if settings.frame is not None and (container.muxer != IMAGES or "%" in suffix):
        raise SettingsError(
            f"frame goes with an image such as poster.png beside a video, got {settings.frame!r}."
        )
    for name in ("dither", "colors"):
        value = getattr(settings, name)
        if value is not None and codec.encoder != "gif":
            raise SettingsError(f"{name} goes with .gif alone, got {value!r}.")


def _check_tracks(container: Container, settings: VideoSettings) -> None:
    """Refuse what the container has not, and files that cannot be read."""
    needs = {"audio": "audio_codec", "subtitles": "subtitle_codec", "chapters": "subtitle_codec"}
    for name, codec in needs.items():
        if getattr(settings, name) and not getattr(container, codec):
            others = ", ".join(each.suffix for each in CONTAINERS if getattr(each, codec))
            raise SettingsError(
                f"A {container.suffix} file has no {name}: leave {name} out, or write one of "
                f"{others}."
            )
    can = {"subtitles": (can_write_subtitles(), 17), "chapters": (has_chapters(), 16)}
    for name, (is_possible, version) in can.items():
        if getattr(settings, name) and not is_possible:
            raise SettingsError(f"{name} need PyAV {version} or newer, this is {av.__version__}.")
    if isinstance(settings.audio, str):
        check_audio(settings.audio)
    if settings.subtitles:
        read_subtitles(settings.subtitles)


def _preset(codec: Codec, name: str | None) -> Preset:
    """rayanim's preset of that name, or the encoder's own with the default crf."""
    if name is None:
        return codec.balanced
    if name in OWN_PRESETS:
        preset: Preset = getattr(codec, name)
        return preset
    return Preset(name, codec.balanced.crf)


def _options(
    target: _Target, settings: VideoSettings, rate: Fraction
) -> tuple[tuple[str, str], ...]:
    codec = target.codec
    if codec.crf_range is None:
        return codec.options
    preset = _preset(codec, settings.preset)
    distance = KEYFRAME_DISTANCE
    if target.container.muxer == PLAYLIST:
        distance = min(distance, max(1, int(PLAYLIST_SEGMENT_S[1] * rate)))
    options = {
        "threads": str(ENCODER_THREADS),
        "g": str(distance),
        codec.preset_option: preset.name,
        **dict(codec.options),
        **dict(preset.options),
    }
    if settings.bitrate is None:
        options["crf"] = f"{preset.crf if settings.crf is None else settings.crf:g}"
    else:
        options |= dict(codec.bitrate_options)
    if target.pixel_format.has_alpha:
        # libvpx refuses alternate reference frames together with alpha.
        options["auto-alt-ref"] = "0"
    return tuple(options.items())


def _checked_size(source_size: Any) -> tuple[int, int]:
    try:
        width, height = (_side_px(side) for side in source_size)
    except (TypeError, ValueError):
        raise SettingsError(
            "The frame size must be a whole width and height of at least 1 px, "
            f"got {source_size!r}."
        ) from None
    return width, height


def _side_px(side: Any) -> int:
    if isinstance(side, bool) or operator.index(side) < 1:
        raise ValueError(side)
    return operator.index(side)


def _encoded_size(
    drawn: tuple[int, int], pixel_format: PixelFormat, odd_size: OddSize
) -> tuple[int, int]:
    """`drawn`, changed to a multiple of the pixels per chroma sample."""
    steps = pixel_format.chroma_step
    rest = tuple(side % step for side, step in zip(drawn, steps, strict=True))
    if not any(rest):
        return drawn
    if odd_size == "error":
        raise SettingsError(
            f"Frames of {_times(drawn)} px cannot be {pixel_format.name}: it needs an even "
            f"{'width and height' if steps[1] > 1 else 'width'}. Draw another size, or set "
            "odd_size to 'pad', 'crop' or 'scale'."
        )
    sign = -1 if odd_size == "crop" else 1
    width, height = (side + sign * over for side, over in zip(drawn, rest, strict=True))
    return width, height


def _check_limits(size: tuple[int, int], codec: Codec) -> None:
    low = (max(1, codec.min_side_px),) * 2
    if any(side < least for side, least in zip(size, low, strict=True)):
        raise SettingsError(
            f"{codec.encoder} encodes frames of at least {_times(low)} px, got {_times(size)} px."
        )
    if any(side > most for side, most in zip(size, codec.max_size, strict=True)):
        raise SettingsError(
            f"{codec.encoder} encodes frames up to {_times(codec.max_size)} px, "
            f"got {_times(size)} px. Reduce the dpi or the frame size."
        )


def _check_rate(rate: Fraction, codec: Codec) -> None:
    if codec.max_fps is not None and rate > codec.max_fps:
        raise SettingsError(
            f"{codec.encoder} encodes up to {codec.max_fps} fps, got {str(rate)!r}. "
            "Reduce the fps or choose another codec."
        )


def _warn_of_slow_gif(rate: Fraction, codec: Codec) -> None:
    if codec.encoder == "gif" and rate > GIF_FPS:
        _logger.warning(
            "A GIF of %s fps plays too slowly: browsers give at least 2/100 s to a frame, and "
            "10/100 s where it asks for less. Use fps=50 (--fps 50) or less.",
            rate,
        )


def _times(size: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in size)
