"""What is asked of a dashboard, and what is made of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rayanim.errors import JobError, SettingsError
from rayanim.jobs.client import ADDRESS_VARIABLES, JobsClient

BLOCK = b"x" * 2**16

pytest.importorskip(
    "ray.dashboard.optional_deps",
    reason="a client of jobs needs pip install '.[cluster]'",
    exc_type=ImportError,
)


class Dashboard(ThreadingHTTPServer):
    """Answers as Ray's does, in parts where it is told to wait."""

    ray_version = "2.60.0"
    status = 200
    text = "no such file"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.has_first = threading.Event()
        self.waited_in_vain = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """The two addresses that are asked here."""

    protocol_version = "HTTP/1.1"
    server: Dashboard

    def do_GET(self) -> None:
        if self.path.startswith("/api/version"):
            version = {"version": "4", "ray_version": self.server.ray_version, "ray_commit": ""}
            self._whole(json.dumps(version).encode())
        elif self.server.status != 200:
            self._whole(self.server.text.encode())
        else:
            self._in_parts()

    def _whole(self, content: bytes) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _in_parts(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2 * len(BLOCK)))
        self.end_headers()
        self.wfile.write(BLOCK)
        self.server.waited_in_vain = not self.server.has_first.wait(20)
        self.wfile.write(BLOCK)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    with Dashboard() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_is_read_as_it_comes(dashboard: Dashboard) -> None:
    """Its first block is here before its last one is sent: no video is held in memory."""
    blocks = JobsClient(dashboard.address).file("node-1", "video.mp4")
    first = next(blocks)
    dashboard.has_first.set()
    assert first + b"".join(blocks) == 2 * BLOCK
    assert not dashboard.waited_in_vain


def test_a_file_that_is_gone_is_reported(dashboard: Dashboard) -> None:
    """With what Ray says of it."""
    client = JobsClient(dashboard.address)
    dashboard.status = 500
    with pytest.raises(JobError, match="no such file"):
        next(client.file("node-1", "video.mp4"))


def test_a_cluster_that_refuses_us_is_reported(dashboard: Dashboard) -> None:
    """With what to set."""
    dashboard.status = 401
    with pytest.raises(JobError, match="refused access"):
        JobsClient(dashboard.address)


def test_a_cluster_that_is_too_old_is_reported(dashboard: Dashboard) -> None:
    """With its version, and the one that is needed."""
    dashboard.ray_version = "2.9.3"
    with pytest.raises(JobError, match=r"runs Ray 2\.9\.3, and rayanim needs 2\.55"):
        JobsClient(dashboard.address)


def test_a_cluster_that_does_not_answer_is_reported() -> None:
    """With the port that must be reached."""
    with pytest.raises(JobError, match=r"cannot be reached .* 8265"):
        JobsClient("http://127.0.0.1:9")


@pytest.mark.parametrize("address", [None, "auto"])
def test_a_machine_without_a_cluster_is_reported(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was asked, and the option that names another one."""

    def refuse(address: str | None) -> None:
        raise ConnectionError("Failed to connect to Ray at address: http://127.0.0.1:8265.")

    for name in ADDRESS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("rayanim.jobs.client._make_client", refuse)
    with pytest.raises(JobError) as caught:
        JobsClient(address)
    assert caught.value.message == (
        "No Ray cluster runs on this machine (http://127.0.0.1:8265 does not answer). "
        "Give --address http://HEAD:8265, or set RAY_API_SERVER_ADDRESS. To render on this machine "
        "use rayanim run."
    )


@pytest.mark.parametrize(("status", "text"), [(None, ""), (500, "A 404, or it does not exist.")])
def test_no_job_is_unknown_because_of_a_number_in_a_text(
    dashboard: Dashboard, status: int | None, text: str
) -> None:
    """A name or a port may hold any, and so may what a dashboard in trouble says."""
    client = JobsClient(dashboard.address)
    if status is None:
        dashboard.shutdown()
        dashboard.server_close()
    else:
        dashboard.status, dashboard.text = status, text
    with pytest.raises(JobError):
        client.job("scene-404")


def test_a_job_that_is_unknown_is_reported(dashboard: Dashboard) -> None:
    """With where its name may stand."""
    client = JobsClient(dashboard.address)
    dashboard.status = 404
    with pytest.raises(SettingsError, match=r"has no job 'wave-1'.*rayanim status"):
        client.job("wave-1")


def test_commands_that_are_shown_speak_to_the_same_cluster(dashboard: Dashboard) -> None:
    """The address is part of them where it was part of ours."""
    client = JobsClient(dashboard.address)
    assert client.command("stop job-1") == f"rayanim stop job-1 --address {dashboard.address}"
