"""The controller: looks, asks the pure policy, applies its decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from rayanim.errors import BudgetError
from rayanim.farm.job import Tally
from rayanim.farm.planning.dispatch import Dispatcher
from rayanim.farm.rendering.render import Timings
from rayanim.farm.scaling.budget import used_up
from rayanim.farm.scaling.policy import PolicyState, ScalingLimits, Snapshot, decide
from rayanim.farm.scaling.windows import SlidingSums

TICK_S = 0.1
"""Seconds between two looks."""


class Workforce(Protocol):
    """The part of a pool that the controller needs."""

    @property
    def requested(self) -> int: ...

    @property
    def alive(self) -> int: ...

    @property
    def nodes(self) -> int: ...

    def apply(self, target: int) -> None: ...


class Controller:
    """Keeps the number of render actors right.

    Parameters
    ----------
    limits
        Bounds, and how long a condition must hold.
    pool
        The actors.
    dispatcher
        What is in flight; any payload.
    tally
        Where changes are noted.
    segment_frames
        Frames of a full segment.
    limit_bytes
        Bytes of frames that may be in flight.
    window_s
        Seconds over which rates are averaged.
    actor_start_s
        Seconds from asking for an actor to its first frame.
    clock
        Gives seconds that never go back; None for the machine's.
    """

    def __init__(
        self,
        limits: ScalingLimits,
        pool: Workforce,
        dispatcher: Dispatcher[object],
        tally: Tally,
        *,
        segment_frames: int,
        limit_bytes: int,
        window_s: float,
        actor_start_s: float,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or time.perf_counter
        self._actor_start_s = actor_start_s
        self._limits = limits
        self._pool = pool
        self._dispatcher = dispatcher
        self._tally = tally
        self._segment_frames = segment_frames
        self._limit_bytes = limit_bytes
        self._drawing = SlidingSums(window_s)
        self._encoding = SlidingSums(window_s)
        self._state = PolicyState()
        self._next_tick_s = 0.0
        self.target = 0

    def begin(self, target: int, reason: str) -> None:
        """Ask for the first actors."""
        self.target = target
        self._pool.apply(target)
        self._tally.change(target, reason)

    @property
    def most(self) -> int:
        """The most actors that there may be."""
        return self._limits.max_actors

    def bound(self, most: int) -> None:
        """There may be no more than `most` actors from now on."""
        fewest = min(self._limits.min_actors, most)
        self._limits = replace(self._limits, min_actors=fewest, max_actors=most)

    def drawn(self, timings: Timings) -> None:
        """An actor has drawn a segment."""
        self._drawing.add(self._clock(), timings.frames, timings.draw_s + timings.convert_s)

    def encoded(self, frames: int, encode_s: float, wait_s: float) -> None:
        """The encoder has taken a segment."""
        self._encoding.add(self._clock(), frames, encode_s, wait_s)

    def tick(self) -> None:
        """Look, decide and apply, unless the last time was just now.

        Raises
        ------
        BudgetError
            If the job has used up what it may cost.
        """
        now_s = self._clock()
        if now_s < self._next_tick_s:
            return
        self._next_tick_s = now_s + TICK_S
        self._tally.there_are(self._pool.alive, self._pool.nodes)
        snapshot = self._snapshot(now_s)
        spent = used_up(snapshot, self._limits)
        if spent is not None:
            raise BudgetError(spent)
        decision, self._state = decide(snapshot, self._limits, self._state)
        if decision.delta:
            self.target = decision.target
            self._pool.apply(decision.target)
            self._tally.change(decision.target, decision.reason)

    def _snapshot(self, now_s: float) -> Snapshot:
        frames_left, segments_left = self._left()
        return Snapshot(
            now_s=now_s,
            alive=self._pool.alive,
            requested=self._pool.requested,
            queued_frames=self._dispatcher.queued_frames,
            in_flight_bytes=self._dispatcher.in_flight_bytes,
            in_flight_limit_bytes=self._limit_bytes,
            encoder_idle_fraction=self._encoding.idle_fraction(now_s),
            draw_fps_per_actor=self._drawing.fps,
            encode_fps=self._encoding.fps,
            frames_left=frames_left,
            segments_left=segments_left,
            actor_start_s=self._actor_start_s,
            nodes=self._pool.nodes,
            spent_node_s=self._tally.fleet.node_s,
            seconds_left=self._tally.meter.eta_s(self._tally.total),
        )

    def _left(self) -> tuple[int | None, int | None]:
        """Frames not drawn yet and places to draw them, None where the end is unknown."""
        dispatcher, total = self._dispatcher, self._tally.total
        if dispatcher.all_handed_out:
            return dispatcher.drawing_frames, dispatcher.last_places
        if total is None:
            return None, None
        frames_left = total - dispatcher.first_frame - dispatcher.drawn_frames
        waiting = max(0, frames_left - dispatcher.drawing_frames)
        return frames_left, dispatcher.drawing_segments + -(-waiting // self._segment_frames)
