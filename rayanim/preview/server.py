"""The preview's server: answers for its page with frames, and with what has changed."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs

from rayanim.preview.drawing import RENDER_END_S
from rayanim.preview.pages import PageHandler, PageServer
from rayanim.preview.session import Picture, PreviewSession

START_S = 30.0
"""So long a render may take to name its page."""

NEWS_S = 10.0
"""After so many seconds without news an empty message shows whether the page is still there."""


class PreviewServer(PageServer):
    """Serves the page of one script until it is closed."""

    def __init__(
        self,
        script: Path,
        command: Sequence[str],
        port: int = 0,
        render_command: Callable[[Sequence[str]], Sequence[str]] | None = None,
    ) -> None:
        self.session = PreviewSession(script, command)
        self._script = script
        self._render_command = render_command
        self._render: RenderProcess | None = None
        self._one_render = threading.Lock()
        self._is_closed = False
        super().__init__(_PreviewHandler, "page.html", script.name, port)
        self.session.start()

    def render(self, frames: str, quality: str, suffix: str) -> tuple[str | None, bool]:
        """Start a render, or find the one that goes on.

        The address of its page, None where none can be started, which the terminal explains; and
        whether it is a render of what was asked for.
        """
        if self._render_command is None:
            return None, True
        words = [f"--frames={frames}"] if frames else []
        words += [f"--quality={quality}"] if quality else []
        words += [f"--output={self._output(suffix)}"] if suffix else []
        with self._one_render:
            if self._is_closed:
                return None, True
            if self._render is not None and self._render.has_rendered:
                self._render.end()
                self._render = None
            command = self._render_command(words)
            if self._render is None:
                self._render = RenderProcess(command)
            render = self._render
        url = render.wait_for_url()
        if url is None:
            render.end()
        return url, render.command == command

    def _output(self, suffix: str) -> Path:
        """The script's own output, as a file of another format."""
        output = self.session.output
        is_file = output is not None and "%" not in output and "://" not in output
        return Path(output if is_file and output else self._script.name).with_suffix(suffix)

    def server_close(self) -> None:
        """End the processes, too."""
        super().server_close()
        with self._one_render:
            self._is_closed = True
            if self._render is not None:
                self._render.end()
        self.session.close()


class RenderProcess:
    """`rayanim run --watch`, with a page of its own; a render that its page has left goes on."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        # Its standard input ends with this process, however that ends, and ends it.
        self._popen = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.has_rendered = False
        """Whether all is rendered; it then serves its page until that is closed."""
        self._url: str | None = None
        self._is_known = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for_url(self) -> str | None:
        """Where its page is; None where it has ended before, or takes too long."""
        self._is_known.wait(START_S)
        return self._url

    def _read(self) -> None:
        """Read what it prints, which names its page at its start and at its end."""
        for line in self._popen.stdout or ():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "watch":
                    self._url, self.has_rendered = str(event["url"]), event["is_over"]
                    self._is_known.set()
        self.has_rendered = True
        self._is_known.set()

    def end(self) -> None:
        """Stop it; its finished segments are kept."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(RENDER_END_S)
            return
        self._popen.kill()
        self._popen.wait()


class _PreviewHandler(PageHandler):
    server: PreviewServer

    def answer(self, path: str, url: SplitResult) -> None:
        frame = re.fullmatch(r"frame/(\d{1,9})", path)
        if path == "news":
            self.send_news(self._news())
        elif frame is not None:
            version = parse_qs(url.query).get("v", ["0"])[0]
            known = re.fullmatch(r"[0-9]{1,9}", version)
            self._send_frame(int(frame[1]), int(version) if known else 0)
        else:
            self.send(404)

    def act(self, path: str, url: SplitResult) -> None:
        if path != "render":
            super().act(path, url)
            return
        chosen = {name: values[0] for name, values in parse_qs(url.query).items()}
        choice = [chosen.get(name, "") for name in ("frames", "quality", "suffix")]
        if all(map(re.fullmatch, (r"(\d+-\d+)?", r"[lmhpk]?", r"(\.[a-z0-9]{2,5})?"), choice)):
            address, is_asked_for = self.server.render(*choice)
            body = json.dumps({"url": address}).encode()
            self.send(200 if is_asked_for else 409, body, "application/json")
        else:
            self.send(400)

    def _send_frame(self, number: int, version: int) -> None:
        found = self.server.session.picture(number, version)
        if isinstance(found, Picture):
            about = json.dumps(found.about)
            self.send(200, found.png, "image/png", ("X-Frame", about))
        elif found is not None:
            self.send(422, json.dumps(found).encode(), "application/json")
        else:
            self.send(409)

    def _news(self) -> Iterator[dict[str, Any] | None]:
        """What the page is sent after each change."""
        session = self.server.session
        serial, version, costs = -1, -1, 0
        while not session.is_closed:
            before = serial
            serial, news = session.news(serial, version, costs, NEWS_S)
            if "version" in news:
                version = news["version"]
                costs = news["costs_from"] + len(news["costs_ms"])
            yield news if serial != before else None
