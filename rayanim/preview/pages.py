"""The server of a page: on this machine alone, and for those who know the token."""

from __future__ import annotations

import contextlib
import json
import secrets
import selectors
import socket
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rayanim.errors import OutputError
from rayanim.player import safe

LOOPBACK = ("127.0.0.1", "localhost")
"""Names by which a browser may ask for this machine. A page of another site that has its own
name lead here, to read ours, asks with that name."""

IDLE_S = 60.0
"""After so many seconds a connection without a request is closed."""

RETRY_MS = 500
"""So soon a page connects anew where the connection for news has broken."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class PageServer(ThreadingHTTPServer):
    """Serves one page until it is closed; the class of its handler answers for the rest."""

    daemon_threads = True

    def __init__(self, handler: type[PageHandler], page: str, title: str, port: int) -> None:
        self.token = secrets.token_urlsafe(16)
        self._ticket: str | None = None
        self._page = page
        self._title = title
        try:
            super().__init__((LOOPBACK[0], port), handler)
        except OSError as error:
            raise OutputError(
                f"Port {port} of this machine cannot be used: {error.strerror}. Leave out --port."
            ) from error

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

    def html(self) -> str:
        """The page: one file, with the style and the script that all pages share."""
        here = Path(__file__).parent
        page = (here / self._page).read_text("utf-8")
        for name, file in (("{{style}}", "style.css"), ("{{script}}", "shared.js")):
            page = page.replace(name, (here / file).read_text("utf-8"))
        return page.replace("{{title}}", safe(self._title))


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: PageServer

    def handle(self) -> None:
        """Answer; a browser that has enough of an answer drops the connection."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def do_GET(self) -> None:
        """Answer those who know the token."""
        asked = self.admitted()
        if asked is None:
            return
        path, url = asked
        if path == "":
            self.send(200, self.server.html().encode(), "text/html; charset=utf-8")
        else:
            self.answer(path, url)

    def do_POST(self) -> None:
        """Do what those ask for who know the token."""
        asked = self.admitted()
        if asked is not None:
            self.act(*asked)

    def admitted(self) -> tuple[str, SplitResult] | None:
        """What is asked for by somebody who knows the token; None where that is answered."""
        try:
            url = urlsplit(self.path)
        except ValueError:
            self.send(400)
            return None
        token, _, path = url.path.lstrip("/").partition("/")
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host in LOOPBACK and not path and self.server.takes_ticket(token):
            self.send_response_only(303)
            self.send_header("Location", f"/{self.server.token}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if host not in LOOPBACK or not secrets.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            self.send(403)
            return None
        return path, url

    def answer(self, path: str, url: SplitResult) -> None:
        """Answer for what belongs to the page."""
        self.send(404)

    def act(self, path: str, url: SplitResult) -> None:
        """Do what is asked for."""
        self.send_error(501)

    def send_news(self, news: Iterable[dict[str, Any] | None]) -> None:
        """Send each as an event, until the page is closed; None shows whether it still is there."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(f"retry: {RETRY_MS}\n\n".encode())
        for each in news:
            text = ":\n\n" if each is None else f"data: {json.dumps(each)}\n\n"
            self.wfile.write(text.encode())
            if self._has_left():
                return

    def _has_left(self) -> bool:
        """Whether the browser has closed its end of a connection on which it only listens."""
        # Not `select`, which takes no descriptors from 1024 on.
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            if not selector.select(0):
                return False
        return not self.connection.recv(1, socket.MSG_PEEK)

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """As all other refusals: nothing but the code."""
        self.close_connection = True
        self.send(code)

    def send(
        self,
        status: int,
        body: bytes = b"",
        kind: str | None = None,
        *headers: tuple[str, str],
    ) -> None:
        """Send a whole answer; without a kind of content, nothing but its status."""
        self.send_head(status, len(body), kind, *headers)
        self.wfile.write(body)

    def send_head(
        self, status: int, n_bytes: int, kind: str | None = None, *headers: tuple[str, str]
    ) -> None:
        """Send what stands before an answer of so many bytes."""
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
        self.send_header("Content-Length", str(n_bytes))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal shows what the script prints."""
