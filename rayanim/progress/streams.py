"""Writing to a terminal or log that may go away, or that others write to as well."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

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

    Parameters
    ----------
    stream
        The stream that it stands in for; everything but writing is left to it.
    redraw
        Draws the bar again on the line where the cursor is.
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

    Parameters
    ----------
    redraw
        Draws the bar again on the line where the cursor is.
    logger
        Its handlers and those of its parents are looked at.
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
