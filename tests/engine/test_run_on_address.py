"""`--address`, `RAY_ADDRESS` and `address=`: what works, and what ends in one message at once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from heads import Head, free_port, started_head
from numbered import FPS, Numbered

import rayanim
from rayanim.engine import cluster
from rayanim.engine.cluster import HeadAnswer
from rayanim.errors import ClusterError
from rayanim.settings import Address

# A head takes seconds to start, and a minute on a machine that does much else.
pytestmark = [pytest.mark.clusters, pytest.mark.timeout(300)]

FRAMES = 24
TOKEN = "0123456789abcdef" * 4

# A process of its own, because a process loads Ray with one way of authentication.
TRIES = f"""
import hashlib, http.server, json, pathlib, sys, threading
import rayanim
from numbered import FPS, Numbered

class Counted(Numbered):
    drawn = 0

    def generate_at(self, time_ms):
        Counted.drawn += 1
        return super().generate_at(time_ms)

def tried(address):
    video = pathlib.Path("video.mp4")
    video.write_bytes(b"the video of before")
    Counted.drawn = 0
    try:
        report = rayanim.produce(
            Counted({FRAMES}), FPS, outfile=video, engine="ray", address=address, progress=False
        )
    except rayanim.RayanimError as error:
        kept = video.read_bytes() == b"the video of before"
        left = sorted(each.name for each in video.parent.iterdir())
        return [type(error).__name__, error.message, Counted.drawn, kept and left == ["video.mp4"]]
    return [report.engine, hashlib.sha256(video.read_bytes()).hexdigest(), report.actors_peak, True]

with http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
) as no_ray:
    threading.Thread(target=no_ray.serve_forever, daemon=True).start()
    print(json.dumps([tried(address or f"127.0.0.1:{{no_ray.server_port}}")
                      for address in json.loads(sys.argv[1])]))
    no_ray.shutdown()
"""


@pytest.fixture(scope="module")
def open_head():
    """A head that takes everybody."""
    pytest.importorskip("ray")
    with started_head(RAY_AUTH_MODE="disabled") as head:
        yield head


@pytest.fixture(scope="module")
def token_head():
    """A head that wants a token."""
    pytest.importorskip("ray")
    with started_head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as head:
        yield head


@pytest.fixture(scope="module")
def local_sha(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SHA-256 of the same video, drawn in this process."""
    video = tmp_path_factory.mktemp("local") / "video.mp4"
    rayanim.produce(Numbered(FRAMES), FPS, outfile=video, engine="local", progress=False)
    return hashlib.sha256(video.read_bytes()).hexdigest()


def without_authentication(head: Head, **variables: str) -> dict[str, str]:
    """The environment of a process that was told nothing of tokens."""
    kept = {name: each for name, each in head.environment.items() if "_AUTH_" not in name}
    return kept | variables


def tries(
    addresses: list[str | None], environment: dict[str, str], folder: Path
) -> list[list[Any]]:
    """What comes of a video with each address; None stands for a server that is no Ray."""
    run = subprocess.run(
        [sys.executable, "-c", TRIES, json.dumps(addresses)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_whoever_names_the_cluster_gets_the_local_video(
    open_head: Head, local_sha: str, tmp_path: Path
) -> None:
    """`address=` with a port, and `auto`; nothing has to be said of tokens."""
    found = tries([open_head.address, "auto"], without_authentication(open_head), tmp_path)
    assert [each[:2] for each in found] == [["ray", local_sha]] * 2


def test_the_command_draws_where_ray_address_says(
    open_head: Head, local_sha: str, tmp_path: Path
) -> None:
    """An unchanged script, and the variable that Ray's own tools read."""
    script = tmp_path / "video.py"
    script.write_text(
        "from numbered import Numbered\n"
        "class Video(Numbered):\n"
        f"    def __init__(self):\n        super().__init__({FRAMES})\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "rayanim", "run", script, "-o", "a.mp4", "--engine", "ray",
         "--fps", str(FPS), "--json"],
        env=without_authentication(open_head, RAY_ADDRESS=open_head.address),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["engine"] == "ray" and report["nodes_peak"] == 1
    assert hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest() == local_sha


def test_a_wrong_address_ends_before_anything_is_drawn(tmp_path: Path) -> None:
    """Nobody there, somebody else there, and Ray Client; an earlier video stays as it was."""
    nobody = f"127.0.0.1:{free_port()}"
    environment = {name: each for name, each in os.environ.items() if not name.startswith("RAY_")}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    found = tries([nobody, None, "ray://127.0.0.1:10001"], environment, tmp_path)
    told = [
        ("ClusterError", f"nothing answers at {nobody} (Connection refused)"),
        ("ClusterError", "is no head of a Ray cluster"),
        ("SettingsError", "rayanim submit SCRIPT.py --address http://127.0.0.1:8265"),
    ]
    for (kind, message, drawn, kept), (wanted_kind, wanted) in zip(found, told, strict=True):
        assert (kind, drawn, kept) == (wanted_kind, 0, True)
        assert wanted in message


def test_auto_without_a_cluster_says_how_to_begin_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not fall back on this machine unasked."""
    monkeypatch.setattr(cluster, "latest_address", lambda: None)
    with pytest.raises(ClusterError, match="no Ray cluster runs on this machine") as refused:
        cluster.located(Address("auto", "address='auto'"))
    assert "ray start --head" in refused.value.message


def test_the_right_token_opens_a_cluster(token_head: Head, local_sha: str, tmp_path: Path) -> None:
    """Without RAY_AUTH_MODE, too: that the cluster wants a token is found out."""
    environment = without_authentication(token_head, RAY_AUTH_TOKEN=TOKEN)
    ((engine, sha, *_),) = tries([token_head.address], environment, tmp_path)
    assert (engine, sha) == ("ray", local_sha)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"RAY_AUTH_TOKEN": TOKEN[::-1]}, "its token is another one"),
        ({}, "it wants a token, and there is none here"),
        ({"RAY_AUTH_TOKEN": TOKEN, "RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE=disabled says"),
    ],
    ids=["wrong", "absent", "off"],
)
def test_without_the_token_a_cluster_says_what_to_set(
    token_head: Head, tmp_path: Path, variables: dict[str, str], why: str
) -> None:
    """One message, before anything is drawn."""
    environment = without_authentication(token_head, **variables) | {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    folder = tmp_path / "work"
    folder.mkdir()
    ((kind, message, drawn, kept),) = tries([token_head.address], environment, folder)
    assert (kind, drawn, kept) == ("ClusterError", 0, True)
    assert why in message and "RAY_AUTH_TOKEN" in message


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            HeadAnswer("2.0.0", "3.11.7", True, ("10.0.0.1",)),
            "Ray 2.0.0 there and",
        ),
        (
            HeadAnswer(None, None, False, ("10.0.0.1", "10.0.0.2")),
            "is no node of the cluster at 10.0.0.1:6379 (its nodes: 10.0.0.1, 10.0.0.2)",
        ),
    ],
    ids=["versions", "no node"],
)
def test_a_cluster_that_does_not_fit_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, answer: HeadAnswer, told: str
) -> None:
    """Other versions, and a machine that does not belong to it."""
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "JOINING_S", 0.0)
    monkeypatch.setattr(cluster, "ask_head", lambda address, limit_s: answer)
    with pytest.raises(ClusterError) as refused:
        cluster.check_fit("10.0.0.1:6379", Address("10.0.0.1:6379", "--address"))
    assert told in refused.value.message
    remedies = ("Run the script with the Python and Ray", "rayanim submit SCRIPT.py")
    assert any(remedy in refused.value.message for remedy in remedies)


def test_versions_must_be_the_same_as_far_as_ray_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's wholly, Python's wholly or but for its last part."""
    ray = pytest.importorskip("ray")
    address, here = Address("10.0.0.1:6379", "--address"), platform.python_version()
    other_patch = f"{here.rpartition('.')[0]}.99"

    def check(ray_version: str, python_version: str) -> None:
        answer = HeadAnswer(ray_version, python_version, True, ("10.0.0.1",))
        monkeypatch.setattr(cluster, "ask_head", lambda address, limit_s: answer)
        cluster.check_fit(address.text, address)

    with pytest.raises(ClusterError) as refused:
        check("2.0.0", other_patch)
    assert f"Ray 2.0.0 there and {ray.__version__} here and Python" in refused.value.message
    monkeypatch.setenv("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
    check(ray.__version__, other_patch)
    with pytest.raises(ClusterError, match=r"Python 3\.1\.0 there and"):
        check(ray.__version__, "3.1.0")
