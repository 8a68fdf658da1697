"""The in-process path: the same render step and the same encoder, without Ray.

It is also how every job begins: the first frames show the user's mistakes with
a clean traceback and measure what a frame costs.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.errors import ParametersError, ScriptError
from rayanim.farm.dispatch import Drawn
from rayanim.farm.job import Job, Tally
from rayanim.farm.plan import Segment
from rayanim.farm.render import (
    NO_TIME,
    Blueprint,
    Payload,
    SegmentRenderer,
    Timings,
    close_source,
    digest_of,
    measure_source,
    open_source,
)
from rayanim.feed import Batch

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

SAMPLE_S = 0.5
"""Seconds of drawing that tell what a frame costs."""

SAMPLE_FRAMES = 3
"""Frames that are drawn for it at least: the first one fills matplotlib's caches."""

ENCODER_QUEUE = 2
"""Segments that wait for the encoder's thread. At 1080p and eight frames a
segment that is 50 MB. It cannot deadlock: the thread waits for nobody."""


class InProcess:
    """Draws the frames of a job in this process.

    Opening the source, measuring its first frame and trying the encoder out
    happen here, so whatever is wrong with them is said before an actor starts.

    Parameters
    ----------
    job
        The job.
    tally
        Where drawing times are counted.

    Raises
    ------
    ScriptError
        If the user's code raises, or there is no frame.
    """

    def __init__(self, job: Job, tally: Tally) -> None:
        from rayanim.video.codecs import probe

        self._job = job
        self._tally = tally
        self._at = 0
        self._index = 0
        self._is_open = False
        self._ahead: Batch = job.feed.take(1)
        if not len(self._ahead):
            raise ParametersError(
                "There is nothing to render: the film has no frames. "
                "Give param_by_frame at least one entry."
            )
        first = self._ahead
        number = first.numbers[0]
        params = None if first.params is None else first.params[0]
        began = time.perf_counter()
        open_source(job.source, job.seed, None)
        self.open_s = time.perf_counter() - began
        self._first = first
        self._first_digest: bytes | None = None
        self._is_open = True
        try:
            self.geometry = measure_source(job.source, job.seed, number, params)
            self.spec: StreamSpec = job.make_spec(self.geometry)
            probe(self.spec)
        except BaseException:
            self.abandon()
            raise
        self._renderer = SegmentRenderer(job.source, self.spec, job.seed)
        self.sampled: Timings = NO_TIME

    @property
    def next_index(self) -> int:
        """Index of the segment that comes next."""
        return self._index

    @property
    def next_frame(self) -> int:
        """Position in the film of the frame that comes next."""
        return self._at

    def draw(self, count: int) -> Drawn[Payload] | None:
        """Draw the next frames, `count` at most; None at the film's end."""
        batch, self._ahead = self._ahead, Batch((), None)
        if not len(batch):
            batch = self._job.feed.take(count)
        if not len(batch):
            return None
        segment = Segment(self._index, self._at, self._at + len(batch), batch)
        payload, timings = self._renderer.render(segment)
        self._index += 1
        self._at = segment.stop
        self._tally.drawn(timings)
        if self._first_digest is None:
            self._first_digest = digest_of(payload[0])
        return Drawn(segment, payload)

    def blueprint(self) -> Blueprint:
        """What render actors need to draw the same frames; after the first was drawn."""
        return Blueprint(
            self.geometry,
            self.spec,
            self._job.seed,
            self._first,
            self._first_digest,
            self.open_s,
            self._renderer.difference is not None,
        )

    def sample(self) -> Iterator[Drawn[Payload]]:
        """Draw single frames until their cost is known."""
        began = time.perf_counter()
        first = self.draw(1)
        if first is not None:
            yield first
        before = self._tally.timings
        while time.perf_counter() - began < SAMPLE_S or self._at < SAMPLE_FRAMES:
            drawn = self.draw(1)
            if drawn is None:
                break
            yield drawn
            if time.perf_counter() - began > 4 * SAMPLE_S:
                break
        self.sampled = _since(self._tally.timings, before) or before

    def close(self) -> None:
        """Let go of the source in this process.

        Raises
        ------
        ScriptError
            If the user's ``finish()`` raises.
        """
        if self._is_open:
            self._is_open = False
            close_source(self._job.source)

    def abandon(self) -> None:
        """Let go of the source after a failure, whose error is the one to tell."""
        with contextlib.suppress(ScriptError):
            self.close()


def _since(now: Timings, before: Timings) -> Timings | None:
    """What was added, without the first frame; None where nothing was."""
    if now.frames == before.frames:
        return None
    return Timings(
        now.draw_s - before.draw_s, now.convert_s - before.convert_s, now.frames - before.frames
    )


class EncoderThread:
    """The encoder in a thread of this process, so that drawing and encoding overlap.

    FFmpeg releases Python's lock while it works.

    Parameters
    ----------
    spec
        The stream.
    path
        The file to write.
    tally
        Where what was encoded is counted.
    """

    def __init__(self, spec: StreamSpec, path: Path, tally: Tally) -> None:
        from rayanim.video.encoder import VideoEncoder

        self._encoder = VideoEncoder(spec, path)
        self._tally = tally
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rayanim-encoder")
        self._pending: deque[tuple[int, Future[float]]] = deque()
        self._began_s = time.perf_counter()

    @property
    def queued_frames(self) -> int:
        """Frames that wait for the encoder."""
        return sum(frames for frames, _ in self._pending)

    def put(self, payload: Payload) -> None:
        """Hand over a segment, after those before it.

        Raises
        ------
        EncodeError
            If an earlier one could not be encoded.
        """
        while len(self._pending) > ENCODER_QUEUE:
            self._settle()
        self._pending.append((len(payload), self._executor.submit(self._encode, payload)))
        while self._pending and self._pending[0][1].done():
            self._settle()

    def finish(self) -> int:
        """Encode what is left and close the file.

        Returns
        -------
        int
            Size of the file in bytes.
        """
        while self._pending:
            self._settle()
        began = time.perf_counter()
        file_bytes = self._executor.submit(self._encoder.finish).result()
        self._tally.encode_s += time.perf_counter() - began
        self._executor.shutdown()
        in_all_s = time.perf_counter() - self._began_s
        self._tally.wait_s = max(0.0, in_all_s - self._tally.encode_s)
        return file_bytes

    def abort(self) -> None:
        """Stop and remove the file."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._encoder.abort()

    def _encode(self, payload: Payload) -> float:
        began = time.perf_counter()
        self._encoder.encode(payload)
        return time.perf_counter() - began

    def _settle(self) -> None:
        frames, future = self._pending.popleft()
        self._tally.encoded(frames, future.result(), 0.0)
