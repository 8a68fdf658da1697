"""Watches videos in headless Chromium: what they say of themselves, seeks, playing.

The page `browser.html` opens the video over a loopback server, as a web site
would, and posts what it saw. A picture is read in the middle of each of its
8 by 2 blocks, which is where `numbered.py` puts the bits of a frame's number.
"""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT_S = 240.0
END_S = 30.0

FLAGS = (
    "--headless=new",
    # It refuses to run as root with its sandbox; it opens our page alone.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
)


def browser() -> str | None:
    """Path of an installed Chromium, None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True, slots=True)
class Questions:
    """What to do with a video.

    Parameters
    ----------
    mime
        Its type and codec, as a browser is asked whether it can play them.
    seeks_s
        Where to seek to, in this order; never to the frame that is shown
        already, as the browser does not present it again.
    plays_s
        From where to where to play, afterwards.
    speed
        How fast to play; slow, so that few frames are left out.
    limit_s
        How long it may all take.
    """

    mime: str
    seeks_s: tuple[float, ...] = ()
    plays_s: tuple[tuple[float, float], ...] = ()
    speed: float = 0.25
    limit_s: float = LIMIT_S


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that was presented.

    Parameters
    ----------
    time_s
        Where it begins in the video.
    blocks
        ``(16, 3) uint8`` RGB in the middle of each block, row by row.
    """

    time_s: float
    blocks: np.ndarray

    @property
    def number(self) -> int:
        """The number whose bits the blocks are."""
        return sum(int(block.mean() > 128) << bit for bit, block in enumerate(self.blocks))


@dataclass(frozen=True, slots=True)
class Watched:
    """What the browser saw of a video.

    Parameters
    ----------
    size
        (width, height) in pixels.
    duration_s
        The video's length.
    seekable_s
        Start and end of what can be sought to.
    opened
        The frame before anything was sought or played.
    sought
        The frame after each seek.
    played
        The frames presented, of each part that was played.
    """

    size: tuple[int, int]
    duration_s: float
    seekable_s: tuple[float, float]
    opened: Shown
    sought: tuple[Shown, ...]
    played: tuple[tuple[Shown, ...], ...]


def watch(video: Path, questions: Questions) -> Watched | None:
    """Open a video in the browser, and do with it what was asked.

    Returns
    -------
    Watched or None
        None if the browser says that it cannot play `questions.mime`.

    Raises
    ------
    RuntimeError
        If there is no browser, it ends or takes too long, or the video fails in it.
    """
    with _Server(video, questions) as server, _chromium(server.url) as process:
        answers = _answers(server, process, questions.limit_s + 60)
    if answers["error"] is not None:
        raise RuntimeError(f"{video.name} fails in the browser: {answers['error']}")
    return _watched(answers) if answers["can_play"] else None


def _watched(answers: dict[str, Any]) -> Watched:
    return Watched(
        size=tuple(answers["size"]),
        duration_s=answers["duration_s"],
        seekable_s=tuple(answers["seekable_s"]),
        opened=_shown(answers["opened"]),
        sought=tuple(map(_shown, answers["sought"])),
        played=tuple(tuple(map(_shown, part)) for part in answers["played"]),
    )


def _shown(answer: dict[str, Any]) -> Shown:
    return Shown(answer["time_s"], np.array(answer["blocks"], np.uint8))


def _answers(server: _Server, process: subprocess.Popen[bytes], limit_s: float) -> dict[str, Any]:
    give_up = time.monotonic() + limit_s
    while time.monotonic() < give_up:
        try:
            return server.answers.get(timeout=0.2)
        except queue.Empty:
            if process.poll() is not None:
                raise RuntimeError(f"The browser ended with {process.returncode}.") from None
    raise RuntimeError(f"The browser said nothing within {limit_s:g} s.")


@contextmanager
def _chromium(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Chromium with that page, and a profile of its own; all its processes end with the block."""
    path = browser()
    if path is None:
        raise RuntimeError(f"There is none of {', '.join(NAMES)} on the PATH.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [path, *FLAGS, f"--user-data-dir={profile}", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            end_browser(process)


def end_browser(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Server(ThreadingHTTPServer):
    """Serves the page, the questions and the video; `answers` gets what the page posts."""

    daemon_threads = True

    def __init__(self, video: Path, questions: Questions) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.video = video.read_bytes()
        self.mime = questions.mime.partition(";")[0]
        self.questions = json.dumps(asdict(questions)).encode()
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> _Server:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        # A browser that has enough of a video drops the connection.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, "text/html", Path(__file__).with_suffix(".html").read_bytes())
        elif self.path == "/questions":
            self._send(200, "application/json", self.server.questions)
        elif self.path == "/video":
            self._send_video()
        else:
            self._send(404, "text/plain", b"")

    def do_POST(self) -> None:
        self.server.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(200, "text/plain", b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _send_video(self) -> None:
        video = self.server.video
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        if wanted is None or int(wanted[1]) >= len(video):
            self._send(416, self.server.mime, b"")
            return
        start, stop = int(wanted[1]), min(int(wanted[2] or len(video)) + 1, len(video))
        part = f"bytes {start}-{stop - 1}/{len(video)}"
        self._send(206, self.server.mime, video[start:stop], ("Content-Range", part))

    def _send(self, status: int, mime: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", mime), ("Accept-Ranges", "bytes"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
