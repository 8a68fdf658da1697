"""Encodes raw frames in a thread of this process, while it draws on."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.farm.job import Tally
from rayanim.farm.rendering.collectors import RawPayload

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

ENCODER_QUEUE = 2
"""Segments that wait for the encoder's thread. At 1080p and eight frames a
segment that is 50 MB. It cannot deadlock: the thread waits for nobody."""


class EncoderThread:
    """The film's one encoder, in a thread of its own.

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

    def put(self, payload: RawPayload) -> None:
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

    def _encode(self, payload: RawPayload) -> float:
        began = time.perf_counter()
        self._encoder.encode(payload)
        return time.perf_counter() - began

    def _settle(self) -> None:
        frames, future = self._pending.popleft()
        self._tally.encoded(frames, future.result(), 0.0)
