"""Videos joined from segments, as a browser seeks and plays them."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from browser import LIMIT_S, Questions, Shown, Watched, browser, watch
from devtools import page
from numbered import SIZE, numbered_frame, read_numbers

from rayanim import produce

pytestmark = [
    pytest.mark.skipif(browser() is None, reason="there is no Chromium on the PATH"),
    pytest.mark.timeout(2 * LIMIT_S),
]

N_FRAMES = 50
SEGMENT_FRAMES = 12
JOINS = tuple(range(SEGMENT_FRAMES, N_FRAMES, SEGMENT_FRAMES))
# A video's time is told in thousandths of a second in WebM, in millionths by the browser.
TOLERANCE_S = 0.001
# Chromium's own conversion without a GPU is off by up to 9, in blue, where FFmpeg's is
# by 1; a video without its colour tags, taken for BT.601, is off by 34.
COLOUR_TOLERANCE = 16

H264 = 'video/mp4; codecs="avc1.64001F"'
H265 = 'video/mp4; codecs="hvc1.1.6.L93.B0"'
VP9 = 'video/webm; codecs="vp09.00.10.08"'
AV1_IN_MP4 = 'video/mp4; codecs="av01.0.04M.08"'
AV1_IN_WEBM = 'video/webm; codecs="av01.0.04M.08"'

SLOW = pytest.mark.slow

KINDS = [
    pytest.param(".mp4", "h264", "30", H264, id="mp4-h264"),
    pytest.param(".mp4", "h264", "30000/1001", H264, id="mp4-h264-ntsc", marks=SLOW),
    pytest.param(".mp4", "h265", "30", H265, id="mp4-h265"),
    pytest.param(".mp4", "av1", "30", AV1_IN_MP4, id="mp4-av1", marks=SLOW),
    pytest.param(".webm", "vp9", "30000/1001", VP9, id="webm-vp9-ntsc"),
    pytest.param(".webm", "av1", "30", AV1_IN_WEBM, id="webm-av1", marks=SLOW),
]

Draw = Callable[[int], np.ndarray]


def at_joins() -> list[int]:
    """The frames before, at and after each join, and the video's last; then back to its first."""
    near = {join + offset for join in JOINS for offset in (-1, 0, 1)}
    there = sorted({*near, N_FRAMES - 1})
    return [*there, *there[-2::-1], 0]


def middle_s(frame: int, fps: Fraction) -> float:
    """The middle of the time that a frame is shown."""
    return float((frame + Fraction(1, 2)) / fps)


def make_video(path: Path, codec: str, fps: str, draw: Draw, crf: float | None = None) -> None:
    """A video in segments."""
    report = produce(
        draw,
        fps,
        outfile=path,
        codec=codec,
        crf=crf,
        n_frames=N_FRAMES,
        engine="local",
        transport="segments",
        segment_frames=SEGMENT_FRAMES,
    )
    assert (report.transport, report.frames) == ("segments", N_FRAMES)


def watch_or_skip(path: Path, questions: Questions) -> Watched:
    watched = watch(path, questions)
    if watched is None:
        pytest.skip(f"this browser does not play {questions.mime}")
    return watched


@pytest.mark.parametrize(("suffix", "codec", "fps", "mime"), KINDS)
def test_a_browser_finds_each_frame_at_each_join(suffix, codec, fps, mime, tmp_path):
    """Length, size, first frame, seeks both ways, and playing across each join."""
    path, rate = tmp_path / f"video{suffix}", Fraction(fps)
    make_video(path, codec, fps, numbered_frame)
    assert read_numbers(path) == list(range(N_FRAMES))
    wanted = at_joins()
    plays = tuple((middle_s(join - 4, rate), middle_s(join + 2, rate)) for join in JOINS)
    watched = watch_or_skip(
        path, Questions(mime, tuple(middle_s(frame, rate) for frame in wanted), plays)
    )
    length_s = pytest.approx(float(N_FRAMES / rate), abs=TOLERANCE_S)
    assert watched.size == SIZE
    assert watched.duration_s == length_s
    assert watched.seekable_s == (0, length_s)
    assert_at([watched.opened], [0], rate)
    assert_at(watched.sought, wanted, rate)
    for join, shown in zip(JOINS, watched.played, strict=True):
        assert_played_across(join, shown, rate)


def assert_at(shown: Sequence[Shown], frames: Sequence[int], fps: Fraction) -> None:
    """These frames were shown, at their times."""
    assert [each.number for each in shown] == list(frames)
    assert_times(shown, frames, fps)


def assert_times(shown: Sequence[Shown], frames: Sequence[int], fps: Fraction) -> None:
    times_s = [float(frame / fps) for frame in frames]
    assert [each.time_s for each in shown] == pytest.approx(times_s, abs=TOLERANCE_S)


def assert_played_across(join: int, shown: tuple[Shown, ...], fps: Fraction) -> None:
    """The frames came in their order, at their times, and the join lies between them.

    A slow machine leaves frames out, and may have shown the next one when the
    picture is read.
    """
    told = [round(each.time_s * fps) for each in shown]
    numbers = [each.number for each in shown]
    assert_times(shown, told, fps)
    assert told == sorted(told)
    assert numbers == sorted(numbers)
    assert all(number >= frame for number, frame in zip(numbers, told, strict=True))
    assert told[0] < join <= told[-1]


@pytest.mark.parametrize(("suffix", "codec", "fps", "mime"), KINDS)
def test_a_browser_shows_the_colours_that_were_drawn(suffix, codec, fps, mime, tmp_path):
    """Sixteen colours, before and after a join: a video without colour tags would differ."""
    path = tmp_path / f"video{suffix}"
    make_video(path, codec, fps, coloured_frame, crf=10)
    frames = (JOINS[0] - 1, JOINS[0])
    questions = Questions(mime, tuple(middle_s(frame, Fraction(fps)) for frame in frames))
    for frame, seen in zip(frames, watch_or_skip(path, questions).sought, strict=True):
        np.testing.assert_allclose(seen.blocks, colours(frame), atol=COLOUR_TOLERANCE)


def colours(number: int) -> np.ndarray:
    """(16, 3) uint8 RGB: the corners of the cube, dark and bright, moved on by `number`."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)), np.uint8)
    return np.roll(np.concatenate([corners * 130, 60 + corners * 195]), number, axis=0)


def coloured_frame(number: int) -> np.ndarray:
    """(48, 64, 4) uint8 RGBA of blocks in those colours, where a number's bits would be."""
    frame = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    blocks = colours(number).reshape(2, 8, 3)
    frame[..., :3] = blocks.repeat(24, axis=0).repeat(8, axis=1)
    return frame


def test_a_video_that_is_none_is_told(tmp_path):
    """What the browser cannot open is a failure, and no reason to skip."""
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video" * 1000)
    with pytest.raises(RuntimeError, match=r"video.mp4 fails in the browser"):
        watch(path, Questions(H264))


def test_a_mistake_in_a_video_is_seen(tmp_path):
    """A video of other frames than was said: the page reads pixels, not times."""
    path = tmp_path / "video.mp4"
    make_video(path, "h264", "30", lambda number: numbered_frame(number + 1))
    watched = watch_or_skip(path, Questions(H264, (middle_s(SEGMENT_FRAMES, Fraction(30)),)))
    assert watched.sought[0].number == SEGMENT_FRAMES + 1


def test_frames_that_last_longer(tmp_path: Path) -> None:
    """A held last frame, and frames that play back: as long as they were asked to be shown."""
    path = tmp_path / "video.mp4"
    produce(
        numbered_frame, 10, n_frames=10, outfile=path, hold="first=1s,last=2s", ping_pong=True,
        engine="local", segment_frames=4, progress=False,
    )  # fmt: skip
    seeks_s = (0.9, 1.15, 3.9, 4.05, 4.95, 0.0)
    watched = watch_or_skip(path, Questions(mime=H264, seeks_s=seeks_s))
    assert watched.duration_s == pytest.approx(5.0, abs=TOLERANCE_S)
    assert [each.number for each in watched.sought] == [0, 1, 9, 9, 0, 0]


APPENDING = """(async (files) => {
    const video = document.createElement("video"), source = new MediaSource();
    video.src = URL.createObjectURL(source);
    await new Promise(resolve => source.onsourceopen = resolve);
    const buffer = source.addSourceBuffer(
        'video/mp4; codecs="avc1.64001F, mp4a.40.2"');
    for (const file of files) {
        buffer.appendBuffer(Uint8Array.from(atob(file), each => each.charCodeAt(0)));
        await new Promise((resolve, reject) => {
            buffer.onupdateend = resolve;
            buffer.onerror = reject;
        });
    }
    source.endOfStream();
    if (!video.readyState) await new Promise(resolve => video.onloadedmetadata = resolve);
    const { length } = video.buffered;
    return [length, video.buffered.start(0), video.buffered.end(0), video.videoWidth];
})"""


def test_a_browser_takes_the_segments_of_a_playlist(tmp_path: Path) -> None:
    """Appended as hls.js appends them they are one piece, from the beginning to the end."""
    sound = np.zeros(44_100 * 5, np.float32), 44_100
    report = produce(
        numbered_frame,
        10,
        n_frames=150,
        outfile=tmp_path / "talk" / "index.m3u8",
        audio=sound,
        engine="local",
        progress=False,
    )
    lines = report.output.read_text().splitlines()
    names = ["index_header.m4s", *(each for each in lines if each.endswith(".m4s"))]
    assert len(names) > 3
    files = [
        base64.b64encode((report.output.parent / name).read_bytes()).decode() for name in names
    ]
    with page() as blank:
        if not blank.value(f"MediaSource.isTypeSupported('{H264}')"):
            pytest.skip("this Chromium plays no H.264")
        count, begin_s, end_s, width_px = blank.value(f"{APPENDING}({json.dumps(files)})")
    assert (count, begin_s, width_px) == (1, 0, SIZE[0])
    assert end_s == pytest.approx(15, abs=TOLERANCE_S)
