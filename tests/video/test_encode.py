"""Files that `VideoEncoder` writes, reopened."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_reading import numbered_rgba, read_video, solid_rgba

from rayanim.errors import EncodeError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.convert import FrameConverter
from rayanim.video.encode import SegmentEncoder, VideoEncoder

SIZE = (64, 48)
NTSC = Fraction(30000, 1001)

TARGETS = [
    (".mp4", "h264"),
    (".mp4", "h265"),
    (".mp4", "av1"),
    (".mp4", "vp9"),
    (".mov", "h264"),
    (".mov", "h265"),
    (".mkv", "h264"),
    (".mkv", "h265"),
    (".mkv", "vp9"),
    (".mkv", "av1"),
    (".webm", "vp9"),
    (".webm", "av1"),
]

DECODERS = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": ("libdav1d", "av1", "libaom-av1")}


def spec_of(suffix=".mp4", size=SIZE, rate=NTSC, **settings):
    return make_spec(suffix, VideoSettings(**settings), size, rate)


def packed_of(spec, frames):
    """The frames converted and packed, (n, frame_bytes) uint8."""
    converter = FrameConverter(spec)
    packed = np.empty((len(frames), spec.frame_bytes), np.uint8)
    for rgba, out in zip(frames, packed, strict=True):
        converter.convert(rgba, out)
    return packed


def numbered(spec, n, start=0):
    return packed_of(spec, [numbered_rgba(spec.source_size, start + i) for i in range(n)])


def write(spec, path: Path, *batches) -> Path:
    encoder = VideoEncoder(spec, path)
    for packed in batches:
        encoder.encode(packed)
    assert encoder.finish() == path.stat().st_size
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def boxes(path: Path) -> list[str]:
    """The top-level boxes of an MP4 or QuickTime file (ISO/IEC 14496-12, 4.2), in order."""
    content, names, at = path.read_bytes(), [], 0
    while at < len(content):
        names.append(content[at + 4 : at + 8].decode())
        at += int.from_bytes(content[at : at + 4], "big")
    return names


@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_every_frame_is_there_once_in_order_with_size_rate_and_tags(suffix, codec, tmp_path):
    """Count, order, size, rate, timestamps and colour tags of each container and codec."""
    spec = spec_of(suffix, codec=codec)
    video = read_video(
        write(spec, tmp_path / "video.part", numbered(spec, 7), numbered(spec, 4, 7))
    )
    assert video.numbers == list(range(11))
    assert video.size == SIZE
    assert video.rate == NTSC
    assert video.codec in DECODERS[codec]
    assert (video.primaries, video.transfer, video.matrix, video.range) == (1, 1, 1, 1)
    exact = [i / NTSC for i in range(11)]
    if suffix in (".mp4", ".mov"):
        assert list(video.times_s) == exact
    else:
        # Matroska counts in milliseconds.
        assert [round(time * 1000) for time in video.times_s] == [round(t * 1000) for t in exact]


@pytest.mark.parametrize("rate", [Fraction(1), Fraction(24), Fraction(2997, 125), Fraction(1000)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rates_are_exact(suffix, rate, tmp_path):
    """The rate is the fraction that was asked for, not the nearest of a list."""
    spec = spec_of(suffix, rate=rate)
    video = read_video(write(spec, tmp_path / "video", numbered(spec, 6)))
    assert video.rate == rate
    assert list(video.times_s) == [i / rate for i in range(6)]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_the_shortest_videos_have_all_their_frames(codec, count, tmp_path):
    """Videos of fewer frames than an encoder looks ahead are whole and last long enough."""
    spec = spec_of(codec=codec)
    path = write(spec, tmp_path / "video", numbered(spec, count))
    assert read_video(path).numbers == list(range(count))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == count / NTSC


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"),
    [
        (".mp4", "h264", "yuv422p"),
        (".mp4", "h264", "yuv444p"),
        (".mp4", "h264", "yuv420p10le"),
        (".mp4", "h264", "yuv444p10le"),
        (".mp4", "h264", "gray"),
        (".mp4", "h265", "gray"),
        (".mp4", "h265", "gbrp"),
        (".mp4", "h265", "yuv422p10le"),
        (".webm", "vp9", "yuv444p"),
        (".webm", "vp9", "gbrp"),
        (".webm", "av1", "yuv420p10le"),
    ],
)
def test_pixel_formats_keep_order_and_colour(suffix, codec, pixel_format, tmp_path):
    """Each pixel format that an encoder takes comes back with its frames and its grey."""
    spec = spec_of(suffix, codec=codec, pixel_format=pixel_format, size=(66, 50))
    grey = packed_of(spec, [solid_rgba((66, 50), (128, 128, 128))])
    video = read_video(write(spec, tmp_path / "video", numbered(spec, 4), grey))
    assert video.numbers[:4] == [0, 1, 2, 3]
    assert np.abs(video.frames[4].astype(int) - 128).max() <= 2
    assert video.range == (2 if pixel_format in ("gray", "gbrp") else 1)


@pytest.mark.parametrize("colour", [(255, 0, 0), (128, 128, 128), (31, 119, 180)])
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "h264"), (".mov", "h265"), (".webm", "vp9"), (".mkv", "av1")]
)
def test_colours_come_back_within_two_levels(suffix, codec, colour, tmp_path):
    """Red, half grey and matplotlib's C0 look the same in the video as in the drawing."""
    spec = spec_of(suffix, codec=codec)
    video = read_video(write(spec, tmp_path / "video", packed_of(spec, [solid_rgba(SIZE, colour)])))
    assert np.abs(video.frames[0].astype(int) - colour).max() <= 2


@pytest.mark.parametrize(
    ("policy", "size"), [("pad", (66, 50)), ("crop", (64, 48)), ("scale", (66, 50))]
)
def test_odd_frames_are_written_under_every_policy(policy, size, tmp_path):
    """A video of odd frames has an even size and all its frames in order."""
    spec = spec_of(size=(65, 49), odd_size=policy)
    video = read_video(write(spec, tmp_path / "video", numbered(spec, 3)))
    assert video.size == size
    assert video.numbers == [0, 1, 2]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "h264"), (".mp4", "h265"), (".webm", "vp9")]
)
def test_odd_size_stays_odd_without_subsampling(suffix, codec, tmp_path):
    """4:4:4 videos have the size of the drawing."""
    spec = spec_of(suffix, size=(65, 49), codec=codec, pixel_format="yuv444p")
    video = read_video(write(spec, tmp_path / "video", numbered(spec, 3)))
    assert video.size == (65, 49)
    assert video.numbers == [0, 1, 2]


def test_transparency_is_laid_over_the_background(tmp_path):
    """Half a transparent red over blue is purple."""
    spec = spec_of(background="blue")
    half_red = packed_of(spec, [solid_rgba(SIZE, (255, 0, 0, 128))])
    video = read_video(write(spec, tmp_path / "video", half_red))
    assert np.abs(video.frames[0].astype(int) - (128, 0, 127)).max() <= 2


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_vp9_keeps_transparency(suffix, tmp_path):
    """The opacity is in the file, and libvpx reads it back."""
    spec = spec_of(suffix, codec="vp9", pixel_format="yuva420p")
    path = write(
        spec, tmp_path / "video", packed_of(spec, [solid_rgba(SIZE, (9, 200, 9, 100))] * 3)
    )
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as container:
        frames = [frame for packet in container.demux(video=0) for frame in decoder.decode(packet)]
    alpha = np.frombuffer(frames[0].planes[3], np.uint8)[: SIZE[0]]
    assert len(frames) == 3
    assert frames[0].format.name == "yuva420p"
    assert np.abs(alpha.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_index_stands_before_the_frames(suffix, tmp_path):
    """Browsers can start such a file before all of it has arrived."""
    spec = spec_of(suffix)
    order = boxes(write(spec, tmp_path / "video.part", numbered(spec, 5)))
    assert order.index("moov") < order.index("mdat")


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("h265", "hvc1")])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_codec_tags_are_those_that_players_open(suffix, codec, tag, tmp_path):
    """QuickTime plays H.265 only under hvc1."""
    spec = spec_of(suffix, codec=codec)
    assert read_video(write(spec, tmp_path / "video", numbered(spec, 3))).codec_tag == tag


@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_two_runs_write_the_same_bytes(suffix, codec, tmp_path):
    """No date, no random number and no thread's timing gets into the file."""
    spec = spec_of(suffix, codec=codec)
    packed = numbered(spec, 12)
    first = write(spec, tmp_path / "a.part", packed)
    second = write(spec, tmp_path / "b.part", packed[:5], packed[5:])
    assert sha256(first) == sha256(second)


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_bitrate_videos_are_the_same_bytes_too(codec, tmp_path):
    """Rate control by size is no less determined than by quality."""
    # SVT-AV1 takes no bit rate for frames smaller than 64x64.
    spec = spec_of(codec=codec, bitrate=200, size=(128, 96))
    packed = numbered(spec, 12)
    paths = [write(spec, tmp_path / name, packed) for name in "ab"]
    assert sha256(paths[0]) == sha256(paths[1])
    assert read_video(paths[0]).numbers == list(range(12))


CHILD = """
import os, sys
from fractions import Fraction
from pathlib import Path
sys.path.insert(0, {tests!r})
sys.path.insert(0, {video!r})
from test_encode import numbered, spec_of, write
{before}
for codec in ("h264", "h265", "vp9", "av1"):
    spec = spec_of(".mkv", codec=codec, size=(320, 240))
    write(spec, Path({folder!r}) / codec, numbered(spec, 10))
"""


def run_child(folder: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess:
    here = Path(__file__).parent
    script = CHILD.format(
        tests=str(here.parent), video=str(here), before=before, folder=str(folder)
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=here.parents[1],
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_bytes_depend_neither_on_cores_nor_on_what_memory_held(tmp_path):
    """One core or all, fresh memory or used: the same file. libx264's AVX-512 code fails this."""
    one_core = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    for name, before, perturb in (("a", "", "0"), ("b", one_core, "1")):
        (tmp_path / name).mkdir()
        child = run_child(tmp_path / name, before, MALLOC_PERTURB_=perturb)
        assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
    for codec in ("h264", "h265", "vp9", "av1"):
        assert sha256(tmp_path / "a" / codec) == sha256(tmp_path / "b" / codec), codec


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_codec_libraries_print_nothing(codec, tmp_path, capfd):
    """No library's greeting lands on the user's terminal, and the environment is as before."""
    before = dict(os.environ)
    spec = spec_of(codec=codec)
    write(spec, tmp_path / "video", numbered(spec, 3))
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gray"])
def test_read_only_frames_are_only_read(pixel_format, tmp_path):
    """Pages that the system has mapped read-only, as Ray's are, can be encoded."""
    spec = spec_of(pixel_format=pixel_format)
    numbered(spec, 9).tofile(tmp_path / "pages")
    pages = np.memmap(tmp_path / "pages", np.uint8, "r", shape=(9, spec.frame_bytes))
    assert not pages.flags.writeable
    video = read_video(write(spec, tmp_path / "video", pages))
    assert video.numbers == list(range(9))


def test_frames_may_be_written_over_after_the_call(tmp_path):
    """A buffer is free again when `encode` returns: what is held back has been copied."""
    spec = spec_of()
    encoder, buffer = (
        VideoEncoder(spec, tmp_path / "video"),
        np.empty((1, spec.frame_bytes), np.uint8),
    )
    for number in range(9):
        buffer[:] = numbered(spec, 1, number)
        encoder.encode(buffer)
        buffer[:] = 128
    encoder.finish()
    assert read_video(tmp_path / "video").numbers == list(range(9))


def test_an_empty_array_adds_no_frame(tmp_path):
    """Zero frames are allowed between others."""
    spec = spec_of()
    none = np.empty((0, spec.frame_bytes), np.uint8)
    video = read_video(write(spec, tmp_path / "video", none, numbered(spec, 2), none))
    assert video.numbers == [0, 1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("frames", [0, 3, 80])
def test_abort_leaves_nothing(suffix, frames, tmp_path):
    """Given up before or after the first packet, the file is gone; again does nothing."""
    spec = spec_of(suffix)
    encoder = VideoEncoder(spec, tmp_path / "video")
    encoder.encode(numbered(spec, frames))
    encoder.abort()
    encoder.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EncodeError, match="closed already"):
        encoder.encode(numbered(spec, 1))


def test_abort_after_finish_keeps_the_video(tmp_path):
    """A finished video is not given up any more."""
    spec = spec_of()
    encoder = VideoEncoder(spec, tmp_path / "video")
    encoder.encode(numbered(spec, 2))
    encoder.finish()
    encoder.abort()
    assert read_video(tmp_path / "video").numbers == [0, 1]
    with pytest.raises(EncodeError, match="closed already"):
        encoder.finish()


def test_video_without_frames_is_an_error(tmp_path):
    """No container plays without a frame, so none is left."""
    encoder = VideoEncoder(spec_of(), tmp_path / "video")
    with pytest.raises(EncodeError, match="no frame"):
        encoder.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "packed",
    [np.zeros((1, 7), np.uint8), np.zeros(4608, np.uint8), np.zeros((1, 4608), np.int8)],
    ids=["short", "flat", "signed"],
)
def test_frames_of_another_shape_are_refused(packed, tmp_path):
    """The message names what was got; the video can continue."""
    spec = spec_of()
    encoder = VideoEncoder(spec, tmp_path / "video")
    with pytest.raises(EncodeError, match=r"shape \(n, 4608\), got u?int8 of shape"):
        encoder.encode(packed)
    encoder.encode(numbered(spec, 2))
    encoder.finish()
    assert read_video(tmp_path / "video").numbers == [0, 1]


def test_a_missing_folder_is_reported_at_once(tmp_path):
    """The file is opened with the encoder, not with its first packet."""
    with pytest.raises(EncodeError, match=r"no/video.*No such file"):
        VideoEncoder(spec_of(), tmp_path / "no" / "video")


def test_name_with_a_colon_is_a_name(tmp_path, monkeypatch):
    """FFmpeg does not read the text before the colon as a protocol."""
    monkeypatch.chdir(tmp_path)
    spec = spec_of()
    write(spec, Path("http:video.mp4").absolute().relative_to(tmp_path), numbered(spec, 2))
    assert read_video(tmp_path / "http:video.mp4").numbers == [0, 1]


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
sys.path.insert(0, {video!r})
from pathlib import Path
import numpy as np
from test_encode import spec_of
from rayanim.errors import EncodeError
from rayanim.video.encode import SegmentEncoder, VideoEncoder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
spec = spec_of({suffix!r}, crf=1)
noise = np.random.default_rng(0).integers(16, 235, ({frames}, spec.frame_bytes), np.uint8)
path = Path({folder!r}) / "video"
encoder = VideoEncoder(spec, path)
errors = []
for action in (lambda: encoder.encode(noise), encoder.finish, lambda: encoder.encode(noise)):
    try:
        action()
    except EncodeError as error:
        errors.append(error)
assert errors and all(error is errors[0] for error in errors), errors
assert not path.exists()
print(errors[0])
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("frames", "limit"), [(60, 100_000), (8, 20_000)], ids=["early", "end"])
def test_a_full_disk_is_reported_and_leaves_nothing(suffix, frames, limit, tmp_path):
    """Whether the disk fills in mid-video or at its end, the first error stays the error."""
    here = Path(__file__).parent
    script = FULL_DISK.format(
        tests=str(here.parent),
        video=str(here),
        suffix=suffix,
        folder=str(tmp_path),
        frames=frames,
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


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="needs Linux")
def test_av1_leaves_the_process_its_priority() -> None:
    """As root, SVT-AV1 makes the calling thread and its own real-time ones."""
    spec = make_spec(".webm", VideoSettings(codec="av1", preset="12"), (64, 48), Fraction(30))
    encoder = SegmentEncoder(spec)
    encoder.encode(np.zeros((2, spec.frame_bytes), np.uint8))
    tasks = [int(task) for task in os.listdir("/proc/self/task")]
    assert {os.sched_getscheduler(task) for task in tasks} == {os.SCHED_OTHER}
    encoder.finish()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
