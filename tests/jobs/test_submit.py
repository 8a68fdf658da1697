"""`rayanim submit`, `status`, `logs` and `fetch` against a real cluster with a token."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from numbered import read_numbers
from page_news import get, news_of

from jobs.command import LIMIT_S, begin, make_project, run, run_all, wait_until
from jobs.cutting_proxy import CuttingProxy
from jobs.head import Cluster

pytestmark = pytest.mark.timeout(600)

FRAMES = 120


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Finished:
    """A video that was submitted and fetched, beside the same video made here."""

    project: Path
    shown: subprocess.CompletedProcess[str]
    fetched: Path
    local: Path

    @property
    def job(self) -> str:
        return re.findall(r"rayanim-video-[0-9a-f]{8}", self.shown.stderr)[0]


@pytest.fixture(scope="module")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One job for the tests of a finished one; it draws beside the head."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    arguments = ("--", str(project / "notes"), str(FRAMES), "0.01")
    (project / "here.mp4").write_text("the video of yesterday")
    options = ("--fetch", "-o", "here.mp4", "--engine", "ray", "--keep-head-free")
    shown = run(cluster, "submit", "video.py", *options, *arguments, cwd=project)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    local = ["run", "video.py", "-o", "local.mp4", "--engine", "local", *arguments]
    assert run(cluster, *local, cwd=project).returncode == 0
    return Finished(project, shown, project / "here.mp4", project / "local.mp4")


def test_the_video_that_comes_back_is_the_local_one(finished: Finished) -> None:
    """To the byte, in the place of the one that was there; nothing else is left."""
    assert sha256(finished.fetched) == sha256(finished.local)
    assert read_numbers(finished.fetched) == list(range(FRAMES))
    names = {each.name for each in finished.project.iterdir()}
    assert names - {"__pycache__"} == {
        "video.py", "numbered.py", "notes", "here.mp4", "local.mp4",
    }  # fmt: skip


def test_the_terminal_shows_what_the_script_says_and_no_more(finished: Finished) -> None:
    """The report once, though the script prints it too; nothing of Ray's log."""
    lines = finished.shown.stdout.splitlines()
    assert lines[0] == "hello from the script"
    assert re.match(r"/\S*/here\.mp4: 120 frames of 160x120 at 30 fps", lines[1])
    assert sum("120 frames of" in line for line in lines) == 1
    assert "INFO" not in finished.shown.stdout + finished.shown.stderr
    assert '{"event"' not in finished.shown.stdout + finished.shown.stderr
    shown = finished.shown.stderr.splitlines()
    assert shown[0].startswith("rayanim: sending 2 files (")
    assert shown[1] == f"rayanim: {finished.job} was submitted"
    assert "here.mp4: 120/120 frames (100%)" in finished.shown.stderr
    assert shown[-1].startswith("rayanim: here.mp4 was fetched")


def test_a_job_draws_on_the_cluster_s_other_nodes(finished: Finished) -> None:
    """All but what the script's own process draws, for the head was to be kept free."""
    drew = {each.name for each in (finished.project / "notes").iterdir()}
    [node] = drew - {"driver"}
    assert re.fullmatch("[0-9a-f]{56}", node)
    assert "on Ray with up to 2 actors" in finished.shown.stdout


def test_it_is_known_afterwards(cluster: Cluster, finished: Finished) -> None:
    """Its status and its log, for people and for programs, also for one who would follow it."""
    job = finished.job
    table, text, as_json, log, followed, events = (
        each.stdout
        for each in run_all(
            cluster, "status", f"status {job}", f"status {job} --json",
            f"logs {job}", f"logs -f {job}", f"logs {job} --json", cwd=finished.project,
        )
    )  # fmt: skip
    [row] = [line for line in table.splitlines() if line.startswith(job)]
    assert re.search(rf"succeeded +video\.py +{FRAMES}/{FRAMES} \(100%\)", row)
    assert f"rayanim fetch {job}" in text and "120 frames of 160x120" in text
    shown = json.loads(as_json)
    assert (shown["status"], shown["exit_code"], shown["done"]) == ("SUCCEEDED", 0, FRAMES)
    assert log == followed == finished.shown.stdout
    kinds = [json.loads(line)["event"] for line in events.splitlines()]
    assert kinds[0] == "start" and "progress" in kinds
    assert kinds[-1] == "video" and kinds.count("report") == 1


def test_a_fetch_that_breaks_and_is_ended_does_no_harm(
    cluster: Cluster, finished: Finished, tmp_path: Path
) -> None:
    """It starts again; until the video is whole, what was there before stays as it was."""
    target = tmp_path / "video.mp4"
    target.write_text("the video of yesterday")
    half_bytes = finished.local.stat().st_size // 2

    def grown_bytes() -> int:
        return sum(each.stat().st_size for each in tmp_path.glob("video.mp4.*.fetch"))

    with CuttingProxy(cluster.address, cut_bytes=half_bytes // 2, stall_bytes=half_bytes) as proxy:
        fetching = begin(
            cluster, "fetch", finished.job, "--address", proxy.address, "-o", "video.mp4",
            cwd=tmp_path,
        )  # fmt: skip
        wait_until(lambda: proxy.has_stalled or fetching.poll() is not None, "no stall")
        assert fetching.poll() is None, fetching.communicate()
        wait_until(
            lambda: grown_bytes() > half_bytes * 3 // 4 or fetching.poll() is not None,
            "what was passed on is not written",
        )
        assert fetching.poll() is None
        fetching.terminate()
        fetching.communicate()
        assert fetching.returncode == 143
    assert target.read_text() == "the video of yesterday"
    assert list(tmp_path.iterdir()) == [target]
    rest = run(cluster, "fetch", finished.job, "-o", "video.mp4", cwd=tmp_path)
    assert rest.returncode == 0, rest.stderr
    assert "its hash is right" in rest.stderr
    assert sha256(target) == sha256(finished.local)
    assert list(tmp_path.iterdir()) == [target]


def test_a_video_that_was_written_to_is_refused(
    cluster: Cluster, finished: Finished, tmp_path: Path
) -> None:
    """One byte on the cluster is enough; what is here stays."""
    [video] = (cluster.home / "rayanim").glob("*/here.mp4")
    content = video.read_bytes()
    video.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    (tmp_path / "here.mp4").write_text("the video of yesterday")
    try:
        refused = run(cluster, "fetch", finished.job, cwd=tmp_path)
    finally:
        video.write_bytes(content)
    assert refused.returncode == 3
    assert "has changed since the job finished it" in refused.stderr
    assert (tmp_path / "here.mp4").read_text() == "the video of yesterday"
    assert [each.name for each in tmp_path.iterdir()] == ["here.mp4"]


UNCHANGED = """
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation

fig, ax = plt.subplots(figsize=(2, 1))
total = 0


def update(i):
    global total
    total += i
    ax.clear()
    ax.plot([0, total], [0, i])


FuncAnimation(fig, update, frames=40, interval=40).save("wave.mp4")
print("total", total)
"""


def test_an_unchanged_animation_comes_back_as_it_is_made_here(
    cluster: Cluster, tmp_path: Path
) -> None:
    """To the byte; what the script reads after the video is that of a serial run."""
    (tmp_path / "old.py").write_text(UNCHANGED)
    shown = run(cluster, "submit", "old.py", "--fetch", "--engine", "ray", cwd=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "on Ray with up to" in shown.stdout
    here = run(cluster, "run", "old.py", "-o", "here.mp4", "--engine", "local", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    assert "total 780\n" in shown.stdout and "total 780\n" in here.stdout
    assert sha256(tmp_path / "wave.mp4") == sha256(tmp_path / "here.mp4")


def test_a_job_is_watched_from_here(cluster: Cluster, tmp_path: Path) -> None:
    """A segment plays while others are drawn; in the end the video is here for the page."""
    project = make_project(tmp_path / "project")
    options = ["--engine", "local", "--segment-frames", "20", "--no-wait", "-o", "far.mp4"]
    arguments = ["--", str(project / "notes"), str(FRAMES), "0.1"]
    submitted = run(cluster, "submit", "video.py", *options, *arguments, cwd=project)
    assert submitted.returncode == 0, submitted.stderr
    watching = begin(cluster, "watch", submitted.stdout.strip(), "--no-open", cwd=tmp_path)
    assert watching.stderr is not None
    url = re.search(r"http://127\S+/", watching.stderr.readline())
    assert url is not None
    played: dict[int, bytes] = {}
    for news in news_of(url[0]):
        if news["state"] == "drawing" and not played:
            assert news["total"] == FRAMES and dict(news["facts"])["Drawn"] == "in this process"
            for index, *_ in news["segments"]:
                played[index] = get(f"{url[0]}segment/{news['version']}/{index}")[2]
        if news["state"] == "finished":
            break
    assert played
    for index, data in played.items():
        (tmp_path / "segment.mp4").write_bytes(data)
        wanted = list(range(20 * index, 20 * index + 20))
        assert read_numbers(tmp_path / "segment.mp4") == wanted
    (tmp_path / "whole.mp4").write_bytes(get(f"{url[0]}video")[2])
    assert read_numbers(tmp_path / "whole.mp4") == list(range(FRAMES))
    assert "120 frames of 160x120" in news["report"]
    out, _ = watching.communicate(timeout=LIMIT_S)
    assert watching.returncode == 0 and "hello from the script" in out


FAULTY = {
    "missing": "import no_such_package\n",
    "crash": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "raises": (
        "import rayanim\n"
        "import matplotlib.pyplot as plt\n"
        "class Video(rayanim.Animator):\n"
        "    def setup(self):\n"
        "        return plt.figure()\n"
        "    def update(self, frame_idx, params):\n"
        "        return 1 / (frame_idx - 7)\n"
        "Video().make_video('video.mp4', range(30))\n"
    ),
}


@pytest.fixture(scope="module")
def faulty(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, str]]:
    """How jobs with mistakes in them ended: exit code and all that was shown."""
    folder = tmp_path_factory.mktemp("faulty")
    begun = {}
    for name, script in FAULTY.items():
        (folder / f"{name}.py").write_text(script)
        begun[name] = begin(cluster, "submit", f"{name}.py", cwd=folder)
    ended = {}
    for name, process in begun.items():
        out, err = process.communicate(timeout=LIMIT_S)
        ended[name] = process.returncode, out + err
    return ended


def test_a_missing_package_is_named_with_the_remedy(faulty: dict[str, tuple[int, str]]) -> None:
    """The traceback shows the script's own line."""
    code, shown = faulty["missing"]
    assert code == 1
    assert "ModuleNotFoundError: No module named 'no_such_package'" in shown
    assert 'missing.py", line 1' in shown and "--pip" in shown


def test_a_crash_of_the_driver_is_reported_as_one(faulty: dict[str, tuple[int, str]]) -> None:
    """By the signal that ended it."""
    code, shown = faulty["crash"]
    assert code == 3 and "SIGKILL" in shown and "--resume" in shown


def test_an_update_that_raises_is_shown_with_its_line(faulty: dict[str, tuple[int, str]]) -> None:
    """And its frame, and without lines of rayanim's own."""
    code, shown = faulty["raises"]
    assert code == 1
    assert 'raises.py", line 7, in update' in shown and "ZeroDivisionError" in shown
    assert re.search(r"rayanim: error: .*frame 7", shown)
    assert shown.count("rayanim: error: ") == 1 and "site-packages/rayanim" not in shown


def test_a_syntax_error_is_found_before_anything_is_sent(tmp_path: Path, cluster: Cluster) -> None:
    """Nobody listens at the address, and nobody is asked."""
    (tmp_path / "wrong.py").write_text("import rayanim\nrayanim.produce(\n")
    shown = run(cluster, "submit", "wrong.py", "--address", "http://127.0.0.1:9", cwd=tmp_path)
    assert shown.returncode == 1
    assert 'wrong.py", line 2' in shown.stderr and "SyntaxError" in shown.stderr
    assert "was not sent" in shown.stderr


def test_a_folder_with_a_large_file_is_refused_before_anything_is_sent(
    tmp_path: Path, cluster: Cluster
) -> None:
    """The file is named, with what leaves it behind; then it stays, and the rest is sent."""
    (tmp_path / "wave.py").write_text("")
    (tmp_path / ".env").write_text("")
    with (tmp_path / "measured.raw").open("wb") as file:
        file.truncate(2**30)
    line = "submit wave.py --address http://127.0.0.1:9"
    refused, sent = run_all(cluster, line, f"{line} --exclude measured.raw", cwd=tmp_path)
    assert refused.returncode == 2
    assert "measured.raw (1.00 GiB)" in refused.stderr
    assert "--exclude measured.raw" in refused.stderr
    assert sent.returncode == 3 and "cannot be reached" in sent.stderr
    assert "Not sent" not in sent.stderr


def test_a_token_that_is_missing_or_wrong_is_reported_with_what_to_set(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Each has its own words, and exit code 3."""
    (tmp_path / "wrong").write_text("f" * 64)
    of_token = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")
    none = {name: each for name, each in cluster.environment.items() if name not in of_token}
    cases = {
        "there is none here: set RAY_AUTH_TOKEN": none,
        "is not this cluster's: set RAY_AUTH_TOKEN": {
            **cluster.environment,
            "RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong"),
        },
    }
    for words, environment in cases.items():
        shown = run(replace(cluster, environment=environment), "status", cwd=tmp_path)
        assert shown.returncode == 3 and words in shown.stderr, shown


def test_a_job_that_does_not_exist_is_reported(cluster: Cluster, tmp_path: Path) -> None:
    """As a mistake of the caller's."""
    lines = [f"{command} nobody" for command in ("status", "logs", "stop", "fetch", "watch")]
    for shown in run_all(cluster, *lines, cwd=tmp_path):
        assert shown.returncode == 2 and "has no job 'nobody'" in shown.stderr, shown
