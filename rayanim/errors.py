"""Every exception that rayanim raises, sorted by whose fault it is.

::

    RayanimError
    ├── ScriptError            the user's drawing code (also a RuntimeError)
    │   ├── SetupError         opening the source failed (also a TypeError)
    │   ├── FrameError         drawing one frame failed, or returned something else
    │   ├── ParametersError    the parameters themselves (also a ValueError)
    │   └── NotPicklableError  the source cannot be sent to actors (also a TypeError)
    ├── SettingsError          the caller's settings (also a ValueError)
    │   ├── OutputError        the output file or URL
    │   ├── PackageError       the script's folder cannot be sent to a cluster
    │   └── ResumeError        no segments of an earlier job, or those of another video
    ├── FarmError              Ray, its actors, the machines (also a RuntimeError)
    │   ├── FarmStartError     Ray or the first actors did not start
    │   ├── FarmSilentError    no actor answered for far longer than drawing takes
    │   ├── ClusterError       the cluster cannot be reached, or has other versions
    │   ├── JobError           the cluster's Jobs API: not reachable, refuses, lost the job
    │   ├── SegmentLostError   one segment ended its actor's process several times
    │   ├── EncoderLostError   the encoder actor died, and the job cannot continue
    │   └── RedrawError        internal: all frames must be drawn again
    ├── EncodeError            FFmpeg, or the disk it writes to (also a RuntimeError)
    └── PartsError             a segment file is not what was written there

Each survives pickling, because actors send them to the driver. The names in
brackets are Python's own exceptions that ``except`` can catch them under. What the
user's code raised in the calling process can also be caught under its own class;
see `as_raised`.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, ClassVar


class RayanimError(Exception):
    """Base class of all exceptions that rayanim raises on purpose.

    Parameters
    ----------
    message
        What was got and what to do next, in one or a few sentences.
    """

    _kind: ClassVar[type[RayanimError] | None] = None
    """Our class, in a class that `as_raised` made from ours and the user's."""

    def __init__(self, message: str) -> None:
        # Not super(): a class of the user's may follow in the MRO; see `as_raised`.
        Exception.__init__(self, message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self._kind or type(self), dict(self.__dict__)))


class ScriptError(RayanimError, RuntimeError):
    """The user's drawing code failed.

    Parameters
    ----------
    message
        What failed and what to do.
    frame
        The frame number, where one is known.
    traceback_text
        The user's own traceback as text: an exception object cannot always be
        pickled, its text can.
    """

    def __init__(
        self, message: str, *, frame: int | None = None, traceback_text: str | None = None
    ) -> None:
        super().__init__(message)
        self.frame = frame
        self.traceback_text = traceback_text


class SetupError(ScriptError, TypeError):
    """``setup()`` or ``start()`` raised, or returned something that cannot be drawn."""


class FrameError(ScriptError):
    """Drawing one frame raised, or returned something of the wrong kind or size."""


class ParametersError(ScriptError, ValueError):
    """The parameters have gaps, duplicates, too few entries, or raised."""


class NotPicklableError(ScriptError, TypeError):
    """The source cannot be sent to actors."""


class SettingsError(RayanimError, ValueError):
    """A setting is invalid, alone or together with others; raised before any work starts."""


class OutputError(SettingsError):
    """The output cannot be written: its suffix, its folder, or an existing file."""


class PackageError(SettingsError):
    """The script's folder cannot be sent: too large, not readable, or not there."""


class ResumeError(SettingsError):
    """There are no finished segments to resume from, or they belong to another video."""


class FarmError(RayanimError, RuntimeError):
    """Ray or its actors failed, and retries did not help."""


class FarmStartError(FarmError):
    """Ray, the encoder actor or the first render actor did not start."""


class FarmSilentError(FarmError):
    """No actor answered for far longer than drawing a segment takes."""


class ClusterError(FarmError):
    """The cluster cannot be reached, refuses the connection, or has other versions."""


class JobError(FarmError):
    """The cluster's Jobs API cannot be reached or refuses, or a job or its video is lost."""


class SegmentLostError(FarmError):
    """A segment ended its actor's process every time it was tried.

    Parameters
    ----------
    message
        What happened and what to do.
    start, stop
        The frames of the segment, half-open.
    attempts
        How often it was tried.
    """

    def __init__(self, message: str, *, start: int, stop: int, attempts: int) -> None:
        super().__init__(message)
        self.start = start
        self.stop = stop
        self.attempts = attempts


class EncoderLostError(FarmError):
    """The encoder actor's process ended before the video was finished."""


class RedrawError(FarmError):
    """Internal: all frames are drawn again, a safer way.

    `in_sequence`: each after the updates of those before it. `in_full`: not
    incrementally. `in_process`: by the script's own process alone. `packed` is the
    source as it was before the job.
    """

    def __init__(
        self,
        message: str,
        *,
        in_sequence: bool = False,
        in_full: bool = False,
        in_process: bool = False,
    ) -> None:
        super().__init__(message)
        self.in_sequence = in_sequence
        self.in_full = in_full
        self.in_process = in_process
        self.packed: Any = None


class EncodeError(RayanimError, RuntimeError):
    """FFmpeg refused a frame or a file, or the disk is full."""


class PartsError(RayanimError):
    """A segment file or the manifest is broken: cut short, changed, or not by rayanim."""


def _rebuild(cls: type[RayanimError], state: dict[str, Any]) -> RayanimError:
    """Unpickle an exception from its attributes, whatever its constructor takes."""
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (state["message"],)
    users = state.get("traceback_text")
    if users is not None:
        # The exception that it was raised from is not pickled; Python shows its text instead.
        error.__cause__ = RemoteError(users)
    return error


class RemoteError(Exception):
    """Shows the traceback of a user's exception that was raised in another process."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0].rstrip()}"


def script_s_own(error: ScriptError) -> Exception | None:
    """The exception of the user's that `error` stands for, if it was raised in this process."""
    cause = error.__cause__
    while isinstance(cause, RayanimError):
        cause = cause.__cause__
    if isinstance(cause, Exception) and not isinstance(cause, RemoteError):
        return cause
    return None


def as_raised(error: ScriptError) -> ScriptError:
    """`error`, made to be an instance of the class of the user's exception, too.

    So ``except KeyError`` around ``make_video`` catches a KeyError of the user's
    `update`. Returns `error` itself if the exception was raised in an actor, or if
    its class cannot be combined with ours.
    """
    cause, kind = script_s_own(error), type(error)
    if cause is None or isinstance(error, type(cause)):
        return error
    try:
        names = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_kind": kind}
        both: Any = type(kind.__name__, (kind, type(cause)), names)
        # Python's own constructor: the user's may take other arguments.
        python_s = next(each for each in type(cause).__mro__ if each.__module__ == "builtins")
        made: Any = python_s.__new__(both, error.message)
        made.args = error.args
        # With the attributes of both: a script may read those of its own.
        made.__dict__.update(vars(cause) | vars(error))
    except Exception:  # whatever the user's class raises when it is subclassed or made
        return error
    made.__cause__ = cause
    made.__traceback__ = error.__traceback__
    return made  # type: ignore[no-any-return]


def print_in_one_line(error: KeyboardInterrupt) -> None:
    """Have Python print one line for an interrupt that ends the process, and no traceback.

    The process ends as it does after any interrupt. An ``excepthook`` of the
    caller's stays in place, and so does Python's output of other exceptions.
    Python's own hook is back as soon as the interrupt is printed, or is gone
    because the caller has caught it.
    """
    is_ours = isinstance(sys.excepthook, _OneLineHook)
    if type(error) is not KeyboardInterrupt or not (
        is_ours or sys.excepthook is sys.__excepthook__
    ):
        return
    hook = sys.excepthook = _OneLineHook()
    mark = error.__dict__["_rayanim_stopped"] = _Mark()
    weakref.finalize(mark, hook.restore).atexit = False


class _Mark:
    """Goes with the interrupt that it marks: an exception itself takes no weak reference."""


class _OneLineHook:
    """The ``excepthook`` while an interrupt is on its way out."""

    def __call__(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.restore()
        if "_rayanim_stopped" in error.__dict__:
            notes = " ".join(getattr(error, "__notes__", ()))
            sys.stderr.write(f"rayanim: stopped. {notes}".rstrip() + "\n")
        else:
            sys.__excepthook__(kind, error, trace)

    def restore(self) -> None:
        """Put Python's own hook back, unless another one has come since."""
        if sys.excepthook is self:
            sys.excepthook = sys.__excepthook__
