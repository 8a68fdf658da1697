"""A call to a render actor, and what is said where it cannot travel or its code fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rayanim.errors import FrameError, NotPicklableError, RayanimError
from rayanim.farm.connection.blame import first_line, plain_text
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.roster import Member


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an actor has not answered yet.

    `segment` and `payload_ref` are None where it is not one of `render`.
    """

    member: Member
    what: Literal["hello", "open", "render"]
    segment: Segment | None = None
    payload_ref: Any = None


def failed_call(asked: Asked, error: Exception) -> RayanimError:
    """What to tell when code raised that is not the user's drawing."""
    what = "Opening the source" if asked.segment is None else f"Drawing {asked.segment.label}"
    return FrameError(
        f"{what} failed in the actor: {first_line(error)}",
        frame=None if asked.segment is None else asked.segment.batch.numbers[0],
        traceback_text=plain_text(error),
    )


@contextlib.contextmanager
def travelling(segment: Segment) -> Iterator[None]:
    """Say whose parameters cannot travel, where they do not.

    Raises
    ------
    NotPicklableError
        In the place of what the pickler raised.
    """
    import ray

    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:
        # Ray's own text lists every object on the way to the culprit.
        raise NotPicklableError(
            f"The parameters of {segment.label} cannot be sent to an actor: "
            f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
            "or draw in this process with workers=1.",
            frame=segment.batch.numbers[0],
        ) from error
