"""Which progress suits the caller's wish and the place where the job runs."""

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
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from rayanim.errors import SettingsError
from rayanim.progress import base
from rayanim.progress.base import (
    ERASE_LINE,
    Progress,
    ProgressState,
    QuietStream,
    SharedTerminal,
    is_terminal,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.text import Text

SECONDS_PER_UPDATE = 0.2
"""Notebook servers drop messages that come much faster."""

MESSAGES_SHOWN = 20


class Handle(Protocol):
    """A shown object that can be replaced: IPython's ``DisplayHandle``."""

    def update(self, obj: object) -> None:
        """Show `obj` in its place."""


class NotebookProgress:
    """A bar that replaces itself in the output of the running cell."""

    def __init__(
        self,
        show: Callable[[object], Handle] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show or _display
        self._clock = clock
        self._handle: Handle | None = None
        self._messages: deque[str] = deque(maxlen=MESSAGES_SHOWN)
        self._label = ""
        self._state = ProgressState(0)
        self._last_s = 0.0

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Show a new bar, at what is already done."""
        self._label = label
        self._state = ProgressState(done, total)
        self._messages.clear()
        self._last_s = self._clock()
        self._handle = self._show(self._picture())

    def update(self, state: ProgressState) -> None:
        """Show the state, at most five times in a second."""
        self._state = state
        if self._clock() - self._last_s >= SECONDS_PER_UPDATE:
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
        if self._handle is not None:
            self._handle.update(self._picture(status))

    def _picture(self, status: str = "") -> BarPicture:
        return BarPicture(self._state, self._label, status, tuple(self._messages))


class BarPicture:
    """One state of the bar, as HTML and, for consoles with a kernel, as text."""

    def __init__(
        self, state: ProgressState, label: str, status: str, messages: tuple[str, ...]
    ) -> None:
        self._state = state
        self._status = status
        self._messages = messages
        self._text = base.sentence(state, label) + (f", {status}" if status else "")

    def __repr__(self) -> str:
        return "\n".join((self._text, *self._messages))

    def _repr_html_(self) -> str:
        messages = "".join(f"<div>{html.escape(text)}</div>" for text in self._messages)
        return (
            f'<div style="font-family: monospace">{self._bar_html()} '
            f"<span>{html.escape(self._text)}</span>{messages}</div>"
        )

    def _bar_html(self) -> str:
        style = 'style="width: 16em; vertical-align: middle"'
        if self._state.total:
            return (
                f'<progress value="{self._state.done}" max="{self._state.total}" {style}>'
                "</progress>"
            )
        # Without a value the browser shows that something goes on, for ever.
        return "" if self._status else f"<progress {style}></progress>"


def _display(picture: object) -> Handle:
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    handle: Handle = display(picture, display_id=True)
    return handle


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; IPython is not imported to find out."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")


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
    """A line of text every so many seconds, and one at the end."""

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


REFRESHES_PER_S = 10
SHORTEST_BAR, LONGEST_BAR = 8, 40
SHORTEST_LABEL, LONGEST_LABEL = 8, 24


class BarProgress:
    """A bar with frames encoded, rate, time left, actors and queued frames.

    What the calling process prints or logs meanwhile appears above the bar.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = QuietStream(stream or sys.stderr)
        self._clock = clock
        self._line = _BarLine(clock)
        self._live: Live | None = None
        self._terminal = SharedTerminal(self._redraw, logger)

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """Show the bar, at what is already done."""
        from rich.console import Console
        from rich.live import Live

        self._close()
        self._line.begin(ProgressState(done, total), label)
        file = cast(TextIO, self._stream)
        console = Console(file=file, force_terminal=True, force_jupyter=False)
        # rich's own redirection would read the user's text as markup, wrap it,
        # and send what is printed to a file to the terminal instead.
        self._live = Live(
            self._line,
            console=console,
            refresh_per_second=REFRESHES_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)
        # A process that is killed must not leave a terminal without a cursor.
        console.show_cursor(True)
        self._terminal.start()
        atexit.register(self.fail)

    def update(self, state: ProgressState) -> None:
        """Take the state; the next refresh shows it."""
        self._line.state = state

    def message(self, text: str) -> None:
        """Show `text` above the bar."""
        self._stream.write(f"{ERASE_LINE if self._live else ''}{text}\n")
        self._redraw()

    def finish(self, state: ProgressState) -> None:
        """Show the last state and leave it on the screen."""
        self._line.end(state, ok=True)
        self._close()

    def fail(self) -> None:
        """Leave the bar on the screen where it stopped."""
        self._line.end(self._line.state, ok=False)
        self._close()

    def leave(self) -> None:
        """Take the bar off the screen: the job goes on, and nobody watches it."""
        if self._live is not None:
            self._live.transient = True
        self._close()

    def _redraw(self) -> None:
        if self._live is not None:
            self._live.refresh()

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            self._terminal.stop()
            atexit.unregister(self.fail)


class _BarLine:
    """The one line, made to fit whatever width the terminal has at the moment."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin(ProgressState(0), "")

    def begin(self, state: ProgressState, label: str) -> None:
        self.state = state
        self._label = label
        self._started_s = self._clock()
        self._took_s: float | None = None
        self._ok = True

    def end(self, state: ProgressState, *, ok: bool) -> None:
        self.state = state
        self._took_s = self._clock() - self._started_s
        self._ok = ok

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._text(options.max_width, plain_ascii=options.ascii_only)

    def _text(self, width: int, *, plain_ascii: bool) -> Text:
        from rich.text import Text

        state = self.state
        head, tail, bar_width = fit(state, self._label, self._time(), width)
        text = Text(no_wrap=True, overflow="crop", end="")
        text.append(head)
        if bar_width and state.total:
            full = min(bar_width, bar_width * state.done // state.total)
            char = "#" if plain_ascii else "━"
            text.append(char * full, "green" if self._ok else "red")
            text.append(("-" if plain_ascii else "━") * (bar_width - full), "bright_black")
            text.append(" ")
        text.append(tail)
        return text

    def _time(self) -> str:
        if self._took_s is not None:
            return f"{'in' if self._ok else 'stopped after'} {base.duration(self._took_s)}"
        if self.state.eta_s is not None:
            return f"{base.duration(self.state.eta_s)} left"
        return f"{base.duration(self._clock() - self._started_s)} so far"


def fit(state: ProgressState, label: str, time_text: str, width: int) -> tuple[str, str, int]:
    """What of a state fits into `width` columns."""
    parts = _parts(state, time_text)
    # The last column stays free: some terminals wrap once it is written.
    room = width - 1 - len(parts["count"])
    has_bar = bool(state.total) and room > SHORTEST_BAR
    room -= SHORTEST_BAR + 1 if has_bar else 0
    kept = {"count"}
    for name in ("time", "fps", "percent", "actors", "queue"):
        needed = len(parts[name]) + 2
        if parts[name] and needed <= room:
            kept.add(name)
            room -= needed
    head = shorten(label, min(LONGEST_LABEL, room - 1)) if room > SHORTEST_LABEL else ""
    head += " " if head else ""
    tail = "  ".join(part for name, part in parts.items() if part and name in kept)
    bar_width = min(LONGEST_BAR, SHORTEST_BAR + room - len(head)) if has_bar else 0
    return head, tail, bar_width


def _parts(state: ProgressState, time_text: str) -> dict[str, str]:
    """The texts of a state in their order, padded so that the bar keeps its length."""
    share = base.percent(state)
    actors = base.actors(state)
    return {
        "percent": f"{share:>4}" if share else "",
        "count": base.count(state).rjust(2 * len(str(state.total)) + 1 if state.total else 0),
        "fps": "" if state.fps is None else f"{base.three_digits(state.fps):>4} fps",
        "time": f"{time_text:<9}",
        "actors": actors or "",
        "queue": f"{state.queued_frames:>2} queued" if actors or state.queued_frames else "",
    }


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
    if progress is None or progress is True:
        return _suited(lines, logger, stream or sys.stderr, notebook, never_silent=bool(progress))
    if progress is False:
        return NoProgress()
    if isinstance(progress, Progress) and not isinstance(progress, type):
        return progress
    if callable(progress) and not isinstance(progress, type):
        return CallbackProgress(progress)
    raise SettingsError(
        "progress must be None, True, False, a function called with (done, total), "
        f"or an object with the methods of rayanim.progress.Progress; got {progress!r}."
    )


def _suited(
    lines: LineProgress,
    logger: logging.Logger | None,
    stream: TextIO | None,
    notebook: bool | None,
    *,
    never_silent: bool,
) -> Progress:
    bar: Progress | None = None
    if in_notebook() if notebook is None else notebook:
        bar = NotebookProgress()
    elif stream is not None and can_show_bar(stream):
        bar = BarProgress(stream, logger=logger)
    if bar is not None:
        return bar if logger is None else BothProgress(bar, lines)
    unheard = not logger.isEnabledFor(logging.INFO) if logger else stream is None
    if never_silent and unheard:
        return LineProgress(None, lines.every_s, stream=stream or sys.stdout)
    return lines


def can_show_bar(stream: TextIO) -> bool:
    """Whether `stream` is a terminal on which a line can be drawn again."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
