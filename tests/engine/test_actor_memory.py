"""Later actors ask for the memory that the first ones took, and there are no more than fit."""

from __future__ import annotations

import pytest
from test_controller import Silence

from rayanim.engine.distributed import ActorMemory
from rayanim.engine.placement import Need, Node, memory_to_ask, most_actors, room
from rayanim.engine.stats import Tally
from rayanim.settings import ClusterSettings, Workers

GIB = 2**30
MIB = 2**20
NODES = tuple(Node(name, {"CPU": 4.0, "memory": 4.0 * GIB}) for name in ("a", "b"))


class Cluster:
    """Two nodes of four processors and 4 GiB."""

    def __init__(self, settings: ClusterSettings, workers: int | str = "auto") -> None:
        self.settings = settings
        self.workers = Workers.parse(workers)

    def need(self, memory_bytes: int | None = None) -> Need:
        return Need.of(self.settings, None, memory_bytes)

    def most_with(self, need: Need) -> int:
        return most_actors(self.workers, self.settings.max_workers, room(NODES, need))


class Pool:
    """Asks for nothing yet."""

    need: Need | None = None


class Controller:
    """Decides within a bound."""

    def __init__(self, most: int) -> None:
        self.most = most

    def bound(self, most: int) -> None:
        self.most = most


def seen(
    *sizes: int, settings: ClusterSettings | None = None, workers: int | str = "auto"
) -> tuple[Pool, Controller, Tally]:
    """What is asked for, allowed and told once actors of these sizes were seen."""
    cluster = Cluster(settings or ClusterSettings(), workers)
    pool, controller = Pool(), Controller(cluster.most_with(cluster.need()))
    tally = Tally(Silence(), 100)
    memory = ActorMemory(cluster, pool, controller, tally)
    for rss_bytes in sizes:
        memory.seen(rss_bytes)
    return pool, controller, tally


def asked(pool: Pool) -> float | None:
    return None if pool.need is None else pool.need.resources.get("memory")


@pytest.mark.parametrize(
    ("rss_bytes", "asked_bytes"), [(1, 64 * MIB), (200 * MIB, 256 * MIB), (GIB, 1280 * MIB)]
)
def test_a_quarter_more_than_was_seen_is_asked_for(rss_bytes: int, asked_bytes: int) -> None:
    """In steps, so that actors of a job ask for the same."""
    assert memory_to_ask(rss_bytes) == asked_bytes


def test_large_actors_are_as_many_as_fit() -> None:
    """Of 1.2 GiB two fit on each node, however many processors there are; it is told once."""
    pool, controller, tally = seen(1200 * MIB, 1250 * MIB, 1300 * MIB)
    assert asked(pool) == memory_to_ask(1200 * MIB)
    assert controller.most == 4
    (told,) = tally.events
    assert "takes 1.17 GiB" in told and "suffices for 4, 8 were allowed" in told


def test_small_actors_change_no_bound() -> None:
    """Their memory is asked for all the same: others share the nodes."""
    pool, controller, tally = seen(200 * MIB)
    assert (asked(pool), controller.most, tally.events) == (256 * MIB, 8, [])


def test_actors_that_outgrow_what_was_asked_for_are_looked_at_again() -> None:
    """Some scripts load more as they go on."""
    pool, controller, _ = seen(200 * MIB, 2 * GIB)
    assert asked(pool) == memory_to_ask(2 * GIB)
    assert controller.most == 2


def test_what_the_user_set_stays() -> None:
    """Whatever actors take then."""
    pool, controller, tally = seen(3 * GIB, settings=ClusterSettings(actor_memory_bytes=GIB))
    assert (pool.need, controller.most, tally.events) == (None, 8, [])


@pytest.mark.parametrize(
    ("settings", "workers"), [(ClusterSettings(max_workers=20), "auto"), (None, 20)]
)
def test_a_number_that_was_asked_for_stays(
    settings: ClusterSettings | None, workers: int | str
) -> None:
    """Actors for which there is no memory wait, and a cluster that can grow adds nodes for them."""
    pool, controller, _ = seen(1200 * MIB, settings=settings, workers=workers)
    assert controller.most == 20
    assert asked(pool) == memory_to_ask(1200 * MIB)
