"""The page's server: on this machine alone, and for those who know the token."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rayanim.errors import OutputError
from rayanim.preview.session import Picture, PreviewSession

LOOPBACK = ("127.0.0.1", "localhost")
"""Names by which a browser may ask for this machine. A page of another site that has its own
name lead here, to read ours, asks with that name."""

NEWS_S = 10.0
"""After so many seconds without news an empty message shows whether the page is still there."""

IDLE_S = 60.0
"""After so many seconds a connection without a request is closed."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class PreviewServer(ThreadingHTTPServer):
    """Serves the page of one script until it is closed."""

    daemon_threads = True

    def __init__(self, script: Path, command: Sequence[str], port: int = 0) -> None:
        self.token = secrets.token_urlsafe(16)
        self._ticket: str | None = None
        self.title = script.name
        self.session = PreviewSession(script, command)
        try:
            super().__init__((LOOPBACK[0], port), _Handler)
        except OSError as error:
            raise OutputError(
                f"Port {port} of this machine cannot be used: {error.strerror}. Leave out --port."
            ) from error
        self.session.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK[0]}:{self.server_port}/{self.token}/"

    def make_ticket_url(self) -> str:
        """An address that leads to the page once: others see what a program is started with."""
        self._ticket = secrets.token_urlsafe(16)
        return f"http://{LOOPBACK[0]}:{self.server_port}/{self._ticket}"

    def takes_ticket(self, text: str) -> bool:
        """Whether `text` is the ticket, which is used up by that."""
        ticket = self._ticket
        if ticket is None or not secrets.compare_digest(text.encode(), ticket.encode()):
            return False
        self._ticket = None
        return True

    def server_close(self) -> None:
        """End the processes, too."""
        super().server_close()
        self.session.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: PreviewServer

    def handle(self) -> None:
        """Answer; a browser that has enough of an answer drops the connection."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def do_GET(self) -> None:
        """Answer those who know the token."""
        try:
            url = urlsplit(self.path)
        except ValueError:
            self._send(400)
            return
        token, _, path = url.path.lstrip("/").partition("/")
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host in LOOPBACK and not path and self.server.takes_ticket(token):
            self.send_response_only(303)
            self.send_header("Location", f"/{self.server.token}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if host not in LOOPBACK or not secrets.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            self._send(403)
            return
        frame = re.fullmatch(r"frame/(\d{1,9})", path)
        if path == "":
            page = Path(__file__).with_name("page.html").read_text("utf-8")
            title = self.server.title.replace("&", "&amp;").replace("<", "&lt;")
            self._send(200, page.replace("{{title}}", title).encode(), "text/html; charset=utf-8")
        elif path == "news":
            self._send_news()
        elif frame is not None:
            version = parse_qs(url.query).get("v", ["0"])[0]
            known = re.fullmatch(r"[0-9]{1,9}", version)
            self._send_frame(int(frame[1]), int(version) if known else 0)
        else:
            self._send(404)

    def _send_frame(self, number: int, version: int) -> None:
        found = self.server.session.picture(number, version)
        if isinstance(found, Picture):
            about = json.dumps(found.about)
            self._send(200, found.png, "image/png", ("X-Frame", about))
        elif found is not None:
            self._send(422, json.dumps(found).encode(), "application/json")
        else:
            self._send(409)

    def _send_news(self) -> None:
        """Server-sent events, one after each change, until the page is closed."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        session = self.server.session
        serial, version, costs = -1, -1, 0
        while not session.is_closed:
            before = serial
            serial, news = session.news(serial, version, costs, NEWS_S)
            if "version" in news:
                version = news["version"]
                costs = news["costs_from"] + len(news["costs_ms"])
            text = f"data: {json.dumps(news)}\n\n" if serial != before else ":\n\n"
            self.wfile.write(text.encode())

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """As all other refusals: nothing but the code."""
        self.close_connection = True
        self._send(code)

    def _send(
        self,
        status: int,
        body: bytes = b"",
        kind: str | None = None,
        *headers: tuple[str, str],
    ) -> None:
        self.send_response_only(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
            for name, value in (
                ("Cache-Control", "no-store"),
                ("Content-Security-Policy", POLICY),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Referrer-Policy", "no-referrer"),
                ("X-Content-Type-Options", "nosniff"),
                *headers,
            ):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal shows what the script prints."""
