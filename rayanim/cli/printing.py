"""What the commands print, how signals end them, and what they print of failures."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import click

from rayanim.errors import (
    ClusterError,
    JobError,
    OutputError,
    RayanimError,
    SettingsError,
)
from rayanim.settings import ClusterSettings
from rayanim.storage.address import Address
from rayanim.storage.lock import remove_unfinished
from rayanim.tracebacks import of_error, of_script, whole

FAILED, USAGE, CLUSTER, INTERRUPTED = 1, 2, 3, 130


REMEMBERED_CHARS = 10_000
"""A text is recognised in so many characters, also if it comes in pieces; a report has 500."""


class ExpectedTexts:
    """Texts that the script may print itself, and which of them it did not."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._tail = ""

    def expect(self, text: str) -> None:
        """`text` may be printed from now on."""
        if not self._texts:
            self._tail = ""
        self._texts.append(text)

    def printed(self, text: str) -> None:
        """Something was printed: one of them, a piece of one, or something else."""
        if self._texts:
            seen = self._tail + text
            self._texts = [each for each in self._texts if each not in seen]
            self._tail = seen[-REMEMBERED_CHARS:]

    def take_unprinted(self) -> list[str]:
        """Those that were not printed; they are expected no longer."""
        unprinted, self._texts = self._texts, []
        return unprinted


class WatchedStdout(io.TextIOBase):
    """Standard output that passes what is written on to `expected`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.expected = ExpectedTexts()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, and note it."""
        self.expected.printed(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a terminal reads the stream."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's own file descriptor."""
        return self._stream.fileno()


@contextlib.contextmanager
def watched_stdout() -> Iterator[WatchedStdout]:
    """Watch what the script prints, so that the command does not print it again."""
    before = sys.stdout
    watched = WatchedStdout(before)
    sys.stdout = watched
    try:
        yield watched
    finally:
        if sys.stdout is watched:  # the script may have put another one there
            sys.stdout = before


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[TextIO]:
    """Standard output for ourselves alone: what others print goes to standard error.

    That includes what libraries and child processes write to the file
    descriptor, past ``sys.stdout``.
    """
    before = sys.stdout
    before.flush()
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(_moved_descriptor()) if _is_descriptor_1(before) else before
        sys.stdout = sys.stderr
        try:
            yield stream
        finally:
            before.flush()  # what was written past sys.stdout, while it still goes elsewhere
            sys.stdout = before


@contextlib.contextmanager
def _moved_descriptor() -> Iterator[TextIO]:
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with os.fdopen(os.dup(kept), "w", encoding="utf-8", buffering=1) as stream:
            yield stream
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _is_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False


def write_json(stream: TextIO, event: str, values: dict[str, Any]) -> None:
    """One JSON object on a line of its own; a reader that has left is no error."""
    write_text(stream, json.dumps({"event": event, **values}))


def write_text(stream: TextIO | None, text: str) -> None:
    """Write lines for people; a reader that has left is no error."""
    from rayanim.progress.base import QuietStream

    if stream is not None and text:
        QuietStream(stream).write(text if text.endswith("\n") else f"{text}\n")


def preview(path: Address) -> str | None:
    """Open `path` with what the desktop opens it with; why not, where it cannot be."""
    if not isinstance(path, Path):
        return f"{path} cannot be opened from here: it is not on this machine."
    return open_on_desktop(str(path))


def open_on_desktop(what: str) -> str | None:
    """Open a file or a page with what the desktop opens it with; why not, where it cannot be."""
    if sys.platform == "win32":
        os.startfile(what)  # noqa: S606
        return None
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        return f"{what} cannot be opened from here: this system has no xdg-open."
    # Unlike click.launch, in a session of its own and silent: neither does Ctrl-C in this
    # terminal reach the player, nor does what it prints mix with ours.
    subprocess.Popen(  # noqa: S603
        [opener, what],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return None


STOPPING = b"\nrayanim: stopping; press Ctrl-C again to end at once.\n"
ENDED = b"\nrayanim: ended at once; what was not finished is removed.\n"


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end.

    It is a `KeyboardInterrupt`, so that whatever cleans up after Ctrl-C cleans
    up after every signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended."""
        return 128 + self.number

    @property
    def is_ctrl_c(self) -> bool:
        """Whether it was the key."""
        return self.number == signal.SIGINT


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGINT, SIGTERM and SIGHUP.

    A signal that this process ignores, under ``nohup`` for example, stays
    ignored. The second signal ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped_by: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped_by:
            # Nothing may be waited for any more; Ray's processes end with this one.
            remove_unfinished()
            _write_at_once(ENDED)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopped_by.append(number)
        if number == signal.SIGINT:
            _write_at_once(STOPPING)
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in ending_signals()}
    taken = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Stopped) or not stopped_by:
            raise
        # Ray, when a signal comes while it waits, raises an interrupt of its own.
        stopped = Stopped(stopped_by[0])
        for note in getattr(error, "__notes__", ()):
            stopped.add_note(note)
        raise stopped from error
    finally:
        # Once stopped, the process is about to end, and a second signal ends it at once.
        if not stopped_by:
            for number, old in taken.items():
                signal.signal(number, old if old is not None else signal.SIG_DFL)


def _write_at_once(text: bytes) -> None:
    """Write to standard error, past Python's buffers, which may be in use right now."""
    with contextlib.suppress(OSError):
        os.write(2, text)


def ending_signals() -> list[signal.Signals]:
    """Those that ask a process to end, as far as this system has them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@dataclass(frozen=True, slots=True)
class Failure:
    """What is printed of an exception, and the exit code."""

    exit_code: int
    message: str
    traceback_text: str = ""
    kind: str = ""
    frame: int | None = None

    @property
    def text(self) -> str:
        """The traceback, then the message, for standard error."""
        message = f"rayanim: error: {self.message}\n" if self.message else ""
        return self.traceback_text + message

    def to_dict(self) -> dict[str, object]:
        """The failure as plain values that JSON can hold."""
        return {
            "error": self.kind,
            "text": self.message or self.traceback_text.strip().rpartition("\n")[2],
            "frame": self.frame,
            "traceback": self.traceback_text or None,
            "exit_code": self.exit_code,
        }


def failure_of(
    error: BaseException,
    *,
    verbose: bool = False,
    script: Path | None = None,
    options: Collection[str] = (),
) -> Failure:
    """What to print of `error`; `options` are the settings that the command was given."""
    failure = vars(error).get("rayanim_error")
    if failure is not None:
        # `rayanim.save` raises what is the script's own, with a note that is the message here.
        error.__notes__.remove(failure.message)
        error = failure
    kind, frame = type(error).__name__, getattr(error, "frame", None)
    if isinstance(error, KeyboardInterrupt):
        code = error.exit_code if isinstance(error, Stopped) else INTERRUPTED
        return Failure(code, "", whole(error) if verbose else "", kind)
    if not isinstance(error, RayanimError):
        text = whole(error) if verbose else of_script(error)
        return Failure(FAILED, "", text, kind)
    code = FAILED
    if isinstance(error, SettingsError | JobError):
        code = USAGE if isinstance(error, SettingsError) else CLUSTER
    message = error.message
    if isinstance(error, SettingsError | ClusterError) and _may_be_of_the_command(error, options):
        script, message = None, in_options(message, options)
    return Failure(code, message, of_error(error, script, verbose=verbose), kind, frame)


@contextlib.contextmanager
def exiting_on_failure(*, verbose: bool = False) -> Iterator[None]:
    """Print what goes wrong inside, and end the command with the exit code that goes with it.

    For commands in whose process no script of the user's runs.
    """
    try:
        yield
    except (RayanimError, KeyboardInterrupt) as error:
        failure = failure_of(error, verbose=verbose)
        sys.stderr.write(failure.text)
        raise click.exceptions.Exit(failure.exit_code) from error


_OF_OUTPUT = {"outfile", "overwrite", "codec", "log_json"}
"""Options of which an `OutputError` may speak."""

_ALSO_NAMED = {
    "codec": r"|encode|crf|preset|pixel format| px\b",
    "dpi": r"| px\b",
    "height_px": r"| px\b",
    "pixel_format": r"|pixel format| px\b",
    "resume": r"|resum",
}
"""Other words by which a message speaks of an option; sizes are in px."""


def _may_be_of_the_command(error: SettingsError | ClusterError, options: Collection[str]) -> bool:
    """Whether the command's options, and not the script's call, may be what is wrong."""
    given = set(options)
    if isinstance(error, ClusterError):
        return not given.isdisjoint(("address", "cluster"))
    if isinstance(error, OutputError):
        return bool(given & _OF_OUTPUT)
    if "cluster" in given:  # its settings have names of their own
        given |= {each.name for each in fields(ClusterSettings)}
    return any(
        re.search(rf"\b{name}\b{_ALSO_NAMED.get(name, '')}", error.message)
        for name in given - {"outfile"}
    )


def in_options(message: str, given: Collection[str]) -> str:
    """`message` with the settings that the command was given under the names of its options.

    They stand at its start, and where two of them are compared; flags with what they are set to.
    """
    context = click.get_current_context(silent=True)
    for each in context.command.params if context is not None else ():
        if each.name in given and isinstance(each, click.Option) and each.is_bool_flag:
            set_to = {True: each.opts, False: each.secondary_opts}
            for value, names in set_to.items():
                if names:
                    name = max(names, key=len)
                    message = re.sub(rf"\b{each.name}={value}\b", name, message)
        elif each.name in given:
            named = rf"(?:^|(?<= and )|(?<= above )){each.name}(?=$|[ =:'])"
            message = re.sub(named, max(each.opts, key=len), message)
    return message
