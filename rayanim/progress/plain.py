"""Progress as lines, JSON, calls, or not at all: everything that draws no bar."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from rayanim.errors import SettingsError
from rayanim.progress import wording
from rayanim.progress.protocol import Progress, ProgressState
from rayanim.progress.streams import QuietStream


class NoProgress:
    """Says nothing."""

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Nothing."""

    def update(self, state: ProgressState) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def finish(self, state: ProgressState) -> None:
        """Nothing."""

    def fail(self) -> None:
        """Nothing."""


class LineProgress(NoProgress):
    """A line of text every so many seconds, and one at the end.

    Parameters
    ----------
    logger
        Gets the lines (INFO) and messages (WARNING); None writes them to `stream`.
    every_s
        Seconds between two lines; 0 writes one per update, infinity only the last.
    stream
        Where lines go without a logger; None takes ``sys.stderr``.
    clock
        Gives seconds that never go back.

    Raises
    ------
    SettingsError
        If `every_s` is negative or no number.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        every_s: float = 15.0,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.every_s = _seconds(every_s)
        self._logger = logger
        self._stream = stream
        self._clock = clock
        self._label = ""
        self._last_s = clock()

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Say where a resumed job goes on; a new one has nothing to say yet."""
        self._label = label
        self._last_s = self._clock()
        if done:
            state = ProgressState(done, total)
            self._write(logging.INFO, f"{wording.sentence(state, label)} are there already")

    def update(self, state: ProgressState) -> None:
        """Write a line if the last one is old enough."""
        now_s = self._clock()
        if now_s - self._last_s >= self.every_s:
            self._last_s = now_s
            self._write(logging.INFO, wording.sentence(state, self._label))

    def message(self, text: str) -> None:
        """Write `text`."""
        self._write(logging.WARNING, text)

    def finish(self, state: ProgressState) -> None:
        """Write the last line."""
        self._write(logging.INFO, wording.sentence(state, self._label))

    def _write(self, level: int, text: str) -> None:
        if self._logger is not None:
            self._logger.log(level, "%s", text)
            return
        stream = self._stream or sys.stderr
        if stream is not None:
            QuietStream(stream).write(f"{text}\n")


class CallbackProgress(NoProgress):
    """Calls ``callback(done, total)`` each time that one of the two has changed.

    An exception of the callback goes through and ends the job, so that a
    callback can also stop it.

    Parameters
    ----------
    callback
        Gets the frames encoded and the frames of the whole job, the latter
        None while an iterable's end is not known.
    """

    def __init__(self, callback: Callable[[int, int | None], object]) -> None:
        self._callback = callback
        self._told: tuple[int, int | None] | None = None

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Tell what a resumed job has done already; 0 frames are no news."""
        self._told = (0, total)
        self._tell(done, total)

    def update(self, state: ProgressState) -> None:
        """Tell what has changed."""
        self._tell(state.done, state.total)

    def finish(self, state: ProgressState) -> None:
        """Tell that all frames are done; the total is known now."""
        self._tell(state.done, state.done if state.total is None else state.total)

    def _tell(self, done: int, total: int | None) -> None:
        if self._told != (done, total):
            self._told = (done, total)
            self._callback(done, total)


class JsonProgress:
    """One JSON object per line, each with the same keys.

    ``event`` is ``start``, ``progress``, ``message``, ``finish`` or ``fail``;
    the other keys are ``label``, ``text`` (of a message, else null) and those
    of `ProgressState`, each as it was last known.

    Parameters
    ----------
    stream
        Where the lines go; None takes ``sys.stdout``.
    every_s
        Seconds between two ``progress`` lines at least.
    clock
        Gives seconds that never go back.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self.every_s = _seconds(every_s)
        self._clock = clock
        self._label = ""
        self._state = ProgressState(0)
        self._last_s: float | None = None

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Write the ``start`` line."""
        self._label = label
        self._state = ProgressState(done, total)
        self._last_s = None
        self._write("start")

    def update(self, state: ProgressState) -> None:
        """Write a ``progress`` line, unless the last one is too young."""
        self._state = state
        now_s = self._clock()
        if self._last_s is None or now_s - self._last_s >= self.every_s:
            self._last_s = now_s
            self._write("progress")

    def message(self, text: str) -> None:
        """Write a ``message`` line."""
        self._write("message", text)

    def finish(self, state: ProgressState) -> None:
        """Write the ``finish`` line."""
        self._state = state
        self._write("finish")

    def fail(self) -> None:
        """Write the ``fail`` line."""
        self._write("fail")

    def _write(self, event: str, text: str | None = None) -> None:
        state = self._state
        line = {
            "event": event,
            "label": self._label,
            "text": text,
            "done": state.done,
            "total": state.total,
            "fps": _json_number(state.fps),
            "eta_s": _json_number(state.eta_s),
            "actors_alive": state.actors_alive,
            "actors_target": state.actors_target,
            "queued_frames": state.queued_frames,
        }
        stream = self._stream or sys.stdout
        if stream is not None:
            QuietStream(stream).write(json.dumps(line) + "\n")


class BothProgress:
    """Tells several others, in their order."""

    def __init__(self, *others: Progress) -> None:
        self.others = others

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Tell all."""
        for other in self.others:
            other.start(total, label, done)

    def update(self, state: ProgressState) -> None:
        """Tell all."""
        for other in self.others:
            other.update(state)

    def message(self, text: str) -> None:
        """Tell all."""
        for other in self.others:
            other.message(text)

    def finish(self, state: ProgressState) -> None:
        """Tell all."""
        for other in self.others:
            other.finish(state)

    def fail(self) -> None:
        """Tell all."""
        for other in self.others:
            other.fail()


def _json_number(value: float | None) -> float | None:
    """JSON has no infinity, and nobody reads more than three decimals."""
    return round(value, 3) if value is not None and math.isfinite(value) else None


def _seconds(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not value >= 0:
        raise SettingsError(
            f"The seconds between two lines of progress (time_per_print) must be "
            f"0 or more, got {value!r}."
        )
    return float(value)
