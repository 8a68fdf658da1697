"""What a real cluster gives render actors: the processors asked for, and what memory takes."""

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
MEMORY_BYTES = 640 * 2**20

# A process of its own, because a process loads Ray with one way of authentication.
DRIVER = f"""
import json, os, pathlib, sys, time
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

Slow.brake = pathlib.Path.cwd() / "brake"
address = sys.argv[1]
"""

THREADS = """
Slow.brake.touch()
pairs = rayanim.ClusterSettings(actor_cpus=2)
video("pairs.mp4", engine="ray", address=address, cluster=pairs)
print(json.dumps([Slow.brake.with_name("threads").read_text(), read_numbers("pairs.mp4")]))
"""

MEMORY = """
Slow.brake.touch()
report = video("large.mp4", engine="ray", address=address)
print(json.dumps([report.to_dict(), read_numbers("large.mp4")]))
"""


@pytest.fixture(scope="module")
def small_head():
    """A head with more processors than memory."""
    pytest.importorskip("ray")
    with started_head(f"--memory={MEMORY_BYTES}", cpus=CPUS, RAY_AUTH_MODE="disabled") as head:
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


def test_an_actor_has_as_many_threads_as_processors(small_head: Head, tmp_path: Path) -> None:
    """Each of its actors has two processors, and so two threads of OpenMP."""
    threads, numbers = drive(small_head, THREADS, tmp_path)
    assert threads == "2"
    assert numbers == list(range(FRAMES))


def test_actors_are_as_many_as_the_memory_takes(small_head: Head, tmp_path: Path) -> None:
    """As many as processors are asked for; once one has drawn a segment it is known to be large."""
    report, numbers = drive(small_head, MEMORY, tmp_path)
    first, *_, last = report["actor_changes"]
    assert first["actors"] == CPUS and last["actors"] < CPUS
    assert any("the cluster's memory suffices for" in event for event in report["events"])
    assert numbers == list(range(FRAMES))
