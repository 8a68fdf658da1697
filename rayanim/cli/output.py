"""Where the command writes: standard output for people or for programs, and the previewer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rayanim.storage.address import Address

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


class Remembering(io.TextIOBase):
    """Stands in for a stream and remembers which of the texts that it waits for were written.

    Parameters
    ----------
    stream
        The stream; everything but writing is left to it.
    """

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
def remembering_stdout() -> Iterator[Remembering]:
    """Remember what the script prints, so that the command does not say it again."""
    before = sys.stdout
    mine = Remembering(before)
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
    from rayanim.progress.streams import QuietStream

    QuietStream(stream).write(json.dumps({"event": event, **values}) + "\n")


def write_text(stream: TextIO | None, text: str) -> None:
    """Write lines for people; a reader that has left is no error."""
    from rayanim.progress.streams import QuietStream

    if stream is not None and text:
        QuietStream(stream).write(text if text.endswith("\n") else f"{text}\n")


def preview(path: Address) -> str | None:
    """Open `path` with what the desktop opens it with.

    Returns
    -------
    str or None
        Why that is not possible; None where it was.
    """
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
