"""What Ray knows of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rayanim.jobs.request import SCRIPT_KEY

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


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
    """

    submission_id: str
    status: str
    message: str
    exit_code: int | None
    node_id: str | None
    started_s: float | None
    ended_s: float | None
    metadata: dict[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in ENDED

    @property
    def script(self) -> str:
        """The script that it runs."""
        return self.metadata.get(SCRIPT_KEY, "")

    @classmethod
    def of(cls, details: Any) -> Job:
        """What of Ray's ``JobDetails`` is used here."""
        return cls(
            submission_id=details.submission_id,
            status=str(getattr(details.status, "value", details.status)),
            message=details.message or "",
            exit_code=details.driver_exit_code,
            node_id=details.driver_node_id,
            started_s=details.start_time / 1000 if details.start_time else None,
            ended_s=details.end_time / 1000 if details.end_time else None,
            metadata=details.metadata or {},
        )
