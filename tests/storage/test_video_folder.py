"""Videos that are folders: images, their pixels, and how files appear, also in stores."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from numbered import FPS, Numbered, numbered_frame, read_numbers
from PIL import Image

import rayanim
from rayanim.errors import EncodeError, OutputError
from rayanim.settings import VideoSettings
from rayanim.storage.store import Store
from rayanim.storage.video_folder import VideoFolder, is_image_pattern
from rayanim.video.codecs import make_spec
from rayanim.video.encode import EncodedPacket, EncodedSegment
from rayanim.video.images import ImageJoiner

N_FRAMES = 30


def render(thing: Any, outfile: Any, **options: Any) -> rayanim.Report:
    return rayanim.produce(thing, FPS, outfile=outfile, **{"progress": False, **options})


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


class Sine(rayanim.Animator):
    def __init__(self, stop: Path | None = None) -> None:
        self.stop = stop

    def setup(self) -> Any:
        figure, axes = plt.subplots(figsize=(2, 1), dpi=50)
        (self.line,) = axes.plot(np.arange(10))
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        if self.stop is not None and self.stop.exists() and frame_idx == 20:
            raise RuntimeError("stopped here")
        self.line.set_ydata(np.arange(10) * frame_idx / 30)


@pytest.mark.parametrize("transparent", [False, True])
def test_the_pixels_are_those_of_savefig(tmp_path: Path, transparent: bool) -> None:
    """Also those of alpha."""
    save: dict[str, Any] = {"transparent": transparent}
    report = render(
        Sine(), tmp_path / "a" / "%03d.png", n_frames=5, dpi="figure", savefig_params=save
    )
    sine = Sine()
    figure = sine.setup()
    for number in range(5):
        sine.update(number, None)
        figure.savefig(tmp_path / "expected.png", dpi="figure", **save)
        expected = pixels(tmp_path / "expected.png")
        assert (pixels(tmp_path / "a" / f"{number:03d}.png") == expected).all()
    assert names(tmp_path / "a") == [f"{number:03d}.png" for number in range(5)]
    assert (report.frames, report.codec, report.pixel_format) == (5, "png", "rgba")
    assert report.file_bytes == sum(each.stat().st_size for each in (tmp_path / "a").iterdir())


def test_jpegs_and_images_without_alpha(tmp_path: Path) -> None:
    """Transparent pixels get the background."""
    clear = np.zeros((48, 64, 4), np.uint8)
    render([clear] * 2, tmp_path / "a" / "%d.jpg", background="#ff0000")
    assert np.abs(pixels(tmp_path / "a" / "1.jpg").astype(int) - (255, 0, 0)).max() < 3
    render([clear] * 2, tmp_path / "b" / "%d.png", background="red", pixel_format="rgb24")
    assert (pixels(tmp_path / "b" / "0.png") == (255, 0, 0)).all()


@pytest.mark.parametrize("form", ["text", "generator"])
def test_a_folder_alone_gets_names_of_six_digits(tmp_path: Path, form: str) -> None:
    """From a list, and from a generator, which goes through one encoder."""
    frames = [numbered_frame(number) for number in range(N_FRAMES)]
    render(frames if form == "text" else iter(frames), f"{tmp_path}/frames/")
    assert names(tmp_path / "frames") == [f"{number:06d}.png" for number in range(N_FRAMES)]
    assert (pixels(tmp_path / "frames" / "000029.png") == frames[29]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["%04d.png", "index.m3u8"])
def test_actors_write_the_same_files(tmp_path: Path, on_ray: Any, name: str) -> None:
    """Byte for byte."""
    for folder, options in (("a", {"engine": "local"}), ("b", {"engine": "ray", "workers": 2})):
        render(Numbered(N_FRAMES), tmp_path / folder / name, segment_frames=6, **options)
    for each in names(tmp_path / "a"):
        assert (tmp_path / "a" / each).read_bytes() == (tmp_path / "b" / each).read_bytes()
    assert names(tmp_path / "a") == names(tmp_path / "b")


def test_images_are_resumed_and_appear_together(tmp_path: Path) -> None:
    """Until then, what was there stands."""
    stop, folder = tmp_path / "stop", tmp_path / "frames"
    options = {"n_frames": N_FRAMES, "engine": "local", "segment_frames": 6}
    render(Sine(), folder / "%04d.png", n_frames=40)
    stop.touch()
    with pytest.raises(RuntimeError, match="stopped here"):
        render(Sine(stop), folder / "%04d.png", **options)
    assert len(names(folder)) == 40
    assert names(tmp_path) == ["frames", "frames.parts", "stop"]
    stop.unlink()
    report = render(Sine(stop), folder / "%04d.png", **options, resume=True)
    assert report.resumed_frames == 18
    assert names(folder) == [f"{number:04d}.png" for number in range(N_FRAMES)]
    assert names(tmp_path) == ["frames"]


@pytest.mark.parametrize("beside", ["notes.txt", "other_1.png", "shot_20240131.png", "shot_1.png"])
def test_what_else_is_in_the_folder_stays(tmp_path: Path, beside: str) -> None:
    """Images of a longer video go."""
    folder = tmp_path / "frames"
    frames = [numbered_frame(number) for number in range(6)]
    render(frames, folder / "shot_%02d.png")
    (folder / beside).write_text("mine")
    render(frames[:3], folder / "shot_%02d.png")
    assert names(folder) == sorted([beside, "shot_00.png", "shot_01.png", "shot_02.png"])
    assert (folder / beside).read_text() == "mine"
    assert names(tmp_path) == ["frames"]


def test_folders_of_other_names_stay(tmp_path: Path) -> None:
    """Whether or not there is something to replace."""
    (tmp_path / "a.old").mkdir()
    (tmp_path / "a.old" / "mine").write_text("")
    for _ in range(2):
        render([numbered_frame(1)], tmp_path / "a" / "%d.png")
        assert names(tmp_path) == ["a", "a.old"]
        assert names(tmp_path / "a.old") == ["mine"]


@pytest.fixture
def put_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that behaves as a mount point: nothing is renamed into it or out of it."""
    folder = tmp_path / "a"
    folder.mkdir()

    def refusing(rename: Any) -> Any:
        def checked(source: Any, target: Any, **options: Any) -> None:
            if folder in (Path(source), Path(target)):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            if (folder in Path(source).parents) != (folder in Path(target).parents):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target, **options)

        return checked

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    return folder


def test_a_folder_may_be_a_mount_point(put_into: Path) -> None:
    """Images are copied into it, each whole."""
    frames = [numbered_frame(number) for number in range(5)]
    for n_frames in (5, 3):
        render(frames[:n_frames], put_into / "%d.png")
        assert names(put_into) == [f"{number}.png" for number in range(n_frames)]
    assert (pixels(put_into / "2.png") == frames[2]).all()
    assert names(put_into.parent) == ["a"]


def test_images_that_cannot_be_put_there_are_kept(tmp_path: Path) -> None:
    """The message names where."""
    (tmp_path / "a" / "1.png").mkdir(parents=True)
    (tmp_path / "a" / "1.png" / "mine").write_text("")
    with pytest.raises(EncodeError, match=r"kept in '.*a\.\w+\.part'"):
        render([numbered_frame(number) for number in range(2)], tmp_path / "a" / "%d.png")
    (kept,) = tmp_path.glob("a.*.part")
    assert names(kept) == ["1.png"]
    assert (tmp_path / "a" / "1.png" / "mine").exists()


def test_images_are_kept_where_nothing_can_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder that they were written to."""

    def refuse(source: Any, target: Any) -> None:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(EncodeError, match=r"kept in '.*/a\.part'") as caught:  # noqa: SIM117
        with VideoFolder(tmp_path / "a" / "%d.png").part() as part:
            part.mkdir()
            (part / "0.png").write_text("new")
            monkeypatch.setattr(os, "rename", refuse)
    assert "not be put at" in str(caught.value)
    assert names(tmp_path / "a.part") == ["0.png"]


def test_what_a_killed_encoder_left_goes(tmp_path: Path) -> None:
    """Another one starts anew in the same folder."""
    spec = make_spec("%d.png", VideoSettings(), (4, 2), Fraction(30))
    segment = EncodedSegment(2, b"", (EncodedPacket(b"a", 0, True), EncodedPacket(b"b", 1, True)))
    ImageJoiner(spec, tmp_path / "a.part").add(segment)
    (tmp_path / "a.part" / "2.png").write_text("old")
    again = ImageJoiner(spec, tmp_path / "a.part")
    again.add(segment)
    assert again.finish() == 2
    assert names(tmp_path / "a.part") == ["0.png", "1.png"]


def test_images_may_be_protected(tmp_path: Path) -> None:
    """As a video may be."""
    frames = [numbered_frame(1)]
    render(frames, tmp_path / "a" / "%d.png", overwrite=False)
    with pytest.raises(OutputError, match="has files of such names"):
        render(frames, tmp_path / "a" / "%d.png", overwrite=False)
    render(frames, tmp_path / "a" / "other_%d.png", overwrite=False)


@pytest.mark.parametrize("there", ["index.m3u8", "index_header.m4s", "index_0.m4s"])
def test_a_playlist_may_be_protected(tmp_path: Path, there: str) -> None:
    """Also one of another program, whose segments have other names."""
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputError, match="has files of such names"):
        render([numbered_frame(1)], tmp_path / "index.m3u8", overwrite=False)
    assert names(tmp_path) == [there]


def test_places_that_cannot_be(tmp_path: Path) -> None:
    """Each is refused in one sentence, before work starts."""
    (tmp_path / "file").write_text("")
    (tmp_path / "b.part").mkdir()
    (tmp_path / "b.part" / "mine").write_text("")
    frames = [numbered_frame(1)]
    for outfile, words in (
        ("%d.png", "a folder of their own, such as 'video/%d.png'"),
        ("s3://bucket/%d.png", "such as 's3://bucket/video/%d.png'"),
        ("s3://x.m3u8", "such as 's3://bucket/video/x.m3u8'"),
        ("memory://x.m3u8", "such as 'memory://bucket/video/x.m3u8'"),
        (tmp_path / "file" / "%d.png", "is a file"),
        (tmp_path / "b" / "%d.png", "b.part' stands where"),
        (tmp_path / "b" / "%d.xyz", "No video format"),
    ):
        with pytest.raises(OutputError, match=words):
            render(frames, outfile)
    assert (tmp_path / "b.part" / "mine").exists()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("%04d.png", True),
        ("a_%d.JPG", True),
        ("100%%_%d.jpeg", True),
        ("%%d%.png", False),
        ("%%d.png", False),
        ("%d_%d.png", False),
        ("%s.png", False),
        ("a.png", False),
        ("%04d", False),
        ("%04d.mp4", False),
        ("%04d.gif", False),
        ("50%done.mp4", False),
    ],
)
def test_names_with_a_number(name: str, is_one: bool) -> None:
    """Those of FFmpeg and of Python, where they end as an image does."""
    assert is_image_pattern(name) == is_one


@pytest.mark.parametrize(
    ("outfile", "video"),
    [("%04d.mp4", "%04d.mp4"), ("%04d", "%04d.mp4"), ("50%done.mp4", "50%done.mp4")],
)
def test_a_video_may_have_a_number_in_its_name(tmp_path: Path, outfile: str, video: str) -> None:
    """It is one file."""
    assert render(Numbered(3), tmp_path / outfile).output == tmp_path / video
    assert read_numbers(tmp_path / video) == [0, 1, 2]


def test_an_old_part_is_taken_away(tmp_path: Path) -> None:
    """One that a killed job has left."""
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / "7.png").write_text("")
    with VideoFolder(tmp_path / "a" / "%d.png").part() as part:
        assert not part.exists()
        part.mkdir()
        (part / "0.png").write_text("new")
    assert names(tmp_path / "a") == ["0.png"]


# ---- in stores


@pytest.fixture
def in_memory() -> Callable[[], dict[str, bytes]]:
    """What is in a store that is empty at first, by address."""
    store: dict[str, Any] = MemoryFileSystem.store
    store.clear()
    return lambda: {name: store[name].getvalue() for name in sorted(store)}


@pytest.mark.parametrize("name", ["%04d.png", "index.m3u8"])
def test_a_folder_in_a_store_has_the_files_of_one_on_a_disk(
    name: str, tmp_path: Path, in_memory: Callable[[], dict[str, bytes]]
) -> None:
    """Those of a longer video go, and what else is there stays."""
    frames = [numbered_frame(number) for number in range(N_FRAMES)]
    render(frames * 6, f"memory://talks/a/{name}", segment_frames=20)
    MemoryFileSystem().pipe_file("/talks/a/notes.txt", b"mine")
    report = render(frames, f"memory://talks/a/{name}", segment_frames=20)
    render(frames, tmp_path / name, segment_frames=20)
    expected = {f"/talks/a/{each.name}": each.read_bytes() for each in tmp_path.iterdir()}
    assert in_memory() == expected | {"/talks/a/notes.txt": b"mine"}
    assert str(report.output) == f"memory://talks/a/{name}"
    assert report.file_bytes == sum(map(len, expected.values()))


def test_a_playlist_comes_after_its_segments(
    monkeypatch: pytest.MonkeyPatch, in_memory: Callable[[], dict[str, bytes]]
) -> None:
    """So that what it names is there."""
    came: list[str] = []
    upload = Store.upload
    monkeypatch.setattr(
        Store, "upload", lambda *given: (came.append(given[2].name), upload(*given))
    )
    render(Numbered(N_FRAMES * 10), "memory://talks/a/index.m3u8")
    assert came[0] == "index_0.m4s" and came[-2:] == ["index_header.m4s", "index.m3u8"]
    assert sorted(came) == [each.rpartition("/")[2] for each in in_memory()]


def test_a_folder_in_a_store_is_resumed_and_may_be_protected(
    tmp_path: Path, in_memory: Callable[[], dict[str, bytes]]
) -> None:
    """What was there stands until all is drawn."""
    stop, outfile = tmp_path / "stop", "memory://talks/a/%02d.png"
    options = {"n_frames": N_FRAMES, "engine": "local", "segment_frames": 6}
    render(Sine(), outfile, n_frames=3)
    before = in_memory()
    with pytest.raises(OutputError, match="has files of such names"):
        render(Sine(), outfile, overwrite=False, **options)
    stop.touch()
    with pytest.raises(RuntimeError, match="stopped here"):
        render(Sine(stop), outfile, **options)
    assert {name: data for name, data in in_memory().items() if ".parts/" not in name} == before
    stop.unlink()
    assert render(Sine(stop), outfile, **options, resume=True).resumed_frames == 18
    assert list(in_memory()) == [f"/talks/a/{number:02d}.png" for number in range(N_FRAMES)]


def test_images_that_a_store_refuses_are_kept(
    monkeypatch: pytest.MonkeyPatch, in_memory: Callable[[], dict[str, bytes]]
) -> None:
    """On this machine; the message names where."""

    def refuse(client: Any, path: str, to: str, **how: Any) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(MemoryFileSystem, "put_file", refuse)
    with pytest.raises(EncodeError, match="could not be put at 'memory://talks/a'") as caught:
        render([numbered_frame(number) for number in range(2)], "memory://talks/a/%d.png")
    kept = Path(str(caught.value).rpartition("kept in '")[2].partition("'")[0])
    assert names(kept) == ["0.png", "1.png"]
    shutil.rmtree(kept.parent)
    # The segments: --resume uploads again.
    assert all(".parts/" in name for name in in_memory())
