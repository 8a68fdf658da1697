"""Which progress suits the caller's wish and the place where the job runs."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from rayanim.errors import SettingsError
from rayanim.progress.notebook import NotebookProgress, in_notebook
from rayanim.progress.plain import BothProgress, CallbackProgress, LineProgress, NoProgress
from rayanim.progress.protocol import Progress
from rayanim.progress.streams import is_terminal
from rayanim.progress.terminal import BarProgress


def choose_progress(
    progress: object = None,
    *,
    time_per_print: float = 15.0,
    logger: logging.Logger | None = None,
    stream: TextIO | None = None,
    notebook: bool | None = None,
) -> Progress:
    """The progress for one job.

    Parameters
    ----------
    progress
        None picks a bar in a notebook or on a terminal, and lines elsewhere.
        False is silent. True picks as None does, but finds a place to write
        even where None would say nothing. A callable is called with
        ``(done, total)``. A `Progress` is taken as it is.
    time_per_print
        Seconds between two lines.
    logger
        Gets lines, in addition to a bar where there is one. A terminal without
        cursor movements (``TERM=dumb``) shows lines; ``NO_COLOR`` takes the
        bar's colours away.
    stream
        The terminal or file; None takes ``sys.stderr``.
    notebook
        Whether the job runs in a notebook; None finds out.

    Raises
    ------
    SettingsError
        If `progress` is none of these, or `time_per_print` is negative.
    """
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
