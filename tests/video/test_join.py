"""Videos that `Joiner` puts together, reopened."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from test_encode import NTSC, SIZE, TARGETS, numbered, spec_of, write
from test_segment import noise, segment_of
from video_reading import read_video

from rayanim.errors import EncodeError
from rayanim.video.encode import EncodedSegment, segment_spec
from rayanim.video.join import Joiner, without_note

LENGTHS = [(1,), (2,), (3,), (7,), (1, 1, 1, 2, 2), (7, 3, 2, 1), (1, 2, 3, 7), (19, 4, 31)]


def segments_of(spec, lengths):
    """Segments of numbered frames; the numbers go on from one to the next."""
    starts = itertools.accumulate(lengths, initial=0)
    return [
        segment_of(spec, numbered(spec, n, start))
        for n, start in zip(lengths, starts, strict=False)
    ]


def join(spec, segments, path: Path) -> Path:
    joiner = Joiner(spec, path)
    for segment in segments:
        joiner.add(segment)
    assert joiner.finish() == path.stat().st_size
    return path


@dataclass(frozen=True)
class Clock:
    """The times in a file: of the video, and of each packet in order."""

    video: tuple[Any, ...]
    shown: tuple[int, ...]
    decoded: tuple[int | None, ...]
    durations: tuple[int, ...]


def clock_of(path: Path) -> Clock:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        video = (container.start_time, container.duration, stream.start_time, stream.duration)
        return Clock(
            video=(*video, stream.time_base, stream.average_rate),
            shown=tuple(packet.pts for packet in packets),
            decoded=tuple(packet.dts for packet in packets),
            durations=tuple(packet.duration for packet in packets),
        )


def decoded(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_a_joined_video_is_its_segments_one_after_the_other(suffix, codec, lengths, tmp_path):
    """Count, order, size, rate, tags, times; decoding gives what each segment alone gives."""
    spec = spec_of(suffix, codec=codec)
    segments = segments_of(spec, lengths)
    path = join(spec, segments, tmp_path / "video.part")
    video = read_video(path)
    assert video.numbers == list(range(sum(lengths)))
    assert (video.size, video.rate) == (SIZE, NTSC)
    assert (video.primaries, video.transfer, video.matrix, video.range) == (1, 1, 1, 1)
    exact = [i / NTSC for i in range(sum(lengths))]
    if suffix in (".mp4", ".mov"):
        assert list(video.times_s) == exact
    else:
        # Matroska counts in milliseconds.
        half = Fraction(1, 2000)
        assert all(abs(time - t) <= half for time, t in zip(video.times_s, exact, strict=True))
    alone = [decoded(join(spec, [each], tmp_path / "alone")) for each in segments]
    assert decoded(path) == list(itertools.chain(*alone))


@pytest.mark.parametrize("lengths", [(3,), (7, 3, 2, 1), (1, 2, 3, 7), (19, 4, 31)], ids=str)
@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_times_are_those_of_one_encoder(suffix, codec, lengths, tmp_path):
    """Start, duration and every packet's length; decoding goes forward, and is never late."""
    spec = spec_of(suffix, codec=codec)
    joined = clock_of(join(spec, segments_of(spec, lengths), tmp_path / "joined"))
    whole = clock_of(write(segment_spec(spec), tmp_path / "whole", numbered(spec, sum(lengths))))
    assert joined.video == whole.video
    assert sorted(joined.shown) == sorted(whole.shown)
    assert sorted(joined.durations) == sorted(whole.durations)
    times = [time for time in joined.decoded if time is not None]
    assert all(early < late for early, late in itertools.pairwise(times))
    assert all(d is None or d <= p for d, p in zip(joined.decoded, joined.shown, strict=True))


@pytest.mark.parametrize("count", [1, 2, 3, 40])
@pytest.mark.parametrize(("suffix", "codec"), [case for case in TARGETS if case[0] == ".mkv"])
def test_a_video_of_one_segment_is_that_of_one_encoder(suffix, codec, count, tmp_path):
    """Byte for byte: the packets, the header and the times are all as FFmpeg gives them."""
    spec = spec_of(suffix, codec=codec)
    joined = join(spec, segments_of(spec, (count,)), tmp_path / "joined")
    whole = write(segment_spec(spec), tmp_path / "whole", numbered(spec, count))
    assert joined.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("preset", ["ultrafast", "superfast", "veryslow"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_every_preset_s_frames_are_decoded_in_time(codec, preset, tmp_path):
    """With no B-frames or with many, the start is that of one encoder."""
    spec = spec_of(codec=codec, preset=preset)
    joined = clock_of(join(spec, segments_of(spec, (20, 21)), tmp_path / "joined"))
    whole = clock_of(write(segment_spec(spec), tmp_path / "whole", numbered(spec, 41)))
    assert joined.video == whole.video
    assert joined.decoded == whole.decoded
    assert read_video(tmp_path / "joined").numbers == list(range(41))


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"),
    [
        (".mp4", "h264", "yuv444p10le"),
        (".mp4", "h264", "gray"),
        (".mp4", "h265", "gbrp"),
        (".mp4", "h265", "yuv422p10le"),
        (".webm", "vp9", "yuv444p"),
        (".webm", "vp9", "gbrp"),
        (".webm", "av1", "yuv420p10le"),
    ],
)
def test_pixel_formats_are_kept(suffix, codec, pixel_format, tmp_path):
    """Each has its own profile in the header, which serves all segments."""
    spec = spec_of(suffix, codec=codec, pixel_format=pixel_format, size=(66, 50))
    video = read_video(join(spec, segments_of(spec, (4, 1, 5)), tmp_path / "video"))
    assert video.numbers == list(range(10))
    assert video.range == (2 if pixel_format in ("gray", "gbrp") else 1)


@pytest.mark.parametrize("rate", [Fraction(1), Fraction(2997, 125), Fraction(1000)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rates_are_exact(suffix, rate, tmp_path):
    """The rate is the fraction that was asked for, not the nearest of a list."""
    spec = spec_of(suffix, rate=rate)
    video = read_video(join(spec, segments_of(spec, (3, 4)), tmp_path / "video"))
    assert video.rate == rate
    assert list(video.times_s) == [i / rate for i in range(7)]


@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_a_video_can_be_sought_at_every_join(suffix, codec, tmp_path):
    """Decoding may begin at each segment, and gives its frames."""
    spec = spec_of(suffix, codec=codec)
    lengths = (9, 8, 10)
    path = join(spec, segments_of(spec, lengths), tmp_path / "video")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for start in (17, 9, 0):
            # A millisecond later, because Matroska's times are rounded.
            offset = int((start / NTSC + Fraction(1, 1000)) / stream.time_base)
            container.seek(offset, stream=stream)
            frame = next(container.decode(stream))
            assert round(frame.pts * stream.time_base * NTSC) == start


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("h265", "hvc1")])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_index_and_tags_are_those_that_players_want(suffix, codec, tag, tmp_path):
    """The index stands before the frames, under the tag that QuickTime opens."""
    spec = spec_of(suffix, codec=codec)
    path = join(spec, segments_of(spec, (3, 2)), tmp_path / "video")
    assert read_video(path).codec_tag == tag
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_only_the_first_segment_keeps_libx264_s_note(tmp_path):
    """The list of its settings, 700 bytes, stands in the video once."""
    spec = spec_of(".mkv")
    segments = segments_of(spec, (5, 5, 5))
    notes = [segment.packets[0].data.count(b"x264 - core") for segment in segments]
    assert notes == [1, 1, 1]
    content = join(spec, segments, tmp_path / "video").read_bytes()
    assert content.count(b"x264 - core") == 1


def test_a_packet_without_a_note_stays_as_it_is():
    """Only a leading unit of type 6, supplemental information, is left out."""
    picture = b"\0\0\1\x65\x88\x84"
    assert without_note(picture) == picture
    assert without_note(b"\0\0\0" + picture[2:]) == b"\0\0\0" + picture[2:]
    assert without_note(b"\0\0\1\x06\x05\xff\x80" + picture) == picture


def segment(spec, n=4):
    return segment_of(spec, numbered(spec, n))


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_a_segment_of_another_video_is_refused(codec, tmp_path):
    """Its header differs; what was joined before stays."""
    spec = spec_of(codec=codec)
    stranger = segment(spec_of(codec=codec, size=(128, 96)))
    joiner = Joiner(spec, tmp_path / "video")
    joiner.add(segment(spec))
    with pytest.raises(EncodeError, match=r"cannot follow frame 4: its header of \d+ bytes is not"):
        joiner.add(stranger)
    joiner.add(segment_of(spec, numbered(spec, 2, 4)))
    joiner.finish()
    assert read_video(tmp_path / "video").numbers == list(range(6))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda s: replace(s, packets=s.packets[:-1]), "3 packets are not those of 4 frames"),
        (lambda s: replace(s, n_frames=5), "4 packets are not those of 5 frames"),
        (lambda s: replace(s, packets=s.packets[:3] + s.packets[:1]), "are not those of 4"),
        (lambda s: replace(s, packets=()), "0 packets"),
        (lambda s: EncodedSegment(0, s.header, ()), "0 packets"),
        (lambda s: replace(s, packets=s.packets[::-1]), "decoding cannot start"),
        (
            lambda s: replace(
                s, packets=(replace(s.packets[0], is_keyframe=False), *s.packets[1:])
            ),
            "decoding cannot start",
        ),
    ],
    ids=["cut", "too long", "twice", "empty", "none", "backwards", "no keyframe"],
)
def test_packets_that_are_no_whole_segment_are_refused(spoil, reason, tmp_path):
    """A frame too few, too many or in the wrong place does not get into the video."""
    spec = spec_of()
    joiner = Joiner(spec, tmp_path / "video")
    with pytest.raises(EncodeError, match=f"cannot follow frame 0: .*{reason}"):
        joiner.add(spoil(segment(spec)))
    joiner.add(segment(spec))
    joiner.finish()
    assert read_video(tmp_path / "video").numbers == [0, 1, 2, 3]


def test_a_frame_decoded_too_late_is_refused(tmp_path):
    """Frames out of order belong to codecs that have them."""
    spec = spec_of(preset="ultrafast")
    first, second, third, fourth = segment(spec).packets
    late = replace(segment(spec), packets=(first, third, second, fourth))
    joiner = Joiner(spec, tmp_path / "video")
    with pytest.raises(EncodeError, match="shown more than 0 frames before it is decoded"):
        joiner.add(late)
    joiner.abort()


def test_video_without_segments_is_an_error(tmp_path):
    """No container plays without a frame, so none is left."""
    joiner = Joiner(spec_of(), tmp_path / "video")
    with pytest.raises(EncodeError, match="no frame"):
        joiner.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("frames", [0, 3, 80])
def test_abort_leaves_nothing(suffix, frames, tmp_path):
    """Given up before or after the first packet, the file is gone; again does nothing."""
    spec = spec_of(suffix)
    joiner = Joiner(spec, tmp_path / "video")
    if frames:
        joiner.add(segment(spec, frames))
    joiner.abort()
    joiner.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EncodeError, match="closed already"):
        joiner.add(segment(spec))


def test_abort_after_finish_keeps_the_video(tmp_path):
    """A finished video is not given up any more."""
    spec = spec_of()
    joiner = Joiner(spec, tmp_path / "video")
    joiner.add(segment(spec, 2))
    joiner.finish()
    joiner.abort()
    assert read_video(tmp_path / "video").numbers == [0, 1]
    with pytest.raises(EncodeError, match="closed already"):
        joiner.finish()


def test_joining_in_memory_writes_no_file(tmp_path, monkeypatch):
    """A specification can be tried without a path."""
    monkeypatch.chdir(tmp_path)
    joiner = Joiner(spec_of(), None)
    joiner.add(segment(spec_of()))
    assert joiner.finish() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_reported_at_once(tmp_path):
    """The file is opened with the joiner, not with its first segment."""
    with pytest.raises(EncodeError, match=r"no/video.*No such file"):
        Joiner(spec_of(), tmp_path / "no" / "video")


def test_videos_that_cannot_be_joined_leave_no_file(tmp_path):
    """The joiner raises the reason before it opens anything."""
    with pytest.raises(EncodeError, match="bit rate"):
        Joiner(spec_of(bitrate=200), tmp_path / "video")
    assert list(tmp_path.iterdir()) == []


def packets() -> set[int]:
    """What there is of segments and packets, by identity."""
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, av.Packet | EncodedSegment)}


def test_no_packet_is_kept(tmp_path):
    """Memory does not grow with the video: nothing of a segment is left once it was added."""
    spec = spec_of(".mkv")
    before = packets()
    joiner = Joiner(spec, tmp_path / "video")
    joiner.add(segment_of(spec, noise(spec, 5)))
    kept = packets() - before
    joiner.abort()
    assert kept == set()


FULL_DISK_WHILE_JOINING = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
sys.path.insert(0, {video!r})
from pathlib import Path
from test_segment import noise, segment_of
from test_encode import spec_of
from rayanim.errors import EncodeError
from rayanim.video.join import Joiner
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
spec = spec_of({suffix!r}, crf=1)
segment = segment_of(spec, noise(spec, 8))
path = Path({folder!r}) / "video"
joiner = Joiner(spec, path)
errors = []
for action in [lambda: joiner.add(segment)] * {segments} + [joiner.finish]:
    try:
        action()
    except EncodeError as error:
        errors.append(error)
assert errors and all(error is errors[0] for error in errors), errors
assert not path.exists()
print(errors[0])
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("segments", "limit"), [(9, 60_000), (1, 5_000)], ids=["early", "end"])
def test_a_full_disk_is_reported_and_leaves_nothing(suffix, segments, limit, tmp_path):
    """Whether the disk fills in mid-video or at its end, the first error stays the error."""
    here = Path(__file__).parent
    script = FULL_DISK_WHILE_JOINING.format(
        tests=str(here.parent),
        video=str(here),
        suffix=suffix,
        folder=str(tmp_path),
        segments=segments,
        limit=limit,
    )
    child = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=here.parents[1],
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert "disk is full" in child.stdout
    assert str(tmp_path / "video") in child.stdout
