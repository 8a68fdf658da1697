"""What the engine tells of a running job, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ProgressState:
    """How far a job is.

    Parameters
    ----------
    done
        Frames encoded, those of an earlier run that is resumed included.
    total
        Frames of the whole job; None while an iterable's end is not known.
    fps
        Frames encoded per second, smoothed, of this run alone; None while
        there is nothing to say.
    eta_s
        Seconds left; None while there is nothing to say.
    actors_alive, actors_target
        Render actors that are up, and that the controller wants. Both 0 where
        the frames are drawn in the calling process.
    queued_frames
        Frames drawn but not yet encoded.
    """

    done: int
    total: int | None = None
    fps: float | None = None
    eta_s: float | None = None
    actors_alive: int = 0
    actors_target: int = 0
    queued_frames: int = 0


@runtime_checkable
class Progress(Protocol):
    """Someone who is told how a job goes.

    The engine calls `start` once, then `update` and `message` as often as it
    likes, then either `finish` or `fail`, all from one thread.
    """

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """The job called `label` begins; `done` frames are there already."""

    def update(self, state: ProgressState) -> None:
        """The job has come this far."""

    def message(self, text: str) -> None:
        """Something that a person should read now, a warning say."""

    def finish(self, state: ProgressState) -> None:
        """All frames are in the film."""

    def fail(self) -> None:
        """The job ends without its film; the error is told elsewhere."""
