"""What an encoder's or a joiner's calls may still do: it is open, failed or closed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
import numpy as np

from rayanim.errors import EncodeError
from rayanim.video.ffmpeg_log import reason_for
from rayanim.video.packing import Bytes
from rayanim.video.spec import StreamSpec
from rayanim.video.stream import try_to_open

FAILURES = (av.FFmpegError, OSError, ValueError)
"""What FFmpeg, PyAV and the disk raise."""


class Lifecycle:
    """The first failure ends what is going on, and every later call raises it again.

    Parameters
    ----------
    spec
        The film.
    name
        What is written, for messages.
    """

    def __init__(self, spec: StreamSpec, name: str) -> None:
        self._spec = spec
        self._name = name
        self._failure: EncodeError | None = None
        self._is_open = True
        self.frames = 0
        """Frames that have gone in."""

    def check_open(self) -> None:
        """Raise the first failure again, or an EncodeError if all is closed already."""
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise EncodeError(f"{self._name} is closed already; open a new encoder.")

    @contextmanager
    def step(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Turn a failure inside into an EncodeError, and end with it.

        Parameters
        ----------
        give_up
            Takes away what was begun. It is not kept: a cycle of references
            would leave the codec's memory and threads to the garbage collector.
        """
        try:
            yield
        except FAILURES as error:
            if self.end():
                give_up()
            self._failure = explained(error, self._spec, self._name, self.frames)
            raise self._failure from error

    def end(self) -> bool:
        """Let nothing follow; False if it had ended already."""
        was_open, self._is_open = self._is_open, False
        return was_open


def check_payload(payload: Bytes, spec: StreamSpec) -> None:
    """Raise an EncodeError unless `payload` is ``(n, frame_bytes) uint8``, C-contiguous."""
    is_packed = payload.dtype == np.uint8 and payload.flags.c_contiguous
    if payload.ndim != 2 or payload.shape[1] != spec.frame_bytes or not is_packed:
        raise EncodeError(
            f"A payload must be a C-contiguous uint8 array of shape (n, {spec.frame_bytes}), "
            f"got {payload.dtype} of shape {payload.shape!r}."
        )


def check_count(frames: int, packets: int) -> None:
    """Raise a ValueError if there was no frame, or not one packet for each."""
    if not frames:
        raise ValueError("there is no frame in it")
    if packets != frames:
        raise ValueError(f"it made {packets} packets of {frames} frames")


def explained(error: Exception, spec: StreamSpec, name: str, frame: int) -> EncodeError:
    """An error that says what FFmpeg or the disk refused, at which frame of what."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return EncodeError(
            f"The disk is full, or the file too large for it, at frame {frame} of "
            f"{name} ({os.strerror(number)}). Free some space or write elsewhere."
        )
    if isinstance(error, OSError) and error.strerror:
        return EncodeError(f"Cannot write {name}: {error.strerror}.")
    reason = reason_for(error, lambda: try_to_open(spec))
    return EncodeError(f"FFmpeg ({spec.codec}) failed at frame {frame} of {name}: {reason}.")
