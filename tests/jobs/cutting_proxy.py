"""A connection that breaks, and then one that stalls, in the middle of a file."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes connections on to a dashboard, except for the files that it gives.

    The first of them is cut after so many bytes, the second one stalls.

    Parameters
    ----------
    address
        The dashboard's, ``http://HOST:PORT``.
    cut_bytes, stall_bytes
        How much of an answer is passed on until then.
    """

    def __init__(self, address: str, *, cut_bytes: int, stall_bytes: int) -> None:
        parts = urlsplit(address)
        self._there = (parts.hostname, parts.port)
        self._limits = [cut_bytes, stall_bytes]
        self._stalled = threading.Event()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def has_stalled(self) -> bool:
        """Whether the second file hangs by now."""
        return self._stalled.is_set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(here,), daemon=True).start()

    def _serve(self, here: socket.socket) -> None:
        with here, socket.create_connection(self._there) as there, contextlib.suppress(OSError):
            request = here.recv(2**16)
            there.sendall(request)
            is_video = b"/logs/file" in request and b".mp4" in request
            limit_bytes = self._limits.pop(0) if is_video and self._limits else None
            threading.Thread(target=_pump, args=(here, there), daemon=True).start()
            self._answer(there, here, limit_bytes)
            # A mere close would wait for the thread that reads there.
            here.shutdown(socket.SHUT_RDWR)

    def _answer(self, there: socket.socket, here: socket.socket, limit_bytes: int | None) -> None:
        passed_bytes = 0
        while block := there.recv(2**14):
            here.sendall(block)
            passed_bytes += len(block)
            if limit_bytes is not None and passed_bytes >= limit_bytes:
                if not self._limits:
                    self._stalled.set()
                    self._over.wait(120)
                return


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(2**14):
            sink.sendall(block)
