"""What is rendered, with which settings, and where it goes, checked before work starts."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.animations import AnimationFeed, AnimationSource, SavedAnimation
from rayanim.errors import OutputError, RedrawError, SettingsError
from rayanim.figure.playback import code_of
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
from rayanim.settings import (
    OF_ONE_CODEC,
    ClusterSettings,
    RenderSettings,
    Samples,
    Selection,
    check_outfile,
    without_rivals,
)
from rayanim.storage.address import Address, Output, check_names, with_default_suffix
from rayanim.storage.output import Target
from rayanim.storage.video_folder import VideoFolder, is_folder, is_image, output_of
from rayanim.timeline import frame_count
from rayanim.video.spec import without_effect

if TYPE_CHECKING:
    from rayanim.sources import Source

_logger = logging.getLogger(__name__)


def read_outputs(outfile: Any) -> tuple[Output, ...]:
    """The outputs that were asked for, one or several; the first is a video where one is."""
    if outfile is None:
        return ()
    several = outfile if isinstance(outfile, list | tuple) else [outfile]
    outputs = [output_of(check_outfile("outfile", each)) for each in several]
    return tuple(sorted(outputs, key=lambda each: is_image(each.address)))


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


def make_plan(arguments: dict[str, Any], *, is_still: bool = False) -> PlannedVideo:
    """Check everything that can be checked before work starts."""
    from rayanim.sources import as_source, is_frame_stream, stream_settings

    thing, params = arguments.pop("frame_gen"), arguments.pop("param_by_frame")
    settings = RenderSettings(performance=arguments.pop("settings"), **arguments)
    if is_frame_stream(thing):
        if params is not None:
            raise SettingsError("param_by_frame goes with an Animator, not with frames.")
        settings = stream_settings(settings)
        thing = params = FrameStream(thing, settings.seed)
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
        _own_changes(address.suffix, dict(output.options), of_none)
        for address, output in zip(addresses, outputs, strict=True)
    )
    target = _target(addresses[0], replace(settings, **main), is_still=is_still)
    others = []
    for address, changed in zip(addresses[1:], changes, strict=True):
        its_own = replace(settings, **changed)
        others.append(PlannedOutput(_target(address, its_own, is_beside=True), its_own))
    return replace(settings, **main), target, tuple(others)


def _own_changes(suffix: str, own: dict[str, Any], of_none: set[str]) -> dict[str, Any]:
    """The settings of an output that are not those of all: `own`, and what has no effect there."""
    without = set(without_effect(suffix)) - of_none
    return without_rivals(own, without.union(OF_ONE_CODEC) if "codec" in own else without)


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

    has_many_files = is_folder(address.name)
    suffix = address.name if has_many_files else address.suffix
    check_target(suffix, settings, is_beside=is_beside)
    return (VideoFolder if has_many_files else Target)(address, storage_options)


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
    if isinstance(inner, ParameterFeed):
        last = inner.last
    elif chosen is None and inner.n_frames:
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
        if selection is None and source.has_no_end:
            selection = Selection.parse(f"0-{FRAMES_OF_ENDLESS - 1}")
            _logger.warning(
                "The animation has no end: its first %d frames are rendered. Give FuncAnimation "
                "frames=N, or choose others with frames='0-299' (--frames 0-299).",
                FRAMES_OF_ENDLESS,
            )
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


FRAMES_OF_ENDLESS = 100
"""As many as matplotlib saved before its version 3.7 where no number was given."""

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


def warn_of_late_subtitles(plan: PlannedVideo, video_s: float) -> None:
    from rayanim.video.tracks import late_subtitles

    given = (plan.settings, *(each.settings for each in plan.others))
    path = next((each.subtitles for each in given if each.subtitles), None)
    text = late_subtitles(path, video_s) if path else None
    if text:
        _logger.warning("%s", text)
