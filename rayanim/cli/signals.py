"""Ends a run on Ctrl-C or a signal: the first time cleanly, the second time at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rayanim.unfinished import remove_unfinished

STOPPING = b"\nrayanim: stopping; press Ctrl-C again to end at once.\n"
ENDED = b"\nrayanim: ended at once; unfinished films were removed.\n"


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end.

    Derives from `KeyboardInterrupt`, so that whatever cleans up after Ctrl-C
    cleans up after every signal.

    Parameters
    ----------
    number
        The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended."""
        return 128 + self.number


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGINT, SIGTERM and SIGHUP.

    A signal that this process was told to ignore, by ``nohup`` for example,
    stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler()
    before = {number: signal.getsignal(number) for number in ending_signals()}
    taken = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Stopped) or handler.number is None:
            raise
        # Ray, when a signal comes while it waits, raises an interrupt of its own.
        raise handler.stopped(error) from error
    finally:
        # Once stopped, the process is about to end, and a second signal ends it at once.
        if handler.number is None:
            for number, old in taken.items():
                signal.signal(number, old if old is not None else signal.SIG_DFL)


class _Handler:
    """Raises at the first signal and ends the process at the second."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        if self.number is not None:
            # Nothing may be waited for any more; Ray's processes end with this one.
            remove_unfinished()
            _say(ENDED)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number
        if number == signal.SIGINT:
            _say(STOPPING)
        raise Stopped(number)

    def stopped(self, error: BaseException) -> Stopped:
        """What was raised at the signal, with the notes of what came in its place."""
        stopped = Stopped(self.number or signal.SIGINT)
        for note in getattr(error, "__notes__", ()):
            stopped.add_note(note)
        return stopped


def _say(text: bytes) -> None:
    """Write to standard error, past Python's buffers, which may be in use right now."""
    with contextlib.suppress(OSError):
        os.write(2, text)


def ending_signals() -> list[signal.Signals]:
    """Those that ask a process to end, as far as this system has them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
