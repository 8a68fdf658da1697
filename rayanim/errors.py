"""Every exception that rayanim raises, sorted by whose fault it is.

::

    RayanimError
    ├── ScriptError            the user's drawing code (also a RuntimeError)
    │   ├── SetupError         opening the source failed (also a TypeError)
    │   ├── FrameError         drawing one frame failed, or gave a wrong frame
    │   ├── HistoryError       a frame depends on the frames drawn before it
    │   ├── ParametersError    the parameters themselves (also a ValueError)
    │   └── NotPicklableError  the source cannot travel (also a TypeError)
    ├── SettingsError          what the caller asked for (also a ValueError)
    │   ├── OutputError        where the video should go
    │   ├── PackageError       the script's folder cannot travel to a cluster
    │   └── ResumeError        the parts of an earlier job do not fit, or there are none
    ├── FarmError              Ray, its actors, the machines (also a RuntimeError)
    │   ├── FarmStartError     Ray or the first actors did not start
    │   ├── FarmSilentError    no actor said anything for far longer than drawing takes
    │   ├── ClusterError       the cluster cannot be reached, or does not fit this process
    │   ├── JobError           a cluster's Jobs API: cannot be reached, refuses, lost the job
    │   ├── SegmentLostError   one segment killed its actor again and again
    │   ├── EncoderLostError   the encoder actor died, and the video cannot be begun anew
    │   └── RedrawError        what was drawn incrementally must be drawn again (never leaves us)
    ├── EncodeError            FFmpeg, or the disk it writes to (also a RuntimeError)
    └── PartsError             what lies on disk is not what was written there

Every one of them survives pickling, because actors hand them to the driver.
``except`` finds them under Python's own names too. What the user's code raised
in the calling process can besides be caught under its own class, see `as_raised`.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar


class RayanimError(Exception):
    """Base class of all exceptions that rayanim raises on purpose.

    Parameters
    ----------
    message
        What was got and what to do next, in one or a few sentences.
    """

    _kind: ClassVar[type[RayanimError] | None] = None
    """The class in this file, where `as_raised` has made one that is not in it."""

    def __init__(self, message: str) -> None:
        # Not super(): behind ours may stand a class of the user's, see `as_raised`.
        Exception.__init__(self, message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self._kind or type(self), dict(self.__dict__)))


def _rebuild(cls: type[RayanimError], state: dict[str, Any]) -> RayanimError:
    """Make an exception again from its attributes, whatever its constructor takes."""
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (state["message"],)
    users = state.get("traceback_text")
    if users is not None:
        # The exception that it was raised from stayed behind; Python shows its text in its place.
        error.__cause__ = _RemoteError(users)
    return error


class _RemoteError(Exception):
    """Stands in for the user's exception, which stayed in the process that drew.

    Parameters
    ----------
    text
        Its traceback.
    """

    def __str__(self) -> str:
        return f"\n\n{self.args[0].rstrip()}"


class ScriptError(RayanimError, RuntimeError):
    """The user's drawing code failed.

    Parameters
    ----------
    message
        What failed and what to do.
    frame
        The frame number, where one is known.
    traceback_text
        The user's own traceback as text. An exception object cannot always
        travel from an actor to the driver, its text can.
    """

    def __init__(
        self, message: str, *, frame: int | None = None, traceback_text: str | None = None
    ) -> None:
        super().__init__(message)
        self.frame = frame
        self.traceback_text = traceback_text


class SetupError(ScriptError, TypeError):
    """``setup()`` or ``start()`` raised, or gave something that cannot be drawn."""


class FrameError(ScriptError):
    """Drawing one frame raised, or gave a frame of the wrong kind or size."""


class HistoryError(ScriptError):
    """A frame depends on the frames drawn before it, and the video is not drawn sequentially."""


class ParametersError(ScriptError, ValueError):
    """The parameters have gaps, duplicates, too few entries, or raised."""


class NotPicklableError(ScriptError, TypeError):
    """The source cannot be sent to actors."""


class SettingsError(RayanimError, ValueError):
    """A setting is outside what makes sense; raised before any work starts."""


class OutputError(SettingsError):
    """The target's suffix, folder or existing file does not allow writing it."""


class PackageError(SettingsError):
    """The script's folder is too large to travel, cannot be read, or is not there."""


class ResumeError(SettingsError):
    """An earlier job left no parts to go on from, or they belong to another video."""


class FarmError(RayanimError, RuntimeError):
    """Ray or its actors failed in a way that no retry could mend."""


class FarmStartError(FarmError):
    """Ray, the encoder actor or the first render actor did not start."""


class FarmSilentError(FarmError):
    """No actor said anything for far longer than drawing a segment takes."""


class ClusterError(FarmError):
    """The cluster at the given address cannot be reached, refuses, or does not fit."""


class JobError(FarmError):
    """A cluster's Jobs API cannot be reached or refuses us, or a job or its video is lost there."""


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
    """An incremental draw differed from a full draw: all frames are to be drawn again, in full.

    It ends one try at a job, and the next one is made; `produce` does not raise it.
    """


class EncodeError(RayanimError, RuntimeError):
    """FFmpeg refused a frame or a file, or the disk is full."""


class PartsError(RayanimError):
    """A part or its manifest is broken: cut short, changed, or never rayanim's."""


def as_raised(error: ScriptError) -> ScriptError:
    """`error`, to be caught under the class of the user's exception behind it as well.

    ``except KeyError`` around ``make_video`` so catches a KeyError of the
    user's `update`. Where the exception stayed in an actor, or its class
    cannot be a base beside ours, `error` itself.
    """
    cause = error.__cause__
    while isinstance(cause, RayanimError):
        cause = cause.__cause__
    kind = type(error)
    if not isinstance(cause, Exception) or isinstance(cause, _RemoteError):
        return error
    if isinstance(error, type(cause)):
        return error
    try:
        names = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_kind": kind}
        both: Any = type(kind.__name__, (kind, type(cause)), names)
        # Python's own constructor: the user's may want other arguments.
        python_s = next(each for each in type(cause).__mro__ if each.__module__ == "builtins")
        made: Any = python_s.__new__(both, error.message)
        made.args = error.args
        made.__dict__.update(vars(error))
    except Exception:  # whatever the user's class raises when it is derived or made
        return error
    made.__cause__ = cause
    made.__traceback__ = error.__traceback__
    return made  # type: ignore[no-any-return]


def print_in_one_line(error: KeyboardInterrupt) -> None:
    """Have Python print one line for an interrupt that ends the process, and no traceback.

    The process ends as it does after any interrupt. An ``excepthook`` of the
    caller's stays in place, and so does Python's output of other exceptions.
    """
    if sys.excepthook is sys.__excepthook__ and type(error) is KeyboardInterrupt:
        sys.excepthook = _excepthook
    if sys.excepthook is _excepthook:
        error.__dict__["_rayanim_stopped"] = True


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if "_rayanim_stopped" in error.__dict__:
        notes = " ".join(getattr(error, "__notes__", ()))
        sys.stderr.write(f"rayanim: stopped. {notes}".rstrip() + "\n")
    else:
        sys.__excepthook__(kind, error, trace)
