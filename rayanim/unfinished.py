"""The files of films that this process has not finished.

A signal handler that has no time for the jobs' own cleaning up removes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

_unfinished: set[Path] = set()


@contextlib.contextmanager
def removed_on_failure(part: Path) -> Iterator[None]:
    """Remove a file if what is done inside fails, or if this process is told to end at once."""
    _unfinished.add(part)
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(part)


def remove_unfinished() -> None:
    """Remove the part files of this process, which is about to end without cleaning up."""
    for part in tuple(_unfinished):
        with contextlib.suppress(OSError):
            part.unlink()
