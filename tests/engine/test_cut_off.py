"""Promises on machines with addresses of their own: a link that is cut, and put in again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from namespaces import HEAD_PORT, Machines, why_not
from numbered import read_numbers

pytestmark = pytest.mark.clusters

N_FRAMES = 400
TESTS = Path(__file__).parent.parent

SCRIPT = '''
"""Makes one video in this process and one on the cluster, during which a link is cut."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rayanim
from numbered import FPS, Numbered, in_actor

VIDEOS, NOTES, N_FRAMES = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
ADDRESS, COMMANDS = sys.argv[4], json.loads(sys.argv[5])


class Large(Numbered):
    """Ten frames are more than the 100 KiB up to which what was drawn needs no fetching."""

    frame_size = (320, 240)

    def generate_at(self, time_ms):
        if in_actor():
            (NOTES / str(os.getpid())).touch()
        small = super().generate_at(time_ms)
        frame = np.full((240, 320, 4), 255, np.uint8)
        frame[: small.shape[0], : small.shape[1]] = small
        return frame


TIMES = [N_FRAMES // 4, N_FRAMES * 3 // 4]


def cut_and_restore(done, total):
    """Cut the link when two actors draw and a quarter is done, restore it at three quarters."""
    if TIMES and done >= TIMES[0] and len(list(NOTES.iterdir())) >= 2:
        TIMES.pop(0)
        subprocess.run(COMMANDS.pop(0), check=True)


def video(name, **options):
    return rayanim.produce(
        Large(N_FRAMES, delay_s=0.02 if "address" in options else 0.0),
        FPS,
        outfile=VIDEOS / name,
        segment_frames=10,
        audit=0,
        transport=sys.argv[6],
        **options,
    )


video("local.mp4", engine="local", progress=False)
report = video("far.mp4", engine="ray", workers=2, address=ADDRESS, progress=cut_and_restore)
print(json.dumps({"events": report.events, "to_do": COMMANDS, "engine": report.engine}))
'''


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A head and two nodes, each in a network namespace of its own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("ray")
    said = tmp_path_factory.mktemp("said")
    with tempfile.TemporaryDirectory(prefix="rayanim-", dir="/tmp") as folder:
        environment = {
            "RAY_TMPDIR": folder,
            "PYTHONPATH": str(TESTS),
            "RAY_AUTH_MODE": "disabled",
            # Three nodes on one machine: what starts has enough to do.
            "RAY_enable_metrics_collection": "0",
            "RAY_worker_niceness": "0",
        }
        with Machines(3, environment, said) as made:
            store = f"--object-store-memory={100 * 2**20}"
            made.start_ray(1, "--num-cpus=0", f"--temp-dir={folder}", store)
            made.start_ray(2, "--num-cpus=1", store)
            made.start_ray(3, "--num-cpus=1", store)
            yield made
    assert not [name for name in namespaces() if f"rayanim-{os.getpid()}-" in name]


def namespaces() -> list[str]:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("transport", ["segments", "frames"])
def test_a_link_that_is_cut_and_restored_changes_nothing(machines, tmp_path, transport):
    """The video goes on meanwhile, long before Ray notices, and is the same to the byte."""
    videos, notes, script = tmp_path / "videos", tmp_path / "notes", tmp_path / "script"
    for folder in (videos, notes, script):
        folder.mkdir()
    (script / "video.py").write_text(SCRIPT)
    commands = [machines.link_command(3, state) for state in ("down", "up")]
    try:
        run = machines.run(
            1,
            *(sys.executable, str(script / "video.py"), str(videos), str(notes), str(N_FRAMES)),
            *(f"{machines.address(1)}:{HEAD_PORT}", json.dumps(commands), transport),
            limit_s=150,
        )
    finally:
        subprocess.run(commands[1], check=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["to_do"] == [] and told["engine"] == "ray"
    assert any("another one draws them, too" in event for event in told["events"])
    digests = {
        hashlib.sha256((videos / name).read_bytes()).hexdigest()
        for name in ("local.mp4", "far.mp4")
    }
    assert len(digests) == 1
    assert read_numbers(videos / "far.mp4") == list(range(N_FRAMES))
