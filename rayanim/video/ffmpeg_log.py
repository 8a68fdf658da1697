"""Keeps the codec libraries quiet, and asks FFmpeg why it refused something."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
import av.logging


def reason_for(error: Exception, retry: Callable[[], object]) -> str:
    """FFmpeg's words for `error`, with the lines it logs when `retry` fails again.

    PyAV leaves FFmpeg's log off, because its callbacks from codec threads can
    block each other. So only a failure that has happened is tried once more
    with the log of this thread on; the log's level is put back afterwards.

    Meanwhile the garbage collector rests. An encoder that it freed would wait
    for its threads while holding the interpreter, which they need to log.
    """
    words = str(getattr(error, "strerror", None) or error)
    with _no_garbage_collection(), _log_on(), av.logging.Capture() as logs:
        _try(retry)
    lines = dict.fromkeys(f"{name}: {message.strip()}" for _level, name, message in logs)
    return "; ".join([words, *lines])


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except (av.FFmpegError, OSError, ValueError):
        # Expected: it failed before, and what counts is what it logged.
        return


@contextmanager
def _log_on() -> Iterator[None]:
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    # Else the same failure, the second time, would have no reason.
    av.logging.set_skip_repeated(False)
    try:
        yield
    finally:
        av.logging.set_skip_repeated(skips)
        av.logging.set_level(level)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def quiet_svt(codec: str) -> Iterator[None]:
    """Let SVT-AV1 print errors only, unless the user has chosen its log level.

    It reads its level from the environment when an encoder is opened and has
    no option for it. ``os.putenv`` shows it the variable without a change of
    ``os.environ``.
    """
    if codec != "libsvtav1" or "SVT_LOG" in os.environ:
        yield
        return
    os.putenv("SVT_LOG", "1")
    try:
        yield
    finally:
        os.unsetenv("SVT_LOG")
