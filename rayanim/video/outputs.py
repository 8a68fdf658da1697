"""Several outputs of one run: each gets the frames that were drawn once, in its own encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rayanim.video.convert import Bytes
from rayanim.video.encode import EncodedSegment, check_frames
from rayanim.video.formats import (
    AnyJoiner,
    Path,
    SegmentsEncoder,
    file_encoder,
    joiner_of,
    segment_encoder,
)
from rayanim.video.spec import StreamSpec


class _Outputs:
    """Gives each output its part of the frames."""

    def __init__(self, spec: StreamSpec, encoders: list[Any]) -> None:
        self._spec = spec
        self.encoders = encoders
        first_sign = spec.frame_bytes - sum(each.frame is not None for each in spec.outputs)
        self._parts: list[tuple[Any, slice, int | None]] = []
        for encoder, each, place in zip(encoders, spec.outputs, spec.places, strict=True):
            sign = None
            if each.frame is not None:
                sign, first_sign = first_sign, first_sign + 1
            self._parts.append((encoder, place, sign))

    def encode(self, frames: Bytes) -> Iterator[tuple[int, Any]]:
        """Encode the next frames; the number of an output and what came of each."""
        check_frames(frames, self._spec)
        for packed in frames:
            for number, (encoder, place, sign) in enumerate(self._parts):
                if sign is None or packed[sign]:
                    yield number, encoder.encode(packed[None, place])

    def abort(self) -> None:
        for each in self.encoders:
            each.abort()


class OutputsSegmentEncoder:
    """Encodes one segment of each output: `encode` frames, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec, n_frames: int | None) -> None:
        encoders = [SegmentsEncoder(each, n_frames, segment_encoder) for each in spec.outputs]
        self._outputs = _Outputs(spec, encoders)
        self._ended: list[list[EncodedSegment]] = [[] for _ in spec.outputs]
        self._is_ping_pong = spec.is_ping_pong
        self._frames = 0

    def encode(self, frames: Bytes) -> None:
        for number, ended in self._outputs.encode(frames):
            self._ended[number] += ended
        self._frames += len(frames)

    def finish(self) -> EncodedSegment:
        """The segment, which holds those of all outputs."""
        for ended, each in zip(self._ended, self._outputs.encoders, strict=True):
            ended += each.finish()
        there = [[replace(each, back=None) for each in ended] for ended in self._ended]
        segment = EncodedSegment(self._frames, b"", (), outputs=tuple(map(tuple, there)))
        if not self._is_ping_pong:
            return segment
        back = [[each.back for each in reversed(ended) if each.back] for ended in self._ended]
        return replace(segment, back=replace(segment, outputs=tuple(map(tuple, back))))

    def abort(self) -> None:
        self._outputs.abort()


class OutputsJoiner:
    """Writes a file for each output: `add` segments in order, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec, *paths: Path) -> None:
        self._joiners: list[AnyJoiner] = _opened(spec, paths, joiner_of)

    def add(self, segment: EncodedSegment) -> None:
        """Write the next segment of each output."""
        for joiner, segments in zip(self._joiners, segment.outputs, strict=True):
            for each in segments:
                joiner.add(each)

    def turn(self) -> None:
        for each in self._joiners:
            each.turn()

    def finish(self) -> int:
        """Close the files, and return the bytes of all."""
        return sum(each.finish() for each in self._joiners)

    def abort(self) -> None:
        for each in self._joiners:
            each.abort()


class OutputsEncoder:
    """Writes a whole file for each output: `encode` frames, then `finish` or `abort`."""

    def __init__(self, spec: StreamSpec, *paths: Path, cuts: bool, n_frames: int | None) -> None:
        open_encoder = functools.partial(file_encoder, cuts=cuts, n_frames=n_frames)
        self._outputs = _Outputs(spec, _opened(spec, paths, open_encoder))

    def encode(self, frames: Bytes) -> None:
        for _ in self._outputs.encode(frames):
            pass

    def finish(self) -> int:
        """Close the files, and return the bytes of all."""
        return sum(each.finish() for each in self._outputs.encoders)

    def abort(self) -> None:
        self._outputs.abort()


def _opened(
    spec: StreamSpec, paths: tuple[Path, ...], open_one: Callable[[StreamSpec, Path], Any]
) -> list[Any]:
    """One for each output, with its path; None keeps all of them in memory."""
    if paths == (None,):
        paths *= len(spec.outputs)
    pairs = list(zip(spec.outputs, paths, strict=True))
    found: list[Any] = []
    try:
        for each, path in pairs:
            found.append(open_one(each, path))
    except BaseException:
        for each in found:
            each.abort()
        raise
    return found
