"""Opens the parts of a job, and tells which of its segments are there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rayanim.farm.in_process.local import InProcess
from rayanim.farm.job import Job, Tally
from rayanim.farm.planning.plan import Segment

if TYPE_CHECKING:
    from rayanim.parts.keeper import Keeper
    from rayanim.parts.store import PartStore


class Resumption:
    """What a job finds of an earlier one.

    Parameters
    ----------
    job, tally
        The job and its counts.
    inside
        Has drawn the film's first frame.
    keeper
        Keeps what is finished.
    """

    def __init__(self, job: Job, tally: Tally, inside: InProcess, keeper: Keeper) -> None:
        self._job = job
        self._tally = tally
        self._inside = inside
        self._keeper = keeper

    def open(self) -> PartStore:
        """Where parts are put; counts and tells what is there."""
        longest = self._job.settings.frame_batch_amount
        store = self._keeper.open(
            self._inside.spec,
            n_frames=self._tally.total,
            segment_frames=(
                "by the number of frames" if longest is None else f"{longest} frames at most"
            ),
            seed=self._job.seed,
            sequential=self._job.sequential,
            source_name=self._job.source.name,
            first_frame=self._inside.first_digest.hex(),
            tell=self._tally.event,
        )
        if self._keeper.resumed_frames:
            self._tell()
        return store

    def _tell(self) -> None:
        resumed = self._keeper.resumed_frames
        self._tally.resumed(resumed, self._keeper.resumed_bytes)
        of_all = "" if self._tally.total is None else f" of {self._tally.total:,}"
        self._tally.progress.message(f"{resumed:,}{of_all} frames are there already.")
        self._tally.tell()

    def missing(
        self, plan: Iterator[Segment], found: Callable[[tuple[int]], None]
    ) -> Iterator[Segment]:
        """The segments of `plan` of which there is no part; `found` is told of each other."""
        count = 0
        for segment in plan:
            count += 1
            is_there = self._keeper.take_up(segment)
            if is_there:
                found((segment.index,))
                continue
            if is_there is False:
                self._refuse(segment)
            yield segment
        self._tally.resumed(-self._keeper.end_at(count), 0)

    def _refuse(self, segment: Segment) -> None:
        info = self._keeper.info_of(segment)
        self._tally.resumed(-info.n_frames, -info.file_bytes)
        self._tally.event_once(
            f"The part of {segment.label} has another length or was drawn with other "
            "parameters, or with such as have no name to compare; it is drawn again.",
            "other parameters",
        )
