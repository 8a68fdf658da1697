"""A Ray cluster of a test's own: other ports, its own folders, token authentication on."""

from __future__ import annotations

import contextlib
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

import psutil

TOKEN = "0123456789abcdef" * 4

START_LIMIT_S = 150
ATTEMPTS = 2
"""Ray gives up a node that has not started within 30 s, which a busy machine may need."""

STARTED = "Ray runtime started."


@dataclass(frozen=True, slots=True)
class Cluster:
    """A head and a node that run.

    Attributes
    ----------
    address
        Of its dashboard.
    gcs
        ``HOST:PORT`` of its head, for drivers that join it.
    home
        The home folder of all that runs there and here.
    environment
        Of a process that may speak to it.
    """

    address: str
    gcs: str
    home: Path
    environment: dict[str, str]


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def started_cluster(home: Path, nodes: int = 2, **variables: str) -> Iterator[Cluster]:
    """Start a head and more nodes as children; end them, and nobody else's, in the end.

    Parameters
    ----------
    home
        Their home folder.
    nodes
        How many there are, the head included.
    variables
        Of their environment.
    """
    with contextlib.ExitStack() as stack:
        # Ray's sockets have paths of 107 bytes at most.
        temp = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="rj", ignore_cleanup_errors=True)
        )
        environment = own_environment(home, Path(temp)) | variables
        gcs, dashboard, client = free_ports(3)
        stack.callback(_check_nothing_left, temp)
        for place in (
            (
                "--head", f"--port={gcs}", f"--temp-dir={temp}",
                f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}",
            ),
            *[(f"--address=127.0.0.1:{gcs}",)] * (nodes - 1),
        ):  # fmt: skip
            stack.callback(_end, _start_node(place, environment, home))
        yield Cluster(f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{gcs}", home, environment)


def _start_node(
    place: tuple[str, ...], environment: dict[str, str], home: Path
) -> subprocess.Popen[bytes]:
    for _ in range(ATTEMPTS):
        agent, metrics = free_ports(2)
        command = [
            str(Path(sys.executable).parent / "ray"), "start", *place, "--block", "--num-cpus=2",
            f"--object-store-memory={100 * 2**20}", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1",
            f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}",
        ]  # fmt: skip
        out = home / f"ray{place[0]}.out".replace("/", "_")
        with out.open("wb") as file:
            node = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd=home)
        if _has_started(node, out):
            return node
        _end(node)
    raise RuntimeError(out.read_text())


def _has_started(node: subprocess.Popen[bytes], out: Path) -> bool:
    deadline_s = time.monotonic() + START_LIMIT_S
    while node.poll() is None and time.monotonic() < deadline_s:
        if STARTED in out.read_text():
            return True
        time.sleep(0.2)
    return False


def _end(node: subprocess.Popen[bytes]) -> None:
    node.send_signal(signal.SIGTERM)
    try:
        node.wait(60)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()


def _check_nothing_left(temp: str) -> None:
    left = [each for each in psutil.process_iter() if temp in _command_line(each)]
    _, alive = psutil.wait_procs(left, timeout=20)
    for each in alive:
        each.kill()
    assert not alive, [_command_line(each)[:200] for each in alive]


def _command_line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def own_environment(home: Path, temp: Path) -> dict[str, str]:
    """Of processes that know nobody else's Ray, and have a token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    token = home / "token"
    token.write_text(TOKEN)
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(temp),
        "RAY_enable_metrics_collection": "0",  # starts sooner, and nobody reads them
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(home / "mpl")),
        "RAY_JOB_START_TIMEOUT_SECONDS": "240",
    }
