"""The README's section on clusters is followed, command by command, on a cluster on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from video_reading import read_video

from jobs.head import free_ports, own_environment

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
SECTION = re.search(
    r"^## On a cluster$(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```", SECTION[1], re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
LIMIT_S = 240


@dataclass
class Follower:
    """Somebody who types what the README says.

    Attributes
    ----------
    folder
        Where they type it.
    environment
        Of their shell.
    instead
        What they put in the place of the README's names, and of ports that others may use here.
    shown
        What each command has printed.
    """

    folder: Path
    environment: dict[str, str]
    instead: dict[str, str]
    shown: dict[str, str] = field(default_factory=dict)

    def follow(self, line: str) -> None:
        command = line
        for name, value in self.instead.items():
            command = re.sub(rf"\b{name}\b", value, command)
        words = shlex.split(command)
        if words[0] == "export":
            self.environment.update([words[1].split("=", 1)])
            return
        output = self.folder / "shown"
        with output.open("wb") as file:  # what stays in the background keeps a pipe open
            ended = subprocess.run(
                [*words, *self._more(words)],
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=file,
                timeout=LIMIT_S,
            )
        self.shown[line] = output.read_text()
        assert ended.returncode == 0, (command, self.shown[line])
        for job in re.findall(r"rayanim: (rayanim-\S+) was submitted", self.shown[line]):
            self.instead["JOB"] = job

    def _more(self, words: list[str]) -> list[str]:
        """What lets a small machine start two nodes, beside others' clusters, and no browser."""
        if words[:2] == ["rayanim", "watch"]:
            return ["--no-open"]
        if words[:2] != ["ray", "start"]:
            return []
        agent, metrics = free_ports(2)
        ports = [f"--port={self.instead['6379']}", f"--dashboard-port={self.instead['8265']}"]
        return [
            *(ports if "--head" in words else []),
            f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}",
            "--node-ip-address=127.0.0.1", "--num-cpus=1", "--disable-usage-stats",
            f"--object-store-memory={100 * 2**20}",
        ]  # fmt: skip


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    """Has the repository's examples; ends what was started in the end."""
    pytest.importorskip(
        "ray.dashboard.optional_deps",
        reason="a cluster that takes jobs needs pip install '.[cluster]'",
        exc_type=ImportError,
    )
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    gcs, dashboard = map(str, free_ports(2))
    with tempfile.TemporaryDirectory(prefix="rr", ignore_cleanup_errors=True) as temp:
        environment = own_environment(tmp_path, Path(temp))
        del environment["RAY_AUTH_MODE"], environment["RAY_AUTH_TOKEN_PATH"]
        instead = {"HEAD": "127.0.0.1", "6379": gcs, "8265": dashboard}
        try:
            yield Follower(tmp_path, environment, instead)
        finally:
            _end_all(temp)


def _end_all(temp: str) -> None:
    """End the processes in whose environment `temp` stands, by their ids."""
    for _ in range(3):  # the first to go may start others
        mine = [each for each in psutil.process_iter() if _environment_of(each) == temp]
        for each in mine:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(mine, timeout=10)
    assert not [each for each in psutil.process_iter() if _environment_of(each) == temp]


def _environment_of(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error, OSError):
        if process.pid != os.getpid():
            return process.environ().get("RAY_TMPDIR")
    return None


def test_the_section_is_followed_to_its_end(follower: Follower) -> None:
    """Each command ends well; the videos made here and there are the same."""
    video = follower.folder / "wave.mp4"
    videos = []
    for line in COMMANDS:
        follower.follow(line)
        if video.exists():
            assert len(read_video(video).frames) == 180
            videos.append(video.read_bytes())
            video.unlink()
    assert len(videos) == 3 and len(set(videos)) == 1
    assert re.search(r"rayanim-wave-\S+ +succeeded", follower.shown["rayanim status"])


def test_the_section_has_the_commands_that_belong_to_it() -> None:
    """The pattern that finds them still does."""
    shown = " ".join(COMMANDS)
    for command in ("run", "doctor", "submit", "status", "logs", "watch", "fetch", "stop"):
        assert f"rayanim {command} " in f"{shown} "
    assert len(COMMANDS) >= 12
