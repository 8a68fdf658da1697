"""The live report of a render: a listener to a job's events, which pages show.

The engine's thread only notes what has happened. All else, reading segments and making files of
them for one, is done in threads of the page's server when a browser asks for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.engine.stats import Outcome, report_of
from rayanim.events import (
    ActorDied,
    ActorReleased,
    ChunkDrawn,
    ChunkSent,
    CopyDrawn,
    Event,
    JobFailed,
    JobFinished,
    JobStarted,
    Progressed,
    RayPassEnded,
    ScalingDecided,
    SegmentResumed,
    SegmentRetried,
    SegmentStored,
    VideoOpened,
)
from rayanim.player import media_type
from rayanim.preview.playing import playing_of
from rayanim.preview.watching import WatchedRender
from rayanim.progress.base import actors, count, duration, percent, size_text, three_digits
from rayanim.report import Report, plural
from rayanim.settings import PerformanceSettings
from rayanim.video.spec import gop_frames, segment_lengths

if TYPE_CHECKING:
    from rayanim.engine.stats import JobStats
    from rayanim.storage.segments import SegmentFolder
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger("rayanim")

EVERY_S = 0.25
"""The page is sent progress so often, and of a finished segment at once."""

MESSAGES_SHOWN = 20

ACTORS_SHOWN = 64
"""Actors of which the page is sent what they draw."""

SENT_AT_ONCE = (JobStarted, VideoOpened, SegmentStored, SegmentResumed, JobFailed)


class Spans:
    """Frames ``[start, stop)``, in order and joined where they touch."""

    def __init__(self) -> None:
        self.all: list[tuple[int, int]] = []

    def add(self, start: int, stop: int) -> None:
        """Add frames that may be there already."""
        at = end = bisect_left(self.all, start, key=lambda span: span[1])
        while end < len(self.all) and self.all[end][0] <= stop:
            start, stop = min(start, self.all[end][0]), max(stop, self.all[end][1])
            end += 1
        self.all[at:end] = [(start, stop)]

    def remove(self, start: int, stop: int) -> None:
        """Take frames out, if they are there."""
        both = (
            span
            for first, last in self.all
            for span in ((first, min(last, start)), (max(first, stop), last))
        )
        self.all = [(first, last) for first, last in both if first < last]


def _first_segment(event: VideoOpened) -> str:
    """What there is to wait for, while nothing can be played."""
    n_frames = next(segment_lengths(event.stats.total, gop_frames(event.spec)))
    return f"The first {plural(n_frames, 'frame')} are a segment, which plays when it is finished."


class LiveReport(WatchedRender):
    """What pages show of the jobs of one command, one after the other.

    Of jobs in several threads, that is the one that began first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._messages: deque[str] = deque(maxlen=MESSAGES_SHOWN)
        self._due_s = 0.0
        self._is_broken = False
        self._thread: int | None = None
        self._is_running = False
        self._output = ""
        self._begin()

    def _begin(self) -> None:
        """Nothing is drawn yet, or no more."""
        self.version += 1
        self.stored, self.playing, self.read_segment = [], None, None
        self.store: SegmentFolder | None = None
        self._spec: StreamSpec | None = None
        self._stats: JobStats | None = None
        self._drawn = Spans()
        # What each actor was given and has not drawn yet.
        self._sent: dict[int, list[tuple[int, int]]] = {}
        self._progressed = Progressed()
        self._scaling = ""

    # ---- in the engine's thread

    def apply(self, event: Event) -> None:
        """Note it. Whatever goes wrong here ends what the page shows, and not the job."""
        if not self._is_of_the_job(event):
            return
        with self._kept_from_the_job(), self.changed:
            self._take(event)
            if event.message:
                self._messages.append(event.message)
            if isinstance(event, SENT_AT_ONCE) or time.monotonic() >= self._due_s:
                self._due_s = time.monotonic() + EVERY_S
                self.shown |= self._report()
                self.notify()

    def _is_of_the_job(self, event: Event) -> bool:
        """Whether it is an event of the job that is shown, which it may begin or end."""
        thread = threading.get_ident()
        if isinstance(event, JobStarted) and not self._is_running:
            self._thread, self._is_running = thread, True
        if self._thread != thread:
            return False
        self._is_running = not isinstance(event, JobFinished | JobFailed)
        return not self._is_broken

    @contextlib.contextmanager
    def _kept_from_the_job(self) -> Iterator[None]:
        """An error of ours ends what pages show; the video must not suffer from it."""
        try:
            yield
        except Exception:
            self._is_broken = True
            _logger.debug("The page shows no more than this.", exc_info=True)

    def _take(self, event: Event) -> None:
        match event:
            case JobStarted():
                self._begin()
                self._messages.clear()
                self._output, self.video = event.output, None
                self.shown = {"state": "starting", "output": event.output}
            case VideoOpened():
                self._begin()
                self._open(event)
            case SegmentStored() | SegmentResumed():
                self.stored.append((event.segment, event.start, event.stop))
                self._drawn.remove(event.start, event.stop)
                self._forget_sent(event.start, event.stop)
            case ChunkSent():
                self._sent.setdefault(event.actor, []).append((event.start, event.stop))
            case ChunkDrawn() | CopyDrawn():
                if isinstance(event, ChunkDrawn):
                    self._drawn.add(event.start, event.stop)
                if event.actor is not None:
                    with contextlib.suppress(KeyError, ValueError):
                        self._sent[event.actor].remove((event.start, event.stop))
            case SegmentRetried():
                self._drawn.remove(event.start, event.stop)
            case ActorDied() | ActorReleased():
                self._sent.pop(event.actor, None)
            case RayPassEnded():
                self._sent.clear()
            case ScalingDecided():
                self._scaling = event.reason
            case Progressed():
                self._progressed = event
            case JobFailed():
                self._fail(event.text, is_stopped=event.error in ("Stopped", "KeyboardInterrupt"))

    def _open(self, event: VideoOpened) -> None:
        self._spec, self._stats = event.spec, event.stats
        self.playing, why_not = playing_of(event.spec)
        store = self.store = event.store
        if store is None:
            reason = event.stats.transport_reason
            why_not = f"One encoder makes the whole video ({reason}): it plays when it is finished."
            self.playing = None
        else:
            self.read_segment = lambda index: store.look_up(index)[1]
        spec = event.spec if self.playing is None else self.playing.spec
        self.shown |= {
            "state": "drawing",
            "rate": float(spec.rate),
            "is_even": spec.timing is None,
            "size": spec.size,
            "codec": f"{spec.codec} {spec.pixel_format}",
            "kind": None if self.playing is None else self.playing.kind,
            "why_not": why_not or _first_segment(event),
        }

    def _forget_sent(self, start: int, stop: int) -> None:
        """Actors may still draw what another one has drawn by now."""
        for actor, spans in self._sent.items():
            self._sent[actor] = [span for span in spans if span[1] <= start or stop <= span[0]]

    def _fail(self, text: str, *, is_stopped: bool) -> None:
        self._sent.clear()
        self.shown |= {"state": "stopped" if is_stopped else "failed", "error": text}

    def _report(self) -> dict[str, Any]:
        """The report of the job as it is now."""
        stats = self._stats
        if stats is None or self._spec is None:
            return {}
        state, engine = stats.state(self._progressed), stats.engine or "local"
        # The sizes of files are not known yet.
        spec = replace(self._spec, others=())
        outcome = Outcome(spec, 0, engine, "", PerformanceSettings(), stats)
        report = report_of(Path(self._output), outcome)
        stages = report.stages
        rates = {
            "Drawing": stages.draw_fps,
            "Conversion": stages.convert_fps,
            "Encoding": stages.encode_fps,
        }
        return {
            "done": state.done,
            "total": state.total,
            "share": percent(state),
            "elapsed_s": round(report.elapsed_s, 2),
            "facts": [
                ("Frames", count(state)),
                *([("Rate", f"{three_digits(state.fps)} frames/s")] if state.fps else []),
                *([("Left", duration(state.eta_s))] if state.eta_s is not None else []),
                *self._facts(report, actors(state), stats),
            ],
            "rates": [
                (name, f"{three_digits(fps)} frames/s") for name, fps in rates.items() if fps
            ],
            "bottleneck": report.binding_text if rates["Encoding"] else "",
        }

    def _facts(
        self, report: Report, actors: str | None, stats: JobStats
    ) -> Iterator[tuple[str, str]]:
        nodes = stats.fleet.now.nodes
        on_nodes = f" on {plural(nodes, 'node')}" if nodes > 1 else ""
        yield "Drawn", f"by {actors}{on_nodes}" if actors else "in this process"
        if actors and self._scaling:
            yield "Reason", self._scaling
        yield "Queue", plural(self._progressed.queued_frames, "frame")
        if self.read_segment is not None:
            size = size_text(stats.written_bytes)
            yield "Finished", f"{plural(len(self.stored), 'segment')}, {size}"
        if report.resumed_frames:
            yield "Resumed", plural(report.resumed_frames, "frame")
        if report.audited_frames:
            yield "Audited", plural(report.audited_frames, "frame")

    # ---- for pages

    def now(self) -> dict[str, Any]:
        """What pages are sent, segments aside."""
        sent = [(actor, *spans[0]) for actor, spans in sorted(self._sent.items()) if spans]
        return {
            **self.shown,
            "messages": list(self._messages),
            "drawn": list(self._drawn.all),
            "drawing": sent[:ACTORS_SHOWN],
        }

    # ---- in the command's thread

    def finish(self, report: Report) -> None:
        """A job's video is at its target."""
        if self._is_broken or not report.rendered or self._thread != threading.get_ident():
            return
        with self._kept_from_the_job(), self.changed:
            # Not `files`, which leaves out those that are empty.
            outputs = [report.output, *(each.output for each in report.others)]
            output = outputs[0 if self.playing is None else self.playing.output]
            is_file = isinstance(output, Path) and output.is_file()
            self.video = Path(str(output)).absolute() if is_file else None
            self.shown |= {
                "state": "finished",
                "report": report.summary(),
                "output": str(output),
                "video": self.video and media_type(self.video),
            }
            self.notify()

    def fail(self, text: str, *, is_stopped: bool = False) -> None:
        """The script has failed, or was stopped."""
        with self.changed:
            self._fail(text, is_stopped=is_stopped)
            self.notify()
