"""`produce` in this process and on Ray: one clear error or a whole video, never a half one."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager, scale
from matplotlib.colors import ListedColormap, get_named_colors_mapping
from matplotlib.figure import Figure
from matplotlib.scale import LinearScale, register_scale
from numbered import (
    FPS,
    SIZE,
    Numbered,
    NumberedAnimator,
    files_in,
    numbered_frame,
    read_numbers,
)

import rayanim
from rayanim import Animator, PerformanceSettings
from rayanim.errors import (
    EncodeError,
    FrameError,
    NotPicklableError,
    OutputError,
    ParametersError,
    RayanimError,
    SettingsError,
    SetupError,
)
from rayanim.frame_gen import FrameGenerator
from rayanim.overrides import Overrides, overriding
from rayanim.storage.output import Target

N_FRAMES = 12


def produce(source: Any, path: Any, fps: Any = FPS, **options: Any) -> rayanim.Report:
    return rayanim.produce(
        source, fps, outfile=path, **{"engine": "local", "progress": False, **options}
    )


class Untouched(Numbered):
    """A generator that must not be asked for anything but its length."""

    def start(self) -> None:
        raise AssertionError("work has begun")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A target in a folder of its own that holds an earlier video."""
    path = tmp_path / "folder" / "video.mp4"
    path.parent.mkdir()
    path.write_text("the video of before")
    return path


def assert_untouched(video: Path) -> None:
    """The earlier video stands, and nothing but finished segments lies beside it."""
    assert files_in(video.parent) == [video.name]
    assert video.read_text() == "the video of before"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps must be above 0, got 0"),
        ({"fps": -1}, "fps must be above 0, got -1"),
        ({"fps": math.nan}, "fps must be a number .* got nan"),
        ({"fps": math.inf}, "fps must be a number .* got inf"),
        ({"fps": "abc"}, "fps must be a number .* got 'abc'"),
        ({"fps": 1e9}, "fps must be at most 1000, got 1000000000.0"),
        ({"workers": 0}, "workers must be .* got 0"),
        ({"workers": "x%"}, "workers must be .* got 'x%'"),
        ({"codec": "h266"}, r"no codec 'h266'|do not hold codec 'h266'.*h264|codec 'h266'"),
        ({"preset": "hasty"}, "no preset 'hasty'.*medium"),
        ({"pixel_format": "rgb"}, "pixel format 'rgb'.*yuv420p"),
        ({"crf": 20, "bitrate": 500}, "exclude each other"),
        ({"crf": 60}, "crf of libx264 must be a number from 0 to 51"),
        ({"bitrate": "fast"}, "bitrate must be .* got 'fast'"),
        ({"dpi": 0}, "dpi must be .* got 0"),
        ({"engine": "gpu"}, "engine must be .* got 'gpu'"),
        ({"odd_size": "stretch"}, "odd_size must be"),
        ({"background": "whitish"}, "background must be a colour .* got 'whitish'"),
        ({"frames": "9-3"}, "9-3 runs backwards; write 3-9"),
        ({"frames": "1-2x0"}, "the step after x must be at least 1"),
        ({"frames": "5-12"}, "There is no frame 12: the video has frames 0 to 11"),
        ({"seed": 1.5}, "seed must be"),
        ({"settings": {"num_workers": 2}}, "settings must be PerformanceSettings"),
        ({"param_by_frame": [1]}, "Untouched takes no parameters"),
        ({"n_frames": 5}, "has its own duration"),
        ({"progress": 3}, "progress must be"),
        ({"time_per_print": -1}, "time_per_print"),
        ({"time_per_print": "often"}, "time_per_print"),
        ({"logger": "stdout"}, "logger"),
        ({"drawing_log_interval": 0}, "drawing_log_interval"),
        ({"overwrite": False}, "exists"),
    ],
)
def test_a_wrong_argument_is_one_error_before_any_work(
    video: Path, options: dict[str, Any], message: str
) -> None:
    """It says what was got; the earlier video stands and nothing else is written."""
    with pytest.raises(SettingsError, match=rf"(?s){message}"):
        produce(Untouched(N_FRAMES), video, **options)
    assert_untouched(video)


@pytest.mark.parametrize("name", ["video.xyz", "video.doc", "video.mp4.", ".mp4", ".", ""])
def test_unknown_suffixes_list_the_known_ones(tmp_path: Path, name: str) -> None:
    """The format never changes silently."""
    with pytest.raises(OutputError, match=r"\.mp4.*\.webm"):
        produce(Untouched(N_FRAMES), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_a_suffix_is_an_mp4(tmp_path: Path) -> None:
    """Of `produce` and `make_video`; the report says where the video is."""
    report = produce(Numbered(N_FRAMES), tmp_path / "video")
    assert report.output == tmp_path / "video.mp4"
    assert read_numbers(report.output) == list(range(N_FRAMES))
    report = NumberedAnimator().make_video(str(tmp_path / "other"), [3, 1])
    assert read_numbers(tmp_path / "other.mp4") == [3, 1]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.mp4", "video.mp4"]


@pytest.mark.parametrize("outfile", [None, 5, b"video.mp4", "~nobody-of-that-name/video.mp4"])
def test_what_is_no_path_is_quoted(outfile: Any) -> None:
    """A missing name, a number, bytes, a user that does not exist."""
    with pytest.raises(SettingsError, match=r"outfile|output file|folder"):
        produce(Untouched(N_FRAMES), outfile)


def test_a_target_that_cannot_be_written_to(video: Path) -> None:
    """A folder as the file, and a file as the folder, are told before any work."""
    with pytest.raises(OutputError, match="is a folder"):
        (video.parent / "dir.mp4").mkdir()
        produce(Untouched(N_FRAMES), video.parent / "dir.mp4")
    (video.parent / "dir.mp4").rmdir()
    with pytest.raises(OutputError, match="cannot be made"):
        produce(Untouched(N_FRAMES), video / "below" / "video.mp4")
    assert_untouched(video)


def wrong_frames(kind: str) -> Any:
    """A function whose frame 3 is wrong in some way."""

    def draw(number: int) -> Any:
        if number != 3:
            return numbered_frame(number)
        return {
            "bytes": b"too short",
            "size": np.zeros((2, 2, 4), np.uint8),
            "dtype": numbered_frame(3).astype(float),
            "None": None,
        }[kind]

    return draw


@pytest.mark.parametrize("engine", ["local", "auto"])
@pytest.mark.parametrize("kind", ["bytes", "size", "dtype", "None"])
def test_a_wrong_frame_ends_the_job(video: Path, kind: str, engine: str) -> None:
    """Its number stands in the error; the earlier video stands too."""
    with pytest.raises(FrameError, match="Frame 3") as caught:
        produce(wrong_frames(kind), video, n_frames=N_FRAMES, engine=engine)
    assert caught.value.frame == 3
    assert_untouched(video)


class Broken(Numbered):
    """Fails at one of its four steps.

    Parameters
    ----------
    step
        The name of the member that fails.
    """

    def __init__(self, step: str) -> None:
        super().__init__(N_FRAMES)
        self.step = step

    def _fail(self, step: str) -> None:
        if step == self.step:
            raise ZeroDivisionError("the user's own mistake")

    @property
    def duration(self) -> float:
        self._fail("duration")
        return super().duration

    @property
    def frame_size(self) -> tuple[int, int]:  # type: ignore[override]
        self._fail("frame_size")
        return SIZE

    def start(self) -> None:
        self._fail("start")

    def generate_at(self, time_ms: float) -> Any:
        self._fail("generate_at")
        return super().generate_at(time_ms)

    def finish(self) -> None:
        self._fail("finish")


@pytest.mark.parametrize("step", ["duration", "frame_size", "start", "generate_at", "finish"])
def test_a_generator_that_raises_is_the_script_s_error(video: Path, step: str) -> None:
    """Whatever it raises arrives as one error with its message, and no video."""
    with pytest.raises(RayanimError, match="the user's own mistake") as caught:
        produce(Broken(step), video)
    assert step in (getattr(caught.value, "traceback_text", None) or "")
    assert_untouched(video)


def test_a_setup_without_a_figure_ends_the_job(video: Path) -> None:
    """The class and what it returned are named."""

    class Forgets(NumberedAnimator):
        def setup(self) -> Any:
            super().setup()

    with pytest.raises(
        SetupError, match=r"Forgets\.setup\(\) returned None: end it with `return fig`"
    ):
        produce(Forgets(), video, n_frames=3)
    assert_untouched(video)
    plt.close("all")


@pytest.mark.parametrize("parameters", [[], (), iter([]), range(0), np.zeros((0, 3))])
def test_a_video_without_frames_is_an_error(video: Path, parameters: Any) -> None:
    """Empty parameters of any kind."""
    with pytest.raises(ParametersError, match="no frames"):
        produce(NumberedAnimator(), video, param_by_frame=parameters)
    assert_untouched(video)


def test_no_images_at_all_are_an_error(video: Path) -> None:
    """The message fits frames that are given one by one."""
    with pytest.raises(
        ParametersError, match="There is nothing to render: the video has no frames"
    ):
        produce(iter([]), video)
    assert_untouched(video)


@pytest.mark.parametrize("n_frames", [0, -3, 2.5, True])
def test_senseless_frame_counts_are_errors(video: Path, n_frames: Any) -> None:
    """A count is a whole number above 0."""
    with pytest.raises(SettingsError, match="n_frames must be"):
        produce(NumberedAnimator(), video, n_frames=n_frames)
    assert_untouched(video)


@pytest.mark.parametrize("wrap", [list, iter])
def test_more_frames_than_parameters_are_those_that_there_are(
    video: Path, wrap: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A video is not shorter than asked for without a warning."""
    produce(NumberedAnimator(), video, param_by_frame=wrap([1, 2, 3]), n_frames=4)
    assert read_numbers(video) == [1, 2, 3]
    assert "only 3 entries" in caplog.text


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((0, 10), "frame_size must be"),
        ((math.nan, 10), "frame_size must be"),
        ((64.5, 48), "frame_size must be"),
        ((20_000, 10), "encodes frames up to"),
    ],
)
def test_sizes_that_no_video_has(video: Path, size: Any, message: str) -> None:
    """Zero, NaN, parts of pixels, and more than the codec takes."""

    class Sized(FrameGenerator):
        duration = 100
        frame_size = size

        def generate_at(self, time_ms: float) -> Any:
            return bytes(4 * 20_000 * 10)

    with pytest.raises(SettingsError, match=message):
        produce(Sized(), video)
    assert_untouched(video)


@pytest.mark.parametrize(
    ("odd_size", "size"), [("pad", (46, 46)), ("crop", (44, 44)), ("scale", (46, 46))]
)
def test_odd_sizes(tmp_path: Path, odd_size: Any, size: tuple[int, int]) -> None:
    """Padded by default; cropped, scaled or refused on request."""
    frame = np.full((45, 45, 4), 200, np.uint8)
    report = produce(lambda number: frame, tmp_path / "video.mp4", n_frames=2, odd_size=odd_size)
    with av.open(str(tmp_path / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert report.size == (stream.width, stream.height)
    assert report.size == size
    with pytest.raises(SettingsError, match="even"):
        produce(lambda number: frame, tmp_path / "b.mp4", n_frames=2, odd_size="error")


def test_frames_can_be_chosen(tmp_path: Path) -> None:
    """A selection keeps the numbers, of an endless generator too."""
    path = tmp_path / "video.mp4"
    produce(Numbered(100), path, frames="3,50-60x5")
    assert read_numbers(path) == [3, 50, 55, 60]
    produce(NumberedAnimator(), path, param_by_frame=itertools.count(), frames="2-40x2")
    assert read_numbers(path) == list(range(2, 41, 2))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(number: int) -> Any:
    """A frame that no codec makes small."""
    return np.random.default_rng(number).integers(0, 255, (240, 320, 4), np.uint8)


def test_a_full_disk_is_one_error(tiny_disk: Path) -> None:
    """The target is as it was, and the part is gone."""
    video = tiny_disk / "video.mp4"
    video.write_text("the video of before")
    with pytest.raises(EncodeError, match="space"):
        produce(noise, video, n_frames=60, crf=10)
    assert_untouched(video)


@pytest.mark.slow
def test_a_full_disk_on_ray_is_one_error(on_ray: Any, tiny_disk: Path) -> None:
    """What the encoder actor meets reaches the caller, and nothing is left."""
    video = tiny_disk / "video.mp4"
    video.write_text("the video of before")
    with pytest.raises(EncodeError, match="space"):
        produce(noise, video, n_frames=60, crf=10, engine="ray", workers=2)
    assert_untouched(video)


def test_a_video_that_another_job_finished_meanwhile_is_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the claim."""
    target, claimed = tmp_path / "video.mp4", Target.claimed

    def claimed_late(self: Target) -> Any:
        target.write_text("theirs")
        return claimed(self)

    monkeypatch.setattr(Target, "claimed", claimed_late)
    with pytest.raises(OutputError, match="exists"):
        rayanim.produce(Numbered(4), FPS, outfile=target, overwrite=False, progress=False)
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_two_jobs_with_one_target(tmp_path: Path) -> None:
    """The second is refused; the first one goes on and its video is whole."""
    path = tmp_path / "video.mp4"
    refused: list[str] = []

    def draw(number: int) -> Any:
        if number == 5:
            with pytest.raises(OutputError, match="Another job") as caught:
                produce(Untouched(N_FRAMES), path)
            refused.append(caught.value.message)
        return numbered_frame(number)

    produce(draw, path, n_frames=N_FRAMES)
    assert len(refused) == 1
    assert read_numbers(path) == list(range(N_FRAMES))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_through(video: Path, error: type[BaseException]) -> None:
    """Ctrl-C in the user's code stays what it is, and nothing is left."""

    def draw(number: int) -> Any:
        if number == 5:
            raise error
        return numbered_frame(number)

    with pytest.raises(error):
        produce(draw, video, n_frames=N_FRAMES)
    assert_untouched(video)


def bytes_of(path: Path, source: Any, **options: Any) -> bytes:
    produce(source, path, **options)
    return path.read_bytes()


def test_without_a_seed_the_generators_go_on(tmp_path: Path) -> None:
    """None leaves them to the script: the frames are those of its own sequence."""
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    drawn: list[float] = []

    def draw(number: int) -> Any:
        drawn.append(random.random())
        return numbered_frame(number)

    produce(draw, tmp_path / "video.mp4", n_frames=2, seed=None)
    assert [*drawn, random.random()] == expected


def write_font(path: Path, name: str) -> None:
    """Write a font that no machine has: one that matplotlib ships, under another name."""
    font = TTFont(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono-Bold.ttf")
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = name
    font.save(path)


class Styled(Animator):
    """A figure whose look is all style: colours, widths, a font, a colour map."""

    def setup(self) -> Figure:
        fig, ax = plt.subplots(figsize=(1.6, 1.2))
        (self.line,) = ax.plot([0, 1])
        ax.set_facecolor("paper of this test")
        ax.set_prop_cycle(color=mpl.color_sequences["of-this-test"])
        ax.set_yscale("of-this-test")
        ax.plot([1, 0])
        ax.imshow([[0, 1]], cmap="of-this-test", extent=(0, 1, 0, 0.2), aspect="auto")
        ax.set_title("Style", fontfamily="Font of this test")
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata([0, frame_idx])


class Halved(LinearScale):
    """An axis scale of this module."""

    name = "of-this-test"


@pytest.fixture
def style(tmp_path: Path) -> Iterator[None]:
    """A style that only this process knows of."""
    font = tmp_path / "font.ttf"
    write_font(font, "Font of this test")
    fonts = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(font)
    mpl.colormaps.register(ListedColormap(["red", "blue"], "of-this-test"))
    mpl.color_sequences.register("of-this-test", ["orange", "green"])
    get_named_colors_mapping()["paper of this test"] = "#123456"
    with warnings.catch_warnings():
        # matplotlib 3.11 would have scales without `axis`, 3.10 knows none.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        register_scale(Halved)
    with plt.style.context(["dark_background", {"lines.linewidth": 5, "axes.labelsize": 20}]):
        yield
    mpl.colormaps.unregister("of-this-test")
    mpl.color_sequences.unregister("of-this-test")
    del scale._scale_mapping["of-this-test"]  # type: ignore[attr-defined]
    del get_named_colors_mapping()["paper of this test"]
    font_manager.fontManager.ttflist[:] = fonts


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The scale")
def test_the_script_s_style_reaches_the_actors(on_ray: Any, tmp_path: Path, style: None) -> None:
    """Style sheets, rcParams, fonts, colours and scales of here draw the same bytes there."""
    videos = {
        engine: bytes_of(tmp_path / "video.mp4", Styled(), n_frames=12, engine=engine, workers=2)
        for engine in ("local", "ray")
    }
    assert videos["local"] == videos["ray"]


@pytest.mark.filterwarnings("ignore:The scale")
def test_the_style_of_this_test_shows(tmp_path: Path, style: None) -> None:
    """Other lines and colours give other bytes: the test above proves something."""
    styled = bytes_of(tmp_path / "video.mp4", Styled(), n_frames=2)
    with mpl.rc_context({"lines.linewidth": 1}):
        assert bytes_of(tmp_path / "video.mp4", Styled(), n_frames=2) != styled
    mpl.colormaps.unregister("of-this-test")
    mpl.colormaps.register(ListedColormap(["red", "lime"], "of-this-test"))
    assert bytes_of(tmp_path / "video.mp4", Styled(), n_frames=2) != styled
    assert font_manager.findfont("Font of this test").endswith("font.ttf")


@pytest.mark.slow
def test_parameters_that_cannot_travel_are_named(on_ray: Any, video: Path) -> None:
    """An entry that does not pickle is one error that names its frame, not Ray's own."""
    parameters = [threading.Lock() for _ in range(8)]
    with pytest.raises(NotPicklableError, match=r"parameters of frame \d.* cannot be sent"):
        produce(Numbers(), video, param_by_frame=parameters, engine="ray", workers=2)
    assert_untouched(video)


class Numbers(NumberedAnimator):
    """Numbered frames whatever the parameters are."""

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, frame_idx)


@pytest.mark.parametrize(
    "options",
    [
        {"fps": np.float32(30), "crf": np.int64(20), "dpi": np.float32(100), "seed": np.int64(3)},
        {"fps": np.int64(30), "bitrate": np.float64(500), "n_frames": np.int64(5)},
    ],
)
def test_numbers_may_be_numpy_s(tmp_path: Path, options: dict[str, Any]) -> None:
    """What a computation gives is taken as Python's own numbers are."""
    report = produce(Numbers(), tmp_path / "video.mp4", **{"n_frames": 5, **options})
    assert (report.frames, report.rate) == (5, Fraction(30))


def test_the_report_s_settings_are_a_starting_point(tmp_path: Path) -> None:
    """A report may be handed on in the place of its settings: the next run has them."""
    first = produce(Numbered(N_FRAMES), tmp_path / "video.mp4")
    assert isinstance(first.settings, PerformanceSettings)
    assert first.settings.draw_ms is not None
    for given in (first, first.settings):
        with overriding(Overrides(dry_run=True)):
            planned = produce(Numbered(N_FRAMES), tmp_path / "video.mp4", settings=given)
        assert planned.settings == first.settings


def test_a_callback_counts_encoded_frames(tmp_path: Path) -> None:
    """It ends with all of them, and never goes back."""
    seen: list[tuple[int, int | None]] = []
    produce(
        Numbered(N_FRAMES),
        tmp_path / "video.mp4",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (N_FRAMES, N_FRAMES)
    assert seen == sorted(seen)


@pytest.mark.parametrize("drawing", ["auto", "full"])
def test_drawing_in_parts_can_be_turned_off(tmp_path: Path, drawing: Any) -> None:
    """Both ways give the same bytes; another word is refused."""
    video = tmp_path / f"{drawing}.mp4"
    produce(NumberedAnimator(), video, param_by_frame=range(30), drawing=drawing)
    assert read_numbers(video) == list(range(30))
    with pytest.raises(SettingsError, match="drawing must be 'auto' or 'full', got 'some'"):
        produce(NumberedAnimator(), video, param_by_frame=range(30), drawing="some")
