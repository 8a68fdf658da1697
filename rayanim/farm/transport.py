"""Decides what travels from those who draw to the file: closed segments or raw frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayanim.errors import SettingsError
from rayanim.settings import Transport

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec


def choose_transport(spec: StreamSpec, asked: Transport | None) -> tuple[Transport, str]:
    """The transport, and why.

    Parameters
    ----------
    spec
        The stream.
    asked
        What the user wants; None leaves it to the stream.

    Raises
    ------
    SettingsError
        If segments are asked for where they cannot be joined.
    """
    from rayanim.video.segment import why_not_joinable

    reason = why_not_joinable(spec)
    if asked == "segments" and reason is not None:
        raise SettingsError(f"transport='segments' does not go here: {reason}. Use 'frames'.")
    if asked is not None:
        return asked, f"transport={asked!r} was asked for"
    if reason is not None:
        return "frames", reason
    return "segments", "closed segments of this stream can be joined"
