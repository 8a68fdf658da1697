"""`produce`: one job from whatever the user wrote to a finished film."""

from __future__ import annotations

import logging
import operator
import os
import secrets
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rayanim.errors import RedrawError, ScriptError, as_raised
from rayanim.outcome import report_of
from rayanim.overrides import Overrides, current
from rayanim.progress import Progress, choose_progress
from rayanim.recording import finished, recorded
from rayanim.request import Plan, Request
from rayanim.settings import Engine, OddSize, OnHistory, PerformanceSettings, Transport
from rayanim.target import Target, check_whole, target_at

if TYPE_CHECKING:
    from rayanim.cluster import ClusterSettings
    from rayanim.drawing.figure import Drawing
    from rayanim.events import Listener
    from rayanim.farm.job import Outcome
    from rayanim.farm.naming import JobName
    from rayanim.feed import Feed
    from rayanim.report import Report
    from rayanim.storage.address import Outfile


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
    """Render a film.

    Parameters
    ----------
    frame_gen
        A `FrameGenerator`, an `Act`, an `Animator`, or a function of the frame
        number (with `n_frames`) or of the time in milliseconds (with
        `duration`). A function may return an array, a Pillow image or a
        matplotlib figure.
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
        Where the film goes: a path, or the URL of a store that fsspec knows,
        ``s3://bucket/film.mp4`` say, where the finished segments lie until
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
        What shows through transparent pixels where the film has no alpha.
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
        frame, so that the film does not depend on who draws what; None leaves
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
        until the film is whole. ``frames``: raw frames go through one encoder,
        which a target bit rate and transparency need. ``auto`` takes segments
        where they can be joined.
    segment_frames
        The most frames in a segment. In ``segments`` transport it is part of
        what decides the film's bytes; None chooses by the number of frames.
    resume
        Go on from the segments that an earlier job of the same film has left,
        one that was killed, stopped or failed.
    keep_parts
        Keep the finished segments beside the film.
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
        If there is nothing to go on from, or it is another film's.
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
        from rayanim.dry_run import passed_over

        return passed_over(request)
    try:
        report = _carried_out(request.overridden(overrides).plan(), overrides)
    except ScriptError as error:
        raise as_raised(error)  # noqa: B904 - it brings its own cause
    if overrides.on_report is not None:
        overrides.on_report(report)
    return report


def _carried_out(plan: Plan, overrides: Overrides) -> Report:
    if overrides.still_number is not None:
        from rayanim.still import draw_still

        return draw_still(plan, overrides.still_number)
    if overrides.dry_run:
        from rayanim.dry_run import describe

        return describe(plan)
    return render(plan, overrides.progress, overrides.how_to_resume)


def render(
    plan: Plan, progress: Progress | None = None, how_to_resume: str | None = None
) -> Report:
    """Render what was planned.

    Parameters
    ----------
    plan
        A checked request.
    progress
        Who is told; None takes what the request says.
    how_to_resume
        What to tell the user to do to go on after a failure.
    """
    from rayanim.farm.naming import JobName

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
    """The film at its target, and how it came there."""
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
    from rayanim.farm.engine import JobRunner
    from rayanim.farm.job import Job
    from rayanim.parts.keeper import Keeper

    request = plan.request
    keeper = Keeper(
        target.parts,
        request.frame_gen,
        resume=request.resume and not in_full,
        keep=request.keep_parts,
        how_to_resume=how_to_resume or "Give resume=True",
    )
    # The parts go when the film has its name, and not before.
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
