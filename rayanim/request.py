"""What the caller of `produce` asked for, checked and turned into a plan."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from rayanim.cluster import ClusterRequest, ClusterSettings, cluster_request
from rayanim.errors import OutputError, SettingsError
from rayanim.feed import Feed, IndexedFrameParams, NumberFeed, ParameterFeed
from rayanim.overrides import Overrides
from rayanim.selection import Selection
from rayanim.settings import (
    Engine,
    OddSize,
    OnHistory,
    PerformanceSettings,
    Transport,
    VideoSettings,
    is_number,
    parse_rate,
    parse_workers,
    plain,
)
from rayanim.storage.address import Address, Outfile, address_of

if TYPE_CHECKING:
    from rayanim.drawing.figure import Drawing
    from rayanim.report import Report
    from rayanim.source import Geometry, Source
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger(__name__)

DEFAULT_FPS = 30
"""The rate of films that nobody gave one."""

DEFAULT_SUFFIX = ".mp4"
"""What a target without a suffix gets."""

SAVEFIG_PIXELS = frozenset(
    {
        "bbox_extra_artists",
        "bbox_inches",
        "dpi",
        "edgecolor",
        "facecolor",
        "pad_inches",
        "transparent",
    }
)
"""Options of ``Figure.savefig`` that count for a video."""

SAVEFIG_FILE = frozenset(
    {"backend", "format", "metadata", "orientation", "papertype", "pil_kwargs"}
)
"""Options of ``Figure.savefig`` that say how to write an image file: no effect on a video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments of `rayanim.produce`, which says what they mean."""

    frame_gen: Any
    fps: int | float | str | Fraction | None
    dpi: float | Literal["figure"] | None
    bitrate: float
    outfile: Outfile | None
    settings: PerformanceSettings | Report | None
    time_per_print: float
    logger: logging.Logger | None
    workers: int | str
    engine: Engine
    codec: str | None
    crf: float | None
    preset: str | None
    pixel_format: str | None
    odd_size: OddSize
    background: str
    overwrite: bool
    progress: Any
    frames: str | None
    seed: int | None
    param_by_frame: Iterable[Any] | None
    n_frames: int | None
    duration: float | None
    savefig_params: dict[str, Any] | None
    reuse_figure_object: bool
    drawing: Drawing
    drawing_log_interval: int | None
    encoding_log_interval: int | None
    sequential: bool | None
    on_history: OnHistory
    transport: Literal["auto"] | Transport
    segment_frames: int | None
    resume: bool
    keep_parts: bool
    log_json: str | os.PathLike[str] | None
    storage_options: Mapping[str, Any] | None
    address: str | None = None
    cluster: ClusterSettings | None = None
    height_px: int | None = None
    still_number: int | None = None

    def __post_init__(self) -> None:
        # NumPy's numbers become Python's here, once: JSON and exact fractions take no others.
        for each in fields(self):
            if each.name not in ("frame_gen", "param_by_frame"):
                object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        if isinstance(self.savefig_params, dict):
            object.__setattr__(self, "savefig_params", _for_pixels(self.savefig_params))

    def completed(self) -> Request:
        """The request with an `Animator`'s own attributes where arguments were left out."""
        from rayanim.animator import Animator

        thing = self.frame_gen
        if not isinstance(thing, Animator):
            return self if self.fps is not None else replace(self, fps=DEFAULT_FPS)
        fps = thing.fps if self.fps is None else self.fps
        sequential = thing.sequential if self.sequential is None else self.sequential
        param_by_frame, n_frames = self.param_by_frame, self.n_frames
        if param_by_frame is None:
            param_by_frame = thing.param_by_frame
            # Beside parameters that tell their number it may be anything of the script's.
            if n_frames is None and not isinstance(param_by_frame, Sized):
                n_frames = thing.n_frames
        return replace(
            self,
            fps=fps,
            param_by_frame=param_by_frame,
            n_frames=n_frames,
            sequential=sequential,
        )

    @property
    def is_sequential(self) -> bool:
        """Whether frames are drawn in the state that a serial run would have."""
        return bool(self.sequential)

    def overridden(self, overrides: Overrides) -> Request:
        """The request with the command line's options in the place of the script's."""
        changes = {**self._replaced_codec(overrides), **overrides.arguments}
        outfile = overrides.target(self.outfile)
        by_time = self.param_by_frame is None and self.n_frames is None
        if overrides.quality_fps is not None and "fps" not in changes:
            # Frames that are given one by one would only play at another speed.
            if by_time:
                changes["fps"] = overrides.quality_fps
            elif self._rate_differs(overrides.quality_fps):
                _logger.warning(
                    "The frames are given one by one: they keep their rate of %s fps. "
                    "Change it with --fps.",
                    self.fps,
                )
        for choice, rival in (("crf", "bitrate"), ("bitrate", "crf")):
            if choice in changes and rival not in overrides.arguments:
                changes[rival] = -1 if rival == "bitrate" else None
        if overrides.still_number is not None:
            changes |= self._as_still(overrides.still_number)
            if outfile is not None and overrides.output is None:
                outfile = address_of(outfile).with_suffix(".png")
        if overrides.height_px is not None:
            changes["height_px"] = overrides.height_px
        return replace(self, **{**changes, "outfile": outfile})

    def _replaced_codec(self, overrides: Overrides) -> dict[str, Any]:
        """What the script chose for its codec means nothing to another one."""
        if overrides.arguments.get("codec", self.codec) == self.codec:
            return {}
        return {"crf": None, "preset": None, "pixel_format": None}

    def _rate_differs(self, fps: int) -> bool:
        return parse_rate(self.fps) != fps

    def _as_still(self, number: int) -> dict[str, Any]:
        """What a still of frame `number` needs of the film: that frame.

        With a tight box, which the first frame settles, also the first.
        """
        first = 0 if self.frames is None else Selection.parse(self.frames).parts[0][0]
        tight = (self.savefig_params or {}).get("bbox_inches") == "tight"
        # All from the first one: its own number need not be 0, see `IndexedFrameParams`.
        low, high = sorted((first if tight else number, number))
        return {"still_number": number, "frames": f"{low}-{high}"}

    def plan(self) -> Plan:
        """Check everything that can be checked before work starts.

        Raises
        ------
        SettingsError
            If an argument makes no sense.
        """
        from rayanim.farm.machine import usable_cores
        from rayanim.forms import as_source

        rate = parse_rate(self.fps)
        target = self._target()
        video = self._video()
        self._check_format(target.suffix, video)
        self._check_rest()
        source = as_source(
            self.frame_gen,
            rate=rate,
            dpi=None if self.dpi == "figure" else self.dpi,
            n_frames=self.n_frames,
            duration_ms=self.duration,
            savefig_options=self.savefig_params,
            reuse_figure=self.reuse_figure_object,
            drawing=self.drawing,
            height_px=self.height_px,
        )
        request = self
        if self.is_sequential:
            request, source = self._in_sequence(source)
        return Plan(
            request=self,
            source=source,
            feed=request._feed(source),
            rate=rate,
            target=target,
            video=video,
            performance=self._performance(),
            max_actors=parse_workers(self.workers, cores=usable_cores()),
            cluster=cluster_request(self.address, self.cluster, self.workers, self.engine),
        )

    def _in_sequence(self, source: Source) -> tuple[Request, Source]:
        """The request and its source where each frame takes the updates before it."""
        from rayanim.sequential import SequentialSource

        if self.param_by_frame is None or source.n_frames is not None:
            return self, SequentialSource(source, self.seed, None)
        # Whoever skips frames needs their parameters: a generator is listed.
        batch = ParameterFeed(self.param_by_frame, self.n_frames).take(sys.maxsize)
        params = dict(zip(batch.numbers, batch.params or (), strict=True))
        listed = [IndexedFrameParams(number, entry) for number, entry in params.items()]
        request = replace(self, param_by_frame=listed, n_frames=None)
        return request, SequentialSource(source, self.seed, params)

    def _target(self) -> Address:
        if self.outfile is None:
            raise SettingsError(
                "No output file: give outfile='film.mp4', or -o on the command line."
            )
        try:
            return self._with_suffix(address_of(self.outfile).expanduser())
        except TypeError:
            raise SettingsError(
                f"outfile must be a string or a Path, got {self.outfile!r:.80}."
            ) from None
        except RuntimeError:
            raise OutputError(
                f"{str(self.outfile)!r}: there is no such user's home folder."
            ) from None

    def _with_suffix(self, path: Address) -> Address:
        """`path`, as a film's where it is a name without any suffix."""
        # "film." and ".film" are slips, and a folder is no film.
        plain = path.suffix == "" and path.name.strip(".") == path.name != ""
        if self.still_number is not None or not plain or _is_folder(path):
            return path
        return path.with_name(path.name + DEFAULT_SUFFIX)

    def _check_format(self, suffix: str, video: VideoSettings) -> None:
        if self.still_number is not None:
            from rayanim.still import check_image_suffix

            check_image_suffix(suffix)
            return
        from rayanim.video.codecs import check_target

        check_target(suffix, video)

    def _video(self) -> VideoSettings:
        return VideoSettings(
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            bitrate_kbps=_positive_or_none(self.bitrate),
            pixel_format=self.pixel_format,
            odd_size=self.odd_size,
            background=self.background,
        )

    def _performance(self) -> PerformanceSettings:
        from rayanim.report import Report

        given = PerformanceSettings() if self.settings is None else self.settings
        found = given.settings if isinstance(given, Report) else given
        if not isinstance(found, PerformanceSettings):
            raise SettingsError(
                "settings must be PerformanceSettings or the report of an earlier run, "
                f"got {self.settings!r:.80}."
            )
        changes: dict[str, Any] = {}
        if self.segment_frames is not None:
            changes["frame_batch_amount"] = int(self.segment_frames)
        for name in ("min_workers", "max_workers"):
            bound = getattr(self.cluster, name, None)
            if bound is not None:
                changes[name] = bound
        # A copy: the run changes nothing of the caller's.
        return found.replace(**changes)

    def _feed(self, source: Source) -> Feed:
        selection = None if self.frames is None else Selection.parse(self.frames)
        if source.n_frames is not None:
            if self.param_by_frame is not None:
                raise SettingsError(
                    f"param_by_frame goes with an Animator; {source.name} takes no parameters."
                )
            return NumberFeed(source.n_frames, selection)
        if self.param_by_frame is not None:
            return ParameterFeed(self.param_by_frame, self.n_frames, selection)
        if self.n_frames is None:
            raise SettingsError(
                f"{source.name}: how many frames? Give param_by_frame, one entry per frame, "
                "or n_frames."
            )
        return NumberFeed(self.n_frames, selection)

    def _check_rest(self) -> None:
        if self.drawing not in ("auto", "full"):
            raise SettingsError(f"drawing must be 'auto' or 'full', got {self.drawing!r}.")
        if self.engine not in ("auto", "local", "ray"):
            raise SettingsError(f"engine must be 'auto', 'local' or 'ray', got {self.engine!r}.")
        if self.seed is not None and (
            isinstance(self.seed, bool) or not hasattr(self.seed, "__index__")
        ):
            raise SettingsError(f"seed must be a whole number or None, got {self.seed!r}.")
        if self.on_history not in ("error", "warn", "ignore"):
            raise SettingsError(
                f"on_history must be 'error', 'warn' or 'ignore', got {self.on_history!r}."
            )
        if self.transport not in ("auto", "segments", "frames"):
            raise SettingsError(
                f"transport must be 'auto', 'segments' or 'frames', got {self.transport!r}."
            )
        counts = ("n_frames", "segment_frames", "drawing_log_interval", "encoding_log_interval")
        for name in counts:
            _check_count(name, getattr(self, name))
        if not isinstance(self.storage_options, Mapping | None):
            raise SettingsError(
                "storage_options must be a dict of what fsspec's client takes, got a "
                f"{type(self.storage_options).__name__}."
            )
        if self.logger is not None and not hasattr(self.logger, "isEnabledFor"):
            raise SettingsError(f"logger must be a logging.Logger, got {self.logger!r:.80}.")
        if self.log_json is not None and not isinstance(self.log_json, str | os.PathLike):
            raise SettingsError(f"log_json must be a file's name, got {self.log_json!r:.80}.")
        _check_dpi(self.dpi)
        if self.savefig_params is not None and not isinstance(self.savefig_params, dict):
            raise SettingsError(f"savefig_params must be a dict, got {self.savefig_params!r:.80}.")
        _check_dpi((self.savefig_params or {}).get("dpi"))


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that has passed every check, with what it was turned into."""

    request: Request
    source: Source
    feed: Feed
    rate: Fraction
    target: Address
    video: VideoSettings
    performance: PerformanceSettings
    max_actors: int
    cluster: ClusterRequest | None = None

    @property
    def transport(self) -> Transport | None:
        """What actors hand over; None where that is to be chosen."""
        asked = self.request.transport
        return None if asked == "auto" else asked

    def make_spec(self, geometry: Geometry) -> StreamSpec:
        """The stream for frames of the size that the first frame settled."""
        from rayanim.video.codecs import make_spec

        spec = make_spec(self.target.suffix, self.video, geometry.size, self.rate)
        if spec.size != spec.source_size:
            _logger.info(
                "%s needs an even width and height: %dx%d becomes %dx%d (odd_size=%r).",
                spec.pixel_format,
                *spec.source_size,
                *spec.size,
                spec.odd_size,
            )
        return spec


def _is_folder(path: Address) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that the system does not take; `check_target` says so
        return False


def _positive_or_none(bitrate: Any) -> float | None:
    if not is_number(bitrate) or bitrate != bitrate:
        raise SettingsError(
            f"bitrate must be a number of kilobits per second, or -1 for none, got {bitrate!r}."
        )
    return float(bitrate) if bitrate > 0 else None


def _check_count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, got {value!r}.")


def _for_pixels(options: dict[str, Any]) -> dict[str, Any]:
    """The options of ``Figure.savefig`` that change a frame's pixels, the others left out."""
    others = sorted(map(str, set(options) - SAVEFIG_PIXELS - SAVEFIG_FILE))
    if others:
        _logger.warning("savefig_params: %s: no effect on a video; ignored.", ", ".join(others))
    return {name: plain(value) for name, value in options.items() if name in SAVEFIG_PIXELS}


def _check_dpi(dpi: Any) -> None:
    if dpi is None or dpi == "figure":
        return
    if not is_number(dpi) or not 1 <= dpi <= 10_000:
        raise SettingsError(f"dpi must be a number from 1 to 10000, got {dpi!r}.")
