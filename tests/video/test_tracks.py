"""Sound, subtitles and chapters, read back with PyAV."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import SIZE, numbered_frame

import rayanim
from rayanim.acts import Act, ActRenderer, ActState, FluentScene, Scene
from rayanim.errors import EncodeError, SettingsError
from rayanim.frame_gen import FluentFG
from rayanim.overrides import Overrides, overriding
from rayanim.settings import Samples, VideoSettings
from rayanim.video import tracks
from rayanim.video.tracks import write_wav

FPS, RATE = 10, 44_100

NEW_PYAV = pytest.mark.skipif(
    not (tracks.can_write_subtitles() and tracks.has_chapters()),
    reason="this PyAV writes neither text tracks nor chapters",
)

SRT = """1
00:00:00,500 --> 00:00:01,500
Wëll <i>then</i>

2
00:00:02,000 --> 00:01:30,000
Two
lines

3
00:02:00,000 --> 00:02:01,000
After the end
"""


def clicks(n_samples: int, *at: int, rate: int = RATE) -> tuple[np.ndarray, int]:
    """Silence with a click at each of these samples."""
    samples = np.zeros(n_samples, np.float32)
    samples[list(at)] = 1
    return samples, rate


def video(path: Path, n_frames: int = 30, **settings: Any) -> rayanim.Report:
    settings = {"segment_frames": 8, "engine": "local", "progress": False, **settings}
    return rayanim.produce(numbered_frame, FPS, n_frames=n_frames, outfile=path, **settings)


def heard(path: Path) -> tuple[np.ndarray, int]:
    """(channels, n) samples from the time of the first frame on, and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert frames[0].pts == 0
        return np.concatenate([each.to_ndarray() for each in frames], axis=1), stream.rate


def click_s(samples: np.ndarray, rate: int, begin_s: float, end_s: float) -> float:
    """When the loudest sample is heard between two times."""
    begin = int(begin_s * rate)
    part = np.abs(samples[0, begin : int(end_s * rate)])
    assert part.max() > 0.2
    return (begin + int(part.argmax())) / rate


@pytest.mark.parametrize("transport", ["segments", "frames"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".webm", ".m3u8"])
def test_sound_is_in_sync_and_as_long_as_the_video(
    suffix: str, transport: Any, tmp_path: Path
) -> None:
    """AAC or Opus; clicks to the millisecond; silence where the sound has ended."""
    path = tmp_path / "a" / f"video{suffix}"
    settings = {"segment_frames": None} if transport == "frames" else {}
    sound = clicks(2 * RATE, 4410, 2 * RATE - 100)
    video(path, audio=sound, transport=transport, hold="1s", **settings)
    with av.open(str(path)) as container:
        name = "opus" if suffix in (".mkv", ".webm") else "aac"
        assert container.streams.audio[0].codec_context.name == name
        assert container.duration / 1e6 == pytest.approx(4.0, abs=0.0101)
        assert sum(1 for _ in container.decode(video=0)) == 30
    samples, rate = heard(path)
    assert click_s(samples, rate, 0, 1) == pytest.approx(0.1, abs=0.001)
    assert click_s(samples, rate, 1, 4) == pytest.approx(2 - 100 / RATE, abs=0.001)
    assert np.abs(samples[:, int(2.1 * rate) :]).max() < 0.01
    assert samples.shape[1] / rate == pytest.approx(4, abs=0.03)


def test_sound_of_a_file_is_cut_to_the_video(tmp_path: Path) -> None:
    """Of any rate and channels that FFmpeg reads; here 22050 Hz, 16 bits, stereo."""
    stereo = np.zeros((22_050 * 5, 2), np.int16)
    stereo[11_025, 1] = 30_000
    with wave.open(str(tmp_path / "track.wav"), "wb") as file:
        file.setparams((2, 2, 22_050, 0, "NONE", ""))
        file.writeframes(stereo.tobytes())
    path = tmp_path / "video.mkv"
    video(path, audio=tmp_path / "track.wav")
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(3.0, abs=0.0101)
        assert container.streams.audio[0].layout.name == "stereo"
    samples, rate = heard(path)
    assert rate == 48_000
    assert click_s(samples[1:], rate, 0, 3) == pytest.approx(0.5, abs=0.001)
    assert np.abs(samples[0]).max() < 0.1


def test_sound_of_a_video_is_taken_as_well(tmp_path: Path) -> None:
    """From its first frame on: what AAC's encoder puts before it is left out."""
    video(tmp_path / "a.mp4", audio=clicks(RATE, 22_050))
    video(tmp_path / "b.mp4", audio=tmp_path / "a.mp4")
    samples, rate = heard(tmp_path / "b.mp4")
    assert click_s(samples, rate, 0, 3) == pytest.approx(0.5, abs=0.001)


def test_pictures_and_sound_stay_together(tmp_path: Path) -> None:
    """The frames are the same with sound and without, and in the same order."""
    for name, sound in (("a", None), ("b", clicks(RATE, 5))):
        video(tmp_path / f"{name}.mp4", audio=sound)
    packets = []
    for name in "ab":
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            found = container.demux(container.streams.video[0])
            packets.append([(each.pts, each.dts, bytes(each)) for each in found])
    assert packets[0] == packets[1]


@pytest.mark.slow
def test_ten_minutes_are_in_sync_to_a_frame(tmp_path: Path) -> None:
    """At the start and at the end, joined from 72 segments."""
    n_frames, rate = 18_000, Fraction(30)
    flash = {15, n_frames - 10}
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)

    def frame_at(number: int) -> np.ndarray:
        return white if number in flash else black

    path = tmp_path / "video.mp4"
    sound = clicks(600 * 8000, *(number * 8000 // 30 for number in flash), rate=8000)
    rayanim.produce(
        frame_at, rate, n_frames=n_frames, outfile=path, audio=sound, engine="local",
        independent=True, progress=False, preset="quick",
    )  # fmt: skip
    with av.open(str(path)) as container:
        assert container.duration == 600_000_000
        seen_s = [
            float(frame.pts * frame.time_base)
            for frame in container.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 128
        ]
    samples, found_rate = heard(path)
    heard_s = [click_s(samples, found_rate, *part) for part in ((0, 2), (598, 600))]
    assert seen_s == [0.5, (n_frames - 10) / 30]
    assert heard_s == pytest.approx(seen_s, abs=0.002)


@pytest.mark.slow
def test_actors_join_with_sound(tmp_path: Path, on_ray: Any) -> None:
    """To the bytes of one process; the array's file is on this machine."""
    for engine in ("local", "ray"):
        video(tmp_path / f"{engine}.mp4", audio=clicks(RATE, 5), engine=engine)
    assert (tmp_path / "local.mp4").read_bytes() == (tmp_path / "ray.mp4").read_bytes()


@NEW_PYAV
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_subtitles_are_a_text_track(suffix: str, tmp_path: Path) -> None:
    """With their times; what would go beyond the video is cut."""
    (tmp_path / "a.srt").write_text(SRT, "utf-8")
    path = tmp_path / f"video{suffix}"
    video(path, n_frames=40, subtitles=tmp_path / "a.srt")
    is_mp4 = suffix in (".mp4", ".mov")
    with av.open(str(path)) as container:
        assert container.duration == 4_000_000
        (stream,) = container.streams.subtitles
        wanted = "mov_text" if is_mp4 else "webvtt" if suffix == ".webm" else "srt"
        assert stream.codec_context.name == wanted
        found = [
            (float(each.pts * each.time_base), float(each.duration * each.time_base), text)
            for each in container.demux(stream)
            if (text := bytes(each)[2 if is_mp4 else 0 :].decode())
        ]
    first = "Wëll then" if is_mp4 else "Wëll <i>then</i>"
    assert found == [(0.5, 1.0, first), (2.0, 2.0, "Two\nlines")]


class Place(ActState):
    x = 0.0


class Draw(ActRenderer):
    frame_size = SIZE

    def render(self, act_state: Place) -> np.ndarray:
        return numbered_frame(round(act_state.x))


class Rise(Scene):
    duration = 1000.0

    def apply(self, act_state: Place, time_ms: float, dbg: bool = False) -> None:
        act_state.x = time_ms / 100


class Fall(Rise):
    title = "The fall"


def chapters_in(path: Path) -> list[tuple[float, float, str]]:
    with av.open(str(path)) as container:
        return [
            (float(each["start"] * each["time_base"]), float(each["end"] * each["time_base"]),
             each["metadata"]["title"])
            for each in container.chapters()
        ]  # fmt: skip


@NEW_PYAV
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_scenes_are_chapters(suffix: str, tmp_path: Path) -> None:
    """With their titles, or the names of their classes, at the times where they are shown."""
    slow_fall = FluentScene(Fall()).time_rescale_exact(2, "s").build()
    act = Act(Place(), Draw(), [Rise(), slow_fall])
    both = FluentFG(act).then(Act(Place(), Draw(), [Rise()]))
    options = {"engine": "local", "progress": False}
    path = tmp_path / f"video{suffix}"
    rayanim.produce(both, FPS, outfile=path, hold={"first": 1}, **options)
    assert chapters_in(path) == [(0, 2, "Rise 1"), (2, 4, "The fall"), (4, 5, "Rise 2")]
    rayanim.produce(act, FPS, outfile=path, chapters={}, **options)
    assert chapters_in(path) == []
    rayanim.produce(Act(Place(), Draw(), [Rise()]), FPS, outfile=path, **options)
    assert chapters_in(path) == []


@NEW_PYAV
def test_chapters_are_given_by_frame(tmp_path: Path) -> None:
    """Of those that are rendered."""
    chapters = {0: "Before", 10: "Then", 20: "After"}
    video(tmp_path / "a.mp4", chapters=chapters, metadata={"title": "All"})
    assert chapters_in(tmp_path / "a.mp4") == [(0, 1, "Before"), (1, 2, "Then"), (2, 3, "After")]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["title"] == "All"
    video(tmp_path / "b.mp4", chapters=chapters, frames="10-29x2")
    assert chapters_in(tmp_path / "b.mp4") == [(0, 0.5, "Then"), (0.5, 1, "After")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"audio": "none.wav"}, r"audio 'none.wav' cannot be read: No such file"),
        ({"audio": __file__}, r"audio .* cannot be read"),
        ({"audio": (np.zeros(5, np.int64), 8000)}, "must be an array of floats"),
        ({"audio": (np.zeros((2, 500), np.float32), 8000)}, r"got float32 of \(2, 500\)"),
        ({"audio": (np.zeros(5), 0)}, "must be 1000 to 384000 Hz"),
        ({"audio": np.zeros(5)}, "a file's name, or an array and its rate"),
        pytest.param(
            {"subtitles": "none.srt"}, "subtitles .none.srt. cannot be read", marks=NEW_PYAV
        ),
        ({"subtitles": 5}, "name of an .srt file"),
        ({"chapters": {-1: "x"}}, "must begin at a frame's number"),
        ({"chapters": ["x"]}, "titles by the number of a chapter's first frame"),
        ({"audio": (np.zeros(5), 8000), "suffix": ".gif"}, r"\.gif file has no audio: .* \.mp4"),
        ({"subtitles": "a.srt", "suffix": ".avi"}, r"\.avi file has no subtitles: .* \.mp4"),
        ({"chapters": {0: "x"}, "suffix": ".webp"}, r"\.webp file has no chapters: .* \.mp4"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(
    wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """With the formats that can."""

    def never(number: int) -> None:
        pytest.fail("it was drawn")

    suffix = wrong.get("suffix", ".mp4")
    wrong = {name: value for name, value in wrong.items() if name != "suffix"}
    with pytest.raises(SettingsError, match=message):
        rayanim.produce(never, n_frames=3, outfile=tmp_path / f"a{suffix}", **wrong)


@NEW_PYAV
def test_subtitles_in_another_encoding_are_refused(tmp_path: Path) -> None:
    """They would be shown wrong."""
    (tmp_path / "a.srt").write_bytes(SRT.encode("latin-1"))
    with pytest.raises(SettingsError, match="not encoded in UTF-8"):
        video(tmp_path / "a.mp4", subtitles=tmp_path / "a.srt")
    (tmp_path / "b.srt").write_text("nothing")
    with pytest.raises(SettingsError, match=r"no line such as .*; line 1 is 'nothing'"):
        video(tmp_path / "a.mp4", subtitles=tmp_path / "b.srt")
    (tmp_path / "b.srt").write_text(SRT.replace("0:02,000", "9:02,000"), "utf-8")
    with pytest.raises(SettingsError, match="line 6: a text ends before it starts, got '00:09:02"):
        video(tmp_path / "a.mp4", subtitles=tmp_path / "b.srt")


@NEW_PYAV
def test_the_report_speaks_of_sound_and_subtitles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was done to the sound, what lies after the end, and which outputs have none of it."""
    (tmp_path / "a.srt").write_text(SRT, "utf-8")
    paths: Any = [tmp_path / name for name in ("a.mp4", "a.gif", "a.png")]
    report = video(paths, audio=clicks(2 * RATE, 5), subtitles=tmp_path / "a.srt")
    lines = report.summary().splitlines()
    assert "yuv420p, aac sound padded with silence, subtitles, " in lines[0]
    assert lines[3] == f"No sound in {paths[1]}; no subtitles in {paths[1]}."
    assert caplog.messages == ["1 of 3 subtitles lie after the end of the video."]
    assert report.to_dict()["others"][0]["tracks"] == []
    with overriding(Overrides(dry_run=True)):
        planned = video(tmp_path / "a.mkv", audio=clicks(4 * RATE, 5))
    assert planned.tracks == ("opus sound cut to the length",)
    assert not (tmp_path / "a.mkv").exists()


def test_old_versions_of_pyav_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And give no chapters of scenes."""
    monkeypatch.setattr(tracks, "OutputContainer", object)
    for wrong in ({"chapters": {0: "x"}}, {"subtitles": "a.srt"}):
        with pytest.raises(SettingsError, match=r"need PyAV 1\d or newer"):
            video(tmp_path / "a.mp4", **wrong)
    act = Act(Place(), Draw(), [Rise(), Fall()])
    rayanim.produce(act, FPS, outfile=tmp_path / "a.mp4", engine="local", progress=False)


def test_a_broken_file_of_sound_ends_the_job(tmp_path: Path) -> None:
    """The error names it, and not the video."""
    noise = np.random.default_rng(1).uniform(-1, 1, 2 * RATE)
    video(tmp_path / "a.mp4", audio=(noise, RATE))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 4000] = b"\xff" * 4000
    (tmp_path / "broken.mp4").write_bytes(data)
    with pytest.raises(EncodeError, match=r"The sound in .*broken.mp4' cannot be read"):
        video(tmp_path / "b.mp4", audio=tmp_path / "broken.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_arrays_of_sound_are_16_bits_in_the_file(tmp_path: Path) -> None:
    """Whatever they were; too loud is as loud as can be."""
    cases = [
        (np.array([0, 0.5, -1, 2, np.nan], np.float64), [0, 16384, -32767, 32767, 0]),
        (np.array([[0, 1], [-32768, 32767]], np.int16), [0, 1, -32768, 32767]),
    ]
    for values, expected in cases:
        samples = VideoSettings(audio=(values, 8000)).audio
        assert isinstance(samples, Samples)
        write_wav(samples, tmp_path / "a.wav")
        with wave.open(str(tmp_path / "a.wav")) as file:
            assert file.getnchannels() == (1 if values.ndim == 1 else 2)
            found = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert found.tolist() == expected
