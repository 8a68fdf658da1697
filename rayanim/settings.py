"""Frozen settings: what the caller may choose, checked when it is made."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from dataclasses import InitVar, asdict, dataclass, fields
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard

from rayanim.errors import SettingsError

MAX_FPS = 1000
"""Above this a rate is taken for a mistake; FFmpeg's containers end near there too."""

OddSize = Literal["pad", "crop", "scale", "error"]
Engine = Literal["auto", "local", "ray"]
Transport = Literal["segments", "frames"]
OnHistory = Literal["error", "warn", "ignore"]


def parse_rate(fps: Any) -> Fraction:
    """Frame rate as an exact fraction, in frames per second.

    Parameters
    ----------
    fps
        An int, a float, a `fractions.Fraction`, or text as FFmpeg writes it:
        ``"30"``, ``"23.976"``, ``"30000/1001"``. A float means the decimal
        number that Python prints for it.

    Raises
    ------
    SettingsError
        If it is no number, not positive, not finite, or above `MAX_FPS`.
    """
    if isinstance(fps, bool) or fps is None:
        raise SettingsError(f"fps must be a number such as 30 or '30000/1001', got {fps!r}.")
    try:
        by_text = isinstance(fps, str) or (is_number(fps) and not isinstance(fps, Rational))
        rate = Fraction(str(fps)) if by_text else Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise SettingsError(
            f"fps must be a number such as 30 or '30000/1001', got {fps!r}."
        ) from None
    if rate <= 0:
        raise SettingsError(f"fps must be above 0, got {fps!r}.")
    if rate > MAX_FPS:
        raise SettingsError(f"fps must be at most {MAX_FPS}, got {fps!r}.")
    return rate.limit_denominator(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """How pixels become a film; what is None is chosen by the container and codec.

    Parameters
    ----------
    codec
        ``h264``, ``h265``, ``vp9``, ``av1``, or the name of an FFmpeg encoder.
    crf
        Constant rate factor of the codec; lower is better and larger.
    preset
        The encoder's own name for its trade of speed against size.
    bitrate_kbps
        Target bit rate in kilobits per second; excludes `crf`.
    pixel_format
        FFmpeg's name for the format of the encoded frames, ``yuv420p`` say.
    odd_size
        What happens to an odd width or height where the pixel format needs
        even ones: ``pad`` by one pixel in the edge's colour, ``crop`` one
        pixel, ``scale``, or ``error``.
    background
        The colour that shows through transparent pixels where the pixel format
        has no alpha: any colour that Pillow's ``ImageColor`` knows.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    bitrate_kbps: float | None = None
    pixel_format: str | None = None
    odd_size: OddSize = "pad"
    background: str = "white"

    def __post_init__(self) -> None:
        _finite("crf", self.crf, low=0, high=63)
        _finite("bitrate", self.bitrate_kbps, low=1, high=10_000_000)
        if self.crf is not None and self.bitrate_kbps is not None:
            raise SettingsError(
                f"crf={self.crf!r} and bitrate={self.bitrate_kbps!r} exclude each other: "
                "the first asks for a quality, the second for a size. Give one of them."
            )
        if self.odd_size not in ("pad", "crop", "scale", "error"):
            raise SettingsError(
                f"odd_size must be 'pad', 'crop', 'scale' or 'error', got {self.odd_size!r}."
            )
        self.background_rgb()

    def background_rgb(self) -> tuple[int, int, int]:
        """The background colour as red, green and blue in 0 to 255."""
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(self.background)[:3]
            return red, green, blue
        except (ValueError, AttributeError, TypeError):
            raise SettingsError(
                f"background must be a colour such as 'white' or '#202020', "
                f"got {self.background!r}."
            ) from None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a real number, Python's or NumPy's, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _finite(name: str, value: Any, *, low: float, high: float) -> None:
    if value is None:
        return
    if not is_number(value) or not math.isfinite(value):
        raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}.")
    if not low <= value <= high:
        raise SettingsError(f"{name} must be from {low:g} to {high:g}, got {value!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceSettings:
    """What tunes itself during a run, and can be pinned or handed to the next run.

    A run returns the settings that it found (``report.settings``); given to
    the next run they are its starting point. Names that pympanim's users know
    are kept where they mean the same; those that have nothing to tune here are
    taken and named in a warning.

    Parameters
    ----------
    num_workers
        Render actors to start with; None starts with what the first frames
        suggest.
    min_workers, max_workers
        Bounds for the number of render actors. ``min == max`` pins it. None
        for the upper one means cores and free memory.
    frame_batch_amount
        Frames per segment; None chooses: for closed segments by the film's
        number of frames alone, for raw frames by the cost and size of one.
    worker_queue_size
        Segments that one actor holds, the one it draws included.
    in_flight_bytes
        Bytes of pixels that may exist between the actors and the encoder.
    window_size
        Seconds over which rates are averaged.
    perf_delay
        Seconds that must pass after a change of the number of actors before
        the next one.
    draw_ms, encode_ms
        Milliseconds that a frame cost to draw and convert, and to encode, in
        the run that found these settings. None measures it.
    """

    num_workers: int | None = None
    min_workers: int = 1
    max_workers: int | None = None
    frame_batch_amount: int | None = None
    worker_queue_size: int = 2
    in_flight_bytes: int = 256 * 2**20
    window_size: float = 5.0
    perf_delay: float = 2.0
    draw_ms: float | None = None
    encode_ms: float | None = None

    # pympanim's other names. They tune machinery that does not exist here.
    frames_per_sync: InitVar[Any] = None
    work_per_dispatch: InitVar[Any] = None
    spawn_worker_threshold_low: InitVar[Any] = None
    spawn_worker_threshold_high: InitVar[Any] = None
    kill_worker_threshold_low: InitVar[Any] = None
    kill_worker_threshold_high: InitVar[Any] = None
    ooo_balance: InitVar[Any] = None
    ooo_cap: InitVar[Any] = None
    ooo_error: InitVar[Any] = None
    min_frames_per_sync: InitVar[Any] = None
    max_frames_per_sync: InitVar[Any] = None
    frame_batch_min_improvement: InitVar[Any] = None
    frame_batch_max_badness: InitVar[Any] = None
    frame_batch_dyn_min_decay_time: InitVar[Any] = None
    frame_batch_dyn_max_decay_time: InitVar[Any] = None
    frame_batch_min: InitVar[Any] = None
    frame_batch_max: InitVar[Any] = None
    max_frames_in_recieve_queue: InitVar[Any] = None
    unclogging_per_second_threshold_low: InitVar[Any] = None
    unclogging_per_second_threshold_high: InitVar[Any] = None

    def __post_init__(self, *without_meaning: Any) -> None:
        given = [
            name
            for name, value in zip(NAMES_WITHOUT_MEANING, without_meaning, strict=True)
            if value is not None
        ]
        if given:
            warnings.warn(
                f"{', '.join(given)}: nothing to tune by that name in rayanim; ignored.",
                stacklevel=3,
            )
        for name in ("min_workers", "worker_queue_size", "in_flight_bytes"):
            _positive_int(name, getattr(self, name))
        for name in ("num_workers", "max_workers", "frame_batch_amount"):
            if getattr(self, name) is not None:
                _positive_int(name, getattr(self, name))
        for name in ("window_size", "perf_delay"):
            _finite(name, getattr(self, name), low=0.01, high=86_400)
        for name in ("draw_ms", "encode_ms"):
            _finite(name, getattr(self, name), low=0, high=1e9)
        if self.max_workers is not None and self.min_workers > self.max_workers:
            raise SettingsError(
                f"min_workers={self.min_workers} is above max_workers={self.max_workers}."
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; names that are not known raise `SettingsError`."""
        known = {field.name for field in fields(cls)} | set(NAMES_WITHOUT_MEANING)
        unknown = sorted(set(values) - known)
        if unknown:
            raise SettingsError(f"No performance setting is called {', '.join(unknown)}.")
        return cls(**values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the settings to `path` as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read settings that `save` wrote.

        Raises
        ------
        SettingsError
            If the file holds no JSON object of performance settings.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise SettingsError(f"{os.fspath(path)!r} holds no JSON: {error}.") from None
        if not isinstance(values, dict):
            raise SettingsError(f"{os.fspath(path)!r} holds no JSON object of settings.")
        return cls.from_dict(values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed."""
        return type(self).from_dict({**self.to_dict(), **changes})


NAMES_WITHOUT_MEANING = tuple(
    name
    for name, annotation in PerformanceSettings.__annotations__.items()
    if str(annotation).startswith("InitVar")
)
"""Names of pympanim's performance settings that are taken and ignored."""


def _positive_int(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}.")


def parse_workers(workers: int | str, *, cores: int) -> int:
    """The most render actors that `workers` allows on a machine of `cores` cores.

    Parameters
    ----------
    workers
        ``"auto"`` and ``-1`` mean all cores, ``-2`` all but one and so on, a
        percentage such as ``"50%"`` that share of the cores, a positive number
        itself, above the number of cores too.
    cores
        The cores that this process may use.

    Raises
    ------
    SettingsError
        For 0, and for what is no number, percentage or ``"auto"``.
    """
    if workers == "auto":
        return cores
    percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(workers))
    if percent and 0 < float(percent[1]) <= 1000:
        return max(1, round(cores * float(percent[1]) / 100))
    try:
        count = None if isinstance(workers, (bool, float)) else int(workers)
    except (ValueError, TypeError):
        count = None
    if count is None or count == 0:
        raise SettingsError(
            f"workers must be 'auto', a number such as 4, a percentage such as '50%', "
            f"or -1 for all cores, -2 for all but one; got {workers!r}. "
            "Use 1 to draw in this process."
        )
    return count if count > 0 else max(1, cores + 1 + count)
