"""`produce`: one job from whatever the user wrote to a finished video.

The way of a call: `produce` takes the arguments, the command's options take the
place of some (`Overrides`), `RenderSettings` checks them, `make_plan` finds the
source and its frames, and `rayanim.engine.job` makes the video from the plan.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rayanim.animations import AnimationFeed, AnimationSource, SavedAnimation
from rayanim.errors import (
    OutputError,
    RedrawError,
    ScriptError,
    SettingsError,
    as_raised,
    print_in_one_line,
)
from rayanim.events import EventLog, JobFailed, JobFinished, JobStarted, Listener, NoLog
from rayanim.figure.playback import code_of, is_animation, rate_of
from rayanim.parameters import (
    Feed,
    FrameStream,
    IndexedFrameParams,
    KeptEntries,
    NumberFeed,
    ParameterFeed,
    ThinnedFeed,
    comes_once,
    length_of,
)
from rayanim.progress import Progress, choose_progress
from rayanim.report import Report
from rayanim.settings import (
    DEFAULT_FPS,
    ClusterSettings,
    Dither,
    Drawing,
    Engine,
    OddSize,
    PerformanceSettings,
    RenderSettings,
    Samples,
    Selection,
    Transport,
    check_outfile,
    parse_rate,
)
from rayanim.storage.address import (
    Address,
    Outfile,
    Output,
    check_names,
    with_default_suffix,
)
from rayanim.storage.image_folder import (
    ImageFolder,
    is_image,
    is_image_pattern,
    output_of,
    with_number,
)
from rayanim.storage.output import Target, check_whole
from rayanim.timeline import frame_count
from rayanim.video.spec import without_effect

if TYPE_CHECKING:
    from rayanim.engine.stats import JobName, Outcome
    from rayanim.sources import Source

_logger = logging.getLogger(__name__)


def produce(
    frame_gen: Any,
    fps: int | float | str | Fraction | None = None,
    dpi: float | Literal["figure"] | None = 100,
    bitrate: float = -1,
    outfile: Outfile | Sequence[Outfile] | None = None,
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
    hwaccel: Literal["auto"] | None = None,
    odd_size: OddSize = "pad",
    background: str = "white",
    loop: int | None = None,
    dither: Dither | None = None,
    colors: int | None = None,
    metadata: Mapping[str, str] | None = None,
    hold: Any = None,
    durations: Sequence[float] | None = None,
    speed: float | str | Fraction = 1,
    ping_pong: bool = False,
    audio: str | os.PathLike[str] | tuple[Any, int] | None = None,
    subtitles: str | os.PathLike[str] | None = None,
    chapters: Mapping[int, str] | None = None,
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
    independent: bool | None = None,
    audit: float | None = None,
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
        for example ``s3://bucket/video.mp4``. Until the video is complete, its
        finished segments are kept beside it. The suffix chooses the container:
        .mp4, .mov, .mkv, .webm, .gif, .webp, .apng, .avif, .m4v or .avi; a name
        without one gets .mp4, and ``rayanim --formats`` lists all. A name with a
        number, such as ``frames/%04d.png``, is a folder with an image for each frame.
        Folders are made. A list makes several files of frames that are drawn once:
        ``["wave.mp4", "small.gif:width=480", "poster.png:frame=30"]``. Behind the name,
        and a colon, stands what one has of its own: the width to which its frames are
        scaled, the frame that an image shows (else the first), or one of codec, crf,
        preset, bitrate, pixel_format, loop, dither and colors.
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
        ``h264``, ``h265``, ``vp9``, ``av1``, ``prores``, ``qtrle``, ``ffv1``,
        ``webp-lossy``, or an FFmpeg encoder's name; None takes the container's usual one.
    crf, pixel_format
        The encoder's; None takes rayanim's defaults.
    preset
        ``small``, ``balanced`` or ``quick``: smaller files or less processor
        time, at about the same quality, for every codec; or one of the
        encoder's own, such as ``slow``. None is ``balanced``.
    hwaccel
        ``auto`` has a graphics card encode where one can, else software. What it makes is not the
        same on each machine, goes through one encoder, and cannot be resumed. So does a
        `codec` such as ``h264_nvenc``.
    odd_size
        ``pad``, ``crop``, ``scale`` or ``error``, where the pixel format needs
        an even width and height.
    background
        What shows through transparent pixels where the video has no alpha.
    loop
        How often a .gif, .webp, .apng or .avif plays; 0 and None are for ever.
    dither
        How a GIF shows colours that its palette lacks: ``bayer``,
        ``floyd_steinberg`` or ``sierra2_4a``, for example; None takes the nearest
        colour, which suits plots.
    colors
        The most colours of a GIF, its transparency included; None is 256.
    metadata
        What the file says of itself: ``{"title": "A wave", "artist": "..."}``, by the
        container's own names.
    hold
        How much longer the last frame is shown: seconds, or text such as ``"2s"`` or
        ``"500ms"``. ``{"first": 1, 120: 0.5, "last": 2}`` and ``"first=1s,120=500ms,last=2s"``
        hold the first frame and frame 120, too. A frame is drawn once, whatever it lasts.
    durations
        Seconds that each frame is shown, a list with one entry for each. The file has a
        variable frame rate; in a folder images are repeated.
    speed
        2 or ``"2x"`` plays twice as fast: every second frame is drawn. At ``0.5`` frames
        last twice as long.
    ping_pong
        Show all frames again in reverse, the last one first. They are drawn once; `hold`
        adds to the first and the last frame once.
    audio
        Sound: a file that FFmpeg reads, or an array and its rate, ``(samples, 44100)``,
        with floats from -1 to 1 or int16 of shape (n,) or (n, 2). It is cut, or padded with
        silence, to the video's length; AAC in .mp4, .mov and .m4v, Opus in .mkv and .webm.
    subtitles
        An .srt file, which becomes a text track of those.
    chapters
        Titles by the number of each chapter's first frame: ``{0: "Before", 120: "After"}``.
        None takes the scenes of an `Act`, and of acts in sequence; ``{}`` makes none.
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
        Each frame is drawn in the state that a serial run would have. Where
        updates are cheap that is always so: actors run the updates of the frames
        that they skip, without drawing them. Where updates are costly, actors skip
        them if a test on the first frames shows that frames do not depend on
        each other. True has them run in any case. None takes an `Animator`'s own.
    independent
        True declares that no frame depends on those before it: what is skipped is
        not run. None takes an `Animator`'s own.
    audit
        The share of the frames that are drawn again in full and compared: 0 for none,
        1 for all, which is proof. None audits some of the first frames, and then
        as many as take 5 % of the time. Where a frame differs, all are drawn
        again a safer way.
    transport
        ``segments``: the video is encoded in segments, which are kept until it is
        whole, and joined. ``frames``: one encoder makes all of it, which a target
        bit rate and transparency need. ``auto`` takes segments where they can be
        joined.
    segment_frames
        The most frames in a segment, which is part of what decides the video's
        bytes; None is the distance of keyframes, 250.
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
        Options for fsspec's client of a store that the environment does not
        set, for example ``{"endpoint_url": ...}``.

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
    return _produce(locals())


def _produce(arguments: dict[str, Any]) -> Report:
    """Do what the arguments of `produce` ask for, or what the command asks for instead."""
    overrides = current()
    arguments = _with_own(arguments)
    thing = arguments["frame_gen"]
    if not overrides.admit(thing.animation if isinstance(thing, SavedAnimation) else thing):
        return passed_over(arguments)
    arguments = overrides.applied(arguments)
    try:
        plan = make_plan(arguments, overrides)
        compare = _comparer(plan, overrides)
        report = _carried_out(plan, overrides)
        feed = plan.feed.inner if isinstance(plan.feed, ThinnedFeed) else plan.feed
        if isinstance(feed, AnimationFeed) and report.rendered:
            feed.catch_up()
    except ScriptError as error:
        raise as_raised(error)  # noqa: B904 - it brings its own cause
    except KeyboardInterrupt as error:
        print_in_one_line(error)
        raise
    if overrides.on_report is not None:
        overrides.on_report(report)
    if compare is not None and overrides.on_comparison is not None and report.rendered:
        overrides.on_comparison(compare(report))
    return report


def _comparer(plan: PlannedVideo, overrides: Overrides) -> Callable[[Report], str] | None:
    if overrides.on_comparison is None or overrides.dry_run:
        return None
    from rayanim.comparing import comparer

    return comparer(plan.source)


def _with_own(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with an `Animator`'s own attributes where they were left out."""
    from rayanim.animator import Animator

    thing, found = arguments["frame_gen"], dict(arguments)
    found["outfile"] = read_outputs(found["outfile"])
    if is_animation(thing):
        thing = found["frame_gen"] = SavedAnimation(thing)
    if isinstance(thing, SavedAnimation):
        if found["fps"] is None:
            found["fps"] = rate_of(thing.animation)
        # The script's own random numbers go on, as they do in matplotlib.
        found["seed"] = found["seed"] or None
    if not isinstance(thing, Animator):
        found["fps"] = DEFAULT_FPS if found["fps"] is None else found["fps"]
        return found
    declared = found["sequential"] or found["independent"]
    for name in ("fps", "sequential", "independent"):
        if found[name] is None:
            # What the call declares counts, and not what its class does.
            found[name] = False if declared and name != "fps" else getattr(thing, name)
    if found["param_by_frame"] is None:
        found["param_by_frame"] = thing.param_by_frame
        # Beside parameters that have a length, `n_frames` may be anything of the script's.
        if found["n_frames"] is None and length_of(thing.param_by_frame) is None:
            found["n_frames"] = thing.n_frames
    return found


def read_outputs(outfile: Any) -> tuple[Output, ...]:
    """The outputs that were asked for, one or several; the first is a video where one is."""
    if outfile is None:
        return ()
    several = outfile if isinstance(outfile, list | tuple) else [outfile]
    outputs = [output_of(check_outfile("outfile", each)) for each in several]
    return tuple(sorted(outputs, key=lambda each: is_image(each.address)))


def _carried_out(plan: PlannedVideo, overrides: Overrides) -> Report:
    if overrides.show is not None:
        return overrides.show(plan)
    if overrides.still_number is not None:
        from rayanim.still import draw_still

        return draw_still(plan, overrides.still_number)
    if overrides.dry_run:
        from rayanim.dry_run import describe

        return describe(plan)
    return render(plan, overrides.how_to_resume)


@dataclass(slots=True, kw_only=True)
class Overrides:
    """What the command changes of the script's calls, and how many of them were carried out.

    `arguments` take the place of the script's, by name. With `show` a video is shown, and
    not rendered.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    default_output: Address | None = None
    folder: Path | None = None
    videos: Path | None = None
    quality_fps: int | None = None
    still_number: int | None = None
    dry_run: bool = False
    show: Callable[[PlannedVideo], Report] | None = None
    wanted: Callable[[Any], bool] | None = None
    on_report: Callable[[Report], None] | None = None
    on_comparison: Callable[[str], None] | None = None
    how_to_resume: str = "give resume=True."
    calls: int = 0

    def admit(self, thing: Any) -> bool:
        """Count a call that would render `thing`, and say whether it is carried out."""
        if self.wanted is not None and not self.wanted(thing):
            return False
        self.calls += 1
        if self.calls > 1 and self.outputs:
            raise SettingsError(
                f"The script renders more than one video: -o {self.outputs[0]} went to the first. "
                "Leave -o out, or choose one by its NAME after the script."
            )
        return True

    def applied(self, script: dict[str, Any]) -> dict[str, Any]:
        """The script's arguments with the command's in their place."""
        changes = dict(self.arguments)
        if changes.get("codec", script["codec"]) != script["codec"]:
            # What was chosen for one codec means nothing to another.
            changes = {"crf": None, "preset": None, "pixel_format": None, **changes}
        if len(self.outputs) == 1 and script["outfile"]:
            # So does what was chosen for another kind of file.
            suffixes = {each.address.suffix.lower() for each in script["outfile"]}
            suffix = self.outputs[0].address.suffix
            if suffixes != {suffix.lower()}:
                changes = dict.fromkeys(without_effect(suffix)) | changes
        for choice, rival in (("crf", "bitrate"), ("bitrate", "crf")):
            if choice in changes and rival not in self.arguments:
                changes[rival] = None
        for choice, rival in (("sequential", "independent"), ("independent", "sequential")):
            if changes.get(choice) and rival not in self.arguments:
                changes[rival] = False
        if "dpi" in changes and isinstance(script["savefig_params"], dict):
            changes["savefig_params"] = {**script["savefig_params"], "dpi": changes["dpi"]}
        if "fps" not in changes:
            changes["fps"] = self._rate(script)
        changes["outfile"] = self._outputs_of_call(script["outfile"])
        if self.still_number is not None:
            changes["frames"] = self._frames_of_still(script, self.still_number)
            if changes["outfile"] and not self.outputs:
                address = changes["outfile"][0].address
                if is_image_pattern(address.name) and script["outfile"]:
                    address = with_number(address, self.still_number)
                else:
                    address = address.with_suffix(".png")
                changes["outfile"] = (Output(address),)
        return script | changes

    def target(self, outfile: Outfile | None) -> Address | None:
        """The first output of a call that names `outfile`."""
        outputs = self._outputs_of_call(read_outputs(outfile))
        return outputs[0].address if outputs else None

    def _outputs_of_call(self, named: tuple[Output, ...]) -> tuple[Output, ...]:
        """The outputs of a call that names these."""
        default = () if self.default_output is None else (Output(self.default_output),)
        outputs = self.outputs or named or default
        if self.videos is not None:
            return tuple(self._below_videos(each, self.videos) for each in outputs)
        if outputs is named or self.folder is None or self.folder == Path.cwd():
            return outputs  # as they were written, for messages
        return tuple(replace(each, address=self.folder / each.address) for each in outputs)

    @staticmethod
    def _below_videos(output: Output, videos: Path) -> Output:
        """`output` in the folder for videos; an absolute path and a URL stay what they are."""
        if not isinstance(output.address, Path):
            return output
        target = videos / output.address
        target.parent.mkdir(parents=True, exist_ok=True)
        return replace(output, address=target)

    def _rate(self, script: dict[str, Any]) -> Any:
        """The script's rate, or that of the quality where frames can be drawn at any time."""
        from rayanim.sources import is_frame_list, is_frame_stream

        fps, thing = script["fps"], script["frame_gen"]
        if self.quality_fps is None:
            return fps
        is_animation = isinstance(thing, SavedAnimation)
        one_by_one = is_animation or is_frame_list(thing) or is_frame_stream(thing)
        if script["param_by_frame"] is None and script["n_frames"] is None and not one_by_one:
            return self.quality_fps
        # Frames that are given one by one would only play at another speed.
        if parse_rate(fps) != self.quality_fps:
            _logger.warning(
                "The frames are given one by one: they keep their rate of %s fps. "
                "Change it with --fps.",
                fps,
            )
        return fps

    @staticmethod
    def _frames_of_still(script: dict[str, Any], number: int) -> str:
        """Frame `number`; with a tight box, which the first frame settles, from the first on."""
        frames, savefig_params = script["frames"], script["savefig_params"]
        first = number
        if isinstance(savefig_params, dict) and savefig_params.get("bbox_inches") == "tight":
            first = 0 if frames is None else Selection.parse(frames).ranges[0][0]
        # All from the first one: its own number need not be 0, see `IndexedFrameParams`.
        return f"{min(first, number)}-{max(first, number)}"


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


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """Another file that is made of the same frames."""

    target: Target
    settings: RenderSettings


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """What is rendered, with which settings, and where it goes; checked, and not opened yet."""

    thing: Any
    settings: RenderSettings
    source: Source
    feed: Feed
    target: Target
    params: Iterable[Any] | None = None
    others: tuple[PlannedOutput, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """Where all of it goes."""
        return [self.target, *(each.target for each in self.others)]

    def with_settings(self, changed: Callable[[RenderSettings], RenderSettings]) -> PlannedVideo:
        """The same with other settings for all outputs."""
        others = tuple(replace(each, settings=changed(each.settings)) for each in self.others)
        return replace(self, settings=changed(self.settings), others=others)

    def drawn_safer(self, redraw: RedrawError, feed: Feed) -> PlannedVideo:
        """The same video of a new source, drawn as `redraw` says; `feed` has its frames."""
        from rayanim.engine.packing import restore_variables, unpickled

        source = self.source
        if redraw.packed is not None:
            restore_variables(redraw.packed)
            source = unpickled(redraw.packed)
        settings = self.settings
        if redraw.in_process:
            here: dict[str, Any] = {"engine": "local", "workers": 1, "address": "local"}
            settings = replace(settings, **here)
        params = self.params
        if redraw.in_sequence:
            settings = replace(settings, sequential=True, independent=False)
            params, feed_params, settings = _listed(source, params, settings)
            source, feed = _source_and_feed(source, feed_params, settings)
        return replace(self, settings=settings, source=source, feed=feed, params=params)


def make_plan(arguments: dict[str, Any], overrides: Overrides) -> PlannedVideo:
    """Check everything that can be checked before work starts."""
    from rayanim.sources import as_source, is_frame_stream, stream_settings

    thing, params = arguments.pop("frame_gen"), arguments.pop("param_by_frame")
    settings = RenderSettings(performance=arguments.pop("settings"), **arguments)
    if is_frame_stream(thing):
        if params is not None:
            raise SettingsError("param_by_frame goes with an Animator, not with frames.")
        settings = stream_settings(settings)
        thing = params = FrameStream(thing, settings.seed)
    is_still = overrides.still_number is not None
    if is_still:
        settings = replace(settings, speed=Fraction(1))  # no frame is left out
    settings, target, others = _planned_outputs(settings, is_still=is_still)
    if settings.cluster_address is None:
        _warn_of_unused(settings.cluster)
    if isinstance(thing, SavedAnimation):
        # It knows no other way. What names its segments is the script's code.
        settings = replace(settings, sequential=not settings.independent)
    elif comes_once(params) and not isinstance(params, FrameStream):
        params = KeptEntries(params)
    source = as_source(thing, settings)
    params, feed_params, settings = _listed(source, params, settings)
    source, feed = _source_and_feed(source, feed_params, settings)
    _check_frames(settings, others, feed)
    code = code_of(thing.animations) if isinstance(thing, SavedAnimation) else thing
    plan = PlannedVideo(code, settings, source, feed, target, params, others)
    chapters: Any = _chapters_of(thing, settings.fps)
    if chapters is None:
        return plan
    return replace(
        plan,
        settings=_with_chapters(settings, target, chapters),
        others=tuple(
            replace(each, settings=_with_chapters(each.settings, each.target, chapters))
            for each in others
        ),
    )


def _with_chapters(
    settings: RenderSettings, target: Target, chapters: dict[int, str]
) -> RenderSettings:
    """`settings` with these, where none were given and the file may have some."""
    if settings.chapters is not None or "chapters" in without_effect(target.address.suffix):
        return settings
    found: Any = chapters
    return replace(settings, chapters=found)


def _chapters_of(thing: Any, rate: Fraction) -> dict[int, str] | None:
    """The scenes of acts by the number of their first frame, where there are several."""
    from rayanim.acts import chapters_of
    from rayanim.frame_gen import FluentFG, FrameGenerator
    from rayanim.video.tracks import has_chapters

    if not has_chapters():
        return None
    generator = thing.build() if isinstance(thing, FluentFG) else thing
    found = chapters_of(generator) if isinstance(generator, FrameGenerator) else []
    if len(found) < 2:
        return None
    return {frame_count(at_ms, rate) if at_ms else 0: title for at_ms, title in found}


@contextlib.contextmanager
def with_audio_file(plan: PlannedVideo) -> Iterator[PlannedVideo]:
    """`plan`, with sound that is an array in a file, for the process that writes the video."""
    from rayanim.video.tracks import write_wav

    given = (plan.settings, *(each.settings for each in plan.others))
    samples = next((each.audio for each in given if isinstance(each.audio, Samples)), None)
    if samples is None:
        yield plan
        return
    with tempfile.TemporaryDirectory(prefix="rayanim-audio-") as folder:
        path = Path(folder, "audio.wav")
        write_wav(samples, path)
        yield plan.with_settings(
            lambda settings: replace(settings, audio=settings.audio and str(path))
        )


def _planned_outputs(
    settings: RenderSettings, *, is_still: bool
) -> tuple[RenderSettings, Target, tuple[PlannedOutput, ...]]:
    """The settings with those of the first output, its place, and the other outputs."""
    outputs = read_outputs(settings.outfile)
    outputs = outputs[:1] if is_still else outputs
    if not outputs:
        raise SettingsError("No output file: give outfile='video.mp4', or -o on the command line.")
    addresses = [_target_address(each, is_still=is_still) for each in outputs]
    check_names(addresses)
    # What means something to one of them is no mistake.
    of_none = set.intersection(*(set(without_effect(each.suffix)) for each in addresses))
    main, *changes = (
        _changes(address.suffix, dict(output.options), of_none)
        for address, output in zip(addresses, outputs, strict=True)
    )
    target = _target(addresses[0], replace(settings, **main), is_still=is_still)
    others = []
    for address, changed in zip(addresses[1:], changes, strict=True):
        its_own = replace(settings, **changed)
        others.append(PlannedOutput(_target(address, its_own, is_beside=True), its_own))
    return replace(settings, **main), target, tuple(others)


def _changes(suffix: str, own: dict[str, Any], of_none: set[str]) -> dict[str, Any]:
    """The settings of an output that are not those of all: `own`, and what has no effect there."""
    changes = dict.fromkeys(set(without_effect(suffix)) - of_none) | own
    if "codec" in own:
        # What was chosen for one codec means nothing to another.
        changes = {"crf": None, "preset": None, "pixel_format": None} | changes
    for choice, rival in (("crf", "bitrate"), ("bitrate", "crf")):
        if choice in own and rival not in own:
            changes[rival] = None
    return changes


def _target(
    address: Address, settings: RenderSettings, *, is_still: bool = False, is_beside: bool = False
) -> Target:
    """The place of an output, once its suffix is known to be one of a video, or of a still."""
    storage_options = settings.storage_options
    if is_still:
        from rayanim.still import check_image_suffix

        check_image_suffix(address.suffix)
        return Target(address, storage_options)
    from rayanim.video.codecs import check_target

    is_folder = is_image_pattern(address.name)
    check_target(address.name if is_folder else address.suffix, settings, is_beside=is_beside)
    return (ImageFolder if is_folder else Target)(address, storage_options)


def _target_address(output: Output, *, is_still: bool) -> Address:
    """Where a result goes."""
    try:
        address = output.address.expanduser()
    except RuntimeError:
        raise OutputError(
            f"{str(output)!r} begins with the home folder of a user who does not exist here."
        ) from None
    return with_default_suffix(address, ".png" if is_still else ".mp4")


def _check_frames(settings: RenderSettings, others: Iterable[PlannedOutput], feed: Feed) -> None:
    """See that frames that are held, or shown by images, are in the video, if that is known."""
    chosen = settings.frames
    inner = feed.inner if isinstance(feed, ThinnedFeed) else feed
    last = None
    if isinstance(inner, NumberFeed | AnimationFeed) and chosen is None and inner.n_frames:
        last = inner.n_frames - 1
    for own in (settings, *(each.settings for each in others)):
        for at, _ in own.hold:
            # Of others than the chosen ones nothing is said: they may be of the rest of the video.
            if isinstance(at, str) or (chosen is not None and at not in chosen):
                continue
            if not _is_drawn(at, settings):
                raise SettingsError(
                    f"hold is for frame {at}, which is not in the video{_which(settings, feed)}."
                )
    for each in others:
        frame = each.settings.frame
        if frame is None:
            continue
        is_there = (chosen is None or frame in chosen) and (last is None or frame <= last)
        if not is_there or not _is_drawn(frame, settings):
            is_beyond = last is not None and frame > last
            has = f": it has frames 0 to {last}" if is_beyond else _which(settings, feed)
            raise SettingsError(
                f"{str(each.target.address)!r} is to show frame {frame}, which is not in the "
                f"video{has}."
            )


def _is_drawn(number: int, settings: RenderSettings) -> bool:
    """Whether no higher speed leaves the frame out."""
    position, chosen = settings.position_of(number), settings.frames
    below = number if chosen is None else chosen.count_below(number)
    return position is not None and int(position * settings.every) == below


def _which(settings: RenderSettings, feed: Feed) -> str:
    """The first frames that a higher speed leaves, for a message."""
    if settings.every == 1:
        return ""
    chosen = settings.frames
    numbers = itertools.count() if chosen is None else itertools.chain(*chosen.ranges)
    most = min(3, feed.n_frames or 3)
    first = list(itertools.islice(filter(lambda each: _is_drawn(each, settings), numbers), most))
    more = "" if feed.n_frames == len(first) else " and so on"
    return (
        f": at a speed of {float(settings.speed):g} it has frames "
        f"{', '.join(map(str, first))}{more}"
    )


def _warn_of_unused(cluster: ClusterSettings) -> None:
    # Not refused: a script for a cluster is tried at home first.
    unused = cluster.unused_without_cluster
    if unused:
        _logger.warning(
            "On this machine alone %s ha%s no effect; address='auto' (--address auto) draws on "
            "the Ray cluster that it belongs to.",
            ", ".join(unused),
            "s" if len(unused) == 1 else "ve",
        )


def _source_and_feed(
    source: Source, params: Iterable[Any] | None, settings: RenderSettings
) -> tuple[Source, Feed]:
    """The source, in sequence where that is asked for, and the frames to draw of it."""
    source, feed = _source_and_all(source, params, settings)
    n_frames, n_durations = feed.n_frames, len(settings.durations)
    if settings.frames is None and n_frames is not None:
        if n_durations not in (0, n_frames):
            raise SettingsError(
                f"durations has {n_durations} entries, but the video has {n_frames} frames: give "
                "one for each."
            )
        for name in ("hold", "chapters"):
            last = max(
                (at for at, _ in getattr(settings, name) or () if not isinstance(at, str)),
                default=-1,
            )
            if last >= n_frames:
                raise SettingsError(
                    f"{name}: there is no frame {last}; the video has frames 0 to {n_frames - 1}."
                )
    return source, feed if settings.every == 1 else ThinnedFeed(feed, settings.every)


def _source_and_all(
    source: Source, params: Iterable[Any] | None, settings: RenderSettings
) -> tuple[Source, Feed]:
    """The same, with the frames that a higher speed leaves out."""
    from rayanim.sources import SequentialSource

    n_frames, selection = settings.n_frames, settings.frames
    if isinstance(source, AnimationSource):
        if params is not None:
            raise SettingsError("param_by_frame goes with an Animator, not with an animation.")
        return source, AnimationFeed(source, selection)
    if source.n_frames is not None and params is not None:
        raise SettingsError(
            f"param_by_frame goes with an Animator; {source.name} takes no parameters."
        )
    if settings.sequential:
        by_number = None
        if params is not None:
            by_number = dict(ParameterFeed(params, n_frames).take(sys.maxsize).frames())
        source = SequentialSource(source, settings.seed, by_number)
    if params is not None:
        return source, ParameterFeed(params, n_frames, selection)
    n_frames = n_frames if source.n_frames is None else source.n_frames
    if n_frames is None:
        raise SettingsError(
            f"{source.name}: how many frames? Give param_by_frame, one entry per frame, "
            "or n_frames."
        )
    return source, NumberFeed(n_frames, selection)


SOME_PARAMETERS, LISTED_BYTES = 20, 2**30
"""By the first of them their size is estimated; so many bytes of a generator's are kept at most."""


def _pickled_bytes(entries: list[IndexedFrameParams]) -> int:
    import cloudpickle

    try:
        return len(cloudpickle.dumps(entries))
    except Exception:  # reported, by frame, where they are sent
        return 0


def _listed(
    source: Source, params: Iterable[Any] | None, settings: RenderSettings
) -> tuple[Iterable[Any] | None, Iterable[Any] | None, RenderSettings]:
    """The parameters, in a list where updates of skipped frames are to run.

    First all of them, then those to draw: from a list that was a generator, as from
    the generator, which does not tell their number.
    """
    skips = settings.sequential or settings.frames is not None or settings.resume
    skips = skips or settings.every > 1
    if params is None or not skips or settings.independent or source.stays is not None:
        return params, params, settings
    if source.n_frames is not None:
        return params, params, settings  # refused by `_source_and_feed`
    frames = settings.frames
    last = sys.maxsize if frames is None else frames.last
    feed = ParameterFeed(params, settings.n_frames)
    entries: list[IndexedFrameParams] = []
    entry_bytes = 0
    # No further than to the last frame that is chosen: a generator may have no end.
    while (not entries or entries[-1].frame_id < last) and len(batch := feed.take(1)):
        entries += [IndexedFrameParams(number, entry) for number, entry in batch.kept().frames()]
        if len(entries) == SOME_PARAMETERS and length_of(params) is None:
            entry_bytes = _pickled_bytes(entries) // SOME_PARAMETERS
        if entry_bytes * len(entries) > LISTED_BYTES:
            raise SettingsError(
                f"The updates of frames that are skipped need param_by_frame, which takes more "
                f"than {LISTED_BYTES >> 20} MB. If frames do not depend on those before, give "
                "independent=True (--independent)."
            )
    if length_of(params) is not None or settings.sequential:
        return entries, entries, replace(settings, n_frames=None)
    return entries, iter(entries), settings


def render(plan: PlannedVideo, how_to_resume: str) -> Report:
    """Render what was planned."""
    from rayanim.engine.stats import JobName, report_of

    settings, address = plan.settings, plan.target.address
    progress = choose_progress(
        settings.progress, time_per_print=settings.time_per_print, logger=settings.logger
    )
    name = JobName.of(plan.target.name, secrets.token_hex(4))
    with recorded(
        settings.log_json,
        name,
        output=str(address),
        frames=plan.feed.n_frames,
        resume=settings.resume,
        complain=progress.message,
    ) as log:
        with with_audio_file(plan) as plan:
            outcome, other_bytes = _made(plan, name, progress, log, how_to_resume)
        addresses = [each.target.address for each in plan.others]
        report = report_of(address, outcome, list(zip(addresses, other_bytes, strict=True)))
        warn_of_late_subtitles(plan, report.video_s)
        log.apply(finished(report))
    return report


def _made(
    plan: PlannedVideo, name: JobName, progress: Progress, log: Listener, how_to_resume: str
) -> tuple[Outcome, list[int]]:
    """The video at its target, how it came there, and the bytes of the other outputs."""
    from rayanim.randomness import noted_randomness

    for target in plan.targets:
        target.check(overwrite=plan.settings.overwrite)

    def attempt(
        plan: PlannedVideo, feed: Feed, again: Feed | None, *, in_full: bool, notice: str | None
    ) -> tuple[Outcome, list[int]]:
        """One try at the video; with a `notice` it is not the first one."""
        from rayanim.engine.job import Job, JobRunner, OtherOutput
        from rayanim.storage.segments import SegmentStore

        segment_store = SegmentStore(
            plan.target,
            plan.thing,
            resume=plan.settings.resume and notice is None,
            resumed_first=plan.settings.resume,
            keep=plan.settings.keep_parts,
            how_to_resume=how_to_resume,
        )
        # The segments go when the video has its name, and not before.
        with segment_store, contextlib.ExitStack() as stack:
            part_path, *other_paths = [
                stack.enter_context(target.part()) for target in plan.targets
            ]
            job = Job(
                settings=plan.settings,
                source=plan.source,
                feed=feed,
                suffix=plan.target.suffix,
                part_path=part_path,
                segment_store=segment_store,
                others=tuple(
                    OtherOutput(suffix=each.target.suffix, settings=each.settings, part_path=path)
                    for each, path in zip(plan.others, other_paths, strict=True)
                ),
                name=name,
                in_full=in_full,
                again=again,
                params=plan.params,
            )
            outcome = JobRunner(job, progress, log, notice).run()
            file_bytes, *other_bytes = check_whole(job.part_paths, outcome.file_bytes)
        return replace(outcome, file_bytes=file_bytes), other_bytes

    with contextlib.ExitStack() as claims:
        for target in plan.targets:
            claims.enter_context(target.claimed())
            # Another job may have finished it since.
            if not plan.settings.overwrite:
                target.check(overwrite=False)
        feed, again = plan.feed, plan.feed.from_start()
        in_full, notice = False, None
        begin_random_numbers_again = noted_randomness()
        while True:
            try:
                return attempt(plan, feed, again, in_full=in_full, notice=notice)
            except RedrawError as error:
                # What was finished before may be wrong as well.
                redraw = error
            begin_random_numbers_again()
            plan = plan.drawn_safer(redraw, again or feed)
            in_full = in_full or redraw.in_full
            notice = f"{redraw.message}. All frames are drawn again, {_how(redraw)}."
            feed, again = plan.feed, plan.feed.from_start()


def _how(redraw: RedrawError) -> str:
    """How all frames are drawn again, for a message."""
    if redraw.in_sequence:
        return "each after the updates of those before it, as with --sequential"
    full = "in full" if redraw.in_full else ""
    here = "in this process" if redraw.in_process else ""
    return ", ".join(each for each in (full, here) if each)


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
    """A log for the job's events; its start and its failure are logged here."""
    from rayanim import __version__

    if log_json is None:
        yield NoLog()
        return
    began_s = time.perf_counter()
    with EventLog(log_json, name.video, name.run, complain) as log:
        log.apply(
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
            log.apply(JobFailed(error=kind, text=str(error) or kind, elapsed_s=elapsed_s))
            raise


def finished(report: Report) -> JobFinished:
    """The last event of a job whose video has its name."""
    return JobFinished(
        output=str(report.output),
        frames=report.frames,
        resumed_frames=report.resumed_frames,
        file_bytes=report.file_bytes,
        elapsed_s=report.elapsed_s,
        engine=report.engine,
        actors_peak=report.actors_peak,
    )


def warn_of_late_subtitles(plan: PlannedVideo, video_s: float) -> None:
    from rayanim.video.tracks import late_subtitles

    given = (plan.settings, *(each.settings for each in plan.others))
    path = next((each.subtitles for each in given if each.subtitles), None)
    text = late_subtitles(path, video_s) if path else None
    if text:
        _logger.warning("%s", text)


@dataclass(slots=True, kw_only=True, repr=False)
class PassedOver(Report):
    """The report of a call that was not carried out."""

    def summary(self) -> str:
        """One line."""
        return f"{self.output}: passed over, another video was asked for."

    __str__ = summary


def passed_over(arguments: dict[str, Any]) -> PassedOver:
    """What a call gets that was not carried out, because another video was asked for by name."""
    return PassedOver(
        output=arguments["outfile"][0].address if arguments["outfile"] else Path(),
        frames=0,
        elapsed_s=0.0,
        size=(0, 0),
        rate=parse_rate(arguments["fps"]),
        codec="none",
        pixel_format="none",
        file_bytes=0,
        rendered=False,
    )
