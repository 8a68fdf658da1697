"""Hides what lets others in from texts that are shown and kept."""

from __future__ import annotations

import re

HIDDEN = "..."

# A user's name alone may be a token; git@ is everybody's.
_USER_OF_URL = re.compile(r"(?<=://)(?!git@)[^/\s'\"]+(?=@)")


def masked(text: str) -> str:
    """`text`, without the names and passwords of users that its URLs hold."""
    return _USER_OF_URL.sub(HIDDEN, text)
