"""The command beside a cluster: run, begun, or at a terminal with somebody who types."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobs.head import Cluster

HERE = Path(__file__).parent
LIMIT_S = 240


def make_project(folder: Path) -> Path:
    """A script with a module of its own beside it, and a folder for its notes."""
    folder.mkdir()
    shutil.copy(HERE / "sample_video.py", folder / "video.py")
    shutil.copy(HERE.parent / "numbered.py", folder)
    (folder / "notes").mkdir()
    return folder


def run(
    cluster: Cluster, *arguments: str, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return _run(cluster, ["-m", "rayanim", *arguments], cwd, variables)


def _run(
    cluster: Cluster, words: list[str], cwd: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=cluster.environment | {"RAY_API_SERVER_ADDRESS": cluster.address} | variables,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


SERIES = """
import contextlib, io, json, sys
from rayanim.cli import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def run_all(cluster: Cluster, *lines: str, cwd: Path) -> list[subprocess.CompletedProcess[str]]:
    """Several commands in one process, which loads Ray once."""
    code = ["-c", SERIES, json.dumps([shlex.split(line) for line in lines])]
    ended = _run(cluster, code, cwd, {})
    assert ended.returncode == 0, ended.stderr
    shown = [json.loads(line) for line in ended.stdout.splitlines()]
    return [
        subprocess.CompletedProcess(line, *each) for line, each in zip(lines, shown, strict=True)
    ]


def begin(cluster: Cluster, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """The command, begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "rayanim", *arguments],
        cwd=cwd,
        env=cluster.environment | {"RAY_API_SERVER_ADDRESS": cluster.address},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until `holds`, for as long as a busy machine may need."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.2)


class Terminal:
    """The command at a terminal, with somebody who types."""

    def __init__(self, cluster: Cluster, *arguments: str, cwd: Path) -> None:
        environment = cluster.environment | {
            "RAY_API_SERVER_ADDRESS": cluster.address,
            "TERM": "xterm-256color",
            "COLUMNS": "100",
        }
        self.screen = ""
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            command = [sys.executable, "-m", "rayanim", *arguments]
            os.execve(sys.executable, command, environment)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until `text` shows; what was shown up to there counts no more."""
        deadline_s = time.monotonic() + LIMIT_S
        while text not in self.screen:
            assert time.monotonic() < deadline_s and self._read(), self.screen
        self.screen = self.screen[self.screen.index(text) + len(text) :]

    def end(self) -> int:
        """The exit code; `screen` has all that was shown."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # its other end is closed
            if not select.select([self._descriptor], [], [], LIMIT_S)[0]:
                return False
            block = os.read(self._descriptor, 2**16)
            self.screen += block.decode(errors="replace")
            return bool(block)
        return False
