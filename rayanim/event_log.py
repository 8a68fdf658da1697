"""Writes a job's events down, one JSON object per line."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from rayanim.errors import OutputError
from rayanim.events import Event, JobFailed, JobFinished, LogGap
from rayanim.progress.streams import QuietStream

STANDARD_ERROR = "-"
"""The name of the log that goes to standard error."""

ROUTINE_BYTES = 64 * 2**20
"""After so many bytes the segments' own lines end: at some 500 bytes for a segment's two lines
and 250 frames in it, a film of 30 million frames."""

ALL_BYTES = 2 * ROUTINE_BYTES
"""After so many bytes only the job's end is written."""

LONGEST_TEXT = 2000
"""Characters of a text, an error's say, that are written."""


class EventLog:
    """The log of one job: lines are added to what the file holds, and none is ever waited for.

    A log that cannot be written does not end the job. That is told once, and
    the log goes on with a `LogGap` as soon as it can be written again.

    Parameters
    ----------
    path
        The file; `STANDARD_ERROR` writes to standard error.
    job, run
        What the film is called, and which job for it this is: on every line.
    complain
        Told once, in words, if lines cannot be written.

    Raises
    ------
    OutputError
        If the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: str,
        run: str,
        complain: Callable[[str], None],
    ) -> None:
        self._path = os.fspath(path)
        self._names = {"job": job, "run": run}
        self._complain = complain
        self._written_bytes = 0
        self._missing = 0
        self._why = ""
        self._is_torn = False
        self._has_complained = False
        self._file = None if self._path == STANDARD_ERROR else _opened(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def tell(self, event: Event) -> None:
        """Write `event` down, unless the log is as long as it may be."""
        if not self._has_room(event):
            self._missing += 1
            self._why = f"the log has {self._written_bytes} bytes already"
        elif self._catch_up():
            self._write(event)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _has_room(self, event: Event) -> bool:
        if isinstance(event, JobFinished | JobFailed):
            return True
        limit_bytes = ROUTINE_BYTES if event.level == "debug" else ALL_BYTES
        return self._written_bytes < limit_bytes

    def _catch_up(self) -> bool:
        """Say how many lines are missing before the next one; whether that one may follow."""
        if not self._missing:
            return True
        missing, self._missing = self._missing, 0
        if self._write(LogGap(lines=missing, reason=self._why)):
            return True
        # Neither the line about the gap nor the one that was to follow.
        self._missing += missing
        return False

    def _write(self, event: Event) -> bool:
        line = line_of(event, datetime.now(UTC), self._names)
        try:
            self._put(line.encode("ascii"))
        except (OSError, ValueError) as error:
            self._missing += 1
            self._why = f"{type(error).__name__}: {error}"
            self._complain_once(error)
            return False
        return True

    def _put(self, line: bytes) -> None:
        if self._path == STANDARD_ERROR:
            QuietStream(sys.stderr).write(line.decode("ascii"))
            self._written_bytes += len(line)
            return
        if self._file is None:
            raise ValueError("the log is closed")
        # What a full disk has cut short must not spoil the line after it.
        rest = b"\n" + line if self._is_torn else line
        while rest:
            written = os.write(self._file, rest)
            self._written_bytes += written
            self._is_torn = written < len(rest)
            rest = rest[written:]

    def _complain_once(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._complain(
                f"The log {self._path!r} cannot be written ({error}); the film goes on. "
                "Lines are missing until it can."
            )


def _opened(path: str) -> int:
    """The file's descriptor; a pipe's writer that waits for nobody."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise OutputError(
            f"The log {path!r} cannot be opened: {why}. Give --log-json a file in a folder that "
            "exists and may be written to."
        ) from error


def line_of(event: Event, when: datetime, names: dict[str, str]) -> str:
    """The line for `event`, of ASCII characters and with its end.

    Parameters
    ----------
    event
        What happened.
    when
        When, in UTC.
    names
        What stands on every line.
    """
    fields = {name: _plain(value) for name, value in event.values().items()}
    time = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": time, "level": event.level, "event": event.name(), **names, **fields}
    return json.dumps(line, default=str) + "\n"


def _plain(value: Any) -> Any:
    """What JSON can hold: no infinity, no text without end, no more digits than are read."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
