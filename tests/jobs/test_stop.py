"""A job that is watched, left, stopped and gone on with, on a real cluster."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.command import LIMIT_S, Terminal, begin, make_project, run, wait_until
from jobs.head import Cluster

pytestmark = pytest.mark.timeout(600)

LONG = ("3000", "0.05")
"""Frames, and seconds for each: nobody waits for the end."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of which the job with the long video takes the one above, too."""
    folder = tmp_path_factory.mktemp("above")
    (folder / "above.txt").write_text("goes along")
    (folder / "env.yaml").write_text("env_vars: {COLOUR: blue}\nexcludes: ['*.txt']\n")
    return make_project(folder / "project")


@pytest.fixture(scope="module")
def stopped(cluster: Cluster, project: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """A job with all of Ray's own options, followed, looked at and stopped."""
    options = [
        "--address", cluster.address, "--no-wait", "--submission-id", "long-one",
        "--metadata-json", '{"team": "maps"}',
        "--entrypoint-num-cpus", "0.5", "--working-dir", "..", "--runtime-env", "../env.yaml",
    ]  # fmt: skip
    engine = ["--engine", "ray", "-j", "2", "--segment-frames", "4"]
    script = ["video.py", *engine, "--", str(project / "notes"), *LONG]
    shown = {"submit": run(cluster, "submit", *options, *script, cwd=project)}
    assert shown["submit"].returncode == 0, shown["submit"].stderr
    following = begin(cluster, "logs", "-f", "long-one", cwd=project)

    def draws() -> bool:
        shown["status"] = run(cluster, "status", "long-one", "--json", cwd=project)
        return (json.loads(shown["status"].stdout)["done"] or 0) > 8

    wait_until(draws, "no frame was drawn")
    shown["stop"] = run(cluster, "stop", "long-one", cwd=project)
    out, err = following.communicate(timeout=LIMIT_S)
    shown["logs -f"] = subprocess.CompletedProcess([], following.returncode, out, err)
    return shown


def test_ray_s_own_options_do_what_they_do_in_ray(
    cluster: Cluster, stopped: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    """As Ray's own API tells of the job."""
    assert stopped["submit"].stdout == "long-one\n"
    code = (
        "import json\n"
        "from ray.job_submission import JobSubmissionClient as Client\n"
        "from ray.util.state import list_actors\n"
        f"job = Client({cluster.address!r}).get_job_info('long-one')\n"
        f"actors = list_actors(address={cluster.address!r}, detail=True)\n"
        "[driver] = [each for each in actors if each.name.endswith('_job_actor_long-one')]\n"
        "print(json.dumps({**json.loads(job.model_dump_json()), "
        "'takes': driver.required_resources}))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    shown = json.loads(asked.stdout.splitlines()[-1])
    assert shown["metadata"]["team"] == "maps" and shown["metadata"]["rayanim"]
    assert shown["runtime_env"]["env_vars"]["COLOUR"] == "blue"
    assert shown["runtime_env"]["working_dir"].startswith("gcs://")
    assert "project/video.py" in shown["entrypoint"]
    assert shown["takes"]["CPU"] == 0.5


def test_a_job_that_is_stopped_says_how_to_go_on(
    stopped: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    """To who has stopped it, and to who has watched; for the latter it is an exit code, too."""
    assert json.loads(stopped["status"].stdout)["status"] == "RUNNING"
    assert stopped["stop"].returncode == 0
    assert "long-one was stopped. To resume it: rayanim submit" in stopped["stop"].stdout
    assert "--submission-id" not in stopped["stop"].stdout
    assert stopped["logs -f"].returncode == 143
    assert "long-one was stopped." in stopped["logs -f"].stderr
    assert "hello from the script" in stopped["logs -f"].stdout


@pytest.fixture
def terminal(
    cluster: Cluster, project: Path, stopped: dict[str, subprocess.CompletedProcess[str]]
) -> Iterator[Terminal]:
    """Goes on with the video of the job that was stopped, as the job itself has said."""
    [again] = re.findall("rayanim (submit .*)", stopped["stop"].stdout)
    words = [word for word in shlex.split(again) if word != "--no-wait"]
    found = Terminal(cluster, *words, cwd=project)
    yield found
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(found.pid, signal.SIGKILL)
        os.waitpid(found.pid, 0)


def test_ctrl_c_asks_what_to_do_with_the_job(
    cluster: Cluster, project: Path, terminal: Terminal
) -> None:
    """It may be watched on, left to itself, or stopped; a bar shows what it has done already."""
    terminal.wait_for("was submitted")
    terminal.wait_for("frames")
    for answers in ("x\nw\n", "w\n"):  # what is no answer is asked for again
        terminal.type("\x03")
        terminal.wait_for("frames (")  # in words, in the place of the bar
        terminal.wait_for("stop the job, leave it running, or go on watching?")
        terminal.type(answers)
        terminal.wait_for("fps")
    terminal.type("\x03")
    terminal.wait_for("[s/l/w]")
    terminal.type("l\n")
    assert terminal.end() == 130
    [name] = re.findall("rayanim stop (rayanim-video-[0-9a-f]+)", terminal.screen)
    assert f"rayanim logs -f {name} --address {cluster.address}" in terminal.screen
    known = json.loads(run(cluster, "status", name, "--json", cwd=project).stdout)
    assert known["status"] == "RUNNING" and known["done"] >= 8
    assert run(cluster, "stop", name, cwd=project).returncode == 0
