"""The kinds of progress, and which one suits the caller's wish and the place where the job runs."""

from __future__ import annotations

import atexit
import html
import json
import logging
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO, cast

from rayanim.errors import SettingsError
from rayanim.progress import base
from rayanim.progress.base import Progress, ProgressState, QuietStream, is_terminal
from rayanim.settings import seconds

if TYPE_CHECKING:
    from rich import progress as rich_progress

Clock = Callable[[], float]


class NoProgress:
    """Shows nothing."""

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
    """A line of text every so many seconds, and one at the end."""

    def __init__(
        self,
        logger: logging.Logger | None = None,
        every_s: float = 15.0,
        *,
        stream: TextIO | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.every_s = seconds("time_per_print", every_s)
        self._logger = logger
        self._stream = stream
        self._clock = clock
        self._label = ""
        self._last_s = clock()

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Write where a resumed job goes on; of a new one there is nothing to say yet."""
        self._label = label
        self._last_s = self._clock()
        if done:
            state = ProgressState(done, total)
            self._write(logging.INFO, f"{base.sentence(state, label)} are there already")

    def update(self, state: ProgressState) -> None:
        """Write a line if the last one is old enough."""
        now_s = self._clock()
        if now_s - self._last_s >= self.every_s:
            self._last_s = now_s
            self._write(logging.INFO, base.sentence(state, self._label))

    def message(self, text: str) -> None:
        """Write `text`."""
        self._write(logging.WARNING, text)

    def finish(self, state: ProgressState) -> None:
        """Write the last line."""
        self._write(logging.INFO, base.sentence(state, self._label))

    def _write(self, level: int, text: str) -> None:
        stream = self._stream or sys.stderr
        if self._logger is not None:
            self._logger.log(level, "%s", text)
        elif stream is not None:
            QuietStream(stream).write(f"{text}\n")


class CallbackProgress(NoProgress):
    """Calls ``callback(done, total)`` each time that one of the two has changed.

    An exception of the callback goes through and ends the job, so that a
    callback can also stop it.
    """

    def __init__(self, callback: Callable[[int, int | None], object]) -> None:
        self._callback = callback
        self._last: tuple[int, int | None] | None = None

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Call with what a resumed job has done already; 0 frames are no news."""
        self._last = (0, total)
        self._call(done, total)

    def update(self, state: ProgressState) -> None:
        """Call with what has changed."""
        self._call(state.done, state.total)

    def finish(self, state: ProgressState) -> None:
        """Call with all frames; the total is known now."""
        self._call(state.done, state.done if state.total is None else state.total)

    def _call(self, done: int, total: int | None) -> None:
        if self._last != (done, total):
            self._last = (done, total)
            self._callback(done, total)


class JsonProgress:
    """One JSON object per line, each with the same keys.

    ``event`` is ``start``, ``progress``, ``message``, ``finish`` or ``fail``;
    the other keys are ``label``, ``text`` (of a message, else null) and those
    of `ProgressState`, each as it was last known.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every_s: float = 0.2,
        clock: Clock = time.monotonic,
    ) -> None:
        self._stream = stream
        self.every_s = seconds("every_s", every_s)
        self._clock = clock
        self._label = ""
        self._state = ProgressState(0)
        self._last_s = -math.inf

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Write the ``start`` line."""
        self._label = label
        self._state = ProgressState(done, total)
        self._last_s = -math.inf
        self._write("start")

    def update(self, state: ProgressState) -> None:
        """Write a ``progress`` line, unless the last one is too young."""
        self._state = state
        now_s = self._clock()
        if now_s - self._last_s >= self.every_s:
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
        state = asdict(self._state)
        for name in ("fps", "eta_s"):
            value = state[name]
            # JSON has no infinity, and nobody reads more than three decimals.
            is_number = value is not None and math.isfinite(value)
            state[name] = round(value, 3) if is_number else None
        line = {"event": event, "label": self._label, "text": text, **state}
        stream = self._stream or sys.stdout
        if stream is not None:
            QuietStream(stream).write(json.dumps(line) + "\n")


class BothProgress:
    """Passes everything to several others, in their order."""

    def __init__(self, *others: Progress) -> None:
        self.others = others

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        for other in self.others:
            other.start(total, label, done)

    def update(self, state: ProgressState) -> None:
        for other in self.others:
            other.update(state)

    def message(self, text: str) -> None:
        for other in self.others:
            other.message(text)

    def finish(self, state: ProgressState) -> None:
        for other in self.others:
            other.finish(state)

    def fail(self) -> None:
        for other in self.others:
            other.fail()


NOTEBOOK_EVERY_S = 0.2
"""Notebook servers drop messages that come much faster."""

MESSAGES_SHOWN = 20


class NotebookProgress:
    """A bar that replaces itself in the output of the running cell.

    Not rich's: that one needs ipywidgets in the notebook's server.
    """

    def __init__(
        self,
        show: Callable[[object], Any] | None = None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._show = show or _display
        self._clock = clock
        self._handle: Any = None  # an IPython `DisplayHandle`
        self._messages: deque[str] = deque(maxlen=MESSAGES_SHOWN)
        self._label = ""
        self._state = ProgressState(0)
        self._last_s = 0.0

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Show a new bar, at what is already done."""
        self._label = label
        self._state = ProgressState(done, total)
        self._messages.clear()
        self._handle = None
        self._draw()

    def update(self, state: ProgressState) -> None:
        """Show the state, at most five times in a second."""
        self._state = state
        if self._clock() - self._last_s >= NOTEBOOK_EVERY_S:
            self._draw()

    def message(self, text: str) -> None:
        """Show `text` under the bar."""
        self._messages.append(text)
        self._draw()

    def finish(self, state: ProgressState) -> None:
        """Show the last state, which stays in the notebook."""
        self._state = state
        self._draw("finished")

    def fail(self) -> None:
        """Leave the bar where it stopped, and say so."""
        self._draw("stopped")

    def _draw(self, status: str = "") -> None:
        self._last_s = self._clock()
        picture = BarPicture(self._state, self._label, status, tuple(self._messages))
        if self._handle is None:
            self._handle = self._show(picture)
        else:
            self._handle.update(picture)


class BarPicture:
    """One state of the bar, as HTML and, for consoles with a kernel, as text."""

    def __init__(
        self, state: ProgressState, label: str, status: str, messages: tuple[str, ...]
    ) -> None:
        text = base.sentence(state, label) + (f", {status}" if status else "")
        self._lines = (text, *messages)
        style = 'style="width: 16em; vertical-align: middle"'
        if state.total:
            self._bar = f'<progress value="{state.done}" max="{state.total}" {style}></progress>'
        else:
            # Without a value the browser shows that something goes on, for ever.
            self._bar = "" if status else f"<progress {style}></progress>"

    def __repr__(self) -> str:
        return "\n".join(self._lines)

    def _repr_html_(self) -> str:
        text, *messages = (html.escape(line) for line in self._lines)
        below = "".join(f"<div>{message}</div>" for message in messages)
        return f'<div style="font-family: monospace">{self._bar} <span>{text}</span>{below}</div>'


def _display(picture: object) -> Any:
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    return display(picture, display_id=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; IPython is not imported to find out."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")


SHORTEST_BAR, LONGEST_BAR = 8, 40
SHORTEST_LABEL, LONGEST_LABEL = 8, 24
FULL_STATUS = len(" 42%  126/300  48.1 fps  0:04 left  2/4 actors  12 queued")


class BarProgress:
    """rich's bar with frames encoded, rate, time left, actors and queued frames.

    What the calling process prints or logs meanwhile appears above the bar.
    """

    def __init__(
        self, stream: TextIO | None = None, *, logger: logging.Logger | None = None
    ) -> None:
        self._stream = QuietStream(stream or sys.stderr)
        self._logger = logger or logging.getLogger("rayanim")
        self._bar: rich_progress.Progress | None = None
        self._task: Any = None
        self._state = ProgressState(0)
        self._room = 0
        # Each with the stream that it had, and the one that it has meanwhile.
        self._handlers: list[tuple[logging.StreamHandler[Any], Any, Any]] = []

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Show the bar, at what is already done."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._close()
        # Text of the user's is no markup.
        console = Console(
            file=cast(TextIO, self._stream),
            force_terminal=True,
            force_jupyter=False,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=True,
        )
        room = console.width - SHORTEST_BAR - FULL_STATUS - 2
        label = shorten(label, min(room, LONGEST_LABEL)) if room >= SHORTEST_LABEL else ""
        self._room = console.width - (len(label) + 1 if label else 0)
        columns: list[Any] = [TextColumn("{task.fields[status]}", markup=False)]
        if total:
            self._room -= SHORTEST_BAR + 1
            columns.insert(0, BarColumn(LONGEST_BAR))
        if label:
            columns.insert(0, TextColumn("{task.description}", markup=False))
        self._bar = Progress(
            *columns,
            console=console,
            # What goes to a file stays there.
            redirect_stdout=is_terminal(sys.stdout),
            redirect_stderr=is_terminal(sys.stderr),
        )
        self._task = self._bar.add_task(label, total=total, completed=done, status="")
        self.update(ProgressState(done, total))
        self._bar.start()
        # A process that is killed must not leave a terminal without a cursor.
        console.show_cursor(True)
        self._redirect_handlers()
        atexit.register(self.fail)

    def update(self, state: ProgressState) -> None:
        """Take the state; the next refresh shows it."""
        left = state.eta_s is not None
        self._show(state, f"{base.duration(state.eta_s or 0.0)} left" if left else "{} so far")

    def message(self, text: str) -> None:
        """Show `text` above the bar."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            self._stream.write(f"{text}\n")

    def finish(self, state: ProgressState) -> None:
        """Show the last state and leave it on the screen."""
        self._show(state, "in {}")
        self._close()

    def fail(self) -> None:
        """Leave the bar on the screen where it stopped."""
        self._show(self._state, "stopped after {}")
        self._close()

    def leave(self) -> None:
        """Take the bar off the screen: the job goes on, and nobody watches it."""
        if self._bar is not None:
            self._bar.live.transient = True
        self._close()

    def _show(self, state: ProgressState, time_text: str) -> None:
        self._state = state
        if self._bar is not None:
            elapsed = base.duration(self._bar.tasks[0].elapsed or 0.0)
            status = status_text(state, time_text.format(elapsed), self._room)
            self._bar.update(self._task, completed=state.done, total=state.total, status=status)

    def _redirect_handlers(self) -> None:
        """Have log lines appear above the bar, too: handlers keep the stream they began with."""
        proxies = [each for each in (sys.stdout, sys.stderr) if hasattr(each, "rich_proxied_file")]
        logger: logging.Logger | None = self._logger
        while logger is not None:
            for handler in logger.handlers:
                for proxy in proxies:
                    if getattr(handler, "stream", None) is proxy.rich_proxied_file:
                        before = handler.setStream(proxy)  # type: ignore[attr-defined]
                        self._handlers.append((handler, before, proxy))  # type: ignore[arg-type]
            logger = logger.parent if logger.propagate else None

    def _close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is None:
            return
        for handler, before, proxy in self._handlers:
            # What others have put in its place meanwhile stays.
            if handler.stream is proxy:
                handler.setStream(before)
        self._handlers.clear()
        theirs: dict[str, TextIO] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if hasattr(stream, "rich_proxied_file"):
                stream.flush()  # the part of a line that waits there
            else:
                theirs[name] = stream
        bar.stop()
        for name, stream in theirs.items():
            setattr(sys, name, stream)
        atexit.unregister(self.fail)


def status_text(state: ProgressState, time_text: str, width: int) -> str:
    """The state in words; what does not fit into `width` columns is left out."""
    actors = base.actors(state)
    # Padded, so that the bar keeps its length.
    parts = {
        "percent": f"{base.percent(state) or '':>4}" if state.total else "",
        "count": base.count(state).rjust(2 * len(str(state.total)) + 1 if state.total else 0),
        "fps": "" if state.fps is None else f"{base.three_digits(state.fps):>4} fps",
        "time": f"{time_text:<9}",
        "actors": actors or "",
        "queue": f"{state.queued_frames:>2} queued" if actors or state.queued_frames else "",
    }
    kept = {"count"}
    room = width - len(parts["count"])
    for name in ("time", "fps", "percent", "actors", "queue"):
        needed = len(parts[name]) + 2
        if parts[name].strip() and needed <= room:
            kept.add(name)
            room -= needed
    return "  ".join(part for name, part in parts.items() if name in kept)


def shorten(text: str, width: int) -> str:
    """`text`, or its beginning and end where it is longer than `width` characters."""
    flat = "".join(char if char.isprintable() else "?" for char in text)
    if len(flat) <= width:
        return flat
    half = (width - 3) // 2
    return f"{flat[: width - 3 - half]}...{flat[-half:]}"


def choose_progress(
    progress: object = None,
    *,
    time_per_print: float = 15.0,
    logger: logging.Logger | None = None,
    stream: TextIO | None = None,
    notebook: bool | None = None,
) -> Progress:
    """The progress for one job."""
    lines = LineProgress(logger, time_per_print, stream=stream)
    if progress is False:
        return NoProgress()
    if progress is not None and progress is not True:
        return _given(progress)
    stream = stream or sys.stderr
    bar: Progress | None = None
    if in_notebook() if notebook is None else notebook:
        bar = NotebookProgress()
    elif stream is not None and can_show_bar(stream):
        bar = BarProgress(stream, logger=logger)
    if bar is not None:
        return bar if logger is None else BothProgress(bar, lines)
    is_silent = not logger.isEnabledFor(logging.INFO) if logger else stream is None
    if progress is True and is_silent:
        return LineProgress(None, lines.every_s, stream=stream or sys.stdout)
    return lines


def _given(progress: object) -> Progress:
    """The caller's own progress."""
    if isinstance(progress, Progress) and not isinstance(progress, type):
        return progress
    if callable(progress) and not isinstance(progress, type):
        return CallbackProgress(progress)
    raise SettingsError(
        "progress must be None, True, False, a function called with (done, total), "
        f"or an object with the methods of rayanim.progress.Progress; got {progress!r}."
    )


def can_show_bar(stream: TextIO) -> bool:
    """Whether `stream` is a terminal on which a line can be drawn again."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
