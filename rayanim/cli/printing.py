"""Where the command writes: standard output for people or for programs, and the previewer."""

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
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, TextIO

from rayanim.errors import JobError, NotPicklableError, RayanimError, ScriptError, SettingsError
from rayanim.storage.address import Address, Url
from rayanim.storage.lock import remove_unfinished

REMEMBERED_CHARS = 10_000
"""How much of what the script printed last is looked at; a report has some 500."""


class Awaited:
    """Texts that somebody else may say, and whether they were said."""

    def __init__(self) -> None:
        self._tail = ""
        self._unheard: list[str] = []

    def wait_for(self, text: str) -> None:
        """Remember from now on whether `text` is said."""
        self._unheard.append(text)

    def hear(self, text: str) -> None:
        """Somebody has said `text`: one of them in pieces, or as a part of a longer one."""
        if self._unheard:
            heard = self._tail + text
            self._unheard = [each for each in self._unheard if each not in heard]
            self._tail = heard[-REMEMBERED_CHARS:]

    def unheard(self) -> list[str]:
        """The texts that were waited for in vain; forgets them."""
        unheard, self._unheard, self._tail = self._unheard, [], ""
        return unheard


class RememberingStream(io.TextIOBase):
    """Stands in for a stream and remembers which of the texts that it waits for were written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._awaited = Awaited()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write and remember."""
        self._awaited.hear(text)
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

    def wait_for(self, text: str) -> None:
        """Remember from now on whether `text` is written."""
        self._awaited.wait_for(text)

    def unheard(self) -> list[str]:
        """The texts that were waited for in vain; forgets them."""
        return self._awaited.unheard()


@contextlib.contextmanager
def remembering_stdout() -> Iterator[RememberingStream]:
    """Remember what the script prints, so that the command does not say it again."""
    before = sys.stdout
    mine = RememberingStream(before)
    sys.stdout = mine
    try:
        yield mine
    finally:
        if sys.stdout is mine:  # the script may have put another one there
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
    from rayanim.progress.base import QuietStream

    QuietStream(stream).write(json.dumps({"event": event, **values}) + "\n")


def write_text(stream: TextIO | None, text: str) -> None:
    """Write lines for people; a reader that has left is no error."""
    from rayanim.progress.base import QuietStream

    if stream is not None and text:
        QuietStream(stream).write(text if text.endswith("\n") else f"{text}\n")


def preview(path: Address) -> str | None:
    """Open `path` with what the desktop opens it with."""
    if not isinstance(path, Path):
        return f"{path} cannot be opened from here: it is not on this machine."
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606
        return None
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        return f"{path} cannot be opened from here: this system has no xdg-open."
    # In a session of its own, so that Ctrl-C in this terminal does not reach the player.
    subprocess.Popen(  # noqa: S603
        [opener, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return None


STOPPING = b"\nrayanim: stopping; press Ctrl-C again to end at once.\n"
ENDED = b"\nrayanim: ended at once; unfinished videos were removed.\n"


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end.

    Derives from `KeyboardInterrupt`, so that whatever cleans up after Ctrl-C
    cleans up after every signal.
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


FAILED, USAGE, CLUSTER, INTERRUPTED = 1, 2, 3, 130

PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
"""Where rayanim's own code lies; its frames tell a user nothing."""

_BARE_HEADER = re.compile(
    r"^Traceback \(most recent call last\):\n(?!  (?:File |\[Previous ))", re.MULTILINE
)
_FRAME = re.compile(r'^(?P<indent>[ |]*)File "(?P<file>.+)", line \d+', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said of an exception."""

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
    options: Mapping[str, object] = MappingProxyType({}),
) -> Failure:
    """What to say of `error`."""
    kind, frame = type(error).__name__, getattr(error, "frame", None)
    if isinstance(error, KeyboardInterrupt):
        code = error.exit_code if isinstance(error, Stopped) else INTERRUPTED
        return Failure(code, "", whole_traceback(error) if verbose else "", kind)
    if not isinstance(error, RayanimError):
        text = whole_traceback(error) if verbose else script_traceback(error)
        return Failure(FAILED, "", text, kind)
    code = FAILED
    if isinstance(error, SettingsError | JobError):
        code = USAGE if isinstance(error, SettingsError) else CLUSTER
    if isinstance(error, SettingsError) and _is_about(error.message, options):
        script = None
    return Failure(code, error.message, _shown(error, verbose, script), kind, frame)


@contextlib.contextmanager
def told_failures(*, verbose: bool = False) -> Iterator[list[int]]:
    """Tell what goes wrong inside, where no script of the user's runs."""
    codes = [0]
    try:
        yield codes
    except (RayanimError, KeyboardInterrupt) as error:
        failure = failure_of(error, verbose=verbose)
        sys.stderr.write(failure.text)
        codes.append(failure.exit_code)


def _is_about(message: str, options: Mapping[str, object]) -> bool:
    """Whether `message` names an option, or the text that was given for it."""
    words = [name.replace("_", " ") for name in options]
    words += [str(value) for value in options.values() if isinstance(value, str | Path | Url)]
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message) for word in words)


def _shown(error: RayanimError, verbose: bool, script: Path | None) -> str:
    users = _users_traceback(error) if isinstance(error, ScriptError) else None
    if verbose:
        # An actor's traceback is text and no part of the exception's own.
        remote = f"{users.rstrip()}\n\n" if users and error.__cause__ is None else ""
        return remote + whole_traceback(error)
    if isinstance(error, NotPicklableError):
        return ""  # the pickler's own frames; the message names the attribute
    if users:
        shown = without_own_frames(users)
        return shown if _FRAME.search(shown) else ""  # else the message says as much
    return _line_of(error, script)


def _users_traceback(error: ScriptError) -> str | None:
    """What the user's code raised, as Python shows it where it was raised in this process."""
    cause = error.__cause__
    while isinstance(cause, ScriptError):
        cause = cause.__cause__
    if cause is None or isinstance(cause, RayanimError) or error.traceback_text is None:
        return error.traceback_text
    return _as_python_shows(cause, cause.__traceback__)


def whole_traceback(error: BaseException) -> str:
    """All of it, as Python shows it."""
    return "".join(traceback.format_exception(error))


def script_traceback(error: BaseException) -> str:
    """The traceback from the script's first frame on."""
    first = error.__traceback__
    while first is not None and _is_own(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return _without_bare_headers(_as_python_shows(error, first))


def _as_python_shows(error: BaseException, first: TracebackType | None) -> str:
    """`error` with the traceback that begins at `first`."""
    if sys.version_info >= (3, 12):
        return "".join(traceback.format_exception(type(error), error, first))
    # "Did you mean" is known to the interpreter's own hook alone, and that one
    # shows the traceback that the exception has.
    whole = error.__traceback__
    try:
        with contextlib.redirect_stderr(io.StringIO()) as shown:
            sys.__excepthook__(type(error), error.with_traceback(first), first)
    finally:
        error.__traceback__ = whole
    return shown.getvalue()


def without_own_frames(text: str) -> str:
    """A traceback's text without the frames of rayanim's own code."""
    kept: list[str] = []
    hidden: str | None = None
    for line in text.rstrip().splitlines():
        found = _FRAME.match(line)
        if found:
            hidden = found["indent"] if _is_own(found["file"]) else None
        elif hidden is not None and not _belongs(line, hidden):
            hidden = None
        if hidden is None:
            kept.append(line)
    return _without_bare_headers("\n".join(kept) + "\n")


def _without_bare_headers(text: str) -> str:
    """`text` without the headers of tracebacks that no frame is left of."""
    return _BARE_HEADER.sub("", text)


def _belongs(line: str, indent: str) -> bool:
    """Whether `line` goes with a frame that was indented so: its code, or its repetitions."""
    return line.startswith((f"{indent}  ", f"{indent}[Previous line repeated"))


def _is_own(file: str) -> bool:
    # Actors on other machines have it elsewhere, but always installed.
    return file.startswith(PACKAGE) or f"{os.sep}site-packages{os.sep}rayanim{os.sep}" in file


def _line_of(error: BaseException, script: Path | None) -> str:
    """The script's line that led to `error`, as a traceback shows it; empty where none did."""
    if script is None:
        return ""
    path = str(script.absolute())
    frames = [frame for frame in _frames(error.__traceback__) if frame.filename == path]
    return "".join(traceback.format_list(frames[-1:]))


def _frames(first: TracebackType | None) -> traceback.StackSummary:
    return traceback.extract_tb(first)
