"""Several outputs of one run: each has the bytes that it has alone, and frames are drawn once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numbered import FPS, Numbered, NumberedAnimator, numbered_frame
from PIL import Image
from samples import sampled

import rayanim
from rayanim.cli.main import main
from rayanim.engine.chunks import ChunkSizes
from rayanim.errors import FrameError, OutputError, ResumeError, SettingsError
from rayanim.overrides import Overrides, overriding
from rayanim.planning import read_outputs
from rayanim.settings import VideoSettings
from rayanim.storage.address import Output
from rayanim.video.codecs import make_spec
from rayanim.video.formats import file_encoder, joiner_of

N_FRAMES = 260
"""Two segments of the usual length, which for most outputs are cut again."""

OUTPUTS = {
    "video.mp4": {},
    "video.gif": {},
    "dithered.gif:dither=floyd_steinberg": {},
    "small.gif:width=40": {},
    "video.mkv:codec=ffv1": {},
    "video.mov:codec=qtrle": {},
    "video.webp": {},
    "frames/%03d.png": {},
}

POSTER = "poster.png:frame=7"


class Counted(Numbered):
    """Numbered frames, of which a file in `scratch` counts each that is drawn."""

    def generate_at(self, time_ms: float) -> np.ndarray:
        number = round(time_ms * FPS / 1000)
        if self.scratch is not None:
            with (self.scratch / "drawn").open("a") as file:
                file.write(f"{number}\n")
        frame: np.ndarray = super().generate_at(time_ms)
        return frame


def render(outfile: Any, thing: Any = None, **options: Any) -> rayanim.Report:
    given = {"progress": False, "engine": "local", **options}
    return rayanim.produce(thing or Numbered(N_FRAMES), FPS, outfile=outfile, **given)


def below(folder: Path, *names: str) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def digests(folder: Path) -> dict[str, str]:
    """By the name of each file below."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {
        str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in files
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SHA-256 of each output, and of a still, as it is made in a run of its own."""
    folder = tmp_path_factory.mktemp("alone")
    for name in OUTPUTS:
        render(f"{folder}/{name}")
    with overriding(Overrides(still_number=7)):
        render(folder / "poster.png")
    return digests(folder)


def test_each_output_is_what_it_is_alone(tmp_path: Path, alone: dict[str, str]) -> None:
    """Whatever it is cut into; the image is what `rayanim still` draws."""
    report = render(below(tmp_path, POSTER, *OUTPUTS))
    assert digests(tmp_path) == alone
    assert [each.output.name for each in report.files] == [
        *(name.partition(":")[0].rpartition("/")[2] for name in OUTPUTS),
        "poster.png",
    ]
    sizes = [
        Path(each.output).stat().st_size for each in report.files if "%" not in str(each.output)
    ]
    assert sizes == [each.file_bytes for each in report.files if "%" not in str(each.output)]


def test_frames_are_drawn_once(tmp_path: Path) -> None:
    """By the count of the script and of the report; the palette is chosen from some more."""
    (tmp_path / "scratch").mkdir()
    one = render(tmp_path / "one.mp4", Counted(60, scratch=tmp_path / "scratch"))
    drawn = (tmp_path / "scratch" / "drawn").read_text().split()
    (tmp_path / "scratch" / "drawn").unlink()
    outputs = below(
        tmp_path, "video.mp4", "video.webp", "small.mp4:width=32", "poster.png:frame=59"
    )
    several = render(outputs, Counted(60, scratch=tmp_path / "scratch"))
    assert (tmp_path / "scratch" / "drawn").read_text().split() == drawn
    assert several.frames == one.frames == 60


LENGTHS: dict[str, Callable[[Any, Any], int | None]] = {
    "chunks": lambda sizes, plan: 20,
    "segments": lambda sizes, plan: None if plan.is_between else 20,
}


WAYS = [(how, workers) for how in LENGTHS for workers in (1, 2, 4)]


@pytest.mark.parametrize(("drawn_in", "workers"), sampled(WAYS, [("segments", 2)]))
def test_actors_make_the_same(
    on_ray: Any,
    tmp_path: Path,
    alone: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    drawn_in: str,
    workers: int,
) -> None:
    """In chunks for the encoders of this process, and in segments that they encode."""
    monkeypatch.setattr(ChunkSizes, "next_length", LENGTHS[drawn_in])
    report = render(below(tmp_path, POSTER, *OUTPUTS), engine="ray", workers=workers)
    assert report.engine == "ray"
    assert digests(tmp_path) == alone


class Stopping(Numbered):
    """Numbered frames of which one raises, once."""

    def generate_at(self, time_ms: float) -> np.ndarray:
        if round(time_ms * FPS / 1000) == 200 and not (self.scratch / "stopped").exists():  # type: ignore[operator]
            (self.scratch / "stopped").touch()  # type: ignore[operator]
            raise RuntimeError("stopped here")
        frame: np.ndarray = super().generate_at(time_ms)
        return frame


def test_a_stopped_run_is_resumed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, alone: dict[str, str]
) -> None:
    """With what was finished of all outputs, the image of one frame included."""
    thing = Stopping(N_FRAMES, scratch=tmp_path_factory.mktemp("scratch"))
    outputs = below(tmp_path, *OUTPUTS, POSTER)
    with pytest.raises(FrameError):
        render(outputs, thing)
    assert os.listdir(tmp_path) == ["video.mp4.parts"]
    with pytest.raises(ResumeError, match="the other outputs are not the same"):
        render(outputs[:3], thing, resume=True)
    report = render(outputs, thing, resume=True)
    assert report.resumed_frames == 130
    assert digests(tmp_path) == alone


def test_of_chosen_frames(tmp_path: Path) -> None:
    """The image is of the frame with that number, else of the first that was chosen."""
    names = ["video.mp4", "video.gif"]
    for name in names:
        render(tmp_path / "alone" / name, frames="30-89x2")
    outputs = below(tmp_path / "both", *names, "first.png", "last.png:frame=88")
    render(outputs, frames="30-89x2")
    found = digests(tmp_path / "both")
    assert {name: found[name] for name in names} == digests(tmp_path / "alone")
    for name, number in (("first.png", 30), ("last.png", 88)):
        with Image.open(tmp_path / "both" / name) as image:
            assert np.array_equal(np.array(image), numbered_frame(number))


@pytest.mark.parametrize("frames", ["generator", "stream"])
def test_an_unknown_end(tmp_path: Path, frames: str) -> None:
    """A generator of parameters, and one of frames, all of which go through one encoder."""
    from numbered import NumberedAnimator

    def things() -> tuple[Any, dict[str, Any]]:
        if frames == "stream":
            return (numbered_frame(number) for number in range(60)), {}
        return NumberedAnimator(), {"param_by_frame": iter(range(60))}

    for name in OUTPUTS:
        thing, options = things()
        render(f"{tmp_path}/alone/{name}", thing, **options)
    thing, options = things()
    render(below(tmp_path / "all", *OUTPUTS), thing, **options)
    assert digests(tmp_path / "all") == digests(tmp_path / "alone")


def test_one_that_cannot_be_joined_leaves_the_others_alone(tmp_path: Path) -> None:
    """A bit rate holds over a whole video; the others have the segments that they have alone."""
    names = [
        "video.mp4",
        "rate.mp4:bitrate=200",
        "dithered.gif:dither=sierra2",
        "video.mkv:codec=ffv1",
    ]
    for name in names:
        render(f"{tmp_path}/alone/{name}")
    report = render(below(tmp_path / "all", *names))
    assert report.transport == "frames"
    assert digests(tmp_path / "all") == digests(tmp_path / "alone")


TIMED: list[dict[str, Any]] = [
    {"ping_pong": True, "hold": "first=100ms,last=1s"},
    {"speed": 2, "chapters": {0: "Before", 100: "After"}},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", TIMED)
def test_timing_holds_for_all(tmp_path: Path, options: dict[str, Any]) -> None:
    """Frames in reverse are encoded for each; an image of one frame has no time."""
    audio = (np.sin(np.arange(44_100) / 20), 44_100)
    names = ["a.mp4", "dithered.gif:dither=sierra2", "a.mkv:codec=ffv1", "rate.mp4:bitrate=200"]
    for name in names:
        has_sound = Path(name.partition(":")[0]).suffix in (".mp4", ".mkv", ".mov")
        its_own = options if has_sound else {**options, "chapters": None}
        render(f"{tmp_path}/alone/{name}", audio=audio if has_sound else None, **its_own)
    for each in (names[:-1], names):
        folder = tmp_path / f"{len(each)}"
        render(below(folder, "poster.png:frame=4", *each), audio=audio, **options)
        found, expected = digests(folder), digests(tmp_path / "alone")
        assert found.pop("poster.png")
        assert found == {name: expected[name] for name in found}
        assert len(found) >= len(each)
    with pytest.raises(SettingsError, match=r"not in the video: at a speed of .* it has frames 0,"):
        render(below(tmp_path, "a.mp4", "poster.png:frame=5"), speed=2)


def test_settings_go_to_the_outputs_that_have_them(tmp_path: Path) -> None:
    """A crf means nothing to a GIF; one that means nothing to any is refused."""
    outputs = below(tmp_path, "a.gif", "b.mp4", "c.webm:crf=60")
    report = render(outputs, Numbered(3), crf=30, loop=2, preset="quick")
    assert [each.codec for each in report.files] == ["gif", "libx264", "libvpx-vp9"]
    with pytest.raises(SettingsError, match="leave loop out"):
        render(below(tmp_path, "b.mp4", "c.webm"), Numbered(3), loop=2)


@pytest.mark.parametrize(
    ("outfile", "error", "match"),
    [
        (["poster.png"], OutputError, "A video is many .png images"),
        (["a.mp4", "a.mp4"], SettingsError, "Two outputs have the name 'a.mp4'"),
        (["a.mp4", "sub/../a.mp4"], SettingsError, "one file: 'a.mp4' and 'sub/../a.mp4'"),
        (["a.mp4", "b\0.mp4"], OutputError, "cannot be a file"),
        (["a.mp4", "b.gif:frame=3"], SettingsError, "frame goes with an image"),
        (["a.mp4", "b.png:frame=20"], SettingsError, "not in the video"),
        (["a.mp4", "b.gif:size=3"], SettingsError, "no setting 'size'"),
        (["a.mp4", "b.gif:width=wide"], SettingsError, "width must be a number"),
        (["a.mp4:width=0"], SettingsError, "width must be"),
        ([], SettingsError, "No output file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outfile: Any, error: type, match: str
) -> None:
    """Before anything is drawn."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=match):
        render(outfile, Numbered(20, fail=0))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("numbers", [range(20), range(100, 120)])
def test_a_poster_of_a_frame_beyond_a_list_is_refused(tmp_path: Path, numbers: range) -> None:
    """Before anything is drawn, whatever numbers the entries have."""
    params = [rayanim.IndexedFrameParams(number, number) for number in numbers]
    outputs = below(tmp_path, "a.mp4", f"b.png:frame={numbers.stop}")
    with pytest.raises(SettingsError, match="not in the video"):
        render(outputs, NumberedAnimator(), param_by_frame=params)
    assert os.listdir(tmp_path) == []


def test_two_links_to_one_file_are_refused(tmp_path: Path) -> None:
    """A video would be replaced by the other one."""
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    with pytest.raises(SettingsError, match="Two outputs are one file"):
        render(below(tmp_path, "a.mp4", "b.mp4"), Numbered(3, fail=0))


def test_a_path_is_taken_as_it_is() -> None:
    """What looks like settings in it is part of the name."""
    assert read_outputs(Path("a.gif:width=3")) == (Output(Path("a.gif:width=3")),)
    assert read_outputs("C:/a.gif") == (Output(Path("C:/a.gif")),)
    assert str(read_outputs("s3://b/a.gif:width=3,loop=2")[0]) == "s3://b/a.gif:width=3,loop=2"


@pytest.mark.parametrize(
    ("name", "options"),
    [("run:lr=0.1.mp4", ""), ("run:lr=0.1,width=3", ""), ("run:lr=0.1.mp4", ":width=3")],
)
def test_a_name_may_look_like_settings(name: str, options: str) -> None:
    """Of which an output has none of that name."""
    (output,) = read_outputs(name + options)
    assert (str(output.address), output.options) == (name, (("width", 3),) if options else ())


@pytest.mark.parametrize("text", ["x.MP4:widht=480", "s3://b/x.gif:widht=480", "images/:widht=480"])
def test_a_slip_in_a_setting_is_explained(text: str) -> None:
    """It makes no file of another name."""
    with pytest.raises(SettingsError, match="no setting 'widht'"):
        read_outputs(text)


def test_an_output_in_the_way_leaves_all_as_they_were(tmp_path: Path) -> None:
    """None is replaced where one may not be."""
    for name in ("a.mp4", "b.gif"):
        (tmp_path / name).write_text(name)
    with pytest.raises(OutputError, match=r"b.gif.*exists"):
        render(below(tmp_path, "c.mp4", "b.gif"), Numbered(3), overwrite=False)
    with pytest.raises(FrameError):
        render(below(tmp_path, "a.mp4", "b.gif"), Numbered(3, fail=2))
    assert {each.name: each.read_text() for each in tmp_path.iterdir() if each.is_file()} == {
        "a.mp4": "a.mp4",
        "b.gif": "b.gif",
    }


@pytest.mark.parametrize("names", [["a.gif"], ["a.gif", "b.gif", "c.gif"]])
@pytest.mark.parametrize("open_files", [joiner_of, file_encoder])
def test_there_is_a_path_for_each_output(
    tmp_path: Path, open_files: Callable[..., Any], names: list[str]
) -> None:
    """Before any file is begun."""
    one = make_spec(".gif", VideoSettings(), (16, 16), Fraction(30))
    with pytest.raises(ValueError, match="zip"):
        open_files(replace(one, others=(one,)), *(tmp_path / name for name in names))
    assert not os.listdir(tmp_path)


SCRIPT = """
import numpy as np
from rayanim import produce

def draw(number):
    return np.full((20, 30, 3), 10 * number, np.uint8)

produce(draw, n_frames=9, outfile="script.mp4", crf=20)
"""


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-o` may be repeated, in any order; a line of the report for each."""
    monkeypatch.chdir(tmp_path)
    Path("script.py").write_text(SCRIPT)
    words = ["-o", "poster.png:frame=4", "-o", "video.mp4", "-o", "small.gif:width=16"]
    ran = CliRunner().invoke(main, ["run", "script.py", *words])
    assert ran.exit_code == 0, ran.output
    assert sorted(os.listdir()) == ["poster.png", "script.py", "small.gif", "video.mp4"]
    for line in ("video.mp4: 9 frames of 30x20", "small.gif: 16x11, gif", "poster.png: 30x20, png"):
        assert line in ran.output
    with Image.open("small.gif") as small, Image.open("poster.png") as poster:
        assert (small.size, small.n_frames) == ((16, 11), 9)
        assert poster.getpixel((0, 0)) == (40, 40, 40, 255)
    assert CliRunner().invoke(main, ["run", "script.py", "-o", "poster.png"]).exit_code == 2
