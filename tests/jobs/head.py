"""A Ray head of a test's own: other ports, its own folders, token authentication on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = "0123456789abcdef" * 4
START_LIMIT_S = 150


@dataclass(frozen=True, slots=True)
class Head:
    """A head that runs.

    Attributes
    ----------
    address
        Of its dashboard.
    home
        The home folder of all that runs there and here.
    environment
        Of a process that may speak to it.
    """

    address: str
    home: Path
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def started_head(home: Path) -> Iterator[Head]:
    """Start a head as a child; end it, and nobody else's, in the end."""
    # Ray's sockets have paths of 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="rj", ignore_cleanup_errors=True) as temp:
        dashboard = free_port()
        environment = _environment(home, Path(temp))
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
            f"--port={free_port()}", f"--dashboard-port={dashboard}", f"--temp-dir={temp}",
            "--num-cpus=2", f"--object-store-memory={100 * 2**20}", "--include-dashboard=true",
            "--disable-usage-stats",
        ]  # fmt: skip
        with (home / "head.out").open("wb") as out:
            head = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=home)
        try:
            address = f"http://127.0.0.1:{dashboard}"
            _wait_for(address, head)
            yield Head(address, home, environment)
        finally:
            head.send_signal(signal.SIGTERM)
            head.wait(60)


def _environment(home: Path, temp: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_TMPDIR": str(temp),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(home / "mpl")),
        "RAY_JOB_START_TIMEOUT_SECONDS": "120",
    }


def _wait_for(address: str, head: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    request = urllib.request.Request(
        f"{address}/api/version", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except OSError:
            if head.poll() is not None or time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)
