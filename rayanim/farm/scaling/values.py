"""The values that the scaling policy takes and gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rayanim.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the controller sees at one tick.

    Parameters
    ----------
    now_s
        Any clock that does not go back.
    alive
        Actors that have answered.
    requested
        Actors asked for, those alive included; without those that have died.
    queued_frames
        Frames drawn that wait for the encoder or for their turn.
    in_flight_bytes, in_flight_limit_bytes
        Pixels between the actors and the encoder, and what there may be.
    encoder_idle_fraction
        Share of the last window in which the encoder had nothing to do. The
        window should be no longer than ``settle_s + 3 * hold_s``, or
        what was before a change is taken for its result.
    draw_fps_per_actor
        Frames per second of one busy actor; None before the first measurement.
        Best the inverse of averaged seconds per frame: a mean of rates is too
        high where frames differ.
    encode_fps
        Frames per second while the encoder is busy; None before the first.
    frames_left
        Frames not yet drawn; None where the length is unknown.
    segments_left
        Segments not yet drawn, those in the actors' hands included; None where
        the length is unknown.
    actor_start_s
        Seconds from asking for an actor to its first frame.
    nodes
        Nodes on which there are actors.
    spent_node_s
        Seconds for which nodes were held so far, of all nodes together.
    seconds_left
        Seconds to the end of the film at the present rate; None where that
        cannot be said.
    """

    now_s: float
    alive: int
    requested: int
    queued_frames: int
    in_flight_bytes: int
    in_flight_limit_bytes: int
    encoder_idle_fraction: float
    draw_fps_per_actor: float | None
    encode_fps: float | None
    frames_left: int | None
    segments_left: int | None
    actor_start_s: float
    nodes: int = 0
    spent_node_s: float = 0.0
    seconds_left: float | None = None

    @property
    def pending(self) -> int:
        """Actors that were asked for and have not answered yet."""
        return max(0, self.requested - self.alive)

    @property
    def demand(self) -> float | None:
        """Actors it takes to keep the encoder busy; None before both rates are known."""
        if not self.draw_fps_per_actor or self.encode_fps is None:
            return None
        demand = self.encode_fps / self.draw_fps_per_actor
        return None if math.isnan(demand) else demand

    @property
    def window_share(self) -> float:
        """Used share of the window for frames in flight, 0 to about 1."""
        return self.in_flight_bytes / max(1, self.in_flight_limit_bytes)


@dataclass(frozen=True, slots=True)
class ScalingLimits:
    """Bounds that no decision leaves, and how long proof takes.

    Parameters
    ----------
    min_actors, max_actors
        Both inclusive; equal pins the number.
    hold_s
        Seconds for which a condition must hold before it counts.
    settle_s
        Seconds after a change, and after the last new actor answered, in which
        nothing changes.
    max_node_s
        The most seconds for which nodes may be held, of all nodes together;
        None for no bound.

    Raises
    ------
    SettingsError
        If the bounds are not ``1 <= min_actors <= max_actors`` or a time is
        negative.
    """

    min_actors: int
    max_actors: int
    hold_s: float = 1.0
    settle_s: float = 2.0
    max_node_s: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_actors <= self.max_actors:
            raise SettingsError(
                f"The number of actors must be bounded by 1 <= min <= max, "
                f"got min={self.min_actors!r} and max={self.max_actors!r}."
            )
        if not (self.hold_s >= 0 and self.settle_s >= 0):
            raise SettingsError(
                f"hold_s and settle_s must be 0 or more seconds, "
                f"got {self.hold_s!r} and {self.settle_s!r}."
            )

    def clamp(self, actors: int) -> int:
        """The allowed number that is nearest to `actors`."""
        return min(self.max_actors, max(self.min_actors, actors))


@dataclass(frozen=True, slots=True)
class Decision:
    """How many actors there should be, how many that is more, and why.

    `delta` is the change against what was requested: positive asks for that
    many more, negative releases, 0 leaves all as it is.
    """

    target: int
    delta: int
    reason: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """With this many actors the encoder starved, at this measured demand."""

    actors: int
    demand: float


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What `decide` remembers from tick to tick; a new job starts with ``PolicyState()``.

    Parameters
    ----------
    wanted
        The target of the last decision; what is missing from it has died.
    starved_since_s, full_since_s
        Since when that holds without a break; None while it does not.
    changed_at_s
        When the target last changed.
    arriving_at_s
        When an actor was last seen to be still starting.
    shortage
        The largest number of actors known to be too few.
    peaks
        (when, demand) of the recent past, each above all that came later: the
        first is the highest.
    """

    wanted: int | None = None
    starved_since_s: float | None = None
    full_since_s: float | None = None
    changed_at_s: float | None = None
    arriving_at_s: float | None = None
    shortage: Shortage | None = None
    peaks: tuple[tuple[float, float], ...] = ()
