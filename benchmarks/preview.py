"""Measures what somebody waits for in `rayanim preview`: after saving a script, and at each step.

README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rayanim.cli.preview_command import drawing_command
from rayanim.preview.server import PreviewServer

FRAMES = 300

SCRIPT = """
from drawings import ANIMATED
import rayanim

class Video(rayanim.Animator):
    param_by_frame = [i / {frames} for i in range({frames})]
    def __init__(self):
        self.drawing = ANIMATED["{case}"]()
    def setup(self):
        return self.drawing.setup()
    def update(self, frame_idx, params):
        self.drawing.update(frame_idx, params)
"""

CASES = {"wave": "a line, 640x480", "heavy": "14 panels that are filled anew, 1920x1080"}

PARTS = ("noticed", "script", "picture")
"""Until the change is seen; until the script has run and its video is there; until the frame."""


class Watcher:
    """A page's two connections to the server."""

    def __init__(self, server: PreviewServer) -> None:
        self._server = server
        self._frames = http.client.HTTPConnection("127.0.0.1", server.server_port)
        self._news: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port)
        connection.request("GET", f"/{self._server.token}/news")
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                self._news.put((time.perf_counter(), json.loads(line[6:])))

    def wait_for(self, status: str, version: int | None = None) -> tuple[float, int]:
        """When the server was in that state, with another version; the version."""
        while True:
            at_s, news = self._news.get(timeout=120)
            if news["status"] == "failed":
                raise RuntimeError(news["error"]["traceback"] or news["error"]["text"])
            if news["status"] == status and news.get("version", 0) != version:
                return at_s, news.get("version", 0)

    def step_s(self, number: int, version: int) -> float:
        """Seconds from asking for a frame to its picture."""
        began_s = time.perf_counter()
        self._frames.request("GET", f"/{self._server.token}/frame/{number}?v={version}")
        answer = self._frames.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"Frame {number}: {answer.status}.")
        return time.perf_counter() - began_s


def saves(watcher: Watcher, script: Path, version: int, rounds: int) -> tuple[int, list[float]]:
    """Save the script some times; the last version, and the median of each part in ms."""
    measured = []
    for _ in range(rounds):
        time.sleep(3)  # until the frames ahead are drawn, and the next process waits
        began_s = time.perf_counter()
        script.write_text(f"{script.read_text()}\n")
        noticed_s, _ = watcher.wait_for("starting", None)
        ready_s, version = watcher.wait_for("ready", version)
        watcher.step_s(FRAMES // 2, version)
        there_s = time.perf_counter()
        measured.append((noticed_s - began_s, ready_s - noticed_s, there_s - ready_s))
    return version, [1000 * median(part) for part in zip(*measured, strict=True)]


def steps(watcher: Watcher, version: int, count: int) -> Iterator[tuple[str, float]]:
    """Kinds of steps, and the median of each in ms."""
    time.sleep(3)
    middle = FRAMES // 2
    kinds = {
        "to the next frame, drawn ahead": [middle + i for i in range(1, 6)],
        "ahead to one that is not drawn": [middle + 70 + 8 * i for i in range(count)],
        "back to one that is not drawn": [middle - 20 - 9 * i for i in range(count)],
    }
    for kind, numbers in kinds.items():
        yield kind, 1000 * median(watcher.step_s(number, version) for number in numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    for case in options.cases.split(","):
        print(f"\n{case}: {CASES[case]}")
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "script.py"
            script.write_text(SCRIPT.format(case=case, frames=FRAMES))
            began_s = time.perf_counter()
            with PreviewServer(script, drawing_command([str(script)], [])) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                watcher = Watcher(server)
                _, version = watcher.wait_for("ready")
                watcher.step_s(FRAMES // 2, version)
                print(f"  first picture {1000 * (time.perf_counter() - began_s):8.0f} ms")
                version, parts = saves(watcher, script, version, options.rounds)
                text = ", ".join(f"{n} {ms:.0f}" for n, ms in zip(PARTS, parts, strict=True))
                print(f"  after saving  {sum(parts):8.0f} ms ({text})")
                for kind, ms in steps(watcher, version, 4):
                    print(f"  {kind:32} {ms:6.0f} ms")
                server.shutdown()


if __name__ == "__main__":
    main()
