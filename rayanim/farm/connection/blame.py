"""Tells a machine's fault from the code's in what Ray raises."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from rayanim.errors import FarmError, RayanimError

ANSWER_LIMIT_S = 10.0
"""For fetching an answer that is said to be there: it comes from a living node at once."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def is_code_fault(error: Exception) -> bool:
    """Whether code raised in an actor that lives on, rather than an actor or object being gone.

    Ray wraps the loss of an argument, and an object store or a disk that is
    full, into the same class as an exception of the called code; such an error
    is an instance of both.
    """
    from ray.exceptions import RayTaskError

    return isinstance(error, RayTaskError) and not _is_machine_fault(error)


def _is_machine_fault(error: Exception) -> bool:
    from ray.exceptions import (
        ObjectLostError,
        ObjectStoreFullError,
        OutOfDiskError,
        OutOfMemoryError,
        RayActorError,
    )

    machine_faults = (
        ObjectLostError,
        RayActorError,
        ObjectStoreFullError,
        OutOfDiskError,
        OutOfMemoryError,
    )
    return isinstance(error, machine_faults)


@contextlib.contextmanager
def told_as_ours() -> Iterator[None]:
    """Turn what Ray itself raises, where nobody expected it, into one message.

    Raises
    ------
    FarmError
        In the place of an exception of Ray's.
    """
    try:
        yield
    except Exception as error:
        # By its name: without Ray there is nothing to import, and nothing to turn.
        if type(error).__module__.partition(".")[0] != "ray":
            raise
        raise FarmError(
            f"Ray failed ({first_line(error)}). Where its object store or its disk is full, "
            "fewer workers or a smaller in_flight_bytes help."
        ) from error


def is_lost_argument(error: Exception) -> bool:
    """Whether an object that a call was given is gone, rather than the actor called."""
    from ray.exceptions import ObjectLostError, RayActorError

    return isinstance(error, ObjectLostError) and not isinstance(error, RayActorError)


def first_line(error: Exception) -> str:
    """The one line of an exception that a person needs."""
    if isinstance(error, RayanimError):
        return error.message
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return f"{type(cause).__name__}: {cause}"
    lines = [line.strip() for line in plain_text(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def plain_text(error: Exception) -> str:
    """All that Ray says of an error, without the colours of a terminal."""
    return _COLOURS.sub("", str(error))


def node_label(node: str) -> str:
    """How a person tells one node from others: the start of its id, and its address."""
    import ray

    addresses = {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes()}
    return f"{node[:8]} ({addresses.get(node, 'gone')})"
