"""Drives a page in headless Chromium: evaluates, presses keys, takes screenshots.

It speaks Chromium's DevTools protocol over a pair of pipes: no driver is needed.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from browser import FLAGS, browser, end_browser

LIMIT_S = 60.0


class Page:
    """One page of a browser."""

    def __init__(self, write_to: int, read_from: int) -> None:
        self._write_to = write_to
        self._read = os.fdopen(read_from, "rb", buffering=0)
        self._rest = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; what it gives."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._read.read(1 << 20)
            assert data, "the browser has ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def open(self, url: str, *, size: tuple[int, int] = (1280, 800), dark: bool = False) -> None:
        """Show a page in a window of that size."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=False,
        )
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, once its promise is kept."""
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until it gives something true, and give that."""
        give_up_s = time.monotonic() + LIMIT_S
        while time.monotonic() < give_up_s:
            with contextlib.suppress(AssertionError):  # while another page is loaded
                found = self.value(expression)
                if found:
                    return found
            time.sleep(0.02)
        raise AssertionError(f"{expression} has not come: {self.value('document.body.innerText')}")

    def press(self, key: str, code: int = 0) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot")["data"])


@contextlib.contextmanager
def page() -> Iterator[Page]:
    """A page of a Chromium of its own, which ends with the block."""
    path = browser()
    assert path is not None
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        own_flags = ("--remote-debugging-pipe", f"--user-data-dir={profile}")
        # It reads from descriptor 3 and writes to 4.
        shell = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", path, *FLAGS, *own_flags],
            pass_fds=(to_browser[0], from_browser[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Page(to_browser[1], from_browser[0])
        finally:
            os.close(to_browser[1])
            end_browser(process)
