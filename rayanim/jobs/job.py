"""What Ray knows of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rayanim.jobs.request import SCRIPT_KEY

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

NEVER_STARTED = (
    "RUNTIME_ENV_SETUP_FAILURE",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
    "JOB_SUPERVISOR_ACTOR_START_FAILURE",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
    "JOB_ENTRYPOINT_COMMAND_START_ERROR",
)
"""Ray's kinds of failure after which nothing of the job has run."""


@dataclass(frozen=True, slots=True)
class Job:
    """What Ray knows of a job.

    Attributes
    ----------
    submission_id
        Its name.
    status
        ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``STOPPED``.
    message
        Ray's own sentence about the status.
    exit_code
        The driver's; None where it has not ended by itself.
    node_id
        Where the driver runs or ran; None while that is not known.
    started_s, ended_s
        Seconds since 1970; None while they are to come.
    metadata
        Texts by name that were kept with it.
    failure
        Ray's kind of failure; empty where there is none.
    """

    submission_id: str
    status: str
    message: str
    exit_code: int | None
    node_id: str | None
    started_s: float | None
    ended_s: float | None
    metadata: dict[str, str]
    failure: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in ENDED

    @property
    def was_never_started(self) -> bool:
        """Whether it has failed before anything of it could run."""
        return self.failure in NEVER_STARTED

    @property
    def script(self) -> str:
        """The script that it runs."""
        return self.metadata.get(SCRIPT_KEY, "")

    @classmethod
    def of(cls, details: Any) -> Job:
        """What of Ray's ``JobDetails`` is used here."""
        return cls(
            submission_id=details.submission_id,
            status=_text(details.status),
            message=details.message or "",
            exit_code=details.driver_exit_code,
            node_id=details.driver_node_id,
            started_s=details.start_time / 1000 if details.start_time else None,
            ended_s=details.end_time / 1000 if details.end_time else None,
            metadata=details.metadata or {},
            failure=_text(details.error_type or ""),
        )


def _text(value: Any) -> str:
    """A text that may have come as a member of an enumeration."""
    return str(getattr(value, "value", value))
