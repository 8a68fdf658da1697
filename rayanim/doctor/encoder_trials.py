"""Tries which encoders work here: a listed one may still lack its device or driver."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

TRIAL_LIMIT_S = 60.0
"""All hardware encoders are tried in a second or two; a driver that hangs is given up then."""

HARDWARE = ("nvenc", "qsv", "vaapi", "amf", "videotoolbox", "v4l2m2m", "vulkan", "mf")
"""How FFmpeg's encoders that use a device end, after the codec's name and a ``_``."""

CODEC_NAMES = {"h264": "h264", "hevc": "h265", "vp9": "vp9", "av1": "av1"}
"""The usual names of codecs, by FFmpeg's."""

SIZE = (640, 480)
"""Width and height of the frame that is tried, in pixels; NVENC refuses less than 145x49."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of encoding one frame."""

    encoder: str
    codec: str
    is_hardware: bool
    failure: str | None


def try_software() -> tuple[Trial, ...]:
    """Try the encoders that rayanim uses, each with its default settings, in this process."""
    from rayanim.video.spec import CODECS

    return tuple(
        Trial(codec.encoder, codec.aliases[0], False, _software_failure(codec.encoder))
        for codec in CODECS
    )


def try_hardware(*, limit_s: float = TRIAL_LIMIT_S) -> tuple[Trial, ...]:
    """Try the encoders that use a device, in a process of their own: drivers crash and hang."""
    try:
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-m", __name__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        told = error.stdout or b""  # bytes on POSIX, whatever was asked for; text on Windows
        said = told.decode(errors="replace") if isinstance(told, bytes) else told
        return read_trials(said, f"it did not answer within {limit_s:g} s")
    return read_trials(run.stdout, f"its process ended with status {run.returncode}")


def read_trials(said: str, how_it_ended: str) -> tuple[Trial, ...]:
    """The trials of a process that may have ended in the middle of one."""
    trials: dict[str, Trial] = {}
    for line in said.splitlines():
        if line.startswith("{") and line.endswith("}"):
            found = json.loads(line)
            failure = found.get("failure", how_it_ended)
            trials[found["encoder"]] = Trial(found["encoder"], found["codec"], True, failure)
    return tuple(trials.values())


def main() -> None:
    """Try all hardware encoders, telling each on standard output before and after."""
    for encoder, codec in hardware_encoders():
        named = {"encoder": encoder, "codec": codec}
        print(json.dumps(named), flush=True)
        print(json.dumps({**named, "failure": _hardware_failure(encoder)}), flush=True)


def hardware_encoders() -> Iterator[tuple[str, str]]:
    """Names of the encoders that this build lists and what they encode, sorted."""
    import av

    for name in sorted(av.codecs_available):
        codec, _, device = name.partition("_")
        if codec in CODEC_NAMES and device in HARDWARE and _encodes(name):
            yield name, CODEC_NAMES[codec]


def _encodes(name: str) -> bool:
    import av

    try:
        av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:  # it only decodes
        return False
    return True


def _software_failure(encoder: str) -> str | None:
    from rayanim.errors import RayanimError
    from rayanim.settings import VideoSettings
    from rayanim.video.codecs import make_spec, probe

    try:
        probe(make_spec(".mkv", VideoSettings(codec=encoder), SIZE, Fraction(30)))
    except RayanimError as error:
        return error.message
    return None


def _hardware_failure(encoder: str) -> str | None:
    import av

    from rayanim.video.encode import reason_for

    try:
        _encode_one(encoder)
    except (av.FFmpegError, OSError, ValueError) as error:
        return reason_for(error, lambda: _encode_one(encoder))
    return None


def _encode_one(encoder: str) -> None:
    import av
    from av.video.codeccontext import VideoCodecContext

    context = av.CodecContext.create(encoder, "w")
    if not isinstance(context, VideoCodecContext):
        raise ValueError("it encodes no video")
    # Those whose device decides list none.
    formats = [each.name for each in context.codec.video_formats or ()] or ["nv12"]
    context.pix_fmt = next((name for name in ("nv12", "yuv420p") if name in formats), "")
    if not context.pix_fmt:
        raise ValueError(f"it takes no frames from memory, but {', '.join(formats)}")
    context.width, context.height = SIZE
    context.framerate, context.time_base = Fraction(30), Fraction(1, 30)
    frame = av.VideoFrame(*SIZE, context.pix_fmt)
    frame.pts = 0
    if not [*context.encode(frame), *context.encode(None)]:
        raise ValueError("it made no packet of a frame")


if __name__ == "__main__":
    main()
