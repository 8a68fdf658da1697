"""A job's connection to its cluster, and what is seen of the cluster through it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rayanim.cluster import ClusterRequest, ClusterSettings
from rayanim.errors import ClusterError
from rayanim.farm.connection.connecting import ClusterRay, located, same_place
from rayanim.farm.connection.session import RaySession, ray_is_running
from rayanim.farm.scaling.fleet import Need, Node, affordable_memory, most_actors, room, room_on

LOOK_EVERY_S = 0.02
"""Seconds between two looks at a connection that is being checked."""


class ClusterLink:
    """The cluster of one job.

    Parameters
    ----------
    request
        Which it is, and what may be asked of it.
    """

    def __init__(self, request: ClusterRequest) -> None:
        self._request = request
        self._ray = ClusterRay(request)
        self.session = RaySession(self._ray)

    @property
    def settings(self) -> ClusterSettings:
        """What may be asked of it."""
        return self._request.settings

    def start(self) -> None:
        """Begin to connect; returns as soon as the cluster is known to take this process.

        That is in 1 to 2 s. What an address is wrong for is so told before
        anything is drawn, while connecting and sending go on meanwhile.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached or does not fit, or the script has
            connected to another one.
        """
        if ray_is_running():
            self._check_same()
        self.session.start()
        until_s = time.monotonic() + self._ray.limit_s
        while not (self.session.ready or self._ray.checked.wait(LOOK_EVERY_S)):
            if time.monotonic() > until_s:
                raise self._ray.failed(None)
        if self.session.ready:
            self.session.wait()

    @property
    def is_there(self) -> bool:
        """Whether it can be asked; raises where the connection has failed.

        Raises
        ------
        ClusterError
            If it cannot be reached, or does not fit.
        """
        if not self.session.ready:
            return False
        self.session.wait()
        return True

    def nodes(self) -> tuple[Node, ...]:
        """Its living nodes."""
        return living_nodes()

    def need(self, memory_bytes: int | None = None) -> Need:
        """What one render actor takes.

        Parameters
        ----------
        memory_bytes
            What one was measured to take; None where none was.
        """
        nodes = self.nodes()
        head = next((node.node_id for node in nodes if node.is_head), None)
        need = Need.of(self.settings, head)
        if memory_bytes is None or self.settings.actor_memory_bytes is not None:
            return need
        return Need.of(self.settings, head, affordable_memory(nodes, need, memory_bytes))

    def room(self) -> int:
        """Render actors for which its nodes have room, when nobody else uses them."""
        return room(self.nodes(), self.need())

    def free(self) -> int:
        """Render actors for which there is room now."""
        import ray

        free_cpus = ray.available_resources().get("CPU", 0.0)
        return min(self.room(), int(free_cpus / self.settings.actor_cpus))

    def most_actors(self) -> int:
        """The most render actors that the caller allows.

        Raises
        ------
        ClusterError
            If there is room for none, and nobody has said how many to wait for.
        """
        most = self.most_with(self.need())
        if most == 0:
            raise ClusterError(
                f"{self._request.address.origin}: none of the cluster's {len(self.nodes())} nodes "
                f"has room for a render actor, which takes {_told(self.need())}. If the cluster "
                "adds nodes on demand, say up to how many actors: --max-workers N."
            )
        return most

    def most_with(self, need: Need) -> int:
        """The most render actors that the caller allows, if each takes `need`; 0 if none fits."""
        here = room(self.nodes(), need)
        return most_actors(self._request.workers, self.settings.max_workers, here)

    def _check_same(self) -> None:
        import ray

        there = ray.get_runtime_context().gcs_address
        asked = self._request.address
        if asked.text != "auto" and not same_place(located(asked), there):
            raise ClusterError(
                f"{self._request.address.origin}: this process is connected to the Ray at {there} "
                "already. Leave the address out to use that one, or call ray.shutdown() first."
            )


def living_nodes() -> tuple[Node, ...]:
    """The nodes of the cluster that this process is connected to."""
    import ray

    return tuple(_node(each) for each in ray.nodes() if each["Alive"])


def usable_nodes(need: Need | None) -> set[str]:
    """Ids of the living nodes that are large enough for a render actor.

    Parameters
    ----------
    need
        What one takes; None for one core.
    """
    need = need or Need(resources={"CPU": 1.0})
    return {node.node_id for node in living_nodes() if room_on(node, need)}


def _node(told: Mapping[str, Any]) -> Node:
    resources = told["Resources"]
    return Node(
        told["NodeID"], resources, told.get("Labels") or {}, "node:__internal_head__" in resources
    )


def _told(need: Need) -> str:
    amounts = [f"{name} {amount:g}" for name, amount in need.resources.items()]
    labels = [f"{name}={value}" for name, value in need.labels.items()]
    return ", ".join(amounts + labels)
