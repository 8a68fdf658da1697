"""Keeps a job's finished segments until its film is whole, and longer where it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rayanim.errors import HistoryError, PartsError, RedrawError, ResumeError, ScriptError
from rayanim.parts.digest import batch_digest
from rayanim.parts.folder import PartsFolder
from rayanim.parts.folders import Folder
from rayanim.parts.part_file import PartInfo
from rayanim.storage.address import Address

if TYPE_CHECKING:
    from rayanim.farm.planning.plan import Segment
    from rayanim.parts.store import PartStore
    from rayanim.parts.values import DrawnFrom
    from rayanim.video.spec import StreamSpec


class Keeper:
    """The parts of one film, from the job's beginning to its end.

    As a context, which must enclose the renaming of the film: left without an
    error the parts go, left with one they stay.

    Parameters
    ----------
    place
        Where the parts of the film lie.
    thing
        What the user gave to be drawn; its code and its values must not change
        until the job is taken up again.
    resume
        Whether to go on from what an earlier job left.
    keep
        Whether the parts stay when the film is whole.
    how_to_resume
        What to tell the user to do to go on after a failure.
    """

    def __init__(
        self,
        place: Folder,
        thing: Any,
        *,
        resume: bool = False,
        keep: bool = False,
        how_to_resume: str = "Give resume=True",
    ) -> None:
        self._place = place
        self._thing = thing
        self._resume = resume
        self._keep = keep
        self._how_to_resume = how_to_resume
        self._source = ""
        self._values: DrawnFrom | None = None
        self._folder: PartsFolder | None = None
        self._finished: dict[int, PartInfo] = {}
        self._tell: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        from rayanim.parts.fingerprint import fingerprint
        from rayanim.parts.values import DrawnFrom

        # Before it is opened: what setup() makes is neither the user's code nor a value of it.
        self._source = fingerprint(self._thing)
        self._values = DrawnFrom(self._thing)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            if isinstance(error, RedrawError):
                folder.remove()
                return
            if error is not None:
                self._leave(folder, error)
                if self._values is not None:
                    self._values.note()
                return
            folder.forget_set_aside()
            if not self._keep:
                folder.remove()
        finally:
            # Whatever interrupts this: a notebook lives on, and must find the folder unlocked.
            folder.close()

    def open(
        self,
        spec: StreamSpec,
        *,
        n_frames: int | None,
        segment_frames: str,
        seed: int | None,
        sequential: bool,
        source_name: str,
        first_frame: str,
        tell: Callable[[str], None],
    ) -> PartStore:
        """Make or find the folder of the film's parts.

        Parameters
        ----------
        spec
            The stream.
        n_frames, segment_frames, seed, sequential, source_name, first_frame
            As a `Manifest`'s.
        tell
            Called with what a person should know.

        Raises
        ------
        ResumeError
            If an earlier job's parts were asked for and cannot be used.
        OutputError
            If the folder cannot be made, or another job uses it.
        """
        from rayanim import __version__
        from rayanim.parts.libraries import versions
        from rayanim.parts.manifest import Manifest

        manifest = Manifest(
            rayanim=__version__,
            libraries=versions(),
            n_frames=n_frames,
            segment_frames=segment_frames,
            stream=asdict(spec),
            seed=seed,
            sequential=sequential,
            source=self._source,
            values={} if self._values is None else self._values.digests,
            source_name=source_name,
            first_frame=first_frame,
        )
        self._tell = tell
        if self._resume:
            self._folder = PartsFolder.resume(self._place, manifest)
            self._look_through(self._folder)
        else:
            self._folder = PartsFolder.create(self._place, manifest)
            self._tell_of_set_aside(self._folder)
        return self._folder.store

    def pass_over(self, why: str, tell: Callable[[str], None]) -> None:
        """No segments will be kept.

        Parameters
        ----------
        why
            Why raw frames travel instead.
        tell
            Called with what a person should know.

        Raises
        ------
        ResumeError
            If there was to be gone on from segments.
        """
        if self._resume:
            raise ResumeError(
                f"There are no segments to go on from: the film goes through one encoder ({why}). "
                "Render it without resuming."
            )
        if self._keep:
            tell(f"There are no parts to keep: the film goes through one encoder ({why}).")

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self._place.path

    @property
    def takes_disk(self) -> bool:
        """Whether parts take room on the disk that the film is written to."""
        return self._place.is_on_disk

    @property
    def resumed_frames(self) -> int:
        """Frames in whole parts of an earlier job."""
        return sum(info.n_frames for info in self._finished.values())

    @property
    def resumed_bytes(self) -> int:
        """Bytes of those parts."""
        return sum(info.file_bytes for info in self._finished.values())

    def take_up(self, segment: Segment) -> bool | None:
        """Whether an earlier job's part is that of `segment`; None where there is none."""
        info = self._finished.get(segment.index)
        if info is None:
            return None
        digest = batch_digest(segment.batch.numbers, segment.batch.params)
        is_same = (info.start, info.stop) == (segment.start, segment.stop)
        return is_same and digest is not None and digest == info.batch_digest

    def info_of(self, segment: Segment) -> PartInfo:
        """What an earlier job's part of `segment` tells of itself, where there is one."""
        return self._finished[segment.index]

    def end_at(self, segments: int) -> int:
        """Take away the parts of an earlier job that lie behind the film's end; their frames.

        A generator of parameters may give fewer than the last time.

        Parameters
        ----------
        segments
            How many the film has.
        """
        beyond = [self._finished.pop(index) for index in list(self._finished) if index >= segments]
        if self._folder is not None:
            self._folder.store.remove_from(segments)
        return sum(info.n_frames for info in beyond)

    def _look_through(self, folder: PartsFolder) -> None:
        if folder.chosen is not None:
            self._say(folder.chosen)
        self._finished = folder.finished()
        for name, why in folder.rejected.items():
            self._say(f"The part {name} is not used: {why}. Its frames are drawn again.")
        if folder.not_compared:
            self._say(
                "Values of the source could not be compared with those of the earlier job: "
                f"{', '.join(folder.not_compared)}. If they have changed, so do frames in the "
                "midst of the film."
            )

    def _tell_of_set_aside(self, folder: PartsFolder) -> None:
        aside = folder.set_aside
        if aside is None:
            return
        whose = "an earlier job" if aside.is_same_film else "another film"
        advice = (
            " Resuming would go on from them: end this job, and resume. Whichever job has more "
            "keeps them."
            if aside.is_same_film
            else ""
        )
        self._say(
            f"{_count(aside.segments)} of {whose} are put aside in {str(aside.path)!r} until this "
            f"film is whole.{advice}"
        )

    def _leave(self, folder: PartsFolder, error: BaseException) -> None:
        count, whose, path = 0, "", folder.path
        # A folder that is gone is not what the job failed of.
        with contextlib.suppress(PartsError):
            count = folder.count()
        if folder.gives_way and folder.set_aside is not None:
            count = folder.set_aside.segments
            same = folder.set_aside.is_same_film
            whose = " of an earlier job, more than of this one," if same else " of another film"
        if count and not whose.endswith("film"):
            error.add_note(
                f"{_count(count)}{whose} {'is' if count == 1 else 'are'} kept in {str(path)!r}. "
                f"{self._how_to_resume}{_condition(error)}."
            )

    def _say(self, text: str) -> None:
        if self._tell is not None:
            self._tell(text)


def _count(segments: int) -> str:
    return "1 finished segment" if segments == 1 else f"{segments} finished segments"


def _condition(error: BaseException) -> str:
    """What else has to be so when a job is taken up again."""
    if isinstance(error, HistoryError):
        return (
            " and on_history='warn' (--on-history warn) to go on from there all the same, where "
            "the frames are right as they are"
        )
    same = ", if its code stays as it is" if isinstance(error, ScriptError) else ""
    return f" to go on from there{same}"
