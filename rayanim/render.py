"""`produce`: one job from whatever the user wrote to a finished video."""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rayanim.errors import (
    OutputError,
    ParametersError,
    RedrawError,
    ScriptError,
    SettingsError,
    as_raised,
    print_in_one_line,
)
from rayanim.events import EventLog, JobFailed, JobFinished, JobStarted, Listener, Nobody
from rayanim.parameters import Batch, Feed, IndexedFrameParams, NumberFeed, ParameterFeed
from rayanim.progress import Progress, choose_progress
from rayanim.report import Report, StageRates, binding_stage, size_text
from rayanim.settings import (
    ClusterRequest,
    ClusterSettings,
    Engine,
    OddSize,
    OnHistory,
    PerformanceSettings,
    Selection,
    Transport,
    VideoSettings,
    cluster_request,
    is_number,
    parse_rate,
    parse_workers,
    plain,
)
from rayanim.storage.address import Address, Outfile, address_of, with_default_suffix
from rayanim.storage.output import Target, check_whole, target_at

if TYPE_CHECKING:
    from rayanim.engine.stats import JobName, Outcome
    from rayanim.figure.figure import Drawing
    from rayanim.sources import Geometry, Pixels, Source
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger(__name__)


def report_of(target: Address, outcome: Outcome) -> Report:
    """The report of a job whose video is at `target` now."""
    tally, spec = outcome.tally, outcome.spec
    ways = tally.timings.account.ways
    elapsed_s = tally.elapsed_s
    by_actors = tally.transport == "segments" and outcome.engine == "ray"
    stages = StageRates.measured(
        tally.frames - tally.resumed_frames,
        draw_s=tally.timings.draw_s,
        convert_s=tally.timings.convert_s,
        encode_s=tally.encode_s,
        wait_s=tally.wait_s,
        write_s=tally.write_s,
    )
    return Report(
        output=target,
        frames=tally.frames,
        elapsed_s=elapsed_s,
        size=spec.size,
        rate=spec.rate,
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=outcome.file_bytes,
        engine="ray" if outcome.engine == "ray" else "local",
        engine_reason=outcome.engine_reason,
        transport=tally.transport,
        transport_reason=tally.transport_reason,
        resumed_frames=tally.resumed_frames,
        actors_peak=tally.actors_peak,
        start_s=tally.start_s,
        stages=stages,
        binding=binding_stage(stages, elapsed_s, tally.actors_peak, encoded_by_actors=by_actors),
        drawn_in_parts=ways.in_parts,
        drawn_in_full=tuple(sorted(ways.in_full.items(), key=lambda item: -item[1])),
        actor_changes=tuple(tally.changes),
        fleet_sizes=tuple(tally.fleet.sizes),
        nodes_peak=tally.fleet.nodes_peak,
        node_hours=tally.fleet.node_hours,
        events=tuple(tally.events),
        settings=outcome.settings,
        peak_rss_bytes=tuple(sorted(tally.peak_rss_bytes.items())),
    )


@dataclass(slots=True, kw_only=True)
class Overrides:
    """Options of the command, and what became of the script's calls."""

    output: Address | None = None
    default_output: Address | None = None
    folder: Path | None = None
    videos: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    height_px: int | None = None
    quality_fps: int | None = None
    still_number: int | None = None
    dry_run: bool = False
    progress: Progress | None = None
    wanted: Callable[[Any], bool] | None = None
    on_report: Callable[[Report], None] | None = None
    how_to_resume: str | None = None
    calls: int = 0

    def target(self, outfile: Outfile | None) -> Outfile | None:
        """The output file of a call that names `outfile`."""
        if self.videos is not None:
            return self._below_videos(self.output or outfile or self.default_output)
        if self.output is None and outfile is not None:
            return outfile
        path = self.output or self.default_output
        if path is None or self.folder is None or self.folder == Path.cwd():
            return path  # as it was written, for messages
        return self.folder / path

    def _below_videos(self, outfile: Outfile | None) -> Outfile | None:
        """`outfile` in the folder for videos; an absolute path and a URL stay what they are."""
        if self.videos is None or outfile is None:
            return outfile
        from rayanim.storage.address import address_of

        address = address_of(outfile)
        if not isinstance(address, Path):
            return outfile
        target = self.videos / address
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def admit(self, thing: Any) -> bool:
        """Count a call that would render `thing`, and say whether it is carried out."""
        if self.wanted is not None and not self.wanted(thing):
            return False
        self.calls += 1
        if self.calls > 1 and self.output is not None:
            raise SettingsError(
                f"The script renders more than one video: -o {self.output} went to the first. "
                "Leave -o out, or choose one by its NAME after the script."
            )
        return True


# Of the process, not of a context: the script's threads are under the command too.
_in_force: list[Overrides] = []


def current() -> Overrides:
    """The overrides in force; empty ones outside of the command line."""
    return _in_force[-1] if _in_force else Overrides()


@contextlib.contextmanager
def overriding(overrides: Overrides) -> Iterator[Overrides]:
    """Put `overrides` in force for the calls made inside."""
    _in_force.append(overrides)
    try:
        yield overrides
    finally:
        _in_force.remove(overrides)


@contextlib.contextmanager
def recorded(
    log_json: str | os.PathLike[str] | None,
    name: JobName,
    *,
    output: str | os.PathLike[str],
    frames: int | None,
    resume: bool,
    complain: Callable[[str], None],
) -> Iterator[Listener]:
    """Someone to tell the job's events; its start and its failure are told here."""
    from rayanim import __version__

    if log_json is None:
        yield Nobody()
        return
    began_s = time.perf_counter()
    with EventLog(log_json, name.video, name.run, complain) as log:
        log.tell(
            JobStarted(
                output=os.fspath(output),
                frames=frames,
                resume=resume,
                rayanim=__version__,
                host=socket.gethostname(),
                pid=os.getpid(),
            )
        )
        try:
            yield log
        except BaseException as error:
            elapsed_s = time.perf_counter() - began_s
            kind = type(error).__name__
            log.tell(JobFailed(error=kind, text=str(error) or kind, elapsed_s=elapsed_s))
            raise


def finished(report: Report) -> JobFinished:
    """What the log is told of a video that has its name."""
    return JobFinished(
        output=str(report.output),
        frames=report.frames,
        resumed_frames=report.resumed_frames,
        file_bytes=report.file_bytes,
        elapsed_s=report.elapsed_s,
        engine=report.engine,
        actors_peak=report.actors_peak,
    )


DEFAULT_FPS = 30
"""The rate of videos that nobody gave one."""

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
        if "dpi" in changes and self.savefig_params is not None:
            # The script's own would have the last word otherwise.
            changes["savefig_params"] = {**self.savefig_params, "dpi": changes["dpi"]}
        return replace(self, **{**changes, "outfile": outfile})

    def _replaced_codec(self, overrides: Overrides) -> dict[str, Any]:
        """What the script chose for its codec means nothing to another one."""
        if overrides.arguments.get("codec", self.codec) == self.codec:
            return {}
        return {"crf": None, "preset": None, "pixel_format": None}

    def _rate_differs(self, fps: int) -> bool:
        return parse_rate(self.fps) != fps

    def _as_still(self, number: int) -> dict[str, Any]:
        """What a still of frame `number` needs of the video: that frame.

        With a tight box, which the first frame settles, also the first.
        """
        first = 0 if self.frames is None else Selection.parse(self.frames).parts[0][0]
        tight = (self.savefig_params or {}).get("bbox_inches") == "tight"
        # All from the first one: its own number need not be 0, see `IndexedFrameParams`.
        low, high = sorted((first if tight else number, number))
        return {"still_number": number, "frames": f"{low}-{high}"}

    def plan(self) -> Plan:
        """Check everything that can be checked before work starts."""
        from rayanim.engine.machine import usable_cores
        from rayanim.sources import as_source, is_frame_stream, stream_arguments

        if is_frame_stream(self.frame_gen):
            given = {each.name: getattr(self, each.name) for each in fields(self)}
            return replace(self, **stream_arguments(given)).plan()
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
        from rayanim.sources import SequentialSource

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
                "No output file: give outfile='video.mp4', or -o on the command line."
            )
        try:
            path = address_of(self.outfile).expanduser()
        except TypeError:
            raise SettingsError(
                f"outfile must be a string or a Path, got {self.outfile!r:.80}."
            ) from None
        except RuntimeError:
            raise OutputError(
                f"{str(self.outfile)!r}: there is no such user's home folder."
            ) from None
        return with_default_suffix(path, ".mp4" if self.still_number is None else ".png")

    def _check_format(self, suffix: str, video: VideoSettings) -> None:
        if self.still_number is not None:
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


def produce(
    frame_gen: Any,
    fps: int | float | str | Fraction | None = None,
    dpi: float | Literal["figure"] | None = 100,
    bitrate: float = -1,
    outfile: Outfile | None = None,
    settings: PerformanceSettings | Report | None = None,
    time_per_print: float = 15.0,
    logger: logging.Logger | None = None,
    *,
    workers: int | str = "auto",
    engine: Engine = "auto",
    codec: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    pixel_format: str | None = None,
    odd_size: OddSize = "pad",
    background: str = "white",
    overwrite: bool = True,
    progress: Any = None,
    frames: str | None = None,
    seed: int | None = 0,
    param_by_frame: Iterable[Any] | None = None,
    n_frames: int | None = None,
    duration: float | None = None,
    savefig_params: dict[str, Any] | None = None,
    reuse_figure_object: bool = True,
    drawing: Drawing = "auto",
    drawing_log_interval: int | None = None,
    encoding_log_interval: int | None = None,
    sequential: bool | None = None,
    on_history: OnHistory = "error",
    transport: Literal["auto"] | Transport = "auto",
    segment_frames: int | None = None,
    resume: bool = False,
    keep_parts: bool = False,
    address: str | None = None,
    cluster: ClusterSettings | None = None,
    log_json: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Report:
    """Render a video.

    Parameters
    ----------
    frame_gen
        A `FrameGenerator`, an `Act`, an `Animator`, or a function of the frame
        number (with `n_frames`) or of the time in milliseconds (with
        `duration`). A function may return an array, a Pillow image or a
        matplotlib figure. So may a list of frames hold them, and a generator
        yield them: it is read once, in order, in this process.
    fps
        Frames per second: a number, a `Fraction`, or text such as
        ``"30000/1001"``; None takes an `Animator`'s own, and 30 of all else.
    dpi
        Pixels per inch of figures that an `Animator` or a function draws;
        None and ``"figure"`` keep each figure's own.
    bitrate
        Target bit rate in kilobits per second; 0 or less leaves the codec to
        its constant quality.
    outfile
        Where the video goes: a path, or the URL of a store that fsspec knows,
        ``s3://bucket/video.mp4`` say, where the finished segments lie until
        then, too. The suffix chooses the container: .mp4, .mov, .mkv or .webm;
        a name without one gets .mp4. Folders are made.
    settings
        Performance settings to start from, or the report of an earlier run.
    time_per_print
        Seconds between two lines of progress where there is no bar.
    logger
        Gets lines of progress.
    workers
        The most render actors: a number, a percentage of the cores such as
        ``"50%"``, ``-1`` or ``"auto"`` for all cores. A number may exceed the
        cores. 1 draws in this process. With an `address` the cores are the
        cluster's.
    engine
        ``auto`` uses Ray where that is quicker, its start included; ``ray``
        and ``local`` pin it.
    codec
        ``h264``, ``h265``, ``vp9``, ``av1``, or an FFmpeg encoder's name; None
        takes the container's usual one.
    crf, preset, pixel_format
        The encoder's; None takes rayanim's defaults.
    odd_size
        ``pad``, ``crop``, ``scale`` or ``error``, where the pixel format needs
        an even width and height.
    background
        What shows through transparent pixels where the video has no alpha.
    overwrite
        Whether an existing file may be replaced. It is, by a finished one only.
    progress
        None shows a bar where there is a terminal or a notebook and lines
        elsewhere; False is silent; a function is called with ``(done, total)``.
    frames
        Which frames to render: ``"0-99"`` (inclusive), ``"3,5-10"``,
        ``"1-100x5"``; None for all.
    seed
        Sets the global generators of `random` and `numpy.random` for each
        frame, so that the video does not depend on who draws what; None leaves
        them alone.
    param_by_frame, n_frames
        An `Animator`'s parameters, see `Animator.make_video`; left out, its
        attributes of these names are taken. `n_frames` also makes a function
        one of the frame number.
    duration
        Milliseconds; makes a function one of the time.
    savefig_params
        Options of ``Figure.savefig`` for an `Animator`. Those that only say how
        to write an image file, such as ``metadata``, have no effect.
    drawing
        ``auto`` draws of a figure only what changed since the frame before, to
        the same pixels, and compares with a full draw now and then; ``full``
        draws everything in every frame.
    reuse_figure_object
        False sets an `Animator` up for every frame, for comparison only.
    drawing_log_interval, encoding_log_interval
        Log a line after so many frames.
    sequential
        True draws each frame in the state that a serial run would have: actors
        run the updates of the frames that they skip, without drawing them.
        None takes an `Animator`'s own.
    on_history
        What is done where a frame turns out to depend on those drawn before
        it although `sequential` is not set: ``error``, ``warn`` or ``ignore``.
    transport
        ``segments``: who draws also encodes, and finished segments are kept
        until the video is whole. ``frames``: raw frames go through one encoder,
        which a target bit rate and transparency need. ``auto`` takes segments
        where they can be joined.
    segment_frames
        The most frames in a segment. In ``segments`` transport it is part of
        what decides the video's bytes; None chooses by the number of frames.
    resume
        Go on from the segments that an earlier job of the same video has left,
        one that was killed, stopped or failed.
    keep_parts
        Keep the finished segments beside the video.
    address
        A Ray cluster that this machine belongs to: ``auto``, or ``HOST:PORT``
        of its head. None looks into ``RAY_ADDRESS``, and without one Ray runs
        on this machine alone; so it does with ``local``.
    cluster
        What may be asked of the cluster, and what is sent to it.
    log_json
        Add a line of JSON to this file for each event of the job, ``"-"`` for
        standard error; ``docs/events.md`` lists them.
    storage_options
        What fsspec's client of a store takes, where the environment does not
        tell: ``{"endpoint_url": ...}`` say.

    Returns
    -------
    Report
        What was made, how quickly, what bound it, and the settings found.

    Raises
    ------
    SettingsError
        If an argument makes no sense, before any work starts.
    ResumeError
        If there is nothing to go on from, or it is another video's.
    ScriptError
        If the user's code fails, with its own traceback.
    FarmError
        If Ray or its actors fail beyond mending, or the cluster cannot be
        reached.
    EncodeError
        If FFmpeg or the disk refuses.
    """
    overrides = current()
    request = Request(
        frame_gen=frame_gen,
        fps=fps,
        dpi=dpi,
        bitrate=bitrate,
        outfile=outfile,
        settings=settings,
        time_per_print=time_per_print,
        logger=logger,
        workers=workers,
        engine=engine,
        codec=codec,
        crf=crf,
        preset=preset,
        pixel_format=pixel_format,
        odd_size=odd_size,
        background=background,
        overwrite=overwrite,
        progress=progress,
        frames=frames,
        seed=seed,
        param_by_frame=param_by_frame,
        n_frames=n_frames,
        duration=duration,
        savefig_params=savefig_params,
        reuse_figure_object=reuse_figure_object,
        drawing=drawing,
        drawing_log_interval=drawing_log_interval,
        encoding_log_interval=encoding_log_interval,
        sequential=sequential,
        on_history=on_history,
        transport=transport,
        segment_frames=segment_frames,
        resume=resume,
        keep_parts=keep_parts,
        address=address,
        cluster=cluster,
        log_json=log_json,
        storage_options=storage_options,
    ).completed()
    if not overrides.admit(frame_gen):
        return passed_over(request)
    try:
        report = _carried_out(request.overridden(overrides).plan(), overrides)
    except ScriptError as error:
        raise as_raised(error)  # noqa: B904 - it brings its own cause
    except KeyboardInterrupt as error:
        print_in_one_line(error)
        raise
    if overrides.on_report is not None:
        overrides.on_report(report)
    return report


def _carried_out(plan: Plan, overrides: Overrides) -> Report:
    if overrides.still_number is not None:
        return draw_still(plan, overrides.still_number)
    if overrides.dry_run:
        return describe(plan)
    return render(plan, overrides.progress, overrides.how_to_resume)


def render(
    plan: Plan, progress: Progress | None = None, how_to_resume: str | None = None
) -> Report:
    """Render what was planned."""
    from rayanim.engine.stats import JobName

    request = plan.request
    told = progress or choose_progress(
        request.progress, time_per_print=request.time_per_print, logger=request.logger
    )
    name = JobName.of(plan.target.stem, secrets.token_hex(4))
    with recorded(
        request.log_json,
        name,
        output=str(plan.target),
        frames=plan.feed.n_frames,
        resume=request.resume,
        complain=told.message,
    ) as log:
        report = report_of(plan.target, _made(plan, name, told, log, how_to_resume))
        log.tell(finished(report))
    return report


def _made(
    plan: Plan, name: JobName, told: Progress, log: Listener, how_to_resume: str | None
) -> Outcome:
    """The video at its target, and how it came there."""
    target = target_at(plan.target, plan.request.storage_options)
    target.check(overwrite=plan.request.overwrite)
    make = partial(_try, plan, target, name, told, log, how_to_resume)
    with target.claimed():
        again = plan.feed.again()
        try:
            return make(plan.feed, may_redraw=again is not None)
        except RedrawError as error:
            # What was finished before the difference may be wrong as well.
            notice = f"{error.message}. All frames are drawn again, in full."
            return make(again or plan.feed, notice=notice)


def _try(
    plan: Plan,
    target: Target,
    name: JobName,
    told: Progress,
    log: Listener,
    how_to_resume: str | None,
    feed: Feed,
    *,
    may_redraw: bool = False,
    notice: str | None = None,
) -> Outcome:
    """One try at the video; with a `notice` it is the second one, with all figures in full."""
    in_full = notice is not None
    from rayanim.engine.job import JobRunner
    from rayanim.engine.stats import Job
    from rayanim.storage.segments import Keeper

    request = plan.request
    keeper = Keeper(
        target.parts,
        request.frame_gen,
        resume=request.resume and not in_full,
        keep=request.keep_parts,
        how_to_resume=how_to_resume or "give resume=True.",
    )
    # The parts go when the video has its name, and not before.
    with keeper, target.part() as part_path:
        job = Job(
            source=plan.source,
            feed=feed,
            make_spec=plan.make_spec,
            part_path=part_path,
            settings=plan.performance,
            max_actors=plan.max_actors,
            engine=request.engine,
            seed=None if request.seed is None else operator.index(request.seed),
            log_every=(request.drawing_log_interval, request.encoding_log_interval),
            transport=plan.transport,
            on_history=request.on_history,
            sequential=request.is_sequential,
            in_full=in_full,
            may_redraw=may_redraw,
            keeper=keeper,
            cluster=plan.cluster,
            name=name,
        )
        outcome = JobRunner(job, told, log, notice).run()
        check_whole(part_path, outcome.file_bytes)
    return outcome


ENGINES = {
    "auto": "in this process or on Ray, whichever the first frames show to be quicker",
    "local": "in this process, as asked for",
    "ray": "on Ray, as asked for",
}


@dataclass(slots=True, kw_only=True, repr=False)
class PlanReport(Report):
    """The report of a video that was only planned."""

    lines: tuple[str, ...] = ()
    max_actors: int = 1
    max_segment_frames: int = 1

    def summary(self) -> str:
        """The video, then the plan, one fact per line."""
        return "\n".join([Report.summary(self), *self.lines])

    __str__ = summary

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with the bounds."""
        bounds = {name: getattr(self, name) for name in ("max_actors", "max_segment_frames")}
        return {**Report.to_dict(self), **bounds}


def describe(plan: Plan) -> PlanReport:
    """Open the source here, measure its first frame and try the encoder out."""
    from rayanim.engine.local import choose_transport
    from rayanim.video.codecs import probe

    spec = plan.make_spec(_measured(plan))
    probe(spec)
    transport, transport_reason = choose_transport(spec, plan.transport)
    segment_frames = _longest_segment(plan, transport)
    return PlanReport(
        output=plan.target,
        frames=plan.feed.n_frames or 0,
        elapsed_s=0.0,
        size=spec.size,
        rate=spec.rate,
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=0,
        engine="ray" if plan.request.engine == "ray" else "local",
        engine_reason=ENGINES[plan.request.engine],
        transport=transport,
        transport_reason=transport_reason,
        settings=plan.performance,
        rendered=False,
        lines=tuple(_lines(plan, segment_frames)),
        max_actors=plan.max_actors,
        max_segment_frames=segment_frames,
    )


@dataclass(slots=True, kw_only=True, repr=False)
class PassedOver(Report):
    """The report of a call that was not carried out."""

    def summary(self) -> str:
        """One line."""
        return f"{self.output}: passed over, another video was asked for."

    __str__ = summary


def passed_over(request: Request) -> PassedOver:
    """What a call gets that was not carried out, because another video was asked for by name."""
    return PassedOver(
        output=address_of(request.outfile or ""),
        frames=0,
        elapsed_s=0.0,
        size=(0, 0),
        rate=parse_rate(request.fps),
        codec="none",
        pixel_format="none",
        file_bytes=0,
        rendered=False,
    )


def _measured(plan: Plan) -> Geometry:
    from rayanim.engine.draw import measure_source, open_source
    from rayanim.randomness import kept_randomness

    seed = plan.request.seed
    first = plan.feed.take(1)
    if not len(first):
        raise ParametersError("There is nothing to render: the video has no frames.")
    params = None if first.params is None else first.params[0]
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            return measure_source(plan.source, seed, first.numbers[0], params)
        finally:
            plan.source.close()


def _longest_segment(plan: Plan, transport: Transport) -> int:
    """The most frames in a segment."""
    from rayanim.engine.choose import MAX_SEGMENT_FRAMES
    from rayanim.engine.plan import GOP_FRAMES, closed_lengths

    asked, n_frames = plan.performance.frame_batch_amount, plan.feed.n_frames
    if transport == "frames":
        return asked or MAX_SEGMENT_FRAMES
    if n_frames is None:
        return asked or GOP_FRAMES
    return max(closed_lengths(n_frames, asked), default=1)


def _lines(plan: Plan, segment_frames: int) -> list[str]:
    request = plan.request
    lines = _where(plan, segment_frames)
    if plan.feed.n_frames is None:
        lines.append("How many frames there are, only the end of param_by_frame will tell.")
    if request.frames is not None:
        lines.append(f"Of the whole video, frames {request.frames}.")
    if target_at(plan.target, request.storage_options).exists():
        what = "is replaced" if request.overwrite else "may not be replaced: the run would stop"
        lines.append(f"{plan.target} exists and {what}.")
    return lines


def _where(plan: Plan, segment_frames: int) -> list[str]:
    request, segments = plan.request, f"at most {_count(segment_frames, 'frame')} in a segment."
    if plan.cluster is not None:
        # It is not asked: a plan is made in a moment, and also where it cannot be reached.
        given = plan.cluster.workers, plan.cluster.settings.max_workers
        bounds = [bound for bound in given if isinstance(bound, int)]
        most = (
            f"At most {_count(min(bounds), 'render actor')}"
            if bounds
            else "As many render actors as there is room for"
        )
        return [f"Drawn on the Ray cluster ({plan.cluster.address.origin}).", f"{most}, {segments}"]
    # Mirrors the engine's own rule: one worker is this process.
    if request.engine == "local" or (request.engine == "auto" and plan.max_actors == 1):
        return [f"Drawn {ENGINES['local']}."]
    most = f"At most {_count(plan.max_actors, 'render actor')}"
    return [f"Drawn {ENGINES[request.engine]}.", f"{most}, {segments}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


VECTOR_SUFFIXES = (".pdf", ".svg", ".svgz", ".eps", ".ps")

MODES = ("RGBA", "RGB")
"""Pillow's names for the pixels of an image, the better ones first."""


@dataclass(slots=True, kw_only=True, repr=False)
class StillReport(Report):
    """The report of one frame that was drawn into an image."""

    number: int

    def summary(self) -> str:
        """One line."""
        width, height = self.size
        return (
            f"{self.output}: frame {self.number} in {width}x{height}, "
            f"{self.codec} {self.pixel_format}, {size_text(self.file_bytes)}"
        )

    __str__ = summary

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.output}: frame {self.number}>"

    def to_dict(self) -> dict[str, Any]:
        """As `Report.to_dict`, with the number."""
        return {**Report.to_dict(self), "number": self.number}


def check_image_suffix(suffix: str) -> tuple[str, str]:
    """Pillow's names for the image format of ``.png``, say, and for the pixels it takes."""
    from PIL import Image

    if suffix.lower() in VECTOR_SUFFIXES:
        # Pillow would put an image into some of them, which is not what anybody wants.
        raise OutputError(
            f"A still is an image of pixels, and {suffix!r} is a vector format: name it .png. "
            f"fig.savefig('figure{suffix}') in the script writes the figure as vectors."
        )
    name = Image.registered_extensions().get(suffix.lower())
    if name is not None and name in Image.SAVE:
        for mode in MODES:
            # The only way to ask; a refusal may have any of these types.
            with contextlib.suppress(OSError, ValueError, KeyError):
                Image.new(mode, (1, 1)).save(io.BytesIO(), format=name)
                return name, mode
    raise OutputError(
        f"{suffix!r} is no image format that Pillow writes: name the still .png, .webp, .tiff "
        "or .gif, or .jpg, which has no transparency."
    )


def draw_still(plan: Plan, number: int) -> Report:
    """Draw frame `number` as the video would show it, before conversion."""
    began_s = time.perf_counter()
    target = target_at(plan.target, plan.request.storage_options)
    target.check(overwrite=plan.request.overwrite)
    params = _params(plan, number)
    pixels, geometry = _drawn(plan, params, number)
    codec, mode, file_bytes = _save(pixels, target, plan.video.background_rgb())
    return StillReport(
        number=number,
        output=plan.target,
        frames=1,
        elapsed_s=time.perf_counter() - began_s,
        size=geometry.size,
        rate=plan.rate,
        codec=codec.lower(),
        pixel_format=mode.lower(),
        file_bytes=file_bytes,
        rendered=False,
    )


def _params(plan: Plan, number: int) -> dict[int, Any]:
    """Parameters by frame number: of frame `number`, and of the one that is measured."""
    params: dict[int, Any] = {}
    while number not in params:
        batch = _next(plan, number)
        if not params or batch.numbers[0] == number:
            params[batch.numbers[0]] = None if batch.params is None else batch.params[0]
    return params


def _next(plan: Plan, number: int) -> Batch:
    """One frame of the feed; nothing beyond frame `number` is taken from the user's iterable."""
    try:
        batch = plan.feed.take(1)
    except ParametersError as error:
        if error.traceback_text is not None or error.frame != number:
            raise
        batch = Batch((), None)
    if not len(batch):
        raise SettingsError(f"There is no frame {number}: param_by_frame ended before it.")
    return batch


def _drawn(plan: Plan, params: dict[int, Any], number: int) -> tuple[Pixels, Geometry]:
    from rayanim.engine.draw import draw_frame, measure_source, open_source
    from rayanim.randomness import kept_randomness, seed_for

    seed, first = plan.request.seed, min(params)
    with kept_randomness():
        open_source(plan.source, seed, None)
        try:
            geometry = measure_source(plan.source, seed, first, params[first])
            seed_for(seed, number)
            # Copied: the canvas that it is a view of ends with the source.
            return draw_frame(plan.source, number, params[number], geometry.size).copy(), geometry
        finally:
            plan.source.close()


def _save(pixels: Pixels, target: Target, background: tuple[int, int, int]) -> tuple[str, str, int]:
    """Write the image whole or not at all; the format's name, its pixels' mode, and its bytes."""
    from PIL import Image

    name, mode = check_image_suffix(target.address.suffix)
    image = Image.fromarray(pixels)
    if mode == "RGB":
        behind = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(behind, image).convert(mode)
    with target.claimed(), target.part() as part:
        _written(lambda: image.save(part, format=name), target)
        file_bytes = part.stat().st_size
    return name, mode, file_bytes


def _written(save: Callable[[], None], target: Target) -> None:
    try:
        save()
    except (OSError, ValueError) as error:
        raise OutputError(f"{str(target.address)!r} cannot be written: {error}.") from error
