"""Promises on a cluster of a head and three nodes: whatever dies, it is the same video.

Each video is compared, by its SHA-256, with the one that this process draws alone,
and read back frame by frame. How much a fault costs is measured in frames that
were drawn twice: each actor notes what it draws.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harm
import numpy as np
import psutil
import pytest
from harm import ACTORS, IN_HAND, NODE, SEGMENT, Traced
from numbered import FPS, files_in, read_numbers

import rayanim
from rayanim.errors import SegmentLostError

N_FRAMES = 240
BROKEN = "RAYANIM_TEST_BROKEN"

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(180)]


class TakesItsTime(Traced):
    """The video lasts until a node is left out, however busy this machine is."""

    takes_its_time = True


class DiesOnOneNode(TakesItsTime):
    """Ends its process on nodes that are broken."""

    def suffer(self) -> None:
        if BROKEN in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)


class RaisesOnOneNode(Traced):
    """Fails on nodes that are broken, as where a file is missing."""

    def suffer(self) -> None:
        if BROKEN in os.environ:
            raise FileNotFoundError("no such font here")


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Any]:
    """A cluster for all tests; no process of it is left."""
    pytest.importorskip("ray")
    before = set(psutil.Process().children(recursive=True))
    with harm.small_cluster() as cluster:
        yield cluster
    left = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(left, timeout=20)[1]


@pytest.fixture
def cluster(shared_cluster: Any) -> Iterator[Any]:
    """The same, whole; nodes that a test has ended are replaced."""
    yield shared_cluster
    harm.end_the_frozen(shared_cluster)
    harm.mend(shared_cluster)


def render(source: Any, path: Path, **options: Any) -> rayanim.Report:
    usual = {"progress": False, "audit": 0, "segment_frames": SEGMENT}
    return rayanim.produce(source, FPS, outfile=path, **{**usual, **options})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def digests(tmp_path_factory: Any) -> dict[str, str]:
    """SHA-256 of the video that this process draws alone, by what goes to the encoder."""
    folder = tmp_path_factory.mktemp("local")
    found = {}
    for transport in ("segments", "frames"):
        path = folder / f"{transport}.mp4"
        render(Traced(N_FRAMES, folder), path, engine="local", transport=transport)
        assert read_numbers(path) == list(range(N_FRAMES))
        found[transport] = digest(path)
    return found


@pytest.fixture
def draw(
    cluster: Any, digests: dict[str, str], tmp_path: Path
) -> Callable[..., tuple[rayanim.Report, int]]:
    """Make the video on the cluster and compare it; the report, and the frames drawn twice."""

    def drawn(
        kind: type[Traced] = Traced,
        *,
        done_to: Callable[[Any], None] | None = None,
        transport: str = "segments",
        delay_s: float = 0.02,
        **options: Any,
    ) -> tuple[rayanim.Report, int]:
        path = tmp_path / "video.mp4"
        once = harm.Once(lambda: None if done_to is None else done_to(cluster), tmp_path)
        report = render(
            kind(N_FRAMES, tmp_path, delay_s=delay_s),
            path,
            **{"workers": ACTORS, **options},
            address=cluster.address,
            engine="ray",
            transport=transport,
            progress=once,
        )
        assert once.is_done and report.engine == "ray"
        assert read_numbers(path) == list(range(N_FRAMES))
        assert digest(path) == digests[transport]
        return report, harm.drawn_again(tmp_path)

    return drawn


def at_most(lost: int = 0) -> int:
    """Frames that may be drawn twice, where so many actors were lost.

    At the end, and on a machine that is busy with other things, idle actors draw what
    others do: a quarter of all frames at most.
    """
    return lost * IN_HAND + N_FRAMES // 4


def test_nodes_draw_the_same_video(draw):
    """Three nodes draw what one process does, and each frame once."""
    _, again = draw()
    assert again <= at_most()


def test_a_dead_render_actor_costs_what_was_in_its_hands(draw):
    """That is drawn again, and nothing else."""
    report, again = draw(done_to=harm.kill_an_actor)
    assert again <= at_most(lost=1)
    assert any("died" in event for event in report.events)


@pytest.mark.parametrize("transport", ["segments", "frames"])
def test_two_dead_nodes_cost_what_was_in_their_hands(draw, transport):
    """The third draws all that is left, and what the two had drawn is not lost with them."""
    _, again = draw(done_to=harm.kill_two_nodes, transport=transport)
    assert again <= at_most(lost=2)


def test_a_dead_encoder_costs_nothing_that_was_drawn(draw):
    """Another one goes on from what is on the disk."""
    report, again = draw(done_to=harm.kill_the_encoder)
    assert again <= at_most()
    assert any("goes on from what it had written" in event for event in report.events)


@pytest.mark.parametrize("transport", ["segments", "frames"])
def test_a_frozen_node_costs_what_was_in_its_hands(draw, transport):
    """It says nothing and does not die: others draw what it holds."""
    _, again = draw(done_to=harm.freeze_a_node, transport=transport)
    assert again <= at_most(lost=1)


def test_a_poisonous_segment_ends_the_job_naming_its_frames(cluster, tmp_path):
    """Three actors die of it, wherever they are: it is the video's fault, and no node's."""
    with pytest.raises(SegmentLostError, match="3 times") as caught:
        render(
            Traced(N_FRAMES, tmp_path, kill=(100,)),
            tmp_path / "video.mp4",
            address=cluster.address,
            engine="ray",
            workers=ACTORS,
        )
    assert (caught.value.start, caught.value.stop) == (100, 110)
    assert not [name for name in files_in(tmp_path) if name.startswith("video")]


@pytest.mark.parametrize("kind", [DiesOnOneNode, RaisesOnOneNode])
def test_a_node_on_which_everything_fails_is_left_out(cluster, draw, kind):
    """The others make the video, and the report names the node."""
    node = cluster.add_node(**NODE, env_vars={BROKEN: "1"})
    try:
        report, again = draw(kind, workers=ACTORS + 1)
    finally:
        cluster.remove_node(node)
    excluded = [event for event in report.events if "left out" in event]
    assert len(excluded) == 1 and node.node_id[:8] in excluded[0]
    assert again <= at_most(lost=1)


def test_a_node_without_memory_is_left_out(cluster, draw):
    """Ray ends every actor there as soon as it works; the video does not suffer."""
    node = cluster.add_node(**NODE, env_vars={"RAY_memory_usage_threshold": "0.01"})
    try:
        report, again = draw(TakesItsTime, workers=ACTORS + 1)
    finally:
        cluster.remove_node(node)
    assert any("left out" in event and node.node_id[:8] in event for event in report.events)
    assert again <= at_most(lost=1)


def test_a_full_object_store_costs_nothing(cluster, draw):
    """Where others have filled the driver's, raw frames go by way of its disk."""
    import ray

    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        # A view that is held keeps its memory: nothing of it can move to the disk.
        views = [ray.get(ray.put(np.zeros(35 * 2**20, np.uint8))) for _ in range(2)]
        _, again = draw(transport="frames", delay_s=0.005)
        del views
    finally:
        ray.shutdown()
    assert again <= at_most()
