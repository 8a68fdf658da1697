"""Cuts a video into segments, and segments into chunks.

PURE. A segment is what one encoder run produces. Where segments begin and end
depends on the number of frames and on settings alone, so the video's bytes do
not depend on who draws what. A chunk is what is drawn in one go: any length,
as long as no chunk reaches over the end of a segment.

An encoder begins with a keyframe, so every cut between segments costs one.
Segments are therefore as long as the distance at which the encoder would put a
keyframe anyway; ``benchmarks/segment_sizes.py`` holds the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rayanim.parameters import Batch, Feed, PushedBack
from rayanim.video.spec import KEYFRAME_DISTANCE, segment_lengths

if TYPE_CHECKING:
    from rayanim.storage.fingerprint import FramesDigest

ENDLESS = sys.maxsize
"""Where a segment stops that goes on to the video's end."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Where the frames of one encoder run stand in the video."""

    index: int
    start: int
    stop: int
    batch_digest: str | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def segment_index(self) -> int:
        """The segment's own index, as events need it."""
        return self.index


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames that are drawn in one go; with `encodes` they are a whole segment, encoded at once.

    `index` counts the chunks of a video.
    """

    index: int
    start: int
    stop: int
    batch: Batch
    segment: Segment = Segment(0, 0, ENDLESS)
    encodes: bool = False

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def segment_index(self) -> int:
        """Index of the segment that the frames belong to."""
        return self.segment.index

    @property
    def label(self) -> str:
        """The frames as the user counts them, for messages."""
        first, last = self.batch.numbers[0], self.batch.numbers[-1]
        return f"frame {first}" if first == last else f"frames {first} to {last}"


class SegmentPlan:
    """The segments of a video, from which chunks are taken in order.

    `longest` is the most frames of a segment, None where one encoder makes the
    whole video.
    """

    def __init__(self, feed: Feed, longest: int | None = KEYFRAME_DISTANCE) -> None:
        self._feed = feed
        n_frames = feed.n_frames
        self._lengths = iter((ENDLESS,)) if longest is None else segment_lengths(n_frames, longest)
        self._n_frames = n_frames
        self._n_segments = 1
        if longest is not None and n_frames is not None:
            self._n_segments = sum(1 for _ in segment_lengths(n_frames, longest))
        self.segment_frames = longest or ENDLESS
        """Frames of a segment at most."""
        self._segment = Segment(-1, 0, 0)
        self.next_frame = 0
        """Position in the video of the frame that comes next."""
        self.n_chunks = 0
        """Chunks that were taken."""
        self._is_cut = longest is not None
        # Of segments that are drawn in several chunks, until they are asked for; and what the one
        # of the last chunk was before it.
        self._digests: dict[int, FramesDigest] = {}
        self._before: FramesDigest | None = None
        self._has_file: Callable[[int], bool] = lambda index: False
        self._is_done: Callable[[Segment, Batch], bool] = lambda segment, batch: False

    def leave_out(
        self, has_file: Callable[[int], bool], is_done: Callable[[Segment, Batch], bool]
    ) -> None:
        """Leave out the segments that are finished; asked of those that have a file."""
        self._has_file, self._is_done = has_file, is_done

    @property
    def is_between(self) -> bool:
        """Whether the next chunk begins a segment."""
        return self.next_frame >= self._segment.stop

    @property
    def frames_left(self) -> int | None:
        """Frames that were not taken yet; None where the end is unknown."""
        return None if self._n_frames is None else self._n_frames - self.next_frame

    @property
    def segments_left(self) -> int | None:
        """Segments that were not begun yet; None where the end is unknown."""
        if self._n_frames is None:
            return None
        return self._n_segments - self._segment.index - 1

    @property
    def n_begun(self) -> int:
        """Segments of which there are frames so far, those included that were left out."""
        return self._segment.index + (self.next_frame > self._segment.start)

    def take(self, length: int | None) -> Chunk | None:
        """The next chunk, of so many frames at most; None at the video's end.

        With None, which goes between segments, it is a whole one for an actor to encode.
        """
        if self.is_between and not self._begin_segment():
            return None
        segment, left = self._segment, self._segment.stop - self.next_frame
        batch = self._feed.take(left if length is None else min(length, left))
        if not len(batch):
            return None
        if self._is_cut and length is not None:
            from rayanim.storage.fingerprint import FramesDigest

            self._before = self._digests.get(segment.index) or FramesDigest()
            digest = self._digests[segment.index] = self._before.copy()
            digest.add(batch.numbers, batch.params)
        start, self.next_frame = self.next_frame, self.next_frame + len(batch)
        self.n_chunks += 1
        return Chunk(self.n_chunks - 1, start, self.next_frame, batch, segment, length is None)

    def put_back(self, chunk: Chunk) -> None:
        """Undo the last `take`, which gave `chunk`."""
        self._feed = PushedBack(chunk.batch, self._feed)
        self.next_frame = chunk.start
        self.n_chunks -= 1
        if self._before is not None and self._is_cut and not chunk.encodes:
            self._digests[chunk.segment.index] = self._before

    def take_digest(self, index: int) -> str | None:
        """The digest of all frames of segment `index`, once; None where there is none."""
        digest = self._digests.pop(index, None)
        return None if digest is None else digest.text()

    def _begin_segment(self) -> bool:
        for length in self._lengths:
            begun = Segment(self._segment.index + 1, self.next_frame, self.next_frame + length)
            self._segment = begun
            if not self._has_file(begun.index):
                return True
            batch = self._feed.take(length)
            found = replace(begun, stop=begun.start + len(batch))
            if not len(batch) or not self._is_done(found, batch):
                self._feed = PushedBack(batch, self._feed)
                return True
            self.next_frame = found.stop
        return False
