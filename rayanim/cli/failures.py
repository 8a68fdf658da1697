"""Turns what went wrong into lines for people and an exit code for programs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from rayanim.cli.signals import Stopped
from rayanim.errors import JobError, NotPicklableError, RayanimError, ScriptError, SettingsError
from rayanim.storage.address import Url

FAILED, USAGE, CLUSTER, INTERRUPTED = 1, 2, 3, 130

PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
"""Where rayanim's own code lies; its frames tell a user nothing."""

_BARE_HEADER = re.compile(
    r"^Traceback \(most recent call last\):\n(?!  (?:File |\[Previous ))", re.MULTILINE
)
_FRAME = re.compile(r'^(?P<indent>[ |]*)File "(?P<file>.+)", line \d+', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said of an exception.

    Attributes
    ----------
    exit_code
        The command's.
    message
        What happened; empty where the traceback says it all.
    traceback_text
        The user's own traceback; empty where there is none.
    kind
        The exception's class, for programs.
    frame
        The frame that failed, None where it was none.
    """

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
    """What to say of `error`.

    Parameters
    ----------
    error
        What ended the run.
    verbose
        Whether rayanim's own frames are shown too.
    script
        The user's script; a message that comes without a traceback says which
        of its lines led there.
    options
        What was asked for on the command line, by name; a message about one of
        them is not about the script's lines.
    """
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
    """Tell what goes wrong inside, where no script of the user's runs.

    Yields
    ------
    list of int
        Exit codes, of which the last one counts: 0, unless others are appended
        or something goes wrong.
    """
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
