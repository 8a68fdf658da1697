"""Runs a job: opens its source here, and leaves the rest to the transport that fits."""

from __future__ import annotations

import contextlib

from rayanim.errors import RayanimError
from rayanim.events import Listener, Nobody
from rayanim.farm.by_frames import FramesJob
from rayanim.farm.by_segments import SegmentsJob
from rayanim.farm.choosing.look import Chooser
from rayanim.farm.choosing.model import Choice
from rayanim.farm.connection.blame import told_as_ours
from rayanim.farm.exporter import Exporter
from rayanim.farm.in_process.local import InProcess
from rayanim.farm.job import Job, Outcome, Tally
from rayanim.progress.protocol import Progress
from rayanim.randomness import kept_randomness


class JobRunner:
    """Runs one job.

    Parameters
    ----------
    job
        The job.
    progress
        Who is told how it goes.
    log
        Who is told what happens.
    notice
        What the report is to say of this job from the start.
    """

    def __init__(
        self,
        job: Job,
        progress: Progress,
        log: Listener | None = None,
        notice: str | None = None,
    ) -> None:
        self._job = job
        self._notice = notice
        self._tally = Tally(
            progress,
            job.feed.n_frames,
            job.log_every,
            log=log or Nobody(),
            exporter=Exporter(job.name),
        )
        self._chooser = Chooser(job, self._tally)

    def run(self) -> Outcome:
        """Make the part file.

        Raises
        ------
        RayanimError
            Whatever went wrong; the part file is the caller's to remove.
        """
        job = self._job
        self._tally.progress.start(self._tally.total, job.part_path.stem)
        if self._notice is not None:
            self._tally.event_once(self._notice)
        link = self._chooser.link
        try:
            if link is not None:
                # Once it has been checked, the first frames are drawn here meanwhile.
                link.start()
            if self._chooser.may_travel:
                # Before the source is opened: what setup() makes may not be picklable.
                self._chooser.pack()
            # Without a seed the generators are the script's own affair.
            kept = kept_randomness() if job.seed is not None else contextlib.nullcontext()
            with kept, told_as_ours():
                outcome = self._run()
            self._tally.progress.finish(self._tally.state())
            return outcome
        except BaseException:
            self._tally.progress.fail()
            raise
        finally:
            if link is not None:
                link.session.stop()

    def _run(self) -> Outcome:
        inside = InProcess(self._job, self._tally)
        self._tally.transport = inside.transport
        self._tally.transport_reason = inside.transport_reason
        try:
            choice, file_bytes = self._runner(inside).run()
        except BaseException:
            inside.abandon()
            raise
        inside.close()
        self._tally.chosen(choice.engine, choice.reason, choice.actors)
        return self._outcome(inside, choice, file_bytes)

    def _runner(self, inside: InProcess) -> FramesJob | SegmentsJob:
        keeper = self._job.keeper
        if inside.transport == "frames":
            if keeper is not None:
                keeper.pass_over(inside.transport_reason, self._tally.event)
            return FramesJob(self._job, self._tally, self._chooser, inside)
        if self._job.keeper is None:
            raise RayanimError("There is nobody to keep finished segments. Please report this.")
        return SegmentsJob(self._job, self._tally, self._chooser, inside, self._job.keeper)

    def _outcome(self, inside: InProcess, choice: Choice, file_bytes: int) -> Outcome:
        tally = self._tally
        tally.there_are(actors=0, nodes=0)
        timings = tally.timings
        found = self._job.settings.replace(
            draw_ms=1000 * (timings.draw_s + timings.convert_s) / max(1, timings.frames),
            encode_ms=1000 * tally.encode_s / max(1, tally.frames - tally.resumed_frames),
        )
        if choice.engine == "ray":
            found = found.replace(num_workers=tally.usual_actors())
        return Outcome(inside.spec, file_bytes, choice.engine, choice.reason, found, tally)
