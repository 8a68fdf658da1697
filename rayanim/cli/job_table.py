"""Shows jobs as a table, and one job in sentences."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rayanim.cli.watching import state_of
from rayanim.jobs.job import Job
from rayanim.jobs.log import Event, Text
from rayanim.jobs.outcome import how_to_go_on
from rayanim.progress import ProgressState
from rayanim.progress.wording import count, duration, percent, sentence

_WITH_STATE = ("start", "progress", "message", "finish", "fail")


@dataclass(slots=True)
class Known:
    """What is known of a job.

    Attributes
    ----------
    job
        Ray's part.
    label
        What its latest film is called.
    state
        How far that is; None where there is nothing to say.
    reports, films
        What it has reported of those that it has finished.
    error
        What it has reported of a failure.
    """

    job: Job
    label: str = ""
    state: ProgressState | None = None
    reports: list[str] = field(default_factory=list)
    films: list[str] = field(default_factory=list)
    error: str = ""

    def learn(self, told: Iterable[Text | Event]) -> None:
        """Take in what a job's log says."""
        for each in told:
            if isinstance(each, Event):
                self._learn(each.kind, each.values)

    def _learn(self, kind: str, values: dict[str, Any]) -> None:
        if kind in _WITH_STATE:
            self.label, self.state = values.get("label") or "", state_of(values)
        elif kind == "report":
            self.reports.append(str(values.get("text")))
        elif kind == "film":
            self.films.append(str(values.get("output")))
        elif kind == "error":
            self.error = str(values.get("text"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        job, state = self.job, self.state
        return {
            "job": job.submission_id,
            "status": job.status,
            "script": job.script,
            "started_s": job.started_s,
            "ended_s": job.ended_s,
            "exit_code": job.exit_code,
            "label": self.label,
            "done": state.done if state else None,
            "total": state.total if state else None,
            "films": self.films,
            "error": self.error or None,
        }

    def describe(self, fetching: str) -> str:
        """All of it, in lines for people.

        Parameters
        ----------
        fetching
            The command line that brings its films here.
        """
        job = self.job
        lines = [f"{job.submission_id}: {job.status.lower()}, {job.script}, {_times(job)}"]
        if self.state is not None and not self.reports:
            lines.append(sentence(self.state, self.label))
        lines += self.reports
        if self.error:
            lines.append(f"error: {self.error}")
        elif job.message and job.status in ("PENDING", "FAILED"):
            lines.append(job.message.splitlines()[0])
        if self.films:
            lines.append(f"To bring it here: {fetching}")
        elif job.has_ended and (again := how_to_go_on(job)):
            lines.append(again.strip())
        return "\n".join(lines)


def print_table(jobs: Sequence[Known], address: str) -> None:
    """Print a table of jobs to standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Cell

    table = Table("job", "status", "script", "frames", "when", box=None, pad_edge=False)
    for known in jobs:
        job = known.job
        cells = (job.submission_id, job.status.lower(), job.script, _frames(known), _times(job))
        table.add_row(*(Cell(each, overflow="fold") for each in cells))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    console.print(table if jobs else f"rayanim has submitted no job to {address}.")


def _frames(known: Known) -> str:
    if known.state is None:
        return ""
    share = percent(known.state)
    return count(known.state) + (f" ({share})" if share else "")


def _times(job: Job) -> str:
    if job.started_s is None:
        return "not started"
    began = datetime.fromtimestamp(job.started_s)
    text = f"since {began:%Y-%m-%d %H:%M:%S}"
    if job.ended_s is not None:
        text = f"{began:%Y-%m-%d %H:%M:%S}, took {duration(job.ended_s - job.started_s)}"
    return text
