"""Segments that `SegmentEncoder` makes, before they are joined."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import weakref
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from test_encode import SIZE, numbered, spec_of

from rayanim.errors import EncodeError
from rayanim.video.encode import SegmentEncoder, reason_for, segment_spec, why_not_joinable

CODECS = ["h264", "h265", "vp9", "av1"]


def segment_of(spec, *batches):
    encoder = SegmentEncoder(spec)
    for packed in batches:
        encoder.encode(packed)
    return encoder.finish()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 31])
@pytest.mark.parametrize("codec", CODECS)
def test_one_packet_for_each_frame_and_the_first_is_a_keyframe(codec, count):
    """Hidden frames are inside the packets of shown ones, so packets can be counted."""
    segment = segment_of(spec_of(".mkv", codec=codec), numbered(spec_of(), count))
    assert segment.n_frames == len(segment.packets) == count
    assert sorted(packet.pts for packet in segment.packets) == list(range(count))
    assert segment.packets[0].is_keyframe
    assert segment.packets[0].pts == 0
    assert segment.data_bytes == sum(len(packet.data) for packet in segment.packets) > 0


@pytest.mark.parametrize("codec", CODECS)
def test_no_segment_up_to_250_frames_has_a_second_keyframe(codec):
    """What is cut at 250 frames has no more keyframes than one encoder's video."""
    spec = spec_of(".mkv", codec=codec)
    still = np.repeat(numbered(spec, 1), 250, axis=0)
    keyframes = [packet.is_keyframe for packet in segment_of(spec, still).packets]
    assert keyframes == [True] + [False] * 249


@pytest.mark.parametrize("codec", CODECS)
def test_all_segments_of_a_video_have_one_header(codec):
    """What stands once in the file serves every segment, however long it is."""
    spec = spec_of(codec=codec)
    headers = {segment_of(spec, numbered(spec, n, 5 * n)).header for n in (1, 2, 9)}
    assert len(headers) == 1


@pytest.mark.parametrize("codec", CODECS)
def test_calls_cut_frames_anywhere(codec):
    """The bytes depend on the frames, not on how many come in one call."""
    spec = spec_of(codec=codec)
    packed = numbered(spec, 12)
    none = packed[:0]
    assert segment_of(spec, packed) == segment_of(spec, packed[:5], none, packed[5:])


@pytest.mark.parametrize("codec", CODECS)
def test_segments_survive_pickling(codec):
    """Actors hand them to another process."""
    spec = spec_of(codec=codec)
    segment = segment_of(spec, numbered(spec, 5))
    again = pickle.loads(pickle.dumps(segment))
    assert again == segment
    with pytest.raises(FrozenInstanceError):
        again.n_frames = 6


CHILD = """
import hashlib, sys
sys.path.insert(0, {tests!r})
sys.path.insert(0, {video!r})
from test_encode import numbered, spec_of
from test_segment import CODECS, segment_of
for codec in CODECS:
    spec = spec_of(".mkv", codec=codec, size=(320, 240))
    segment = segment_of(spec, numbered(spec, 10), numbered(spec, 10, 77))
    print(hashlib.sha256(segment.header + b"".join(p.data for p in segment.packets)).hexdigest())
"""


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that finds these tests' modules, in a process of its own."""
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", script.format(tests=str(here.parent), video=str(here))],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=here.parents[1],
        timeout=60,
        check=False,
    )


def hashes(before: str = "", **environment: str) -> list[str]:
    """The SHA-256 of a segment of each codec, encoded by a process of its own."""
    child = run_script(before + CHILD, **environment)
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout.split()


ONE_CORE = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_bytes_depend_neither_on_cores_nor_on_what_memory_held():
    """Any actor on any machine with this processor encodes the same segment."""
    usual = hashes()
    assert len(set(usual)) == len(CODECS)
    assert hashes(ONE_CORE, MALLOC_PERTURB_="1") == usual


def test_bytes_do_not_depend_on_the_processor_s_instructions():
    """libvpx without its SIMD code, and the C library without its AVX2 and FMA code: no change."""
    older = {"VPX_SIMD_CAPS": "0", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"}
    assert hashes(**older) == hashes()


def test_threads_give_the_same_bytes_whoever_waits_for_whom():
    """libx264 encodes a segment in four threads: again and again, and fed in other batches."""
    spec = spec_of(".mkv", size=(320, 240))
    packed = noise(spec, 40)
    cuts = [[40], [1, 39], [20, 20], [13, 13, 14], [1] * 40]
    segments = []
    for lengths in cuts:
        ends = np.cumsum(lengths)[:-1]
        segments.append(segment_of(spec, *np.split(packed, ends)))
    assert all(segment == segments[0] for segment in segments)


@pytest.mark.parametrize("asm", ["0", "sse2"])
def test_libx264_gives_the_same_bytes_with_the_code_of_each_processor(asm):
    """Its asm option stands for the processor: what an older one would run."""
    spec = spec_of(".mkv", size=(320, 240))
    packed = noise(spec, 12)
    options = dict(spec.options)
    params = f"{options['x264-params']}:asm={asm}"
    older = replace(spec, options=tuple({**options, "x264-params": params}.items()))
    assert segment_of(older, packed).packets[1:] == segment_of(spec, packed).packets[1:]


def noise(spec, n):
    """Frames of moving grain, which bring out every shortcut of an encoder."""
    grain = np.random.default_rng(0).integers(60, 180, spec.frame_bytes, np.uint8)
    return np.stack([np.roll(grain, 3 * index) for index in range(n)])


@pytest.mark.parametrize("codec", CODECS)
def test_the_specification_of_segments_is_applied_once(codec):
    """Encoder and joiner may be given the video's or the segments' own."""
    spec = spec_of(codec=codec)
    fixed = segment_spec(spec)
    assert segment_spec(fixed) == fixed
    assert dict(fixed.options)["threads"] == ("4" if codec in ("h264", "vp9") else "1")
    assert segment_of(spec, numbered(spec, 4)) == segment_of(fixed, numbered(spec, 4))


@pytest.mark.parametrize(
    ("suffix", "settings", "reason"),
    [
        (".mp4", {"bitrate": 200}, "bit rate holds over the whole video"),
        (".webm", {"codec": "vp9", "pixel_format": "yuva420p"}, "transparency"),
    ],
)
def test_videos_that_cannot_be_joined_say_why(suffix, settings, reason):
    """They are refused before a frame is drawn."""
    spec = spec_of(suffix, **settings)
    assert reason in why_not_joinable(spec)
    with pytest.raises(EncodeError, match=f"in segments: .*{reason}"):
        SegmentEncoder(spec)


@pytest.mark.parametrize("codec", CODECS)
def test_videos_by_quality_can_be_joined(codec):
    """Each codec, with its defaults."""
    assert why_not_joinable(spec_of(codec=codec)) is None


def test_segment_without_frames_is_an_error():
    """Nothing could be joined."""
    encoder = SegmentEncoder(spec_of())
    with pytest.raises(EncodeError, match="no frame"):
        encoder.finish()


def test_refused_settings_are_reported_with_ffmpeg_s_message():
    """The message names the option, also when the same mistake is made again."""
    spec = replace(spec_of(), options=(("profile", "nonsense"),))
    for _ in range(2):
        with pytest.raises(EncodeError, match=r"libx264.*nonsense"):
            SegmentEncoder(spec)


def test_nothing_is_collected_while_ffmpeg_is_asked_for_a_reason():
    """A busy encoder that was collected then would wait for threads that wait to log."""
    freed_during = []

    def retry() -> None:
        cycle: list[object] = [Sentinel()]
        cycle.append(cycle)
        seen = weakref.ref(cycle[0])
        del cycle
        # Enough new objects for several collections.
        _new = [[] for _ in range(10_000)]
        freed_during.append(seen() is None)

    assert reason_for(ValueError("refused"), retry) == "refused"
    assert freed_during == [False]
    assert gc.isenabled()


class Sentinel:
    """Something that a weak reference can watch."""


def test_frames_of_another_shape_are_refused():
    """The message names what was got; the segment can continue."""
    spec = spec_of()
    encoder = SegmentEncoder(spec)
    with pytest.raises(EncodeError, match=r"shape \(n, 4608\), got uint8 of shape \(1, 7\)"):
        encoder.encode(np.zeros((1, 7), np.uint8))
    encoder.encode(numbered(spec, 2))
    assert encoder.finish().n_frames == 2


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_nothing_follows_the_end(end):
    """A closed encoder refuses calls, and `abort` has no effect."""
    spec = spec_of(size=SIZE)
    encoder = SegmentEncoder(spec)
    encoder.encode(numbered(spec, 3))
    getattr(encoder, end)()
    encoder.abort()
    for call in (lambda: encoder.encode(numbered(spec, 1)), encoder.finish):
        with pytest.raises(EncodeError, match="closed already"):
            call()


@pytest.mark.parametrize("codec", CODECS)
def test_codec_libraries_print_nothing(codec, capfd):
    """No library's greeting lands on the user's terminal, and the environment is as before."""
    before = dict(os.environ)
    segment_of(spec_of(codec=codec), numbered(spec_of(), 3))
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before
