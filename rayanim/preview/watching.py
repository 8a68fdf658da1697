"""The page that shows a render while it goes on: what all its readers are sent, and its server."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from rayanim.errors import RayanimError
from rayanim.player import media_type
from rayanim.preview.pages import PageHandler, PageServer

if TYPE_CHECKING:
    from rayanim.preview.playing import Playing
    from rayanim.video.encode import EncodedSegment

NEWS_S = 1.0
"""After so many seconds without news an empty message shows whether the page is still there."""

LEFT_S = 3.0
"""So long no page must be open until the last one counts as closed: it may be loaded anew."""

FLUSH_S = 2.0
"""So long the last news may take to all pages."""

BLOCK_BYTES = 2**20
"""Of a video that is sent so much is in memory."""


class WatchedRender:
    """What pages show of a render; for many threads, none of which waits for a page.

    What knows of the render sets `shown` and the other attributes with `changed` held, and
    calls `notify`. `version` is raised when all is drawn anew.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 0
        self.shown: dict[str, Any] = {"state": "starting"}
        self.stored: list[tuple[int, int, int]] = []
        """Index, start and stop of each finished segment."""
        self.playing: Playing | None = None
        self.read_segment: Callable[[int], EncodedSegment] | None = None
        self.video: Path | None = None
        """The finished file."""
        self.is_closed = False
        self._serial = 0
        self._pages = 0
        self._left_s: float | None = None

    def notify(self) -> None:
        """Something has changed."""
        self._serial += 1
        self.changed.notify_all()

    def now(self) -> dict[str, Any]:
        """What pages are sent, segments aside."""
        return self.shown

    def since(self, version: int, known: int) -> dict[str, Any]:
        """What is new for somebody who knows so many segments of a version."""
        known = known if self.version == version else 0
        return {
            **self.now(),
            "version": self.version,
            "segments": self.stored[known:],
            "is_over": self.is_closed,
        }

    # ---- for pages, each in a thread

    def news(self) -> Iterator[dict[str, Any] | None]:
        """What one page is sent, until it is closed or all is over; None where nothing is new.

        A page that is slow gets what is true when it has time.
        """
        serial, version, known = -1, -1, 0
        with self.changed:
            self._pages += 1
            self.changed.notify_all()
        try:
            is_over = False
            while not is_over:
                with self.changed:
                    if self._serial == serial and not self.is_closed:
                        self.changed.wait(NEWS_S)
                    is_over, found = self.is_closed, None
                    if serial != self._serial or is_over:
                        serial, found = self._serial, self.since(version, known)
                        version, known = self.version, len(self.stored)
                yield found
        finally:
            with self.changed:
                self._pages -= 1
                self._left_s = time.monotonic()
                self.changed.notify_all()

    def segment(self, index: int, version: int) -> tuple[bytes, str] | None:
        """A finished segment as a file for a browser, and its kind; None where it is gone."""
        with self.changed:
            read, playing = self.read_segment, self.playing
            if version != self.version or read is None or playing is None:
                return None
        return playing.file_of(read, index)

    # ---- for the command

    def wait_for_page(self, until_s: float) -> bool:
        """Whether a page is open; the first one may come until then, by the monotonic clock."""
        with self.changed:
            while not self._pages and self._left_s is None and time.monotonic() < until_s:
                self.changed.wait(until_s - time.monotonic())
            return self._pages > 0

    def wait_until_left(self) -> None:
        """Wait until no page is open any more."""
        with self.changed:
            while self._pages or (
                self._left_s is not None and time.monotonic() < self._left_s + LEFT_S
            ):
                self.changed.wait(LEFT_S / 10)

    def close(self) -> None:
        """Send the last news, and no more."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self._pages, FLUSH_S)


class WatchServer(PageServer):
    """Serves the page of one render."""

    def __init__(self, watched: WatchedRender, title: str, port: int = 0) -> None:
        self.watched = watched
        self._thread: threading.Thread | None = None
        super().__init__(_WatchHandler, "watch.html", title, port)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def server_close(self) -> None:
        """Send the last news first."""
        if self._thread is not None:
            self.watched.close()
            self.shutdown()
        super().server_close()


class _WatchHandler(PageHandler):
    server: WatchServer

    def answer(self, path: str, url: SplitResult) -> None:
        segment = re.fullmatch(r"segment/(\d{1,9})/(\d{1,9})", path)
        if path == "news":
            self.send_news(self.server.watched.news())
        elif path == "video":
            self._send_video(self.server.watched.video)
        elif path == "starts":
            self._send_starts(self.server.watched.video)
        elif segment is not None:
            found = self.server.watched.segment(int(segment[2]), int(segment[1]))
            self.send(404) if found is None else self.send(200, *found)
        else:
            self.send(404)

    def _send_starts(self, path: Path | None) -> None:
        """Send when each frame of the finished video begins, in seconds."""
        from rayanim.video.formats import frame_times

        try:
            times_s = frame_times(path)[1] if path is not None else []
        except RayanimError:  # no video, or moved away
            times_s = []
        if times_s:
            self.send(200, json.dumps(times_s).encode(), "application/json")
        else:
            self.send(404)

    def _send_video(self, path: Path | None) -> None:
        """Send the finished video, or the part that is asked for, block by block."""
        try:
            file = path.open("rb") if path is not None else None
        except OSError:  # moved away by the script, or by somebody else
            file = None
        if path is None or file is None:
            self.send(404)
            return
        with file:
            size_bytes = path.stat().st_size
            asked = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            stop = min(int(asked[2]) + 1 if asked and asked[2] else size_bytes, size_bytes)
            if start >= stop:
                self.send(416)
                return
            part = ("Content-Range", f"bytes {start}-{stop - 1}/{size_bytes}")
            headers = (("Accept-Ranges", "bytes"), *((part,) if asked else ()))
            kind = media_type(path) or "application/octet-stream"
            self.send_head(206 if asked else 200, stop - start, kind, *headers)
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK_BYTES, stop - start))):
                self.wfile.write(block)
                start += len(block)
