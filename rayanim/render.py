"""`produce`: one job from whatever the user wrote to a finished video.

The way of a call: `produce` takes the arguments, the command's options take the
place of some (`Overrides`), `RenderSettings` checks them, `make_plan` finds the
source and its frames, and `rayanim.engine.job` makes the video from the plan.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from rayanim.animations import AnimationFeed, SavedAnimation
from rayanim.errors import (
    FrameError,
    RedrawError,
    ScriptError,
    as_raised,
    print_in_one_line,
    script_s_own,
)
from rayanim.events import (
    EventLog,
    JobFailed,
    JobFinished,
    JobStarted,
    Listener,
    Listeners,
)
from rayanim.figure.playback import is_animation, rate_of
from rayanim.overrides import Overrides, current, passed_over
from rayanim.parameters import Feed, ThinnedFeed, length_of
from rayanim.planning import (
    PlannedVideo,
    make_plan,
    read_outputs,
    warn_of_late_subtitles,
    with_audio_file,
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
    Transport,
)
from rayanim.storage.address import Outfile
from rayanim.storage.output import check_whole
from rayanim.tracebacks import called_by_users

if TYPE_CHECKING:
    from rayanim.engine.stats import JobName, Outcome

_logger = logging.getLogger(__name__)


@called_by_users
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
    cache: bool = False,
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
        `duration`). A function returns an array, a Pillow image or a
        matplotlib figure. A list may hold such frames, and a generator may yield
        them; a generator is read once, in order, in this process.
    fps
        Frames per second: a number, a `Fraction`, or text such as
        ``"30000/1001"``; None takes an `Animator`'s own, and 30 of all else.
    dpi
        Pixels per inch of figures that an `Animator` or a function draws;
        None and ``"figure"`` keep each figure's own.
    bitrate
        Target bit rate in kilobits per second; with 0 or less the video has a
        constant quality, see `crf`.
    outfile
        Where the video goes: a path, or the URL of a store that fsspec knows,
        for example ``s3://bucket/video.mp4``. Until the video is complete, its
        finished segments are kept beside it. The suffix chooses the container:
        .mp4, .mov, .mkv, .webm, .gif, .webp, .apng, .avif, .m4v or .avi; a name
        without one gets .mp4, and ``rayanim --formats`` lists all. A name with a
        number, such as ``frames/%04d.png``, is a folder with an image for each frame,
        and ``talk/index.m3u8`` one with a playlist and its segments. Folders are made.
        A list makes several files of frames that are drawn once:
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
        The encoder's quality, lower is better and larger, and FFmpeg's name of the
        pixel format; None takes rayanim's defaults.
    preset
        ``small``, ``balanced`` or ``quick``: smaller files or less processor
        time, at about the same quality, for every codec; or one of the
        encoder's own, such as ``slow``. None is ``balanced``.
    hwaccel
        With ``auto`` a graphics card encodes where one can, else software. Its videos are
        not the same on each machine, go through one encoder and cannot be resumed. The same
        holds for a `codec` such as ``h264_nvenc``.
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
        silence, to the video's length; AAC in .mp4, .mov, .m4v and .m3u8, Opus in .mkv and .webm.
    subtitles
        An .srt file, which becomes a text track in .mp4, .mov, .m4v, .mkv and .webm.
    chapters
        Titles by the number of each chapter's first frame: ``{0: "Before", 120: "After"}``.
        None takes the scenes of an `Act`, and acts or generators in sequence; ``{}`` makes none.
    overwrite
        Whether an existing file may be replaced, which is done when the new one is finished.
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
        attributes of these names are taken. With `n_frames` a function is called
        with the frame number.
    duration
        The video's length in milliseconds; a function is called with the time.
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
        True declares that no frame depends on those before it: updates of skipped
        frames are not run. None takes an `Animator`'s own.
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
    cache
        True takes segments of an earlier video from the user's cache where nothing that
        decides about their frames has changed, as far as rayanim can see, and keeps new ones
        there. Some of their frames are drawn again and compared. What cannot be followed is
        not cached.
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
        What was made, how quickly, what took longest, and the settings found.

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

    Examples
    --------
    >>> import numpy as np
    >>> def fade(number):
    ...     return np.full((240, 320, 3), 2 * number, np.uint8)
    >>> report = rayanim.produce(fade, fps=30, n_frames=120, outfile="f.mp4")  # doctest: +SKIP
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
        plan = make_plan(arguments, is_still=overrides.still_number is not None)
        compare = _comparer(plan, overrides)
        feed = plan.feed.inner if isinstance(plan.feed, ThinnedFeed) else plan.feed
        try:
            report = _carried_out(plan, overrides)
        except FrameError as error:
            if isinstance(feed, AnimationFeed) and script_s_own(error) is None:
                # What failed in an actor fails here, too, and the script may catch it.
                feed.catch_up()
            raise
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


def _carried_out(plan: PlannedVideo, overrides: Overrides) -> Report:
    if overrides.show is not None:
        return overrides.show(plan)
    if overrides.still_number is not None:
        from rayanim.still import draw_still

        return draw_still(plan, overrides.still_number)
    if overrides.dry_run:
        from rayanim.dry_run import describe

        return describe(plan)
    return render(plan, overrides.how_to_resume, overrides.watch)


def render(plan: PlannedVideo, how_to_resume: str, watch: Listener | None = None) -> Report:
    """Render what was planned; `watch` gets the job's events."""
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
        watch=watch,
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
            plan = plan.with_settings(lambda settings: replace(settings, cache=False))
            in_full = in_full or redraw.in_full
            notice = f"{redraw.message}. All frames are drawn again{_how(redraw)}."
            feed, again = plan.feed, plan.feed.from_start()


def _how(redraw: RedrawError) -> str:
    """How all frames are drawn again, for a message."""
    if redraw.in_sequence:
        return ", each after the updates of those before it, as with --sequential"
    full = "in full" if redraw.in_full else ""
    here = "in this process" if redraw.in_process else ""
    return "".join(f", {each}" for each in (full, here) if each)


@contextlib.contextmanager
def recorded(
    log_json: str | os.PathLike[str] | None,
    name: JobName,
    *,
    output: str | os.PathLike[str],
    frames: int | None,
    resume: bool,
    complain: Callable[[str], None],
    watch: Listener | None = None,
) -> Iterator[Listener]:
    """Who listens to the job's events, its log for one; its start and its failure are emitted."""
    from rayanim import __version__

    listeners = [] if watch is None else [watch]
    began_s = time.perf_counter()
    with contextlib.ExitStack() as stack:
        if log_json is not None:
            log_file = EventLog(log_json, name.video, name.run, complain)
            listeners.append(stack.enter_context(log_file))
        log = Listeners(*listeners)
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
