"""Playlists with segments for streaming, read back with PyAV."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import _number, numbered_frame, read_numbers

import rayanim
from rayanim.errors import EncodeError, SettingsError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.formats import file_encoder

FPS, N_FRAMES = 10, 150
SEGMENTS = ["index_0.m4s", "index_1.m4s", "index_2.m4s", "index_3.m4s"]
NAMES = ["index.m3u8", *SEGMENTS, "index_header.m4s"]
SHORTER = ["index.m3u8", *SEGMENTS[:2], "index_header.m4s"]


def render(path: Any, **settings: Any) -> rayanim.Report:
    options = {"n_frames": N_FRAMES, "engine": "local", "progress": False, **settings}
    return rayanim.produce(numbered_frame, FPS, outfile=path, **options)


def lengths_s(playlist: Path) -> list[float]:
    """What it says that its segments last."""
    return [float(each) for each in re.findall(r"#EXTINF:([\d.]+)", playlist.read_text())]


@pytest.mark.parametrize("transport", ["segments", "frames"])
def test_frames_come_back_at_their_times(tmp_path: Path, transport: Any) -> None:
    """In segments of at most ten seconds, each of which starts anew."""
    folder = tmp_path / "talk"
    report = render(folder / "index.m3u8", transport=transport)
    assert sorted(each.name for each in folder.iterdir()) == NAMES
    assert report.file_bytes == sum(each.stat().st_size for each in folder.iterdir())
    assert str(report.output) == str(folder / "index.m3u8")
    with av.open(str(folder / "index.m3u8")) as container:
        assert container.duration == N_FRAMES / FPS * 1e6
        assert container.streams.video[0].codec_context.name == "h264"
        frames = list(container.decode(video=0))
    assert [_number(each.to_ndarray(format="gray")) for each in frames] == list(range(N_FRAMES))
    times_s = [float(each.pts * each.time_base) for each in frames]
    assert times_s == pytest.approx(np.arange(N_FRAMES) / FPS, abs=0.0005)
    assert sum(lengths_s(folder / "index.m3u8")) == pytest.approx(N_FRAMES / FPS)
    at = 0
    header = (folder / "index_header.m4s").read_bytes()
    for name, length_s in zip(SEGMENTS, lengths_s(folder / "index.m3u8"), strict=True):
        assert length_s < 10
        alone = tmp_path / "alone.mp4"
        alone.write_bytes(header + (folder / name).read_bytes())
        numbers = read_numbers(alone)
        assert numbers == list(range(at, at + round(length_s * FPS)))
        at += len(numbers)
    assert "#EXT-X-ENDLIST" in (folder / "index.m3u8").read_text()


def test_bytes_are_the_same_in_each_run(tmp_path: Path) -> None:
    """There are no dates and no random numbers in any file."""
    for folder in "ab":
        render(tmp_path / folder / "index.m3u8")
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_resumed_playlist_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """Whole: until then the old one stands, and then no segment of it is left."""
    folder = tmp_path / "talk"
    stop = tmp_path / "stop"

    def frame_at(number: int) -> np.ndarray:
        if number == 100 and stop.exists():
            raise RuntimeError("stopped here")
        return numbered_frame(number)

    def again(**settings: Any) -> rayanim.Report:
        return rayanim.produce(
            frame_at,
            FPS,
            n_frames=110,
            outfile=folder / "index.m3u8",
            engine="local",
            progress=False,
            independent=True,
            **settings,
        )

    render(folder / "index.m3u8")
    stop.touch()
    with pytest.raises(RuntimeError, match="stopped here"):
        again()
    assert read_numbers(folder / "index.m3u8") == list(range(N_FRAMES))
    stop.unlink()
    assert again(resume=True).resumed_frames == 55
    assert read_numbers(folder / "index.m3u8") == list(range(110))
    assert sorted(each.name for each in folder.iterdir()) == SHORTER
    assert [each.name for each in tmp_path.iterdir()] == ["talk"]


def test_a_page_beside_it_stays(tmp_path: Path) -> None:
    """Segments of a longer video go."""
    folder = tmp_path / "talk"
    render(folder / "index.m3u8")
    (folder / "index.html").write_text("mine")
    render(folder / "index.m3u8", n_frames=60)
    assert sorted(each.name for each in folder.iterdir()) == ["index.html", *SHORTER]
    assert read_numbers(folder / "index.m3u8") == list(range(60))


def test_a_video_and_another_playlist_beside_it_stay(tmp_path: Path) -> None:
    """Whatever they are called."""
    render([tmp_path / "clip1.m3u8", tmp_path / "clip1.mp4"], n_frames=3)
    assert read_numbers(tmp_path / "clip1.mp4") == [0, 1, 2]
    render(tmp_path / "clip11.m3u8")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    render(tmp_path / "clip1.m3u8", n_frames=3)
    render(tmp_path / "clip.m3u8", n_frames=3, overwrite=False)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_names_of_segments_are_addresses(tmp_path: Path) -> None:
    """Whatever the playlist is called."""
    playlist = tmp_path / "a%d" / "50% #1?.m3u8"
    render(playlist, n_frames=3)
    assert {each.name for each in playlist.parent.iterdir()} == {
        "50% #1?.m3u8",
        "50___1__header.m4s",
        "50___1__0.m4s",
    }
    assert "50___1__0.m4s\n" in playlist.read_text()
    assert read_numbers(playlist) == [0, 1, 2]


def test_an_output_beside_others_and_what_it_takes(tmp_path: Path) -> None:
    """Its bytes are those that it has alone."""
    render([tmp_path / "a.mp4", tmp_path / "a" / "index.m3u8"])
    render(tmp_path / "b" / "index.m3u8")
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with pytest.raises(SettingsError, match=r"\.m3u8 files cannot contain codec 'h265'"):
        render(tmp_path / "b" / "index.m3u8", codec="h265")


def test_one_that_fails_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """And nothing is printed when it is stopped with some segments written."""
    folder = tmp_path / "talk.part"
    spec = make_spec("index.m3u8", VideoSettings(), (64, 48), Fraction(FPS), N_FRAMES)
    for ends in ("aborted", "removed"):
        encoder = file_encoder(spec, folder)
        for number in range(N_FRAMES):
            encoder.encode(np.full((1, spec.frame_bytes), number, np.uint8))
        assert (folder / "index_0.m4s").exists()
        if ends == "removed":
            for each in folder.iterdir():
                each.unlink()
            folder.rmdir()
            with pytest.raises(EncodeError, match="No such file"):
                encoder.finish()
        encoder.abort()
        assert not folder.exists()
    assert capfd.readouterr().err == ""
