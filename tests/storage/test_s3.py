"""Videos in a bucket that a real server process serves: whole or untouched, and resumed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("s3fs", reason="the client of S3 is not installed: rayanim[s3]")
pytest.importorskip("moto.server", reason="the server of S3 is not installed: rayanim[test]")

from PIL import Image
from s3_server import BUCKET, KEYS, S3Server, s3_server

import rayanim
from rayanim.cli import main
from rayanim.errors import EncodeError, OutputError, ResumeError
from rayanim.storage import output, store
from rayanim.storage.address import address_of
from rayanim.storage.output import Target
from rayanim.storage.store import Store, digests_of

FRAMES = 60
SEGMENT = 6

drawn: list[int] = []


def shade(frame: int) -> Any:
    """Noise that depends on the frame."""
    drawn.append(frame)
    noise = np.random.default_rng(frame)
    return noise.integers(0, 255, (48, 64, 3), np.uint8)


def produce(outfile: Any, thing: Any = shade, **how: Any) -> rayanim.Report:
    """A video of sixty frames, drawn here unless it is asked for otherwise."""
    settings = {"n_frames": FRAMES, "fps": 30, "progress": False, "engine": "local"}
    return rayanim.produce(thing, outfile=outfile, **{**settings, "segment_frames": SEGMENT, **how})


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """A server for all tests here."""
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of an empty bucket; the environment leads rayanim to it."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Store, "pauses_s", (0.1,))
    client = server.client()
    for each in client.find(BUCKET):
        client.rm_file(each)
    drawn.clear()
    return client


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the video on a disk."""
    video = tmp_path_factory.mktemp("disk") / "video.mp4"
    produce(video)
    return digest_of(video.read_bytes())


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def in_bucket(s3: Any) -> list[str]:
    """The names of all objects."""
    return [each.removeprefix(f"{BUCKET}/") for each in sorted(s3.find(BUCKET))]


def broken_off(s3: Any, name: str = "video.mp4", *, after: int = 33, **how: Any) -> None:
    """As a job that fails at a frame."""

    def fails(frame: int) -> Any:
        if frame == after:
            raise ZeroDivisionError
        return shade(frame)

    # The same video for the manifest: code and values decide.
    with pytest.raises(rayanim.ScriptError):
        produce(f"s3://{BUCKET}/{name}", fails, **how)


def test_the_video_is_that_of_a_disk_and_nothing_else_is_left(s3: Any, expected: str) -> None:
    """Segments and claims are gone; the report has the URL."""
    report = produce(f"s3://{BUCKET}/a/video.mp4")
    assert in_bucket(s3) == ["a/video.mp4"]
    assert digest_of(s3.cat_file(f"{BUCKET}/a/video.mp4")) == expected
    assert str(report.output) == f"s3://{BUCKET}/a/video.mp4"
    assert report.to_dict()["output"] == f"s3://{BUCKET}/a/video.mp4"
    assert "s3://videos/a/video.mp4: 60 frames" in report.summary()


def test_images_go_to_the_bucket_and_those_of_a_longer_video_go(s3: Any) -> None:
    """Nothing else is left, and a bucket alone is no folder of their own."""
    for n_frames in (7, 4):
        produce(f"s3://{BUCKET}/a/%04d.png", n_frames=n_frames)
    assert in_bucket(s3) == [f"a/{number:04d}.png" for number in range(4)]
    image = Image.open(io.BytesIO(s3.cat_file(f"{BUCKET}/a/0003.png")))
    assert (np.asarray(image)[..., :3] == shade(3)).all()
    with pytest.raises(OutputError, match="folder of their own"):
        produce(f"s3://{BUCKET}/%04d.png")


@pytest.mark.slow
def test_actors_write_to_the_bucket_with_what_the_driver_knows(
    s3: Any, expected: str, on_ray: Any
) -> None:
    """Ray was started before the variables were set."""
    report = produce(f"s3://{BUCKET}/video.mp4", engine="ray", workers=2)
    assert (report.engine, report.transport) == ("ray", "segments")
    assert digest_of(s3.cat_file(f"{BUCKET}/video.mp4")) == expected
    assert in_bucket(s3) == ["video.mp4"]


@pytest.mark.slow
def test_a_video_whose_etag_is_no_digest_is_read_back(
    s3: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bucket with keys of its own; in blocks, of which the last is shorter."""
    read: list[bytes] = []

    def digests_of_blocks(source: Any) -> Any:
        if isinstance(source, Path):
            return digests_of(source)
        read.extend(source)
        return digests_of(iter(read))

    monkeypatch.setattr(store, "is_one_of", lambda *_: False)
    monkeypatch.setattr(store, "_READ_BACK_BYTES", 10_000)
    monkeypatch.setattr(store, "digests_of", digests_of_blocks)
    produce(f"s3://{BUCKET}/video.mp4")
    video = s3.cat_file(f"{BUCKET}/video.mp4")
    assert hashlib.sha256(video).hexdigest() == expected
    assert b"".join(read) == video and {len(block) for block in read[:-1]} == {10_000}


@pytest.mark.slow
def test_one_encoder_s_video_is_uploaded_at_the_end(s3: Any) -> None:
    """There are no segments where raw frames travel."""
    produce(f"s3://{BUCKET}/video.mp4", transport="frames")
    assert in_bucket(s3) == ["video.mp4"]


@pytest.mark.slow
def test_a_still_goes_there_too(s3: Any, tmp_path: Path) -> None:
    """By the command line, whose -o leaves a URL as it is."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, rayanim\n"
        "rayanim.produce(lambda i: np.full((48, 64, 3), i, np.uint8), fps=30, n_frames=9,\n"
        "    outfile='video.mp4', engine='local', progress=False)\n"
    )
    still = ["still", str(script), "--frame", "3", "-o", f"s3://{BUCKET}/x.png"]
    assert main(still, standalone_mode=False) == 0
    run = ["run", str(script), "-o", f"s3://{BUCKET}/video.mp4", "--quiet"]
    assert main(run, standalone_mode=False) == 0
    assert in_bucket(s3) == ["video.mp4", "x.png"]
    assert s3.cat_file(f"{BUCKET}/x.png").startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_killed_job_is_resumed_in_the_bucket(s3: Any, expected: str, tmp_path: Path) -> None:
    """Nothing that was acknowledged is drawn again, and the video is the same."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nimport numpy as np\nimport rayanim\n\n\n"
        "def shade(frame):\n"
        "    time.sleep(0.03)\n"
        "    noise = np.random.default_rng(frame)\n"
        "    return noise.integers(0, 255, (48, 64, 3), np.uint8)\n\n\n"
        "report = rayanim.produce(shade, outfile='s3://videos/video.mp4', n_frames=60, fps=30,\n"
        "    progress=False, engine='local', segment_frames=6)\n"
        "print(report.resumed_frames)\n"
    )
    # Its standard output is the bucket's: what is there shows how far it is.
    job = subprocess.Popen(
        [sys.executable, "-m", "rayanim", "run", str(script)], start_new_session=True
    )
    try:
        until_s = time.monotonic() + 60
        while len(parts(s3)) < 4:
            assert time.monotonic() < until_s and job.poll() is None
            time.sleep(0.02)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait(timeout=20)
    there = len(parts(s3))
    assert 4 <= there < FRAMES // SEGMENT
    assert "video.mp4" not in in_bucket(s3)
    done = subprocess.run(
        [sys.executable, "-m", "rayanim", "run", str(script), "--resume", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    resumed = next(each["resumed_frames"] for each in reports if each["event"] == "report")
    assert resumed == SEGMENT * there
    assert digest_of(s3.cat_file(f"{BUCKET}/video.mp4")) == expected
    assert in_bucket(s3) == ["video.mp4"]


def parts(s3: Any) -> list[str]:
    return [name for name in in_bucket(s3) if name.endswith(".part")]


def test_broken_segments_are_drawn_again(s3: Any, expected: str) -> None:
    """One that was changed, one that was cut short, and one that is missing."""
    url = f"s3://{BUCKET}/video.mp4"
    produce(url, keep_parts=True)
    changed = s3.cat_file(f"{url}.parts/000002.part")
    s3.pipe_file(f"{url}.parts/000002.part", changed[:-1] + bytes([changed[-1] ^ 1]))
    s3.pipe_file(f"{url}.parts/000004.part", changed[:40])
    s3.rm_file(f"{url}.parts/000007.part")
    drawn.clear()
    report = produce(url, resume=True)
    assert report.resumed_frames == FRAMES - 3 * SEGMENT
    assert {2, 4, 7} < {frame // SEGMENT for frame in drawn} < set(range(FRAMES // SEGMENT))
    assert any("000002.part is not used: its checksum is wrong" in each for each in report.events)
    assert digest_of(s3.cat_file(url)) == expected


@pytest.mark.slow
def test_segments_of_another_video_are_refused_or_put_aside(s3: Any, expected: str) -> None:
    """And go when the new video is whole."""
    url = f"s3://{BUCKET}/video.mp4"
    produce(url, keep_parts=True, crf=40)
    with pytest.raises(ResumeError, match="crf"):
        produce(url, resume=True)
    broken_off(s3, after=0)
    assert len(parts(s3)) == FRAMES // SEGMENT
    report = produce(url)
    assert any("segments of another video to" in each for each in report.events)
    assert digest_of(s3.cat_file(url)) == expected
    assert in_bucket(s3) == ["video.mp4"]


def test_an_existing_video_may_be_protected(s3: Any) -> None:
    """Nothing is drawn, and nothing written."""
    s3.pipe_file(f"{BUCKET}/video.mp4", b"before")
    with pytest.raises(OutputError, match="exists"):
        produce(f"s3://{BUCKET}/video.mp4", overwrite=False)
    assert (drawn, in_bucket(s3)) == ([], ["video.mp4"])
    assert s3.cat_file(f"{BUCKET}/video.mp4") == b"before"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://nowhere/video.mp4", "no bucket 'nowhere'"),
        (f"s3://{BUCKET}", "names a bucket alone"),
        (f"s3://{BUCKET}/folder/", "is a folder"),
        ("nonsense://videos/video.mp4", "no address that fsspec knows"),
    ],
)
def test_addresses_that_cannot_be_are_refused_before_anything(
    s3: Any, url: str, words: str
) -> None:
    """A missing bucket is not made."""
    with pytest.raises(OutputError) as caught:
        Target(address_of(url)).check(overwrite=True)
        produce(url)
    assert words in caught.value.message
    assert drawn == []


def test_wrong_credentials_are_reported(s3: Any, server: S3Server) -> None:
    """In one sentence, before anything is drawn."""
    server.check_keys_from_now(check=True)
    try:
        with pytest.raises(OutputError, match="refuses access"):
            produce(f"s3://{BUCKET}/video.mp4")
    finally:
        server.check_keys_from_now(check=False)
    assert drawn == []


def test_missing_credentials_are_reported(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(OutputError, match="Set AWS_ACCESS_KEY_ID"):
        produce(f"s3://{BUCKET}/video.mp4")
    assert drawn == []


def test_a_store_out_of_reach_is_reported(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a limit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OutputError, match=r"cannot be reached|did not answer"):
        produce(f"s3://{BUCKET}/video.mp4")
    assert drawn == []


def test_storage_options_lead_to_a_store(
    s3: Any, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the environment does not."""
    for name in server.environment:
        if name not in ("AWS_EC2_METADATA_DISABLED",):
            monkeypatch.delenv(name)
    options = {
        "key": KEYS["AWS_ACCESS_KEY_ID"],
        "secret": KEYS["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": server.url,
    }
    produce(f"s3://{BUCKET}/video.mp4", storage_options=options)
    assert in_bucket(s3) == ["video.mp4"]


def test_an_upload_that_is_cut_leaves_the_target_and_the_segments(
    s3: Any, server: S3Server, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The joined video stays, and resuming draws the one frame that it compares."""
    url = f"s3://{BUCKET}/video.mp4"
    s3.pipe_file(url, b"before")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with cutting(server, b"PUT /videos/video.mp4 ") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(EncodeError, match="could not be put") as caught:
            produce(url)
    kept = Path(caught.value.message.split("It is kept in '")[1].split("'")[0])
    assert digest_of(kept.read_bytes()) == expected
    kept.unlink()
    kept.parent.rmdir()
    assert "10 finished segments are kept" in caught.value.__notes__[0]
    assert s3.cat_file(url) == b"before"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    drawn.clear()
    assert produce(url, resume=True).resumed_frames == FRAMES
    assert set(drawn) == {0}
    assert digest_of(s3.cat_file(url)) == expected


class cutting:  # noqa: N801
    """A way to the server that ends in the midst of requests that begin so.

    Parameters
    ----------
    server
        The server.
    begins
        How such a request begins.
    """

    def __init__(self, server: S3Server, begins: bytes) -> None:
        self._to = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        self._begins = begins
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *failure: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, to: socket.socket) -> None:
        is_cut = False
        try:
            while data := source.recv(65536):
                is_cut = is_cut or data.startswith(self._begins)
                if is_cut and not data.startswith(self._begins):
                    # The head has gone through, and now half of what follows.
                    to.sendall(data[: len(data) // 2])
                    break
                to.sendall(data)
        except OSError:
            pass
        for each in (source, to):
            each.close()


def test_a_second_job_with_the_same_url_is_refused(
    s3: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's video is whole."""
    monkeypatch.setattr(output, "BEAT_S", 0.2)
    url = f"s3://{BUCKET}/video.mp4"
    refusals: list[str] = []

    def beside(frame: int) -> Any:
        if frame == 7:
            with pytest.raises(OutputError) as caught:
                produce(url)
            refusals.append(caught.value.message)
        return shade(frame)

    produce(url, beside)
    assert "Another job is writing" in refusals[0]
    assert digest_of(s3.cat_file(url)) == expected
    assert in_bucket(s3) == ["video.mp4"]
