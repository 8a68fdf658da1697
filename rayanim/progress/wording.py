"""Numbers and states of a job in words, for every kind of progress and the report."""

from __future__ import annotations

from rayanim.progress.protocol import ProgressState


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
    share = percent(state)
    parts = [
        f"{state.done}{'' if state.total is None else f'/{state.total}'} frames"
        + (f" ({share})" if share else ""),
        state.fps is not None and f"{three_digits(state.fps)} frames/s",
        state.eta_s is not None and state.done != state.total and f"{duration(state.eta_s)} left",
        actors(state),
        state.queued_frames and f"{state.queued_frames} {_frames(state.queued_frames)} queued",
    ]
    told = ", ".join(part for part in parts if part)
    return f"{label}: {told}" if label else told


def _frames(number: int) -> str:
    return "frame" if number == 1 else "frames"
