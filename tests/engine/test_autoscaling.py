"""A cluster that grows: Ray's autoscaler adds nodes for our actors, and takes them away again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from heads import Head, started_head

pytestmark = pytest.mark.clusters

BOUND = 3
FRAMES = 240

# A process of its own: Ray is loaded with this head's environment.
DRIVER = f"""
import json, os, pathlib, sys, time
import ray
import rayanim
from numbered import FPS, Numbered, in_actor, read_numbers

address, folder = sys.argv[1:]

def render_nodes():
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())

def wait_for(nodes):
    deadline_s = time.monotonic() + 60
    while (seen := render_nodes()) != nodes and time.monotonic() < deadline_s:
        time.sleep(0.2)
    return seen

class Video(Numbered):
    seen = pathlib.Path(folder, "seen")

    def generate_at(self, time_ms):
        if in_actor():
            self.seen.joinpath(str(os.getpid())).touch()
            # However long the nodes take to come, there is something left to draw for each.
            time.sleep(0.02 if len(os.listdir(self.seen)) >= {BOUND} else 1)
        return super().generate_at(time_ms)

Video.seen.mkdir()
most = []
ray.init(address=address, logging_level="ERROR", log_to_driver=False)
before = render_nodes()
report = rayanim.produce(
    Video({FRAMES}),
    FPS,
    outfile=f"{{folder}}/grown.mp4",
    segment_frames=6,
    progress=lambda done, total: most.append(render_nodes()),
    engine="ray",
    address=address,
    cluster=rayanim.ClusterSettings(max_workers={BOUND} + 1),
    log_json=f"{{folder}}/log.jsonl",
)
after = wait_for(0)
print(json.dumps({{
    "before": before,
    "most": max(most),
    "after": after,
    "numbers": read_numbers(report.output),
    "report": report.to_dict(),
}}))
"""


@pytest.fixture(scope="module")
def growing_head():
    """A head that draws nothing itself and adds up to `BOUND` nodes of one processor each."""
    pytest.importorskip("ray")
    node = {"resources": {"CPU": 1, "object_store_memory": 100 * 2**20}, "max_workers": BOUND}
    with started_head(cpus=0, growing=node, RAY_AUTH_MODE="disabled") as head:
        yield head


def drive(head: Head, folder: Path) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-c", DRIVER, head.address, str(folder)],
        env=head.environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.timeout(300)
def test_nodes_come_for_our_actors_and_go_after_them(growing_head: Head, tmp_path: Path) -> None:
    """From no render node to the bound and back to none, asked for by pending actors alone."""
    seen = drive(growing_head, tmp_path)
    assert (seen["before"], seen["most"], seen["after"]) == (0, BOUND, 0)
    assert seen["numbers"] == list(range(FRAMES))
    report = seen["report"]
    assert report["engine"] == "ray" and report["actor_changes"][0]["actors"] == BOUND + 1
    sizes = report["fleet_sizes"]
    assert report["nodes_peak"] == report["actors_peak"] == BOUND
    assert [size["at_s"] for size in sizes] == sorted(size["at_s"] for size in sizes)
    assert max(size["nodes"] for size in sizes) == max(size["actors"] for size in sizes) == BOUND
    assert (sizes[-1]["actors"], sizes[-1]["nodes"]) == (0, 0)
    assert 0 < report["node_hours"] <= BOUND * report["elapsed_s"] / 3600
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    asked, joined, released = (
        {line["actor"] for line in lines if line["event"] == f"actor_{what}"}
        for what in ("asked", "joined", "released")
    )
    # One more than there are nodes for; it may still come where another one has just gone.
    assert len(asked) == BOUND + 1 and len(joined) >= BOUND
    # An actor for which no node came is released.
    assert asked - joined <= released
    changes = [line["nodes"] for line in lines if line["event"] == "fleet_changed"]
    assert changes[-1] == 0 and max(changes) == BOUND
