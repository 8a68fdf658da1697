"""What the engine tells of a running job, and to whom."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TextIO, runtime_checkable


@dataclass(frozen=True, slots=True)
class ProgressState:
    """How far a job is.

    Parameters
    ----------
    done
        Frames encoded, those of an earlier run that is resumed included.
    total
        Frames of the whole job; None while an iterable's end is not known.
    fps
        Frames encoded per second, smoothed, of this run alone; None while
        there is nothing to say.
    eta_s
        Seconds left; None while there is nothing to say.
    actors_alive, actors_target
        Render actors that are up, and that the controller wants. Both 0 where
        the frames are drawn in the calling process.
    queued_frames
        Frames drawn but not yet encoded.
    """

    done: int
    total: int | None = None
    fps: float | None = None
    eta_s: float | None = None
    actors_alive: int = 0
    actors_target: int = 0
    queued_frames: int = 0


@runtime_checkable
class Progress(Protocol):
    """Someone who is told how a job goes.

    The engine calls `start` once, then `update` and `message` as often as it
    likes, then either `finish` or `fail`, all from one thread.
    """

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """The job called `label` begins; `done` frames are there already."""

    def update(self, state: ProgressState) -> None:
        """The job has come this far."""

    def message(self, text: str) -> None:
        """Something that a person should read now, a warning say."""

    def finish(self, state: ProgressState) -> None:
        """All frames are in the video."""

    def fail(self) -> None:
        """The job ends without its video; the error is told elsewhere."""


ERASE_LINE = "\r\x1b[2K"


class QuietStream(io.TextIOBase):
    """A stream whose reader may leave: what cannot be written is dropped.

    A closed terminal (a lost ssh session, ``| head``) must not end a render
    that has run for an hour.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` if that is still possible."""
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            text = text.encode("ascii", "backslashreplace").decode("ascii")
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError, RuntimeError):
            # The reader is gone, the stream is closed, or a signal handler
            # writes while the same stream is being written to.
            return 0
        return len(text)

    def flush(self) -> None:
        """Nothing to do: every write is flushed."""

    def isatty(self) -> bool:
        """Whether a terminal reads the stream."""
        return is_terminal(self._stream)

    def fileno(self) -> int:
        """The stream's own file descriptor."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is open and a terminal reads it."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


class LinesAbove(io.TextIOBase):
    """Stands in for a terminal stream while a bar is shown: whole lines go above the bar.

    The text reaches the stream unchanged. A line is held back until it ends,
    because the bar is drawn again at its end.
    """

    def __init__(self, stream: TextIO, redraw: Callable[[], None]) -> None:
        self.stream = stream
        self._redraw = redraw
        self._rest = ""
        self._released = False
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Show the lines that end in `text`, and keep the rest for later."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._released:
            return self.stream.write(text)
        with self._lock:
            lines, newline, rest = (self._rest + text).rpartition("\n")
            # What stands before a carriage return would be overwritten anyway,
            # and dropping it bounds what a foreign bar can pile up here.
            self._rest = rest[-10_000:].rpartition("\r")[2] or rest[-10_000:]
            if newline:
                self.stream.write(ERASE_LINE + lines + newline)
                self.stream.flush()
                self._redraw()
        return len(text)

    def flush(self) -> None:
        """Flush the stream; a part of a line has to wait all the same."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether a terminal reads the stream."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The stream's own file descriptor."""
        return self.stream.fileno()

    def release(self) -> None:
        """Write what waits for the end of its line, and stand aside from now on.

        Someone may have kept this object in the place of the stream.
        """
        with self._lock:
            self._released = True
            rest, self._rest = self._rest, ""
            if rest:
                self.stream.write(rest)
                self.stream.flush()


class SharedTerminal:
    """Keeps prints and log lines of the calling process above a bar.

    Replaces ``sys.stdout`` and ``sys.stderr`` where they are terminals, and
    the stream of log handlers that write to them, from `start` to `stop`.
    """

    def __init__(self, redraw: Callable[[], None], logger: logging.Logger | None = None) -> None:
        self._redraw = redraw
        self._logger = logger or logging.getLogger("rayanim")
        self._proxies: dict[str, LinesAbove] = {}
        self._handlers: list[tuple[logging.StreamHandler[Any], LinesAbove]] = []

    def start(self) -> None:
        """Stand between the process and the terminal."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if is_terminal(stream):
                self._proxies[name] = LinesAbove(stream, self._redraw)
                setattr(sys, name, self._proxies[name])
        for handler in _handlers(self._logger):
            for proxy in self._proxies.values():
                if handler.stream is proxy.stream:
                    handler.setStream(proxy)
                    self._handlers.append((handler, proxy))
                    break

    def stop(self) -> None:
        """Give everything back, except what someone else has replaced meanwhile."""
        for handler, proxy in self._handlers:
            if handler.stream is proxy:
                handler.setStream(proxy.stream)
        for name, proxy in self._proxies.items():
            if getattr(sys, name) is proxy:
                setattr(sys, name, proxy.stream)
            proxy.release()
        self._handlers.clear()
        self._proxies.clear()


def _handlers(logger: logging.Logger | None) -> Iterator[logging.StreamHandler[Any]]:
    """Stream handlers that a record of `logger` reaches."""
    while logger is not None:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                yield handler
        logger = logger.parent if logger.propagate else None


def duration(seconds: float) -> str:
    """Seconds as ``0:07``, ``12:03`` or ``1:02:03``.

    >>> duration(3723)
    '1:02:03'
    """
    whole = round(min(max(seconds, 0.0), 1e9))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def three_digits(number: float) -> str:
    """A positive number with about three digits, never in exponents.

    >>> three_digits(1234.5), three_digits(48.06), three_digits(0.0712)
    ('1234', '48.1', '0.071')
    """
    if number >= 99.95:
        return f"{number:.0f}"
    if number >= 9.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.1 else f"{number:.2g}" if number >= 1e-4 else "0"


def percent(state: ProgressState) -> str | None:
    """The share that is done as ``42%``, rounded down so that 100 % means all; or None."""
    if not state.total:
        return None
    return f"{min(100, 100 * state.done // state.total)}%"


def count(state: ProgressState) -> str:
    """Frames done of all, ``126/300``, or those done where the total is not known."""
    return f"{state.done} frames" if state.total is None else f"{state.done}/{state.total}"


def actors(state: ProgressState) -> str | None:
    """The render actors as ``4 actors`` or, while they change, ``2/4 actors``; or None."""
    if not (state.actors_alive or state.actors_target):
        return None
    if state.actors_alive == state.actors_target:
        return f"{state.actors_alive} actor{'s' if state.actors_alive != 1 else ''}"
    return f"{state.actors_alive}/{state.actors_target} actors"


def sentence(state: ProgressState, label: str) -> str:
    """The state as one line for a log.

    >>> sentence(ProgressState(126, 300, 48.06, 3.6, 2, 4, 12), "wave.mp4")
    'wave.mp4: 126/300 frames (42%), 48.1 frames/s, 0:04 left, 2/4 actors, 12 frames queued'
    """
    share = percent(state)
    parts = [
        f"{state.done}{'' if state.total is None else f'/{state.total}'} frames"
        + (f" ({share})" if share else ""),
        state.fps is not None and f"{three_digits(state.fps)} frames/s",
        state.eta_s is not None and state.done != state.total and f"{duration(state.eta_s)} left",
        actors(state),
        state.queued_frames and f"{state.queued_frames} {_frames(state.queued_frames)} queued",
    ]
    told = ", ".join(part for part in parts if part)
    return f"{label}: {told}" if label else told


def _frames(number: int) -> str:
    return "frame" if number == 1 else "frames"
