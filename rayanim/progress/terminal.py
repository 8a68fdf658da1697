"""A bar on a terminal, one line high."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

from rayanim.progress import wording
from rayanim.progress.protocol import ProgressState
from rayanim.progress.streams import ERASE_LINE, QuietStream, SharedTerminal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.text import Text

REFRESHES_PER_S = 10
SHORTEST_BAR, LONGEST_BAR = 8, 40
SHORTEST_LABEL, LONGEST_LABEL = 8, 24


class BarProgress:
    """A bar with frames encoded, rate, time left, actors and queued frames.

    What the calling process prints or logs meanwhile appears above the bar.

    Parameters
    ----------
    stream
        The terminal; None takes ``sys.stderr``.
    logger
        A logger that may write to the same terminal; its lines are kept above
        the bar.
    clock
        Gives seconds that never go back.
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
            return f"{'in' if self._ok else 'stopped after'} {wording.duration(self._took_s)}"
        if self.state.eta_s is not None:
            return f"{wording.duration(self.state.eta_s)} left"
        return f"{wording.duration(self._clock() - self._started_s)} so far"


def fit(state: ProgressState, label: str, time_text: str, width: int) -> tuple[str, str, int]:
    """What of a state fits into `width` columns.

    Returns
    -------
    tuple
        The text before the bar, the text after it, and the bar's width, 0 for
        no bar. Parts are left out from the least to the most important: label,
        queue, actors, percentage, rate, time; the count of frames stays.
    """
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
    share = wording.percent(state)
    actors = wording.actors(state)
    return {
        "percent": f"{share:>4}" if share else "",
        "count": wording.count(state).rjust(2 * len(str(state.total)) + 1 if state.total else 0),
        "fps": "" if state.fps is None else f"{wording.three_digits(state.fps):>4} fps",
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
