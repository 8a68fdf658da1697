"""Tells a job's log apart into what rayanim reports and what the script prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any

Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    # As large as a signed 64-bit number at most: whoever divides it has to stay below infinity.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_amount(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and isfinite(value) and value >= 0)


def _or_nothing(check: Check) -> Check:
    return lambda value: value is None or check(value)


_OPTIONAL_STATE: Mapping[str, Check] = MappingProxyType(
    {
        "label": _or_nothing(_is_text),
        "total": _or_nothing(_is_count),
        "fps": _or_nothing(_is_amount),
        "eta_s": _or_nothing(_is_amount),
        "actors_alive": _is_count,
        "actors_target": _is_count,
        "queued_frames": _is_count,
    }
)
_STATE: Mapping[str, Check] = MappingProxyType({"done": _is_count})
_OFFER: Mapping[str, Check] = MappingProxyType(
    {
        "output": _is_text,
        "relative": _is_text,
        "name": _is_text,
        "size_bytes": _is_count,
        "sha256": _is_text,
        "newlines": _is_count,
        "ends_with_newline": lambda value: isinstance(value, bool),
    }
)

EVENTS: Mapping[str, Mapping[str, Check]] = MappingProxyType(
    {
        "start": _STATE,
        "progress": _STATE,
        "message": {**_STATE, "text": _is_text},
        "finish": _STATE,
        "fail": _STATE,
        "report": {"text": _is_text},
        "film": _OFFER,
        "error": {"text": _is_text},
    }
)
"""The events of ``rayanim run --json``, and ``film``, which only a job tells; what each must say.

A script may print lines like them: those that say something else are its own.
"""

LONGEST_LINE_CHARS = 2**20
"""What is longer is no event, and is passed on in pieces: 4 MB at most are held."""

_MARK = '{"event": "'

# What Ray's supervisor of the job writes into the same log.
_RAYS_OWN = re.compile(r"Running entrypoint for job |[-\d]+ [:,\d]+\tINFO job_manager\.py:\d+ -- ")


@dataclass(frozen=True, slots=True)
class Text:
    """A line that the script, or Ray, has printed, with its end of line."""

    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that rayanim reports.

    Attributes
    ----------
    kind
        One of `EVENTS`.
    values
        What it says, by name; what `EVENTS` asks for is among it.
    """

    kind: str
    values: dict[str, Any]


class LogReader:
    """Reads a log piece by piece, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> Iterator[Text | Event]:
        """What the lines that end in `piece` say."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            yield from read_line(line + "\n")
        if len(self._rest) > LONGEST_LINE_CHARS:
            yield from self.end()

    def end(self) -> Iterator[Text | Event]:
        """What the last line says, which nothing has ended."""
        rest, self._rest = self._rest, ""
        if rest:
            yield from read_line(rest)


def read_log(pieces: Iterable[str]) -> Iterator[Text | Event]:
    """What a whole log says."""
    reader = LogReader()
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


def read_line(line: str) -> Iterator[Text | Event]:
    """What one line says; an event may follow text that the script left without an end."""
    before, mark, after = line.rpartition(_MARK)
    event = _event(mark + after) if mark else None
    if event is None:
        before = line
    if before and not _RAYS_OWN.match(before):
        yield Text(before)
    if event is not None:
        yield event


def _event(text: str) -> Event | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets without end
        return None
    kind = values.pop("event")
    return Event(kind, values) if _is_ours(kind, values) else None


def _is_ours(kind: Any, values: dict[str, Any]) -> bool:
    if not isinstance(kind, str) or kind not in EVENTS:
        return False
    needed = EVENTS[kind]
    optional = _OPTIONAL_STATE if "done" in needed else {}
    return all(name in values and check(values[name]) for name, check in needed.items()) and all(
        check(values[name]) for name, check in optional.items() if name in values
    )
