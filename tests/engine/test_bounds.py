"""What a video may cost on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from heads import Head, started_head

# A head takes seconds to start, and a minute on a machine that does much else.
pytestmark = [pytest.mark.clusters, pytest.mark.timeout(300)]

FRAMES = 240
CPUS = 4

# A process of its own, because a process loads Ray with one way of authentication.
DRIVER = f"""
import hashlib, json, os, pathlib, sys, time
import rayanim
from numbered import FPS, Numbered, in_actor, read_numbers

class Slow(Numbered):
    # Slow as long as this file is there: what an object holds is part of what a video is.
    brake = pathlib.Path("brake")

    def generate_at(self, time_ms):
        if in_actor() and self.brake.exists():
            self.brake.with_name("threads").write_text(os.environ.get("OMP_NUM_THREADS", ""))
            time.sleep(0.15)
        return super().generate_at(time_ms)

def video(name, **options):
    return rayanim.produce(
        Slow({FRAMES}), FPS, outfile=name, segment_frames=8, progress=False, **options
    )

def sha(name):
    return hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest()

Slow.brake = pathlib.Path.cwd() / "brake"
address = sys.argv[1]
"""

COST = """
Slow.brake.touch()
cap = rayanim.ClusterSettings(max_node_hours=5 / 3600, actor_cpus=2)
try:
    video("dear.mp4", engine="ray", address=address, cluster=cap)
    error = None
except rayanim.BudgetError as caught:
    error = [caught.message, *caught.__notes__]
parts = len(list(pathlib.Path("dear.mp4.parts").glob("*")))
written = pathlib.Path("dear.mp4").exists()
Slow.brake.unlink()
report = video("dear.mp4", engine="local", resume=True)
video("local.mp4", engine="local")
print(json.dumps({
    "error": error,
    "threads": Slow.brake.with_name("threads").read_text(),
    "parts": parts,
    "written": written,
    "resumed": report.resumed_frames,
    "is_local": sha("dear.mp4") == sha("local.mp4"),
    "numbers": read_numbers("dear.mp4"),
}))
"""


@pytest.fixture(scope="module")
def small_head():
    """A head with four processors."""
    pytest.importorskip("ray")
    with started_head(cpus=CPUS, RAY_AUTH_MODE="disabled") as head:
        yield head


def drive(head: Head, code: str, folder: Path) -> Any:
    run = subprocess.run(
        [sys.executable, "-c", DRIVER + code, head.address],
        env=head.environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_a_video_ends_when_it_has_cost_what_it_may(small_head: Head, tmp_path: Path) -> None:
    """With an error that says so and how to go on; a job that resumes it makes the local video."""
    found = drive(small_head, COST, tmp_path)
    message, note = found["error"]
    assert message.startswith("The 0.0014 node-hours that max_node_hours")
    assert "resume=True" in note
    # Each of its actors had two processors, and so two threads of OpenMP.
    assert found["threads"] == "2"
    assert found["parts"] > 0 and not found["written"]
    assert 0 < found["resumed"] < FRAMES
    assert found["is_local"] and found["numbers"] == list(range(FRAMES))
