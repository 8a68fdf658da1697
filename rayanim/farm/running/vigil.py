"""Sees to it that a run on Ray does not wait for ever, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rayanim.errors import FarmSilentError, FarmStartError, RayanimError
from rayanim.farm.job import Tally
from rayanim.farm.pool import first_actor
from rayanim.farm.pool.render_pool import RenderPool

if TYPE_CHECKING:
    from rayanim.farm.connection.cluster_link import ClusterLink

SILENCE_S = 60.0
"""After this long without a finished segment, say what is being drawn."""


class Vigil:
    """Looks, in every turn of the run's loop, whether anybody still does something.

    Parameters
    ----------
    pool, tally
        The actors, and where it is told what they do.
    link
        The cluster; None for a Ray on this machine.
    limit_s
        After how many seconds without a word the job ends.
    refusal
        Why actors could not open the source on nodes that were left out, if so.
    """

    def __init__(
        self,
        pool: RenderPool,
        tally: Tally,
        link: ClusterLink | None,
        *,
        limit_s: Callable[[], float],
        refusal: Callable[[], RayanimError | None],
    ) -> None:
        self._pool = pool
        self._tally = tally
        self._link = link
        self._limit_s = limit_s
        self._refusal = refusal
        self._told_s = self._heard_s = self._alive_s = time.perf_counter()
        self._actor_limit_s: float | None = None

    def heard(self) -> None:
        """Something came from an actor or the encoder."""
        self._heard_s = time.perf_counter()

    def look(self, encoder_silence_s: float) -> None:
        """End the job where nothing more is to be expected.

        Parameters
        ----------
        encoder_silence_s
            For how long an answer of the encoder has been due.

        Raises
        ------
        FarmStartError
            If there is no actor, and none has come for long.
        FarmSilentError
            If there are actors, and nothing came from them or the encoder.
        """
        now_s = time.perf_counter()
        self._look_for_actors(now_s)
        silence_s = now_s - self._heard_s
        if silence_s > self._limit_s():
            raise FarmSilentError(
                f"Nothing was heard for {silence_s:.0f} s. {self._what_lasts(encoder_silence_s)} "
                "Does drawing wait for something that never comes?"
            )
        if now_s - max(self._told_s, self._heard_s) > SILENCE_S:
            self._told_s = now_s
            self._tally.progress.message(
                f"No segment was finished for {silence_s:.0f} s. "
                f"{self._what_lasts(encoder_silence_s)}"
            )

    def _look_for_actors(self, now_s: float) -> None:
        if self._pool.answered or not self._pool.requested:
            self._alive_s, self._actor_limit_s = now_s, None
            return
        if self._actor_limit_s is None:
            # Asked anew each time that all are gone: nodes may have gone with them.
            has_room = self._link is None or self._link.room() > 0
            self._actor_limit_s = first_actor.limit_s(has_room)
        if now_s - self._alive_s > self._actor_limit_s:
            raise self._refusal() or self._none_came(self._actor_limit_s)

    def _what_lasts(self, encoder_silence_s: float) -> str:
        if encoder_silence_s > SILENCE_S:
            return f"The encoder actor has not answered for {encoder_silence_s:.0f} s."
        pool = self._pool
        return first_actor.what_lasts(pool.drawing(), pool.answered, pool.requested)

    def _none_came(self, waited_s: float) -> FarmStartError:
        import ray

        there, free = ray.cluster_resources(), ray.available_resources()
        return FarmStartError(
            first_actor.none_came(
                self._pool.requested, waited_s, there.get("CPU", 0), free.get("CPU", 0)
            )
        )
