"""How far a job is, who shows it, and the words for it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol, TextIO, runtime_checkable


@dataclass(frozen=True, slots=True)
class ProgressState:
    """How far a job is.

    Parameters
    ----------
    done
        Frames encoded, those of an earlier run that is resumed included.
    total
        Frames of the whole job; None while an iterable's end is not known.
    fps
        Frames encoded per second, smoothed, of this run alone; None while
        there is nothing to say.
    eta_s
        Seconds left; None while there is nothing to say.
    actors_alive, actors_target
        Render actors that are up, and that the controller wants. Both 0 where
        the frames are drawn in the calling process.
    queued_frames
        Frames drawn but not yet encoded.
    """

    done: int
    total: int | None = None
    fps: float | None = None
    eta_s: float | None = None
    actors_alive: int = 0
    actors_target: int = 0
    queued_frames: int = 0


@runtime_checkable
class Progress(Protocol):
    """Shows how a job goes.

    The engine calls `start` once, then `update` and `message` as often as it
    likes, then either `finish` or `fail`, all from one thread.
    """

    def start(self, total: int | None, label: str, done: int = 0) -> None:
        """The job called `label` begins; `done` frames are there already."""

    def update(self, state: ProgressState) -> None:
        """The job has come this far."""

    def message(self, text: str) -> None:
        """Something that a person should read now, for example a warning."""

    def finish(self, state: ProgressState) -> None:
        """All frames are in the video."""

    def fail(self) -> None:
        """The job ends without its video; the error is shown elsewhere."""


class QuietStream(io.TextIOBase):
    """A stream whose reader may leave: what cannot be written is dropped.

    A closed terminal (a lost ssh session, ``| head``) must not end a render
    that has run for an hour. None is a reader that never was.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` if that is still possible."""
        if self._stream is None:
            return 0
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            text = text.encode("ascii", "backslashreplace").decode("ascii")
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError, RuntimeError):
            # The reader is gone, the stream is closed, or a signal handler
            # writes while the same stream is being written to.
            return 0
        return len(text)

    def flush(self) -> None:
        """Nothing to do: every write is flushed."""

    def isatty(self) -> bool:
        """Whether a terminal reads the stream."""
        return is_terminal(self._stream)

    def fileno(self) -> int:
        """The stream's own file descriptor."""
        if self._stream is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is open and a terminal reads it."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def duration(seconds: float) -> str:
    """Seconds as ``0:07``, ``12:03`` or ``1:02:03``.

    >>> duration(3723)
    '1:02:03'
    """
    whole = round(min(max(seconds, 0.0), 1e9))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def three_digits(number: float) -> str:
    """A positive number with about three digits, never in exponents.

    >>> three_digits(1234.5), three_digits(48.06), three_digits(0.0712)
    ('1234', '48.1', '0.071')
    """
    if number >= 99.95:
        return f"{number:.0f}"
    if number >= 9.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.1 else f"{number:.2g}" if number >= 1e-4 else "0"


def size_text(size_bytes: float) -> str:
    """Bytes as ``999 bytes``, ``2.00 KiB`` or ``5.00 MiB``."""
    size = size_bytes
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{three_digits(size)} {unit}"
        size /= 1024
    return f"{three_digits(size)} GiB"


def percent(state: ProgressState) -> str | None:
    """The share that is done as ``42%``, rounded down so that 100 % means all; or None."""
    if not state.total:
        return None
    return f"{min(100, 100 * state.done // state.total)}%"


def count(state: ProgressState) -> str:
    """Frames done of all, ``126/300``, or those done where the total is not known."""
    return f"{state.done} frames" if state.total is None else f"{state.done}/{state.total}"


def actors(state: ProgressState) -> str | None:
    """The render actors as ``4 actors`` or, while they change, ``2/4 actors``; or None."""
    if not (state.actors_alive or state.actors_target):
        return None
    if state.actors_alive == state.actors_target:
        return f"{state.actors_alive} actor{'s' if state.actors_alive != 1 else ''}"
    return f"{state.actors_alive}/{state.actors_target} actors"


def sentence(state: ProgressState, label: str) -> str:
    """The state as one line for a log.

    >>> sentence(ProgressState(126, 300, 48.06, 3.6, 2, 4, 12), "wave.mp4")
    'wave.mp4: 126/300 frames (42%), 48.1 frames/s, 0:04 left, 2/4 actors, 12 frames queued'
    """
    share, queued = percent(state), state.queued_frames
    parts = [
        f"{state.done}{'' if state.total is None else f'/{state.total}'} frames"
        + (f" ({share})" if share else ""),
        state.fps is not None and f"{three_digits(state.fps)} frames/s",
        state.eta_s is not None and state.done != state.total and f"{duration(state.eta_s)} left",
        actors(state),
        queued and f"{queued} frame{'s' if queued != 1 else ''} queued",
    ]
    text = ", ".join(part for part in parts if part)
    return f"{label}: {text}" if label else text
