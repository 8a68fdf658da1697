"""What a cluster has room for: arithmetic on its nodes."""

from __future__ import annotations

import pytest

from rayanim.engine import cluster
from rayanim.engine.placement import (
    Need,
    Node,
    matches,
    most_actors,
    room,
)
from rayanim.settings import Address, ClusterSettings, PerformanceSettings, RenderSettings, Workers

HEAD = Node("aa", {"CPU": 2.0, "memory": 4e9}, {"ray.io/node-id": "aa"}, is_head=True)
LARGE = Node("bb", {"CPU": 8.0, "memory": 8e9, "render": 3.0}, {"ray.io/node-id": "bb"})
NODES = (HEAD, LARGE)


@pytest.mark.parametrize(
    ("settings", "fit"),
    [
        (ClusterSettings(), 10),
        (ClusterSettings(actor_cpus=2), 5),
        (ClusterSettings(actor_cpus=0.1), 100),
        (ClusterSettings(actor_memory_bytes=3 * 10**9), 3),
        (ClusterSettings(resources={"render": 1}), 3),
        (ClusterSettings(keep_head_free=True), 8),
        (ClusterSettings(label_selector={"role": "render"}), 0),
    ],
)
def test_the_scarcest_thing_bounds_the_actors_of_a_node(
    settings: ClusterSettings, fit: int
) -> None:
    """CPUs, memory, other resources and labels, node by node."""
    assert room(NODES, Need.of(settings, "aa")) == fit


def test_labels_are_compared_as_ray_compares_them() -> None:
    """A label that is not there is no value of any kind."""
    labels = {"role": "render"}
    assert matches(labels, {"role": "render"}) and matches(labels, {"role": "in(draw, render)"})
    assert matches(labels, {"zone": "!a"}) and not matches(labels, {"role": "!render"})
    assert not matches(labels, {"zone": "a"}) and not matches(labels, {"role": "!in(render,x)"})


@pytest.mark.parametrize(
    ("workers", "max_workers", "here", "most"),
    [
        ("auto", None, 10, 10),
        ("50%", None, 10, 5),
        (-2, None, 10, 9),
        (40, None, 10, 40),
        (40, 20, 10, 20),
        ("auto", 20, 10, 20),
        (-1, 20, 10, 20),
        ("auto", 20, 0, 20),
        ("auto", None, 0, 0),
    ],
)
def test_a_number_may_exceed_what_is_there_and_a_share_may_not(
    workers: int | str, max_workers: int | None, here: int, most: int
) -> None:
    """A cluster that can grow does so for the actors that wait."""
    assert most_actors(Workers.parse(workers), max_workers, here) == most


@pytest.mark.parametrize("where", ["performance", "cluster"])
def test_an_empty_cluster_grows_to_the_bound_that_was_given(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever settings hold it."""
    monkeypatch.setattr(cluster, "living_nodes", lambda: ())
    bounds = {"performance": PerformanceSettings, "cluster": ClusterSettings}
    settings = RenderSettings(address="auto", **{where: bounds[where](max_workers=8)})
    link = cluster.ClusterLink(Address("auto", "address='auto'"), settings)
    assert link.most_actors() == 8
