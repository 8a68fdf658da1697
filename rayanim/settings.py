"""Every setting of a video, checked when it is made.

`RenderSettings` holds all that `rayanim.produce` and the command take besides
what is rendered. It is made once, is frozen, and goes as a whole to what
needs one of its values; to render actors without `_OF_CALLING_PROCESS`. A new setting is declared
there, with its check, named in the signature of `produce` and, where the
command is to have it, in `rayanim.cli.options`; and it is read where it acts.
"""

from __future__ import annotations

import copy
import json
import math
import operator
import os
import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import pairwise
from logging import Logger, getLogger
from numbers import Rational, Real
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard, get_args

from rayanim.errors import SettingsError

_logger = getLogger("rayanim")

DEFAULT_FPS = 30
"""The rate of videos for which none is given."""

MAX_FPS = 1000
"""Above this a rate is taken for a mistake; FFmpeg's containers end near there too."""

MIN_FPS = Fraction(1, 1000)
"""Below this a rate is taken for a mistake: one frame would last longer than 1,000 seconds."""

OddSize = Literal["pad", "crop", "scale", "error"]
Dither = Literal["none", "bayer", "floyd_steinberg", "sierra2", "sierra2_4a", "burkes", "atkinson"]
Drawing = Literal["auto", "full"]
Engine = Literal["auto", "local", "ray"]
Transport = Literal["segments", "frames"]

Check = Callable[[str, Any], Any]
"""Takes a setting's name and the value given; returns the value to keep, or raises."""


def plain(value: Any) -> Any:
    """`value`, as a number or truth value of Python's own where it is one of NumPy's."""
    is_scalar = hasattr(value, "dtype") and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a real number, Python's or NumPy's, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number, and no truth value."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def must_be(
    allowed: str, is_right: Callable[[Any], bool], kept: Callable[[Any], Any] | None = None
) -> Check:
    """A check for values that are right, which are `allowed` in words.

    What is kept of a value is what `kept` makes of it.
    """

    def check(name: str, value: Any) -> Any:
        if not is_right(value):
            raise SettingsError(f"{name} must be {allowed}, got {value!r:.80}.")
        return value if kept is None else kept(value)

    return check


def or_none(check: Check) -> Check:
    """`check`, with None allowed too."""
    return lambda name, value: None if value is None else check(name, value)


def number_between(low: float, high: float) -> Check:
    """A check for a number from `low` to `high`."""
    return must_be(
        f"a number from {low:g} to {high:g}",
        lambda value: is_number(value) and low <= value <= high,
    )


def one_of(*texts: str) -> Check:
    """A check for one of these texts."""
    *others, last = map(repr, texts)
    allowed = f"{', '.join(others)} or {last}" if others else last
    return must_be(allowed, lambda value: value in texts)


def is_positive(value: Any) -> bool:
    """Whether `value` is a finite number above 0."""
    return is_number(value) and math.isfinite(value) and value > 0


def whole_number(allowed: str, low: float, high: float = math.inf) -> Check:
    """A check for a whole number from `low` to `high`, which is `allowed` in words."""
    return must_be(allowed, lambda value: is_whole(value) and low <= value <= high, operator.index)


count = whole_number("a whole number of at least 1", 1)
"""The check for a count of at least 1."""

truth = must_be("True or False", lambda value: isinstance(value, int) and value in (0, 1), bool)
"""The check for a truth value; 0 and 1 are such, too."""

_text = must_be("text", lambda value: isinstance(value, str))
_positive = must_be("a number above 0", is_positive)


def _truth_or_none(name: str, value: Any) -> Any:
    return truth(name, value or False)


def _crf(name: str, value: Any) -> Any:
    """The check for a quality that some codec has; which one it is for, the output's name says."""
    if value is not None and (not is_number(value) or not 0 <= value <= 63):
        raise SettingsError(
            f"{name} must be a number from 0 to 51 (H.264, H.265) or a whole number from 0 to 63 "
            f"(VP9, AV1), got {number_text(value)}."
        )
    return value


def number_text(value: Any) -> str:
    """As a user writes it: a whole number without ``.0``."""
    return f"{value:g}" if is_number(value) else repr(value)


def setting(default: Any, check: Check | None = None) -> Any:
    """A field of one of the frozen classes below, with its check."""
    metadata = {} if check is None else {"check": check}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def check_fields(settings: Any) -> None:
    """Put what its check makes of each value in the value's place; NumPy's become Python's."""
    for each in fields(settings):
        value = plain(getattr(settings, each.name))
        check = each.metadata.get("check")
        object.__setattr__(settings, each.name, check(each.name, value) if check else value)


def parse_rate(fps: Any) -> Fraction:
    """Frame rate as an exact fraction, of a number, or of text such as ``"30000/1001"``.

    A float means the decimal number that Python prints for it.
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


@dataclass(frozen=True, slots=True)
class Workers:
    """The most render actors: a number, or a share of the cores without those spared.

    `is_auto`: the caller left the number open.
    """

    count: int | None = None
    percent: float = 100.0
    spared: int = 0
    is_auto: bool = False

    @classmethod
    def parse(cls, workers: Any) -> Workers:
        """Read ``"auto"``, a number, a percentage, ``-1`` for all cores, ``-2`` for all but one."""
        workers = plain(workers)
        if isinstance(workers, Workers):
            return workers
        if workers == "auto":
            return cls(is_auto=True)
        percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(workers))
        if percent and 0 < float(percent[1]) <= 1000:
            return cls(percent=float(percent[1]))
        try:
            count = 0 if isinstance(workers, bool | float) else int(workers)
        except (ValueError, TypeError):
            count = 0
        if count == 0:
            raise SettingsError(
                "workers must be 'auto', a number such as 4, a percentage such as '50%', "
                f"or -1 for all cores, -2 for all but one; got {workers!r}. "
                "Use 1 to draw in this process."
            )
        if count == -1:
            return cls(is_auto=True)
        return cls(count=count) if count > 0 else cls(spared=-count - 1)

    def most(self, cores: int) -> int:
        """The most render actors where there are so many cores; a number may exceed them."""
        if self.count is not None:
            return self.count
        return max(1, round(cores * self.percent / 100) - self.spared)


_PART = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*(?:x\s*(\d+)\s*)?)?")


@dataclass(frozen=True, slots=True)
class Selection:
    """Numbers of frames, ascending, in ranges that do not overlap; `text` is as it was written."""

    ranges: tuple[range, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read numbers and inclusive ranges, separated by commas, a step after ``x``."""
        parts = tuple(_parse_part(part, text) for part in str(text).split(","))
        for before, after in pairwise(parts):
            if after[0] <= before[-1]:
                raise SettingsError(
                    f"frames {text!r}: {after[0]} comes after {before[-1]}. "
                    "List frames in ascending order, each once."
                )
        return cls(parts, str(text))

    @property
    def last(self) -> int:
        """The highest number."""
        return self.ranges[-1][-1]

    def count_below(self, number: int) -> int:
        """How many of the numbers are lower than `number`."""
        return sum(
            len(range(each.start, min(each.stop, number), each.step)) for each in self.ranges
        )

    def __contains__(self, number: object) -> bool:
        return any(number in each for each in self.ranges)

    def within(self, n_frames: int) -> Sequence[int]:
        """The numbers, checked against a video of `n_frames` frames."""
        if self.last >= n_frames:
            raise SettingsError(
                f"There is no frame {self.last}: the video has frames 0 to {n_frames - 1}."
            )
        return self.ranges[0] if len(self.ranges) == 1 else _Chained(self.ranges)


class _Chained(Sequence[int]):
    """Ranges one after the other, without listing their numbers."""

    def __init__(self, parts: tuple[range, ...]) -> None:
        self._parts = parts
        self._ends = [sum(map(len, parts[: at + 1])) for at in range(len(parts))]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        index = at % len(self)
        which = bisect_left(self._ends, index + 1)
        before = self._ends[which - 1] if which else 0
        return self._parts[which][index - before]


def _parse_part(part: str, text: str) -> range:
    found = _PART.fullmatch(part)
    if not found:
        raise SettingsError(
            f"frames must be text such as '0-99', '3,5-10' or '1-100x5', got {text!r}."
        )
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    step = 1 if found[3] is None else int(found[3])
    if step < 1:
        raise SettingsError(f"frames {text!r}: the step after x must be at least 1.")
    if last < first:
        raise SettingsError(
            f"frames {text!r}: {first}-{last} runs backwards; write {last}-{first}."
        )
    return range(first, last + 1, step)


_PERFORMANCE: dict[str, Check] = {
    "num_workers": or_none(count),
    "frame_batch_amount": or_none(count),
    "window_size": number_between(0.01, 86_400),
    "perf_delay": number_between(0, 86_400),
    "max_workers": or_none(count),
    "worker_queue_size": count,
    "min_workers": count,
    "in_flight_bytes": count,
    "draw_ms": or_none(number_between(0, 1e9)),
    "encode_ms": or_none(number_between(0, 1e9)),
}
"""The performance settings and their checks."""

_OF_PYMPANIM = (  # noqa: SIM905
    "frames_per_sync work_per_dispatch spawn_worker_threshold_low spawn_worker_threshold_high "
    "kill_worker_threshold_low kill_worker_threshold_high ooo_balance ooo_cap ooo_error "
    "min_frames_per_sync max_frames_per_sync frame_batch_min_improvement frame_batch_max_badness "
    "frame_batch_dyn_min_decay_time frame_batch_dyn_max_decay_time frame_batch_min "
    "frame_batch_max max_frames_in_recieve_queue unclogging_per_second_threshold_low "
    "unclogging_per_second_threshold_high"
).split()
"""pympanim's settings that have no effect here, in its order."""


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
        The most frames of a segment; None is the distance of keyframes, 250.
    window_size
        Seconds over which rates are averaged.
    perf_delay
        Seconds that must pass after a change of the number of actors before
        the next one; 0 or more.
    min_workers, max_workers
        Bounds for the number of render actors. ``min == max`` pins it. None
        for the upper one means cores and free memory.
    worker_queue_size
        Chunks that one actor holds, the one it draws included, where frames are encoded
        by one encoder; elsewhere that follows how long chunks take.
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

    num_workers: int | None
    frame_batch_amount: int | None
    window_size: float
    perf_delay: float
    max_workers: int | None
    worker_queue_size: int
    min_workers: int
    in_flight_bytes: int
    draw_ms: float | None
    encode_ms: float | None

    def __init__(
        self,
        frames_per_sync: Any = None,
        num_workers: int | None = None,
        frame_batch_amount: int | None = None,
        window_size: float = 5.0,
        perf_delay: float = 2.0,
        max_workers: int | None = None,
        worker_queue_size: int = 2,
        *more_of_pympanim: Any,
        min_workers: int = 1,
        in_flight_bytes: int = 256 * 2**20,
        draw_ms: float | None = None,
        encode_ms: float | None = None,
        **of_pympanim: Any,
    ) -> None:
        given = locals()
        by_position = dict(zip(_OF_PYMPANIM, (frames_per_sync, *more_of_pympanim), strict=False))
        twice = sorted(by_position.keys() & of_pympanim.keys())
        if twice:
            raise TypeError(f"PerformanceSettings got two values for {', '.join(twice)}.")
        of_pympanim |= by_position
        unknown = sorted(of_pympanim.keys() - set(_OF_PYMPANIM))
        if unknown or len(more_of_pympanim) >= len(_OF_PYMPANIM):
            what = f"setting called {', '.join(unknown)}" if unknown else "setting in that place"
            raise TypeError(f"PerformanceSettings has no {what}.")
        vars(self).update(dict.fromkeys(_OF_PYMPANIM) | of_pympanim)
        ignored = [name for name in _OF_PYMPANIM if of_pympanim.get(name) is not None]
        if ignored:
            warnings.warn(
                f"{', '.join(ignored)}: no effect in rayanim; ignored.",
                stacklevel=2,
            )
        for name in _PERFORMANCE:
            setattr(self, name, given[name])
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _PERFORMANCE and name not in _OF_PYMPANIM:
            raise AttributeError(f"No performance setting is called {name}.")
        check = _PERFORMANCE.get(name)
        value = plain(value)
        vars(self)[name] = value if check is None else check(name, value)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

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
        values = vars(self).items()
        return {name: value for name, value in values if name in _PERFORMANCE or value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; names that are not known raise `SettingsError`."""
        unknown = sorted(set(values) - set(_PERFORMANCE) - set(_OF_PYMPANIM))
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


RAY_ADDRESS = "RAY_ADDRESS"
"""The variable in which Ray's own tools look for an address."""

SMALLEST_MEMORY_BYTES = 16 * 2**20
"""No Python process with NumPy and matplotlib fits into less: a slip of the unit."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is, ``auto`` or ``HOST:PORT`` of its head, and how that was given.

    `origin` is for messages, such as ``address='auto'``.
    """

    text: str
    origin: str

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The two parts; None for ``auto``."""
        found = _HOST_AND_PORT.fullmatch(self.text)
        return (found[1].strip("[]"), int(found[2])) if found else None


def read_address(given: str | None, environment: Mapping[str, str] = os.environ) -> Address | None:
    """The cluster that is asked for; None where Ray runs on this machine alone.

    None looks for `RAY_ADDRESS` in the environment; so does ``auto`` first, as in Ray itself.
    """
    if given is not None and not isinstance(given, str):
        raise SettingsError(f"address must be 'auto' or 'HOST:PORT', got {given!r}.")
    text, origin = given, f"address={given!r}"
    known = environment.get(RAY_ADDRESS, "").strip()
    if given in (None, "auto") and known:
        text, origin = known, f"{RAY_ADDRESS}={known}"
    if text is None or text == "local":
        return None
    address = Address(text, origin)
    _check_address(address)
    return address


def _check_address(address: Address) -> None:
    text, origin = address.text, address.origin
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("ray", "http", "https"):
        why = (
            "Ray Client keeps the driver outside of the cluster, where every frame would have to "
            "pass through its one connection, and it cannot stream an actor's results"
            if scheme == "ray"
            else "that is the address of the dashboard, which takes jobs"
        )
        host = rest.partition("/")[0].rpartition(":")[0] or "HEAD"
        at = f"http://{host}:8265" if scheme == "ray" else text
        raise SettingsError(
            f"{origin}: {why}. Send the script there with `rayanim submit SCRIPT.py --address "
            f"{at}`; or run it on a machine of the cluster with --address auto."
        )
    if text == "auto":
        return
    parts = address.host_and_port
    if parts is None or not 0 < parts[1] < 65536:
        raise SettingsError(
            f"{origin}: an address is 'auto', or HOST:PORT of the cluster's head, such as "
            "10.0.0.1:6379 (`ray start --head` prints it)."
        )


_memory = must_be(
    f"a whole number of bytes, at least {SMALLEST_MEMORY_BYTES} (16 MiB)",
    lambda value: isinstance(value, int) and value >= SMALLEST_MEMORY_BYTES,
)


def _resources(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping) or not all(
        isinstance(each, str) and is_positive(amount) for each, amount in value.items()
    ):
        raise SettingsError(
            f"{name} must be a dict of names and amounts above 0, such as {{'render': 1}}, got "
            f"{value!r}."
        )
    own = {"CPU": "actor_cpus", "memory": "actor_memory_bytes"}
    for each in value:
        if each in own:
            raise SettingsError(f"{name} cannot have {each!r}: set {own[each]} instead.")
        if each in ("GPU", "object_store_memory"):
            raise SettingsError(f"{name} cannot have {each!r}: render actors use none.")
    return value


_labels = must_be(
    "a dict of labels and their texts, such as {'role': 'render'}",
    lambda value: (
        isinstance(value, Mapping)
        and all(isinstance(text, str) for pair in value.items() for text in pair)
    ),
)

_texts = must_be(
    "a tuple of texts",
    lambda value: (
        isinstance(value, Collection)
        and not isinstance(value, str)
        and all(isinstance(each, str) for each in value)
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What may be asked of a cluster, and what is sent to it.

    The two bounds hold on one machine too; all else counts only where an
    address is given (``auto``, where the script has connected to Ray itself).

    Parameters
    ----------
    min_workers, max_workers
        Bounds for the number of render actors. None for the upper one means
        what `workers` says. Actors for which there is no room yet wait: they
        are what makes a cluster that can grow add nodes.
    actor_cpus
        CPUs that Ray sets aside for each render actor.
    actor_memory_bytes
        Memory that Ray sets aside for each; None sets none aside.
    resources
        Other resources that each needs, by name.
    keep_head_free
        Whether render actors stay off the cluster's head.
    label_selector
        Labels that a node must have for render actors to run there.
    packages
        Requirements that pip installs on each node; a name that ends in
        ``.txt`` is a file of them.
    working_dir
        The folder that is sent to the nodes; None takes the script's.
    exclude
        Gitignore patterns of what is not sent.

    Raises
    ------
    SettingsError
        If one of them makes no sense.
    """

    min_workers: int | None = setting(None, or_none(count))
    max_workers: int | None = setting(None, or_none(count))
    actor_cpus: float = setting(1.0, _positive)
    actor_memory_bytes: int | None = setting(None, or_none(_memory))
    resources: Mapping[str, float] = setting({}, _resources)
    keep_head_free: bool = setting(False, truth)
    label_selector: Mapping[str, str] = setting({}, _labels)
    packages: tuple[str, ...] = setting((), _texts)
    working_dir: str | os.PathLike[str] | None = setting(None)
    exclude: tuple[str, ...] = setting((), _texts)

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.min_workers or 1) > (self.max_workers or math.inf):
            raise SettingsError(
                f"min_workers={self.min_workers} is above max_workers={self.max_workers}."
            )

    @property
    def unused_without_cluster(self) -> tuple[str, ...]:
        """Names of those that were given and have no effect on one machine."""
        default = ClusterSettings()
        return tuple(
            each.name
            for each in fields(self)
            if each.name not in ("min_workers", "max_workers")
            and getattr(self, each.name) != getattr(default, each.name)
        )


SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZES |= {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str) -> int:
    """Bytes from text such as ``2GB``, ``1.5GiB`` or ``800M``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in SIZES:
        raise SettingsError(f"A size is a number and a unit, such as 2GB or 800MiB, got {text!r}.")
    return int(float(found[1]) * SIZES[found[2].upper()])


def _bitrate(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not is_number(value) or math.isnan(value):
        raise SettingsError(
            f"{name} must be a number of kilobits per second, or -1 for none, got {value!r}."
        )
    return number_between(1, 10_000_000)(name, value) if value > 0 else None


MOST_LOOPS = 65_535


_loop = whole_number(
    f"a whole number of plays up to {MOST_LOOPS}, or 0 to play for ever", 0, MOST_LOOPS
)
_colors = whole_number("a whole number from 4 to 256", 4, 256)

SHORTEST_S, LONGEST_S = Fraction(1, 1000), 86_400
"""The least time that all containers can tell, and a day."""


def parse_seconds(name: str, value: Any) -> Fraction:
    """Seconds from a number of them, or from text such as ``2s`` or ``500ms``."""
    value = plain(value)
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|)\s*", str(value))
    is_time = found is not None and (isinstance(value, str) or is_number(value))
    seconds = Fraction(0)
    if is_time and found is not None:
        seconds = Fraction(found[1]) / (1000 if found[2] == "ms" else 1)
    elif is_number(value) and math.isfinite(value):  # such as 1e-05, or a fraction
        seconds = Fraction(value)
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise SettingsError(
            f"{name} must be a time such as 2 (seconds), '2s' or '500ms', from a millisecond to a "
            f"day, got {value!r}."
        )
    return seconds.limit_denominator(1_000_000)


HoldAt = int | Literal["first", "last"]


def _are_pairs(value: Any) -> bool:
    """Whether `value` is what a check has made of a dict."""
    return isinstance(value, tuple) and all(
        isinstance(each, tuple) and len(each) == 2 for each in value
    )


def _hold(name: str, value: Any) -> tuple[tuple[HoldAt, Fraction], ...]:
    """The check for which frames are shown longer: times, each after its frame."""
    if value is None:
        return ()
    pairs = [("last", value)]
    if isinstance(value, str):
        parts = [each.rpartition("=") for each in value.split(",")]
        pairs = [(at.strip() or "last", time) for at, _, time in parts]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    elif _are_pairs(value):
        pairs = list(value)
    found: dict[HoldAt, Fraction] = {}
    for at, time in pairs:
        at = plain(int(at) if isinstance(at, str) and at.isdecimal() else at)
        try:
            if not (is_whole(at) and at >= 0) and at not in ("first", "last"):
                raise SettingsError("No such frame.")
            seconds = parse_seconds(name, time)
        except SettingsError:
            raise SettingsError(
                f"{name} must be a time such as 2s or 500ms, from a millisecond to a day, or "
                f"FRAME=TIME such as first=1s,120=500ms,last=2s, got {value!r:.80}."
            ) from None
        if at in found:
            raise SettingsError(f"{name} has frame {at} twice, got {value!r:.80}.")
        found[at] = seconds
    return tuple(found.items())


def _durations(name: str, value: Any) -> tuple[Fraction, ...]:
    if value is None or (isinstance(value, tuple) and not value):
        return ()
    is_list = hasattr(value, "__len__") and hasattr(value, "__iter__")
    if not is_list or isinstance(value, str | bytes | Mapping) or not len(value):
        raise SettingsError(
            f"{name} must be a list with the seconds of each frame, got {value!r:.80}."
        )
    return tuple(parse_seconds(f"{name}[{at}]", each) for at, each in enumerate(value))


SLOWEST, FASTEST = Fraction(1, 100), 100


def _speed(name: str, value: Any) -> Fraction:
    text = str(plain(1 if value is None else value)).strip().removesuffix("x")
    try:
        speed = Fraction(text)
    except (ValueError, ZeroDivisionError):
        speed = Fraction(0)
    if isinstance(value, bool) or not SLOWEST <= speed <= FASTEST:
        raise SettingsError(
            f"{name} must be a number such as 2 or '0.5x', from {float(SLOWEST):g} to {FASTEST}, "
            f"got {value!r}."
        )
    return speed.limit_denominator(1000)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Sound: ``(n,)`` or ``(n, 2)``, float from -1 to 1 or int16, so many samples a second."""

    values: Any
    rate: int

    def rows(self) -> Any:
        """``(n, channels)``."""
        return self.values.reshape(len(self.values), -1)


MOST_SAMPLES = 2**30
"""Of both channels together; a .wav file of more than 4 GB says a wrong length."""


def _audio(name: str, value: Any) -> str | Samples | None:
    if value is None or isinstance(value, Samples):
        return value
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if not isinstance(value, tuple) or len(value) != 2:
        raise SettingsError(
            f"{name} must be a file's name, or an array and its rate, such as (samples, 44100), "
            f"got {value!r:.80}."
        )
    values, rate = value[0], plain(value[1])
    shape: tuple[int, ...] = getattr(values, "shape", ())
    is_sound = str(getattr(values, "dtype", "")) in ("float32", "float64", "int16")
    if (
        not is_sound
        or len(shape) not in (1, 2)
        or not shape[0]
        or shape[1:] not in ((), (1,), (2,))
    ):
        raise SettingsError(
            f"The samples of {name} must be an array of floats from -1 to 1 or of int16, of shape "
            f"(n,) or (n, 2), got {getattr(values, 'dtype', type(values).__name__)} of {shape}."
        )
    if not isinstance(rate, int) or not 1000 <= rate <= 384_000:
        raise SettingsError(f"The rate of {name} must be 1000 to 384000 Hz, got {rate!r}.")
    if values.size > MOST_SAMPLES:
        raise SettingsError(f"{name} has {values.size} samples: write them to a file, and name it.")
    return Samples(values, rate)


_subtitles = must_be(
    "the name of an .srt file", lambda value: isinstance(value, str | os.PathLike), os.fspath
)


def _chapters(name: str, value: Any) -> tuple[tuple[int, str], ...] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) and not _are_pairs(value):
        raise SettingsError(
            f"{name} must be titles by the number of a chapter's first frame, such as "
            f"{{0: 'Before', 120: 'After'}}, got {value!r:.80}."
        )
    for at in dict(value):
        if not is_whole(at) or at < 0:
            raise SettingsError(f"A chapter of {name} must begin at a frame's number, got {at!r}.")
    return tuple(sorted((operator.index(at), str(title)) for at, title in dict(value).items()))


_frame = whole_number("the number of a frame, from 0 on", 0)
_metadata = must_be(
    "a dict such as {'title': 'A wave'}",
    lambda value: isinstance(value or {}, Mapping | tuple),
    lambda value: tuple((str(key), str(text)) for key, text in dict(value or {}).items()),
)


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How pixels become a video: the settings that `rayanim.video` reads.

    What is None is chosen by the container and codec. `rayanim.produce`
    documents each, and at `outfile` those that one output has of its own: `width`, to
    which frames are scaled, and `frame`, the number of the one that an image shows.
    """

    codec: str | None = setting(None, or_none(_text))
    crf: float | None = setting(None, _crf)
    preset: str | None = setting(None, or_none(_text))
    bitrate: float | None = setting(None, _bitrate)
    pixel_format: str | None = setting(None, or_none(_text))
    odd_size: OddSize = setting("pad", one_of(*get_args(OddSize)))
    background: str = setting("white")
    loop: int | None = setting(None, or_none(_loop))
    dither: Dither | None = setting(None, or_none(one_of(*get_args(Dither))))
    colors: int | None = setting(None, or_none(_colors))
    metadata: tuple[tuple[str, str], ...] = setting((), _metadata)
    hold: tuple[tuple[HoldAt, Fraction], ...] = setting((), _hold)
    durations: tuple[Fraction, ...] = setting((), _durations)
    speed: Fraction = setting(Fraction(1), _speed)
    ping_pong: bool = setting(False, _truth_or_none)
    audio: str | Samples | None = setting(None, _audio)
    subtitles: str | None = setting(None, or_none(_subtitles))
    chapters: tuple[tuple[int, str], ...] | None = setting(None, _chapters)
    hwaccel: Literal["auto"] | None = setting(None, or_none(one_of("auto")))
    width: int | None = setting(None, or_none(count))
    frame: int | None = setting(None, or_none(_frame))

    def __post_init__(self) -> None:
        check_fields(self)
        if self.crf is not None and self.bitrate is not None:
            raise SettingsError(
                f"crf={number_text(self.crf)} and bitrate={self.bitrate!r} exclude each other: "
                "the first asks for a quality, the second for a size. Give one of them."
            )
        self.background_rgb()

    @property
    def every(self) -> Fraction:
        """Of how many frames one is drawn: more than 1 where a higher speed leaves some out."""
        return Fraction(1) if self.durations else max(Fraction(1), self.speed)

    def position_of(self, number: int) -> int | None:
        """Where in the video frame `number` is, None where it is not in it."""
        # One that is left out: the one that is shown then.
        return math.ceil(number / self.every)

    def background_rgb(self) -> tuple[int, int, int]:
        """The background, any colour that Pillow knows, as red, green and blue in 0 to 255."""
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(self.background)[:3]
            return red, green, blue
        except (ValueError, AttributeError, TypeError):
            raise SettingsError(
                f"background must be a colour such as 'white' or '#202020', "
                f"got {self.background!r}."
            ) from None


OF_ONE_CODEC = ("crf", "preset", "pixel_format")
"""What was chosen for one codec, and means nothing to another."""

RIVALS = (("crf", "bitrate"), ("sequential", "independent"))
"""Settings of which only one can be chosen."""


def without_rivals(given: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """What to change where `given` takes the place of other settings: their rivals are unset.

    So are the settings in `without`, unless they are given.
    """
    rivals = (
        rival
        for pair in RIVALS
        for choice, rival in (pair, pair[::-1])
        if given.get(choice, False) is not False
    )
    return dict.fromkeys((*without, *rivals)) | dict(given)


SAVEFIG_PIXELS = {
    "bbox_extra_artists",
    "bbox_inches",
    "dpi",
    "edgecolor",
    "facecolor",
    "pad_inches",
    "transparent",
}
"""Options of ``Figure.savefig`` that count for a video."""

SAVEFIG_FILE = {"backend", "format", "metadata", "orientation", "papertype", "pil_kwargs"}
"""Options of ``Figure.savefig`` that say how to write an image file: no effect on a video."""


def _dpi(name: str, value: Any) -> Any:
    figure_s_own = value is None or value == "figure"
    return None if figure_s_own else number_between(1, 10_000)(name, value)


def _savefig_params(name: str, value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SettingsError(f"{name} must be a dict, got {value!r:.80}.")
    others = sorted(map(str, set(value) - SAVEFIG_PIXELS - SAVEFIG_FILE))
    if others:
        _logger.warning("Ignored in %s, without effect on a video: %s.", name, ", ".join(others))
    options = {each: plain(option) for each, option in value.items() if each in SAVEFIG_PIXELS}
    _dpi("dpi", options.get("dpi"))
    return options


def _frames(name: str, value: Any) -> Selection:
    return value if isinstance(value, Selection) else Selection.parse(value)


def _seed(name: str, value: Any) -> Any:
    if value is None or value == "none":
        return None
    return whole_number("a whole number or None", -math.inf)(name, value)


def _performance(name: str, value: Any) -> PerformanceSettings:
    if value is None:
        return PerformanceSettings()
    found = getattr(value, "settings", value)  # those of a report
    if not isinstance(found, PerformanceSettings):
        raise SettingsError(
            "settings must be PerformanceSettings or the report of an earlier run, "
            f"got {value!r:.80}."
        )
    return found


def _address(name: str, value: Any) -> Any:
    read_address(value, {})
    return value


_cluster = must_be(
    "ClusterSettings",
    lambda value: value is None or isinstance(value, ClusterSettings),
    lambda value: ClusterSettings() if value is None else value,
)


def _storage_options(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise SettingsError(
            f"{name} must be a dict of what fsspec's client takes, got a {type(value).__name__}."
        )
    return value


seconds = must_be("a number of seconds, 0 or more", lambda value: is_number(value) and value >= 0)
_share = must_be(
    "the share of the frames to audit, from 0 to 1",
    lambda value: is_number(value) and 0 <= value <= 1,
    float,
)


def check_outfile(name: str, value: Any) -> Any:
    """The check for the name of an output, or for a tuple of outputs that were read."""
    if isinstance(value, tuple):
        return value
    # What was read already is no path.
    is_read = value is None or hasattr(value, "suffix") or hasattr(value, "address")
    try:
        is_name = is_read or isinstance(os.fspath(value), str)
    except TypeError:
        is_name = False
    if not is_name:
        raise SettingsError(f"{name} must be a string or a Path, got {value!r:.80}.")
    return value


_log_json = must_be("a file's name", lambda value: isinstance(value, str | os.PathLike))
_logger_object = must_be("a logging.Logger", lambda value: hasattr(value, "isEnabledFor"))


_OF_CALLING_PROCESS = (  # noqa: SIM905
    "address outfile overwrite resume keep_parts storage_options progress time_per_print logger "
    "drawing_log_interval encoding_log_interval log_json"
).split()
"""The render settings that are pickled as if they had not been given."""


@dataclass(frozen=True, kw_only=True)
class RenderSettings(VideoSettings):
    """All that can be chosen about a job, checked; `rayanim.produce` documents each.

    `performance` is what `produce` calls `settings`, with what other settings
    say of it. `height_px`, the height of the frames, is the command's alone.
    """

    fps: Fraction = setting(Fraction(DEFAULT_FPS), lambda name, value: parse_rate(value))
    frames: Selection | None = setting(None, or_none(_frames))
    n_frames: int | None = setting(None, or_none(count))
    duration: float | None = setting(None, or_none(_positive))
    seed: int | None = setting(0, _seed)
    sequential: bool = setting(False, _truth_or_none)
    independent: bool = setting(False, _truth_or_none)
    audit: float | None = setting(None, or_none(_share))

    dpi: float | None = setting(100, _dpi)
    height_px: int | None = setting(None, or_none(count))
    savefig_params: dict[str, Any] = setting({}, _savefig_params)
    reuse_figure_object: bool = setting(True, truth)
    drawing: Drawing = setting("auto", one_of(*get_args(Drawing)))

    engine: Engine = setting("auto", one_of(*get_args(Engine)))
    workers: Workers = setting(Workers(is_auto=True), lambda name, value: Workers.parse(value))
    performance: PerformanceSettings = setting(None, _performance)
    transport: Literal["auto"] | Transport = setting("auto", one_of("auto", *get_args(Transport)))
    segment_frames: int | None = setting(None, or_none(count))
    address: str | None = setting(None, _address)
    cluster: ClusterSettings = setting(None, _cluster)

    outfile: Any = setting(None, check_outfile)
    overwrite: bool = setting(True, truth)
    resume: bool = setting(False, truth)
    keep_parts: bool = setting(False, truth)
    cache: bool = setting(False, truth)
    storage_options: Mapping[str, Any] | None = setting(None, _storage_options)

    progress: Any = setting(None)
    time_per_print: float = setting(15.0, seconds)
    logger: Logger | None = setting(None, or_none(_logger_object))
    drawing_log_interval: int | None = setting(None, or_none(count))
    encoding_log_interval: int | None = setting(None, or_none(count))
    log_json: str | os.PathLike[str] | None = setting(None, or_none(_log_json))

    def __post_init__(self) -> None:
        super().__post_init__()
        address = read_address(self.address, {})
        if self.engine == "local" and address is not None:
            raise SettingsError(
                f"engine='local' and {address.origin} exclude each other: the first draws in this "
                "process, the second on a cluster. Leave one of them out."
            )
        if self.sequential and self.independent:
            raise SettingsError(
                "sequential and independent exclude each other: with the first all updates run in "
                "order, with the second each frame is drawn without those before. Leave one out."
            )
        changes = {
            "frame_batch_amount": self.segment_frames,
            "min_workers": self.cluster.min_workers,
            "max_workers": self.cluster.max_workers,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        # A copy: the run changes nothing of the caller's.
        object.__setattr__(self, "performance", self.performance.replace(**given))

    def position_of(self, number: int) -> int | None:
        if self.frames is not None and number not in self.frames:
            return None
        below = number if self.frames is None else self.frames.count_below(number)
        return super().position_of(below)

    def __getstate__(self) -> dict[str, Any]:
        """All but what only the calling process reads: render actors need none of it.

        Its own objects cannot be sent, and names of storage may hold a password.
        """
        return vars(self) | {name: getattr(type(self), name) for name in _OF_CALLING_PROCESS}

    def most_actors(self, cores: int) -> int:
        """The most render actors where there are so many cores."""
        most = self.workers.most(cores)
        return min(most, self.performance.max_workers or most)

    @property
    def cluster_address(self) -> Address | None:
        """The cluster to draw on, `RAY_ADDRESS` considered; None for this machine alone."""
        return None if self.engine == "local" else read_address(self.address)
