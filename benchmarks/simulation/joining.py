"""Measures what the encoder actor's work on a part takes: writing, reading back, joining, moving.

``PYTHONPATH=benchmarks python -m simulation.joining``
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from rayanim.settings import VideoSettings
from rayanim.storage.segments import SegmentFolder
from rayanim.storage.store import Store
from rayanim.video.codecs import make_spec
from rayanim.video.encode import EncodedSegment, SegmentEncoder
from rayanim.video.join import Joiner
from rayanim.video.spec import StreamSpec

FRAMES = 250
TURNS = 15


def segment_of(spec: StreamSpec, packet_bytes: int) -> EncodedSegment:
    """A segment whose packets are filled up to so many bytes: nothing decodes them here."""
    encoder = SegmentEncoder(spec)
    frame = np.zeros((1, spec.frame_bytes), np.uint8)
    for number in range(FRAMES):
        frame[0, 8 * number : 8 * number + 80] = 255
        encoder.encode(frame)
    segment = encoder.finish()
    filled = (
        replace(each, data=each.data.ljust(packet_bytes, b"\x55")) for each in segment.packets
    )
    return replace(segment, packets=tuple(filled))


def least_ms(work: Callable[[], object]) -> float:
    """Processor time: the least of several turns, as others use the machine."""
    taken_s = []
    for _ in range(TURNS):
        began_s = time.thread_time()
        work()
        taken_s.append(time.thread_time() - began_s)
    return 1000 * min(taken_s)


def line_of(spec: StreamSpec, packet_bytes: int) -> str:
    """What was measured with packets of so many bytes."""
    segment = segment_of(spec, packet_bytes)
    travelling = pickle.dumps(segment, 5)
    with tempfile.TemporaryDirectory() as folder:
        store = SegmentFolder(Store(), Path(folder), "video")
        joiner = Joiner(spec, Path(folder) / "video.mp4")
        take_ms = least_ms(lambda: pickle.loads(travelling))
        write_ms = least_ms(lambda: store.put(0, 0, None, segment))
        read_ms = least_ms(lambda: store.look_up(0))
        join_ms = least_ms(lambda: joiner.add(segment))
        began_s = time.thread_time()
        video_bytes = joiner.finish()
        move_ns = 1e9 * (time.thread_time() - began_s) / video_bytes
    return (
        f"{FRAMES} frames of {packet_bytes:>6,} bytes: taken {take_ms:.2f} ms, written "
        f"{write_ms:.2f} ms, read back {read_ms:.2f} ms, joined {join_ms:.2f} ms; the video "
        f"moved {move_ns:.2f} ns a byte"
    )


def main() -> None:
    """Print a line for each size of a frame."""
    spec = make_spec(".mp4", VideoSettings(), (160, 120), Fraction(30))
    for packet_bytes in (300, 1_000, 4_096, 16_384):
        print(line_of(spec, packet_bytes), flush=True)


if __name__ == "__main__":
    main()
