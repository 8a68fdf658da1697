"""The names of a job and its actors in Ray's tools, logs and metrics; PURE."""

from __future__ import annotations

from dataclasses import dataclass, replace

LONGEST_NAME = 64
"""Characters of a film's name that are shown."""

NAMED_ACTORS = 200
"""Render actors of a job that Ray knows by name, and not by their `repr` alone.

A name makes creating an actor wait for an answer, and adds some eight series
to the metrics that Ray itself keeps.
"""


@dataclass(frozen=True, slots=True)
class JobName:
    """The names of one job.

    Attributes
    ----------
    film
        The film's name.
    run
        Tells this job from others that make a film of that name.
    """

    film: str = "film"
    run: str = "0"

    @classmethod
    def of(cls, film: str, run: str) -> JobName:
        """The names for a film, which may be called anything."""
        shown = "".join(each if each.isprintable() else "_" for each in film)
        return cls(shown[:LONGEST_NAME] or "film", run)

    def in_pass(self, number: int) -> JobName:
        """The same, for the actors of one pass over the film: no name of the one before is free."""
        return self if number == 1 else replace(self, run=f"{self.run}-{number}")

    def render_actor(self, number: int) -> str | None:
        """A render actor's name in Ray; None where it gets none."""
        return f"{self.film}-{self.run}/render-{number}" if number <= NAMED_ACTORS else None

    def encoder_actor(self, number: int) -> str:
        """The name in Ray of the job's encoder actor; the first is number 1."""
        return f"{self.film}-{self.run}/encoder-{number}"
