"""What a page would ask its server, and what it is sent."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

LIMIT_S = 60.0


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=LIMIT_S)
    with contextlib.closing(connection):
        connection.request(method, url.partition(parts.netloc)[2], headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def news_of(url: str) -> Iterator[dict[str, Any]]:
    """What a page is sent, until its server ends or it is closed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=LIMIT_S)
    with contextlib.closing(connection), contextlib.suppress(ConnectionError):
        connection.request("GET", f"{parts.path}news")
        with connection.getresponse() as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
