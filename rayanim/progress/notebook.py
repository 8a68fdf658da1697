"""A bar in a notebook's output, without any extension or widget."""

from __future__ import annotations

import html
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from rayanim.progress import wording
from rayanim.progress.protocol import ProgressState

SECONDS_PER_UPDATE = 0.2
"""Notebook servers drop messages that come much faster."""

MESSAGES_SHOWN = 20


class Handle(Protocol):
    """A shown object that can be replaced: IPython's ``DisplayHandle``."""

    def update(self, obj: object) -> None:
        """Show `obj` in its place."""


class NotebookProgress:
    """A bar that replaces itself in the output of the running cell.

    Parameters
    ----------
    show
        Shows an object that has ``_repr_html_`` and returns its handle; None
        takes IPython's ``display``.
    clock
        Gives seconds that never go back.
    """

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
    """One state of the bar, as HTML and, for consoles with a kernel, as text.

    Parameters
    ----------
    state, label
        What to show.
    status
        Empty while the job runs, then a word such as ``stopped``.
    messages
        Lines to show under the bar.
    """

    def __init__(
        self, state: ProgressState, label: str, status: str, messages: tuple[str, ...]
    ) -> None:
        self._state = state
        self._status = status
        self._messages = messages
        self._text = wording.sentence(state, label) + (f", {status}" if status else "")

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
