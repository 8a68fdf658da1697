"""`rayanim cache`: shows and clears the cache of finished segments."""

from __future__ import annotations

import sys

from rayanim.cli.printing import exiting_on_failure, write_text
from rayanim.errors import OutputError
from rayanim.progress.base import size_text
from rayanim.report import plural
from rayanim.storage.cache import SegmentCache


def show_cache() -> int:
    """Print where it is and how large; the exit code."""
    cache = SegmentCache()
    write_text(
        sys.stdout, f"{cache.folder}: {_held(cache)} of at most {size_text(cache.limit_bytes)}."
    )
    return 0


def clear_cache() -> int:
    """Remove it, and print how large it was; the exit code."""
    cache = SegmentCache()
    held = _held(cache)
    with exiting_on_failure():
        try:
            cache.clear()
        except OSError as error:
            raise OutputError(
                f"{str(cache.folder)!r} cannot be removed: {error.strerror}."
            ) from error
    write_text(sys.stdout, f"Removed {held}.")
    return 0


def _held(cache: SegmentCache) -> str:
    segments, n_bytes = cache.size()
    return f"{plural(segments, 'segment')}, {size_text(n_bytes)}"
