"""A render by a submitted job, for pages: its driver writes news into the job's log, read here.

Finished segments lie on the driver's node, from which the cluster's dashboard serves them.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.errors import JobError
from rayanim.events import ROUTINE_BYTES
from rayanim.jobs.fetch import linked, unlink
from rayanim.player import media_type
from rayanim.preview.live_report import LiveReport
from rayanim.preview.playing import Playing
from rayanim.preview.watching import WatchedRender
from rayanim.storage.segments import segment_from_bytes, segment_name
from rayanim.video.spec import StreamSpec

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient
    from rayanim.video.encode import EncodedSegment

EVERY_S = 2.0
"""A line of news has some 1,000 characters, and stays in the job's log: up to the limit that
lines of an event log have."""

SEGMENTS_PER_LINE = 1000
"""Of a resumed job many segments are news at once; a line is then 30 kB long."""

ENDED = ("finished", "failed", "stopped")


class ForwardedReport(LiveReport):
    """The live report of a job's driver; `emit` writes news into the job's log."""

    def __init__(self, emit: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__()
        # The link by which the segments are served, and the version that they are of.
        self._linked: str | None = None
        self._linked_version = -1
        self._emit = emit
        self._emit_due_s = 0.0
        self._emitted = -1, 0
        self._emitted_bytes = 0

    def notify(self) -> None:
        """Emit what is new now and then, and the end at once."""
        super().notify()
        if self._linked_version != self.version or self.shown["state"] == "finished":
            self._unlink()
            self._linked_version = self.version
            if self.shown["state"] == "drawing":
                self._link()
        is_due = time.monotonic() >= self._emit_due_s and self._emitted_bytes < ROUTINE_BYTES
        if self.shown["state"] not in ENDED and not is_due:
            return
        self._emit_due_s = time.monotonic() + EVERY_S
        news = self.since(*self._emitted)
        if self._emitted[0] == self.version:
            news.pop("spec", None)  # it is long, and does not change
        segments = news["segments"]
        for at in range(0, max(1, len(segments)), SEGMENTS_PER_LINE):
            line = news | {"segments": segments[at : at + SEGMENTS_PER_LINE]}
            self._emitted_bytes += len(json.dumps(line))
            self._emit("watch", line)
            news.pop("spec", None)
        self._emitted = self.version, len(self.stored)

    def fail(self, text: str, *, is_stopped: bool = False) -> None:
        """The script has failed, or was stopped."""
        self._unlink()
        super().fail(text, is_stopped=is_stopped)

    def _unlink(self) -> None:
        name, self._linked = self._linked, None
        if name is not None:
            with contextlib.suppress(OSError):
                unlink(name)

    def _link(self) -> None:
        """Have the dashboard serve the segments, and the news say how they are played."""
        if self.playing is None or self.store is None or not isinstance(self.store.path, Path):
            return
        with contextlib.suppress(OSError):
            self._linked = linked(self.store.path.absolute())
        if self._linked is not None:
            self.shown |= {
                "segments_at": self._linked,
                "output_number": self.playing.output,
                "spec": values_of(self.playing.spec),
            }


def values_of(spec: StreamSpec) -> dict[str, Any]:
    """What of a stream is needed to play its segments, as JSON holds it."""
    values = asdict(spec) | {"rate": str(spec.rate), "others": (), "metadata": ()}
    return {name: value for name, value in values.items() if name not in ("timing", "tracks")}


def spec_of(values: dict[str, Any]) -> StreamSpec:
    """The inverse of `values_of`."""
    plain: dict[str, Any] = {
        name: tuple(tuple(each) if isinstance(each, list) else each for each in value)
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }
    plain["rate"] = Fraction(values["rate"])
    return StreamSpec(**plain)


class SubmittedRender(WatchedRender):
    """What pages show of a submitted job, from the news in its log."""

    def __init__(self, client: JobsClient, submission_id: str) -> None:
        super().__init__()
        self._client = client
        self._id = submission_id
        self.version = -1

    def take(self, news: dict[str, Any]) -> None:
        """Take in news of the driver's."""
        with self.changed:
            try:
                self._take(dict(news))
            except (KeyError, TypeError, ValueError):
                return  # no news of ours
            self.notify()

    def _take(self, news: dict[str, Any]) -> None:
        segments = [(int(index), int(start), int(stop)) for index, start, stop in news["segments"]]
        name, spec = news.pop("segments_at", None), news.pop("spec", None)
        at = news.pop("output_number", 0)
        if news["version"] != self.version:
            self.version, self.stored = int(news["version"]), []
            self.playing = self.read_segment = self.video = None
        self.stored += segments
        if (
            self.playing is None
            and name is not None
            and spec is not None
            and re.fullmatch(r"(?!\.)[\w.-]+", name)
        ):
            self.playing = Playing(int(at), spec_of(spec))
            self.read_segment = lambda index: self._segment(name, index)
        if self.playing is None and news.get("kind"):
            why_not = "The segments are where this page does not reach: there is only the report."
            news |= {"kind": None, "why_not": why_not}
        if news["state"] == "finished":
            news |= {"state": "fetching", "video": None}
        self.shown = news

    def _segment(self, name: str, index: int) -> EncodedSegment:
        node_id = self._client.job(self._id).node_id
        if node_id is None:
            raise JobError(f"Ray no longer knows which node has the segments of {self._id}.")
        data = b"".join(self._client.file(node_id, f"{name}/{segment_name(index)}"))
        return segment_from_bytes(data)[1]

    def finish(self, video: Path | None) -> None:
        """The job has made its video, which was brought here."""
        with self.changed:
            self.video = video
            self.shown |= {"state": "finished", "video": video and media_type(video)}
            self.notify()

    def fail(self, text: str, *, is_stopped: bool) -> None:
        """The job has ended without a video."""
        with self.changed:
            if self.shown["state"] not in ENDED:
                state = "stopped" if is_stopped else "failed"
                self.shown |= {"state": state, "error": text}
            self.notify()
