"""Heads of Ray clusters of a test's own: child processes with ports and folders of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_LIMIT_S = 90
STOP_LIMIT_S = 20

FAKE_HEAD_ID = "f" * 51 + "00000"
"""The id that Ray's provider of fake nodes takes for the head."""

HEAD_TYPE = "ray.head.default"
"""And the type."""

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


@dataclass(frozen=True, slots=True)
class Head:
    """A head that runs; `environment` is that of a process that may speak to it."""

    address: str
    environment: dict[str, str]
    folder: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def started_head(
    *options: str, growing: dict[str, Any] | None = None, cpus: int = 2, **variables: str
) -> Iterator[Head]:
    """Start a head as a child; end it and its nodes, and nobody else's, in the end.

    `options` are more of ``ray start``, `growing` is the kind of node that it adds on demand,
    as `node_types` takes it, `variables` are of its environment and of those that speak to it.
    """
    # Ray's sockets have paths of 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="rh", dir="/tmp", ignore_cleanup_errors=True) as temp:
        folder, port = Path(temp), free_port()
        environment = clean_environment(folder) | variables
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
            f"--port={port}", f"--num-cpus={cpus}",
            f"--object-store-memory={100 * 2**20}", "--include-dashboard=false",
            "--disable-usage-stats", *options,
        ]  # fmt: skip
        address = f"{_own_ip()}:{port}"
        extra = {}
        if growing is not None:
            command.append(f"--autoscaling-config={_autoscaling(folder, address, growing)}")
            extra = _autoscaler_variables()
        with (folder / "head.out").open("wb") as out:
            head = subprocess.Popen(command, env=environment | extra, stdout=out, stderr=out)
        try:
            _wait_for(head, folder / "head.out")
            yield Head(address, environment, folder)
        finally:
            _end(head, (temp, f":{port}"))


def clean_environment(folder: Path) -> dict[str, str]:
    """This process's environment without what another Ray has set, and a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "HOME": str(folder),
        # Actors unpickle test modules by reference.
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "RAY_TMPDIR": str(folder),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "mpl")),
    }


def _own_ip() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def _autoscaling(folder: Path, address: str, growing: dict[str, Any]) -> Path:
    """Ray's configuration of nodes that are processes of this machine.

    ``ray.cluster_utils.AutoscalingCluster`` would read a file that the wheel
    lacks, and end every Ray of this user.
    """
    lists = [
        "initialization_commands", "setup_commands", "head_setup_commands",
        "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands",
        "cluster_synced_files", "rsync_exclude", "rsync_filter",
    ]  # fmt: skip
    config = {
        "cluster_name": "fake",
        "max_workers": growing["max_workers"],
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_ID,
        },
        "available_node_types": {
            HEAD_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "render": {"node_config": {}, "min_workers": 0, **growing},
        },
        "head_node_type": HEAD_TYPE,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 3 / 60,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists},
    }
    path = folder / "autoscaling.json"
    path.write_text(json.dumps(config))
    return path


def _autoscaler_variables() -> dict[str, str]:
    return {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_ID,
    }


def _wait_for(head: subprocess.Popen[bytes], out: Path) -> None:
    """Until it has its own node, which is later than its port."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while "Ray runtime started" not in out.read_text():
        if head.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(out.read_text()[-2000:])
        time.sleep(0.1)


def _end(head: subprocess.Popen[bytes], marks: tuple[str, ...]) -> None:
    """End the head, and what it has left: nodes that it added are orphaned by its end."""
    ours = _marked(marks)
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    for process in ours | _marked(marks):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    left = psutil.wait_procs(ours | _marked(marks), timeout=STOP_LIMIT_S)[1]
    assert not left, left


def _marked(marks: tuple[str, ...]) -> set[psutil.Process]:
    """Processes in whose command line one of these stands; their workers' children too."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if process.pid != os.getpid() and any(mark in line for mark in marks):
                found |= {process, *process.children(recursive=True)}
    return found
