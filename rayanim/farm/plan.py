"""Cuts a film into segments.

PURE. The cut looks at the number of frames and at settings, never at who is
quick or how many actors run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rayanim.feed import Batch, Feed


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames that one actor draws in one go.

    Attributes
    ----------
    index
        0, 1, 2, ... along the film.
    start, stop
        Positions in the film, half-open.
    batch
        The frames' own numbers and parameters.
    """

    index: int
    start: int
    stop: int
    batch: Batch

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def label(self) -> str:
        """The frames as the user counts them, for messages."""
        first, last = self.batch.numbers[0], self.batch.numbers[-1]
        return f"frame {first}" if first == last else f"frames {first} to {last}"


def lengths(n_frames: int | None, segment_frames: int, tail_parts: int) -> Iterator[int]:
    """How many frames each segment has, without end where `n_frames` is None.

    Towards the end segments shrink to a `tail_parts`-th of what is left, so
    that all actors finish together: guided self-scheduling (Polychronopoulos
    and Kuck, IEEE Transactions on Computers C-36, 1987).

    Parameters
    ----------
    n_frames
        Frames to cut, None while that is unknown.
    segment_frames
        The most frames in one segment.
    tail_parts
        Into how many parts what is left is cut; 1 cuts evenly to the end.
    """
    left = n_frames
    while left is None or left > 0:
        length = segment_frames
        if left is not None:
            length = min(segment_frames, max(1, -(-left // tail_parts)))
            left -= length
        yield length


def cut(
    feed: Feed, segment_frames: int, tail_parts: int = 1, *, index: int = 0, start: int = 0
) -> Iterator[Segment]:
    """Segments of what `feed` still holds, pulled one by one.

    Parameters
    ----------
    feed
        The frames.
    segment_frames, tail_parts
        As in `lengths`.
    index, start
        Where the first segment stands, when others came before it.
    """
    left = None if feed.n_frames is None else feed.n_frames - start
    for length in lengths(left, segment_frames, tail_parts):
        batch = feed.take(length)
        if not len(batch):
            return
        yield Segment(index, start, start + len(batch), batch)
        index += 1
        start += len(batch)
