"""Cuts a video into segments.

PURE. The cut depends on the number of frames and on settings, never on speed or
on how many actors run.

Closed segments
---------------
A segment that is encoded by itself begins with a keyframe, so every cut costs
one. `closed_lengths` therefore cuts long videos where libx264 and libx265 would
put a keyframe anyway, after `GOP_FRAMES`, which costs next to nothing; short
ones into `SHORT_VIDEO_SEGMENTS`, so that as many actors have work; but nothing
shorter than `SHORTEST_FRAMES`, below which a video is hardly more than
keyframes. ``benchmarks/segment_sizes.py`` holds the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rayanim.parameters import Batch, Feed

GOP_FRAMES = 250
"""Frames from one keyframe to the next: the default of libx264 and libx265."""

SHORT_VIDEO_SEGMENTS = 16
"""Segments of a video that is too short for `GOP_FRAMES` in each."""

SHORTEST_FRAMES = 8
"""Frames of a closed segment at least, unless the video has fewer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment stands in the video, without its parameters."""

    index: int
    start: int
    stop: int
    batch_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames that one actor draws in one go."""

    index: int
    start: int
    stop: int
    batch: Batch

    def __len__(self) -> int:
        return self.stop - self.start

    def place(self, batch_digest: str | None = None) -> Place:
        """Where the segment stands."""
        return Place(self.index, self.start, self.stop, batch_digest)

    @property
    def label(self) -> str:
        """The frames as the user counts them, for messages."""
        first, last = self.batch.numbers[0], self.batch.numbers[-1]
        return f"frame {first}" if first == last else f"frames {first} to {last}"


def lengths(n_frames: int | None, segment_frames: int, tail_segments: int) -> Iterator[int]:
    """How many frames each segment has, without end where `n_frames` is None.

    Towards the end segments shrink to a `tail_segments`-th of what is left, so
    that all actors finish together: guided self-scheduling (Polychronopoulos
    and Kuck, IEEE Transactions on Computers C-36, 1987).
    """
    left = n_frames
    while left is None or left > 0:
        length = segment_frames
        if left is not None:
            length = min(segment_frames, max(1, -(-left // tail_segments)))
            left -= length
        yield length


def closed_lengths(n_frames: int | None, longest: int | None = None) -> Iterator[int]:
    """How many frames each closed segment has, without end where `n_frames` is None.

    Lengths differ by one at most. Where the end is unknown they grow with the
    number of frames so far: the video is no short one any more.
    """
    if n_frames is None:
        yield from _growing_lengths(longest or GOP_FRAMES)
        return
    if longest is None:
        by_gop = -(-n_frames // GOP_FRAMES)
        count = max(by_gop, min(SHORT_VIDEO_SEGMENTS, -(-n_frames // SHORTEST_FRAMES)))
    else:
        count = -(-n_frames // longest)
    for index in range(count):
        yield (index + 1) * n_frames // count - index * n_frames // count


def _growing_lengths(longest: int) -> Iterator[int]:
    done = 0
    while True:
        length = min(longest, max(SHORTEST_FRAMES, done // SHORT_VIDEO_SEGMENTS))
        yield length
        done += length


def cut(
    feed: Feed, segment_frames: int, tail_segments: int = 1, *, index: int = 0, start: int = 0
) -> Iterator[Segment]:
    """Segments of what `feed` still holds, pulled one by one."""
    left = None if feed.n_frames is None else feed.n_frames - start
    sizes = lengths(left, segment_frames, tail_segments)
    yield from follow(feed, sizes, index=index, start=start)


def follow(
    feed: Feed, sizes: Iterable[int], *, index: int = 0, start: int = 0
) -> Iterator[Segment]:
    """Segments of what `feed` still holds, of the given numbers of frames."""
    for length in sizes:
        batch = feed.take(length)
        if not len(batch):
            return
        yield Segment(index, start, start + len(batch), batch)
        index += 1
        start += len(batch)
