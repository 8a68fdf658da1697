"""`rayanim doctor` on a real cluster: who draws otherwise, or does not answer, is named."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from matplotlib.font_manager import FontManager, fontManager, json_dump

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(600)]

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


def write_other_fonts(folder: Path) -> None:
    """A list of fonts in which "DejaVu Sans" is another file, as with another version of a font."""
    path = folder / f"fontlist-v{FontManager.__version__}.json"
    json_dump(fontManager, path)
    found = json.loads(path.read_text())
    mono = next(e["fname"] for e in found["ttflist"] if e["fname"].endswith("DejaVuSansMono.ttf"))
    for entry in found["ttflist"]:
        if entry["fname"].endswith("DejaVuSans.ttf"):
            entry["fname"] = mono
    found["ttflist"] = [e for e in found["ttflist"] if e["name"] != "STIXGeneral"]
    path.write_text(json.dumps(found))


@pytest.fixture(scope="module")
def cluster():
    """A head and two nodes, one of which has other fonts under the same names."""
    module = pytest.importorskip("ray.cluster_utils")
    before = set(psutil.Process().children(recursive=True))
    with (
        tempfile.TemporaryDirectory(prefix="rayanim-", dir="/tmp") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        # A node that hangs must stay listed, however long this machine takes.
        patch.setenv("RAY_health_check_failure_threshold", "1000")
        fonts = Path(folder) / "fonts"
        fonts.mkdir()
        write_other_fonts(fonts)
        started = module.Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
        )
        try:
            started.usual = started.add_node(**NODE)
            started.other = started.add_node(**NODE, env_vars={"MPLCONFIGDIR": str(fonts)})
            yield started
        finally:
            started.shutdown()
        left = set(psutil.Process().children(recursive=True)) - before
        assert not psutil.wait_procs(left, timeout=20)[1]


def doctor(*arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """The command's exit code, and what it printed for programs."""
    run = subprocess.run(
        [sys.executable, "-m", "rayanim", "doctor", "--json", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert run.stdout, run.stderr
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


def ills(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in said if each.get("level") == "error"]


def test_the_node_with_other_fonts_is_named(cluster) -> None:
    """It alone, with the panels that differ and the font that explains it; the exit code is 1."""
    code, said = doctor("--address", cluster.address)
    (ill,) = ills(said)
    assert code == 1 and ill["topic"] == "pixels"
    assert ill["nodes"] == [f"{cluster.other.node_ip_address} ({cluster.other.node_id[:8]})"]
    assert ill["text"].startswith("text") and "lines" not in ill["text"]
    assert "the default font is DejaVuSansMono.ttf, here DejaVuSans.ttf" in ill["text"]
    assert "fonts missing there: STIXGeneral" in ill["text"]
    (facts,) = [each for each in said if each["event"] == "examination"]
    by_id = {each["node_id"]: each for each in facts["cluster"]["nodes"]}
    usual, other = by_id[cluster.usual.node_id], by_id[cluster.other.node_id]
    assert usual["probe"]["drawn"] == facts["machine"]["drawn"]
    differing = {
        name
        for name, digest in usual["probe"]["drawn"]["panels"].items()
        if other["probe"]["drawn"]["panels"][name] != digest
    }
    assert "text" in differing and not differing & {"lines", "markers", "images", "surfaces"}


def test_a_node_that_hangs_is_named_within_the_limit(cluster) -> None:
    """The others answer, and the command ends."""
    raylet = psutil.Process(cluster.usual.all_processes["raylet"][0].process.pid)
    frozen = [raylet, *raylet.children(recursive=True)]
    for process in frozen:
        # A worker that was idle may have ended by itself.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        code, said = doctor("--address", cluster.address, "--timeout", "15")
    finally:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    by_topic = {each["topic"]: each for each in ills(said)}
    assert code == 1 and set(by_topic) == {"no answer", "pixels"}
    assert by_topic["no answer"]["nodes"] == [
        f"{cluster.usual.node_ip_address} ({cluster.usual.node_id[:8]})"
    ]
    assert "within 15 s" in by_topic["no answer"]["text"]
