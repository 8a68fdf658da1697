"""How many render actors there should be: a pure policy, from the encoder's queue.

Theory of operation
-------------------
The set point: frames arrive just fast enough that the encoder never starves
and its queue never fills. `decide` is called every tick with a `Snapshot` and
the state that it returned the tick before; it has no clock and no effects.

*Demand* is the encoder's rate divided by one busy actor's, in actors.

- The encoder **starves** when it idles while little is queued and the window
  for frames in flight has room. If that holds for ``hold_s``, actors are added
  up to `HEADROOM_UP` times the demand, at most doubling.
- The queue is **full** when the window is nearly used up while the encoder
  works. If that holds for ``hold_s``, actors are released down to
  `HEADROOM_DOWN` times the demand, at most halving.
- If the encoder idles while the window is full, the frame that comes next is a
  slow one and the others wait behind it. More actors would have no room to
  draw in, fewer would draw it no sooner: nothing changes.

Why it cannot swing between n and n + 1 while the rates stay as they are.
Going up from n by the demand r means ``HEADROOM_UP * r > n``, coming back to n
means ``HEADROOM_DOWN * r <= n``. As ``HEADROOM_DOWN > HEADROOM_UP``, no r does
both: the measured demand must have fallen by 12 % or more in between.
Where a biased measurement says that n is enough although the encoder starves
with n, one actor is added beyond it (a probe), and n is remembered together
with the demand measured then (`Shortage`): the way down ends above n until the
demand has fallen by a quarter. Where the measurement scatters more than the
dead band is wide, or the load comes in bursts, the way down takes the highest
demand of the last `PEAK_HOLDS` times ``hold_s``. It can afford to be late: too
many actors do no harm, since the window is bounded and they wait.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The job at one tick."""

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
    chunks_left: int | None
    actor_start_s: float

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
    """Bounds that no decision leaves, and how long proof takes."""

    min_actors: int
    max_actors: int
    hold_s: float = 1.0
    settle_s: float = 2.0

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
    """What `decide` remembers from tick to tick; a new job starts with ``PolicyState()``."""

    wanted: int | None = None
    starved_since_s: float | None = None
    full_since_s: float | None = None
    changed_at_s: float | None = None
    arriving_at_s: float | None = None
    shortage: Shortage | None = None
    peaks: tuple[tuple[float, float], ...] = ()


HEADROOM_UP = 1.1
"""Actors are added until they draw this many times what the encoder takes."""

HEADROOM_DOWN = 1.25
"""Actors are released only if the rest draw this many times what it takes."""

IDLE_SHARE = 0.1
"""An encoder that is idle for a larger share of the window than this is not fed."""

FULL_SHARE = 0.8
"""The window is full from this share on: a segment more might not fit."""

LOW_QUEUE_S = 1.0
"""Less than this much work for the encoder is a low queue, in seconds.

Actors hand over about a quarter of a second of drawing at a time and hold two
segments, so at steady state half a second of frames waits for its turn.
"""

PROBE_HOLDS = 3
"""An actor beyond the demand needs proof for this many times ``hold_s``."""

SHORTAGE_FADES = 0.75
"""A remembered shortage ends when the demand is below this share of what it was."""

PEAK_HOLDS = 10
"""The way down looks at the highest demand of this many times ``hold_s``."""

START_REPAID = 2.0
"""An actor repays its start if its share of the frames lasts this many starts.

It then works at least as long as it took to start.
"""


def decide(
    snapshot: Snapshot, limits: ScalingLimits, state: PolicyState
) -> tuple[Decision, PolicyState]:
    """The decision for this tick and the state for the next."""
    seen = _observe(snapshot, limits, state)
    requested = snapshot.requested
    target, why = _target(snapshot, limits, seen)
    step = f"stay at {requested}"
    if target != requested:
        step = f"{'up' if target > requested else 'down'} from {requested} to {target}"
    decision = Decision(target, target - requested, f"{step}: {why}")
    return decision, _remember(snapshot, limits, seen, decision)


def _observe(snapshot: Snapshot, limits: ScalingLimits, state: PolicyState) -> PolicyState:
    """Follow since when each condition holds; a restless time counts for neither."""
    now_s = snapshot.now_s
    state = replace(state, arriving_at_s=now_s) if snapshot.pending else state
    resting = _rested(now_s, state.changed_at_s, limits)
    supply_known = resting and _rested(now_s, state.arriving_at_s, limits)
    is_idle = snapshot.encoder_idle_fraction > IDLE_SHARE
    is_full = snapshot.window_share >= FULL_SHARE and not is_idle
    return replace(
        state,
        wanted=snapshot.requested if state.wanted is None else state.wanted,
        peaks=_peaks(state.peaks, now_s, snapshot.demand, PEAK_HOLDS * limits.hold_s),
        starved_since_s=_since(
            state.starved_since_s, now_s, supply_known and is_idle and _has_room(snapshot)
        ),
        full_since_s=_since(state.full_since_s, now_s, resting and is_full),
    )


def _remember(
    snapshot: Snapshot, limits: ScalingLimits, state: PolicyState, decision: Decision
) -> PolicyState:
    shortage, since_s = state.shortage, state.starved_since_s
    has_starved = since_s is not None and snapshot.now_s - since_s >= limits.hold_s
    if has_starved and snapshot.demand:
        known = _floor(shortage, snapshot.demand)
        if snapshot.requested >= known:
            shortage = Shortage(snapshot.requested, snapshot.demand)
    state = replace(state, wanted=decision.target, shortage=shortage)
    if decision.delta == 0:
        return state
    return replace(state, changed_at_s=snapshot.now_s, starved_since_s=None, full_since_s=None)


def _target(snapshot: Snapshot, limits: ScalingLimits, state: PolicyState) -> tuple[int, str]:
    """The first rule that applies; each gives its reason."""
    requested = snapshot.requested
    if state.wanted is not None and requested < state.wanted:
        # Before the bounds: where all died at once, those would ask for the fewest.
        return _replace_dead(snapshot, limits, state.wanted)
    if limits.clamp(requested) != requested:
        return limits.clamp(requested), _bounds(limits)
    if snapshot.chunks_left is not None and limits.clamp(snapshot.chunks_left) < requested:
        target = limits.clamp(snapshot.chunks_left)
        return target, f"segments left to draw: {snapshot.chunks_left}"
    if state.starved_since_s is not None:
        return _up(snapshot, limits, state.starved_since_s)
    if state.full_since_s is not None:
        return _down(snapshot, limits, state, state.full_since_s)
    return requested, _why_stay(snapshot, limits, state)


def _replace_dead(snapshot: Snapshot, limits: ScalingLimits, wanted: int) -> tuple[int, str]:
    requested = snapshot.requested
    lost = f"actors gone: {wanted - requested} of {wanted}"
    useful = min(limits.clamp(wanted), _useful(snapshot, limits))
    target = max(limits.clamp(requested), useful)
    if target == requested:
        return requested, f"{lost}, but the frames left repay no start"
    return target, lost


def _up(snapshot: Snapshot, limits: ScalingLimits, since_s: float) -> tuple[int, str]:
    requested, demand = snapshot.requested, snapshot.demand
    starving = (
        f"the encoder idled {snapshot.encoder_idle_fraction:.0%} "
        f"with {snapshot.queued_frames} frames queued"
    )
    if requested >= limits.max_actors:
        return requested, f"{starving}, but {_bounds(limits)}"
    if snapshot.draw_fps_per_actor is None:
        return requested, f"{starving}, but no actor has drawn a segment yet"
    needed, takes = 2 * requested, ""
    if demand is not None:
        needed = _actors(demand, HEADROOM_UP, limits.max_actors)
        takes = f"; it takes {demand:.1f} actors to feed it"
    wait_s = limits.hold_s if needed > requested else PROBE_HOLDS * limits.hold_s
    if snapshot.now_s - since_s < wait_s:
        return requested, f"{starving}, not yet for {wait_s:g} s"
    wanted = limits.clamp(min(max(needed, requested + 1), 2 * requested))
    target = min(wanted, _useful(snapshot, limits))
    if target <= requested:
        return requested, f"{starving}, but the frames left repay no start"
    return target, starving + takes


def _down(
    snapshot: Snapshot, limits: ScalingLimits, state: PolicyState, since_s: float
) -> tuple[int, str]:
    requested = snapshot.requested
    full = f"the encoder's queue is {snapshot.window_share:.0%} full"
    if not state.peaks:
        return requested, f"{full}, but the rates are not known yet"
    peak = state.peaks[0][1]
    enough = max(_actors(peak, HEADROOM_DOWN, limits.max_actors), _floor(state.shortage, peak))
    if enough >= requested:
        return requested, f"{full}, and fewer would starve the encoder"
    if requested <= limits.min_actors:
        return requested, f"{full}, but {_bounds(limits)}"
    if snapshot.now_s - since_s < limits.hold_s:
        return requested, f"{full}, not yet for {limits.hold_s:g} s"
    target = limits.clamp(max(enough, math.ceil(requested / 2)))
    return target, f"{full}; it took at most {peak:.1f} actors to feed it"


def _why_stay(snapshot: Snapshot, limits: ScalingLimits, state: PolicyState) -> str:
    """Why nothing changes while no condition is being timed."""
    if snapshot.pending:
        return f"actors still starting: {snapshot.pending}"
    if not _rested(snapshot.now_s, state.changed_at_s, limits):
        return "the last change has to show first"
    if not _rested(snapshot.now_s, state.arriving_at_s, limits):
        return "the new actors have to show first"
    if snapshot.encoder_idle_fraction > IDLE_SHARE:
        return (
            f"the encoder idled {snapshot.encoder_idle_fraction:.0%}, but "
            f"{snapshot.queued_frames} frames wait behind a slower one"
        )
    return "the encoder is fed and its queue has room"


def _has_room(snapshot: Snapshot) -> bool:
    """Whether little is queued, and one more actor has room in the window."""
    # What the actors hold is in the window too. Many actors fill most of it
    # just by drawing; there is room for one more while its part would fit.
    roomy_share = max(FULL_SHARE, snapshot.requested / (snapshot.requested + 1))
    low_frames = LOW_QUEUE_S * (snapshot.encode_fps or math.inf)
    return snapshot.window_share < roomy_share and snapshot.queued_frames < max(1.0, low_frames)


def _peaks(
    peaks: tuple[tuple[float, float], ...], now_s: float, demand: float | None, memory_s: float
) -> tuple[tuple[float, float], ...]:
    recent = tuple(peak for peak in peaks if now_s - peak[0] <= memory_s)
    if demand is None:
        return recent
    return (*(peak for peak in recent if peak[1] > demand), (now_s, demand))


def _actors(demand: float, headroom: float, most: int) -> int:
    """Whole actors for `demand` with headroom, at least 1, at most `most`."""
    return most if demand * headroom >= most else max(1, math.ceil(demand * headroom))


def _floor(shortage: Shortage | None, demand: float) -> int:
    """The fewest actors that are not known to be too few."""
    if shortage is None or demand < SHORTAGE_FADES * shortage.demand:
        return 1
    return shortage.actors + 1


def _useful(snapshot: Snapshot, limits: ScalingLimits) -> int:
    """Actors that have a segment to draw and repay their start."""
    most, start_s = limits.max_actors, snapshot.actor_start_s
    if snapshot.frames_left is not None and snapshot.draw_fps_per_actor and start_s > 0:
        left_s = snapshot.frames_left / snapshot.draw_fps_per_actor
        most = int(min(most, left_s / (START_REPAID * start_s)))
    return most if snapshot.chunks_left is None else min(most, snapshot.chunks_left)


def _rested(now_s: float, moved_at_s: float | None, limits: ScalingLimits) -> bool:
    return moved_at_s is None or now_s - moved_at_s >= limits.settle_s


def _since(since_s: float | None, now_s: float, holds: bool) -> float | None:
    if not holds:
        return None
    return now_s if since_s is None else since_s


def _bounds(limits: ScalingLimits) -> str:
    return f"{limits.min_actors} to {limits.max_actors} are allowed"


class SlidingSums:
    """Frames and seconds of a stage, summed over a sliding window."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._entries: deque[tuple[float, int, float, float]] = deque()

    def add(self, now_s: float, frames: int, busy_s: float, idle_s: float = 0.0) -> None:
        """Note that `frames` took `busy_s`, after `idle_s` with nothing to do."""
        self._entries.append((now_s, frames, busy_s, idle_s))
        # The last entry stays however old it is: an old rate beats none.
        while len(self._entries) > 1 and self._entries[0][0] < now_s - self._window_s:
            self._entries.popleft()

    @property
    def fps(self) -> float | None:
        """Frames per busy second, None before the first entry."""
        frames = sum(entry[1] for entry in self._entries)
        busy_s = sum(entry[2] for entry in self._entries)
        return frames / busy_s if frames and busy_s > 0 else None

    def idle_fraction(self, now_s: float) -> float:
        """Share of the time in which there was nothing to do, 0 to 1.

        The time since the last entry counts as idle: the next entry will say
        so too.
        """
        if not self._entries:
            return 1.0
        busy_s = sum(entry[2] for entry in self._entries)
        idle_s = sum(entry[3] for entry in self._entries)
        idle_s += max(0.0, now_s - self._entries[-1][0])
        whole_s = busy_s + idle_s
        return idle_s / whole_s if whole_s > 0 else 1.0
