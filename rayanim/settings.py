"""Settings: what the caller may choose, checked when it is made."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import re
import warnings
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from itertools import pairwise
from numbers import Rational, Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeGuard

from rayanim.errors import SettingsError

_logger = logging.getLogger("rayanim")

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
    """How pixels become a video; what is None is chosen by the container and codec.

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


RAY_ADDRESS = "RAY_ADDRESS"
"""The variable in which Ray's own tools look for an address."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

SMALLEST_MEMORY_BYTES = 16 * 2**20
"""No Python process with NumPy and matplotlib fits into less: a slip of the unit."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is, and who said so.

    Attributes
    ----------
    text
        ``auto``, or ``HOST:PORT`` of the head.
    origin
        How it was given, for messages: ``address='auto'``, say.
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

    Parameters
    ----------
    given
        ``auto``, ``HOST:PORT``, ``local``, or None, which looks into the
        environment. ``auto`` does so first too, as in Ray itself.
    environment
        Where `RAY_ADDRESS` may stand.

    Raises
    ------
    SettingsError
        If it is no address, or one that only jobs can be sent to.
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
    _check(address)
    return address


def _check(address: Address) -> None:
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
        The folder that travels; None takes the script's.
    exclude
        Gitignore patterns of what stays behind.

    Raises
    ------
    SettingsError
        If one of them makes no sense.
    """

    min_workers: int | None = None
    max_workers: int | None = None
    actor_cpus: float = 1.0
    actor_memory_bytes: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    keep_head_free: bool = False
    label_selector: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    working_dir: str | os.PathLike[str] | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        for name in ("min_workers", "max_workers"):
            _check_count(name, getattr(self, name))
        if (self.min_workers or 1) > (self.max_workers or math.inf):
            raise SettingsError(
                f"min_workers={self.min_workers} is above max_workers={self.max_workers}."
            )
        _check_positive("actor_cpus", self.actor_cpus)
        _check_memory(self.actor_memory_bytes)
        _check_resources(self.resources)
        _check_labels(self.label_selector)
        for name in ("packages", "exclude"):
            _check_texts(name, getattr(self, name))

    @property
    def counts_on_clusters_only(self) -> tuple[str, ...]:
        """Names of those that were given and mean nothing on one machine."""
        plain = ClusterSettings()
        given = (each.name for each in fields(self))
        return tuple(
            name
            for name in given
            if name not in ("min_workers", "max_workers")
            and getattr(self, name) != getattr(plain, name)
        )


def _check_count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}.")


def _is_positive(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value > 0


def _check_positive(name: str, value: Any) -> None:
    if not _is_positive(value):
        raise SettingsError(f"{name} must be a number above 0, got {value!r}.")


def _check_memory(value: Any) -> None:
    if value is None:
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < SMALLEST_MEMORY_BYTES:
        raise SettingsError(
            "actor_memory_bytes must be a whole number of bytes, at least "
            f"{SMALLEST_MEMORY_BYTES} (16 MiB), got {value!r}."
        )


def _check_resources(resources: Any) -> None:
    whole = isinstance(resources, Mapping) and all(
        isinstance(name, str) and _is_positive(amount) for name, amount in resources.items()
    )
    if not whole:
        raise SettingsError(
            f"resources must be amounts above 0 by name, such as {{'render': 1}}, "
            f"got {resources!r}."
        )
    own = {"CPU": "actor_cpus", "memory": "actor_memory_bytes"}
    for name in resources:
        if name in own:
            raise SettingsError(f"resources: {name!r} is set by {own[name]}.")
        if name in ("GPU", "object_store_memory"):
            raise SettingsError(f"resources: {name!r} is nothing that a render actor uses.")


def _check_labels(labels: Any) -> None:
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise SettingsError(
            f"label_selector must be texts by label, such as {{'role': 'render'}}, got {labels!r}."
        )


def _check_texts(name: str, values: Any) -> None:
    if isinstance(values, str) or not all(isinstance(each, str) for each in values):
        raise SettingsError(f"{name} must be a tuple of texts, got {values!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRequest:
    """A cluster that a job is to run on.

    Attributes
    ----------
    address
        Where it is.
    settings
        What may be asked of it.
    workers
        As the caller gave it; a share is one of the cluster's CPUs.
    """

    address: Address
    settings: ClusterSettings
    workers: int | str


def cluster_request(
    given: str | None, settings: ClusterSettings | None, workers: int | str, engine: str
) -> ClusterRequest | None:
    """The cluster that a call of `produce` asks for; None where Ray stays on this machine.

    Settings that mean something on a cluster only are not refused here: a script
    that carries them is tried at home first. They are told.

    Parameters
    ----------
    given, settings, workers, engine
        That call's arguments.

    Raises
    ------
    SettingsError
        If they make no sense together.
    """
    if settings is not None and not isinstance(settings, ClusterSettings):
        raise SettingsError(f"cluster must be ClusterSettings, got {settings!r:.80}.")
    address = None if engine == "local" and given is None else read_address(given)
    if address is None:
        _tell_of_idle(settings)
        return None
    if engine == "local":
        raise SettingsError(
            f"engine='local' and {address.origin} exclude each other: the first draws in this "
            "process, the second on a cluster. Leave one of them out."
        )
    return ClusterRequest(address=address, settings=settings or ClusterSettings(), workers=workers)


def _tell_of_idle(settings: ClusterSettings | None) -> None:
    idle = () if settings is None else settings.counts_on_clusters_only
    if idle:
        _logger.warning(
            "On this machine alone %s mean%s nothing; address='auto' (--address auto) draws on "
            "the Ray cluster that it belongs to.",
            ", ".join(idle),
            "s" if len(idle) == 1 else "",
        )


SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZES |= {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str) -> int:
    """Bytes from text such as ``2GB``, ``1.5GiB`` or ``800M``.

    Raises
    ------
    SettingsError
        If it is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in SIZES:
        raise SettingsError(f"A size is a number and a unit, such as 2GB or 800MiB, got {text!r}.")
    return int(float(found[1]) * SIZES[found[2].upper()])


_PART = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*(?:x\s*(\d+)\s*)?)?")


@dataclass(frozen=True, slots=True)
class Selection:
    """Numbers of frames, ascending.

    Parameters
    ----------
    parts
        Ranges that do not overlap, ascending.
    text
        What the user wrote, for messages.
    """

    parts: tuple[range, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read numbers and inclusive ranges, separated by commas, a step after ``x``.

        Raises
        ------
        SettingsError
            If `text` is not of that form, or does not ascend.
        """
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
        return self.parts[-1][-1]

    def __contains__(self, number: object) -> bool:
        return any(number in part for part in self.parts)

    def within(self, n_frames: int) -> Sequence[int]:
        """The numbers, checked against a video of `n_frames` frames.

        Raises
        ------
        SettingsError
            If one is not below `n_frames`.
        """
        if self.last >= n_frames:
            raise SettingsError(
                f"frames {self.text!r}: there is no frame {self.last}; "
                f"the video has frames 0 to {n_frames - 1}."
            )
        return self.parts[0] if len(self.parts) == 1 else _Chained(self.parts)


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
        raise SettingsError(f"frames must be such as '0-99', '3,5-10' or '1-100x5', got {text!r}.")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    step = 1 if found[3] is None else int(found[3])
    if step < 1 or last < first:
        raise SettingsError(
            f"frames {text!r}: {part.strip()!r} holds no frame; write first-last, ends included."
        )
    return range(first, last + 1, step)
