"""Decides what the end of a job means: an exit code, and what to do next."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayanim.jobs.job import Job
from rayanim.jobs.request import RESUME_KEY

DONE, FAILED, LOST, STOPPED = 0, 1, 3, 143

LONGEST_CHARS = 2000
"""Of Ray's own message, what is shown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job has ended, for the one who submitted it.

    Attributes
    ----------
    exit_code
        The command's.
    text
        What to say beside what the job has said itself; empty for nothing.
    """

    exit_code: int
    text: str = ""


def outcome_of(job: Job, error: Mapping[str, Any] | None) -> Outcome:
    """What the end of `job` means.

    Parameters
    ----------
    job
        One that has ended.
    error
        What rayanim itself has said in the job of what went wrong, the values of
        its event ``error``; None for nothing.
    """
    name = job.submission_id
    if job.status == "SUCCEEDED":
        return Outcome(DONE)
    if job.status == "STOPPED":
        return Outcome(STOPPED, f"{name} was stopped.{how_to_go_on(job)}")
    code = job.exit_code
    if job.was_never_started:
        return Outcome(LOST, f"{name} could not be started: {_shortened(job.message)}")
    if code is None:
        why = (job.message or "its node is gone").rstrip(".")
        return Outcome(LOST, f"{name} was lost: {why}.{how_to_go_on(job)}")
    if code < 0 or code in (137, 139):
        return Outcome(
            LOST,
            f"{name}: its driver was ended by {_signal_name(code)}, as happens where memory runs "
            f"out.{how_to_go_on(job)}",
        )
    if error is not None:
        return Outcome(code, hint(error))
    if code == 127:
        return Outcome(
            LOST,
            f"{name}: the head has no python on its PATH. Activate the environment that Ray is "
            "installed in before ray start, or use an image that has one.",
        )
    return Outcome(code or FAILED, f"{name} failed with exit code {code}.")


def hint(error: Mapping[str, Any]) -> str:
    """What to do about an error that a script meets on a cluster and not at home; else nothing."""
    found = re.search(r"No module named '(\w+)", str(error.get("text")))
    if found is None:
        return ""
    return (
        f"The cluster's Python has no module {found[1]!r}. A package is installed for this job by "
        "--pip NAME; a module of yours goes along if it lies in the script's folder, or in the "
        "one that --working-dir names."
    )


def how_to_go_on(job: Job) -> str:
    """A sentence with the command that goes on from a job's parts; empty where none is known."""
    command = job.metadata.get(RESUME_KEY)
    return f" To go on from its parts: {command}" if command else ""


def _shortened(message: str) -> str:
    """Its beginning and its end: what pip says fills pages, and says the cause last."""
    if len(message) <= LONGEST_CHARS:
        return message
    return f"{message[: LONGEST_CHARS // 4]} [...] {message[-3 * LONGEST_CHARS // 4 :]}"


def _signal_name(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
