"""Settings: what the caller may choose, checked when it is made."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import warnings
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard

from rayanim.errors import SettingsError

MAX_FPS = 1000
"""Above this a rate is taken for a mistake; FFmpeg's containers end near there too."""

MIN_FPS = Fraction(1, 1000)
"""Below this a rate is taken for a mistake: one frame would last longer than 1,000 seconds."""

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
        If it is no number, not positive, not finite, or outside `MIN_FPS` to
        `MAX_FPS`.
    """
    fps = plain(fps)
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
    if rate < MIN_FPS:
        raise SettingsError(f"fps must be at least {float(MIN_FPS)}, got {fps!r}.")
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


def plain(value: Any) -> Any:
    """`value`, as a number or truth value of Python's own where it is one of NumPy's."""
    is_scalar = hasattr(value, "dtype") and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


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


@dataclass(repr=False)
class PerformanceSettings:
    """What tunes itself during a run, and can be pinned or handed to the next run.

    A run returns the settings that it found (``report.settings``); given to
    the next run they are its starting point. A run works on a copy: it never
    changes the object that it is given.

    The names of pympanim are taken, also by position, in its order. Those that
    are not listed here keep their value and have no effect, which a warning
    says. Attributes may be assigned; each value is checked when it is.

    Parameters
    ----------
    num_workers
        Render actors to start with; None starts with what the first frames
        suggest.
    frame_batch_amount
        Frames per segment; None chooses: for closed segments by the video's
        number of frames alone, for raw frames by the cost and size of one.
    window_size
        Seconds over which rates are averaged.
    perf_delay
        Seconds that must pass after a change of the number of actors before
        the next one; 0 or more.
    min_workers, max_workers
        Bounds for the number of render actors. ``min == max`` pins it. None
        for the upper one means cores and free memory.
    worker_queue_size
        Segments that one actor holds, the one it draws included.
    in_flight_bytes
        Bytes of pixels that may exist between the actors and the encoder.
    draw_ms, encode_ms
        Milliseconds that a frame cost to draw and convert, and to encode, in
        the run that found these settings. None measures it.

    Raises
    ------
    SettingsError
        If a value makes no sense.

    Examples
    --------
    >>> settings = PerformanceSettings(num_workers=2)
    >>> settings.max_workers = 4
    >>> vars(settings)["max_workers"]
    4
    """

    # In pympanim's order, which scripts pass by position. Those with `Any` have no effect.
    frames_per_sync: Any = None
    num_workers: int | None = None
    frame_batch_amount: int | None = None
    window_size: float = 5.0
    perf_delay: float = 2.0
    max_workers: int | None = None
    worker_queue_size: int = 2
    work_per_dispatch: Any = None
    spawn_worker_threshold_low: Any = None
    spawn_worker_threshold_high: Any = None
    kill_worker_threshold_low: Any = None
    kill_worker_threshold_high: Any = None
    ooo_balance: Any = None
    ooo_cap: Any = None
    ooo_error: Any = None
    min_frames_per_sync: Any = None
    max_frames_per_sync: Any = None
    frame_batch_min_improvement: Any = None
    frame_batch_max_badness: Any = None
    frame_batch_dyn_min_decay_time: Any = None
    frame_batch_dyn_max_decay_time: Any = None
    frame_batch_min: Any = None
    frame_batch_max: Any = None
    max_frames_in_recieve_queue: Any = None
    unclogging_per_second_threshold_low: Any = None
    unclogging_per_second_threshold_high: Any = None

    min_workers: int = field(default=1, kw_only=True)
    in_flight_bytes: int = field(default=256 * 2**20, kw_only=True)
    draw_ms: float | None = field(default=None, kw_only=True)
    encode_ms: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        given = [name for name in NAMES_WITHOUT_MEANING if getattr(self, name) is not None]
        if given:
            warnings.warn(
                f"{', '.join(given)}: nothing to tune by that name in rayanim; ignored.",
                stacklevel=3,
            )
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__:
            raise AttributeError(f"No performance setting is called {name}.")
        object.__setattr__(self, name, _checked(name, plain(value)))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({given})"

    def check(self) -> None:
        """Raise `SettingsError` where settings do not go together."""
        if self.max_workers is not None and self.min_workers > self.max_workers:
            raise SettingsError(
                f"min_workers={self.min_workers} is above max_workers={self.max_workers}."
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold."""
        values = asdict(self)
        return {
            name: value
            for name, value in values.items()
            if value is not None or name not in NAMES_WITHOUT_MEANING
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; names that are not known raise `SettingsError`."""
        unknown = sorted(set(values) - {each.name for each in fields(cls)})
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
        copied = copy.copy(self)
        for name, value in changes.items():
            setattr(copied, name, value)
        copied.check()
        return copied


NAMES_WITHOUT_MEANING = tuple(
    each.name for each in fields(PerformanceSettings) if each.type == "Any"
)
"""Names of pympanim's performance settings that have no effect here."""

_COUNTS = ("min_workers", "worker_queue_size", "in_flight_bytes")
_COUNTS_OR_NONE = ("num_workers", "max_workers", "frame_batch_amount")
_BOUNDS: dict[str, tuple[float, float]] = {
    "window_size": (0.01, 86_400),
    "perf_delay": (0, 86_400),
    "draw_ms": (0, 1e9),
    "encode_ms": (0, 1e9),
}


def _checked(name: str, value: Any) -> Any:
    """The performance setting `name`, or `SettingsError` where its value makes no sense."""
    if name in _COUNTS or (name in _COUNTS_OR_NONE and value is not None):
        _positive_int(name, value)
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        if value is None and not name.endswith("_ms"):
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, got None.")
        _finite(name, value, low=low, high=high)
    return value


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
    workers = plain(workers)
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
