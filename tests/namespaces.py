"""Machines of a test's own: network namespaces with addresses, joined by a switch.

Nothing is made in the network of this machine: the switch is a namespace, too,
with a bridge in it, and the addresses exist between them alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

NETWORK = "10.77.0"
HEAD_PORT = 6379
START_LIMIT_S = 90.0

ATTEMPTS = 3
"""On a busy machine Ray's agents may take longer to start than a node waits for them."""


def why_not() -> str | None:
    """Why this process cannot make namespaces; None where it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    name = f"rayanim-{os.getpid()}-trial"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    bridged = subprocess.run(
        ["ip", "-n", name, "link", "add", "bridge", "type", "bridge"],
        capture_output=True,
        text=True,
    )
    subprocess.run(["ip", "netns", "del", name], check=True)
    return f"no bridge can be made: {bridged.stderr.strip()}" if bridged.returncode else None


class Machines:
    """Namespaces ``1`` to `count`, each with an address, on one switch.

    Parameters
    ----------
    count
        How many.
    environment
        What their processes find.
    folder
        Where they write what they say.
    """

    def __init__(self, count: int, environment: Mapping[str, str], folder: Path) -> None:
        self._names = [f"rayanim-{os.getpid()}-{number}" for number in range(1, count + 1)]
        self.switch = f"rayanim-{os.getpid()}-switch"
        self._environment = {**os.environ, **environment}
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Machines:
        try:
            self._wire()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in (*self._names, self.switch):
            self._kill_all(name)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def address(self, number: int) -> str:
        """The address of machine `number`."""
        return f"{NETWORK}.{number}"

    def link_command(self, number: int, state: str) -> list[str]:
        """What pulls the plug of machine `number` (``down``), or puts it in again (``up``)."""
        return ["ip", "-n", self.switch, "link", "set", "dev", f"port{number}", state]

    def inside(self, number: int, *command: str) -> list[str]:
        """`command`, on machine `number`."""
        return ["ip", "netns", "exec", self._names[number - 1], *command]

    def run(self, number: int, *command: str, limit_s: float) -> subprocess.CompletedProcess[str]:
        """What came of a command on machine `number`."""
        return subprocess.run(
            self.inside(number, *command),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )

    def start_ray(self, number: int, *options: str) -> None:
        """Make machine `number` a node: number 1 the head, all others join it."""
        ray = Path(sys.executable).with_name("ray")
        role = (
            ["--head", f"--port={HEAD_PORT}", "--include-dashboard=false"]
            if number == 1
            else [f"--address={self.address(1)}:{HEAD_PORT}"]
        )
        where = f"--node-ip-address={self.address(number)}"
        command = (str(ray), "start", "--block", *role, where, "--disable-usage-stats", *options)
        for attempt in range(1, ATTEMPTS + 1):
            said = self._folder / f"ray-{number}-{attempt}.txt"
            with open(said, "wb") as out:
                self._start(number, out, *command)
            if self._waited_for(said, "Ray runtime started"):
                return
            self._kill_all(self._names[number - 1])
        raise RuntimeError(f"machine {number} did not become a node: {said.read_text()}")

    def _start(self, number: int, out: IO[bytes], *command: str) -> None:
        self._started.append(
            subprocess.Popen(
                self.inside(number, *command),
                env=self._environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        )

    def _waited_for(self, said: Path, text: str) -> bool:
        until_s = time.monotonic() + START_LIMIT_S
        while text not in said.read_text():
            if self._started[-1].poll() is not None or time.monotonic() > until_s:
                return False
            time.sleep(0.2)
        return True

    def _wire(self) -> None:
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "dev", "bridge", "up")
        for number, name in enumerate(self._names, 1):
            port = f"port{number}"
            _ip("netns", "add", name)
            _ip(
                *("-n", name, "link", "add", "dev", "eth0", "type", "veth"),
                *("peer", "name", port, "netns", self.switch),
            )
            _ip("-n", self.switch, "link", "set", "dev", port, "master", "bridge")
            _ip("-n", self.switch, "link", "set", "dev", port, "up")
            _ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "dev", "lo", "up")
            _ip("-n", name, "link", "set", "dev", "eth0", "up")

    def _kill_all(self, name: str) -> None:
        """End what runs in one of our namespaces."""
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        for pid in listed.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
