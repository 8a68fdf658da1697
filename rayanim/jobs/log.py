"""Tells a job's log apart into what rayanim reports and what the script prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

EVENTS = ("start", "progress", "message", "finish", "fail", "report", "film", "error")
"""The events of ``rayanim run --json``, and ``film``, which only a job tells."""

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
        What it says, by name.
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
    except ValueError:
        return None
    kind = values.pop("event")
    return Event(kind, values) if kind in EVENTS else None
