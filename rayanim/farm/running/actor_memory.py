"""Has later render actors ask for the memory that the first ones were seen to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rayanim.farm.scaling.fleet import Need, memory_to_ask
from rayanim.report import size_text

if TYPE_CHECKING:
    from rayanim.cluster import ClusterSettings
    from rayanim.farm.job import Tally


class Cluster(Protocol):
    """The part of a `ClusterLink` that is needed."""

    @property
    def settings(self) -> ClusterSettings: ...

    def need(self, memory_bytes: int | None = None) -> Need: ...

    def most_with(self, need: Need) -> int: ...


class Asking(Protocol):
    """Who asks for actors: a pool."""

    need: Need | None


class Bounded(Protocol):
    """Who decides how many: a controller."""

    @property
    def most(self) -> int: ...

    def bound(self, most: int) -> None: ...


class ActorMemory:
    """The memory of a job's render actors on a cluster.

    Ray places actors by what they ask for, and nobody can say beforehand how
    much a script's drawing takes. So the first actors ask for none; those that
    come later ask for what was seen, and where that leaves room for fewer of
    them than the cluster has processors for, there are fewer.

    Parameters
    ----------
    cluster
        The cluster; None for a Ray on this machine, whose memory was looked at before.
    pool, controller
        Who asks for actors, and who decides how many.
    tally
        Who is told.
    """

    def __init__(
        self, cluster: Cluster | None, pool: Asking, controller: Bounded, tally: Tally
    ) -> None:
        self._cluster = cluster
        self._pool = pool
        self._controller = controller
        self._tally = tally
        self._asked_bytes = 0

    def seen(self, rss_bytes: int) -> None:
        """An actor has drawn a segment, and has this resident size now."""
        cluster = self._cluster
        if cluster is None or cluster.settings.actor_memory_bytes is not None:
            return
        if rss_bytes <= self._asked_bytes:
            return
        self._asked_bytes = memory_to_ask(rss_bytes)
        need = cluster.need(self._asked_bytes)
        self._pool.need = need
        most, allowed = cluster.most_with(need), self._controller.most
        if 0 < most < allowed:
            self._controller.bound(most)
            self._tally.event_once(
                f"A render actor takes {size_text(rss_bytes)}: the cluster's memory suffices for "
                f"{most}, {allowed} were allowed.",
                "memory of actors",
            )
