"""`Animator.make_video` and the helper that picks data frames for a play speed."""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numbered import SIZE, NumberedAnimator, read_numbers

from rayanim import (
    Animator,
    IndexedFrameParams,
    PerformanceSettings,
    get_rendered_frame_ids,
    produce,
)
from rayanim.animator import _read_ffmpeg_options
from rayanim.dry_run import PlanReport
from rayanim.errors import FrameError, ParametersError, SettingsError, SetupError
from rayanim.overrides import Overrides, overriding


def planned(animator: Animator, **options: Any) -> PlanReport:
    """What `make_video` would do."""
    with overriding(Overrides(dry_run=True)):
        report = animator.make_video("video.mp4", **{"param_by_frame": range(12), **options})
    assert isinstance(report, PlanReport)
    return report


def test_a_video_in_a_new_folder(tmp_path: Path) -> None:
    """The folder is made, a string is a path, every frame is there in order."""
    path = tmp_path / "new" / "video.mp4"
    report = NumberedAnimator().make_video(str(path), range(12), 25)
    assert read_numbers(path) == list(range(12))
    assert (report.frames, report.rate, report.size) == (12, 25, (64, 48))


@pytest.mark.parametrize(
    ("options", "actors"),
    [
        ({}, 8),
        ({"num_workers": -1}, 8),
        ({"num_workers": -2}, 7),
        ({"num_workers": 1}, 1),
        ({"num_workers": 20}, 20),
        ({"workers": 3}, 3),
        ({"workers": "50%", "num_workers": -1}, 4),
    ],
)
def test_num_workers_bound_the_actors(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], actors: int
) -> None:
    """-1 is all cores and -2 all but one, a number itself, under either of the two names."""
    monkeypatch.setattr("rayanim.engine.machine.usable_cores", lambda: 8)
    assert planned(NumberedAnimator(), **options).max_actors == actors


@pytest.mark.parametrize(
    "options",
    [
        {"video_quality": 20, "crf": 20},
        {"video_preset": "fast", "preset": "slow"},
        {"num_workers": 2, "workers": 2},
        {"disable_progress_bar": True, "progress": False},
        {"plotting_log_interval": 5, "drawing_log_interval": 5},
        {"saving_log_interval": 5, "encoding_log_interval": 5},
    ],
)
def test_one_thing_under_both_names_is_an_error(options: dict[str, Any]) -> None:
    """It names both and what was given for each."""
    with pytest.raises(SettingsError, match="are two names for one thing") as caught:
        planned(NumberedAnimator(), **options)
    assert all(f"{name}={value!r}" in caught.value.message for name, value in options.items())


def test_no_workers_are_an_error(tmp_path: Path) -> None:
    """0 means nothing, and nothing is written."""
    with pytest.raises(SettingsError, match="got 0"):
        NumberedAnimator().make_video(tmp_path / "video.mp4", range(12), num_workers=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "n_frames", "numbers"),
    [
        ([5, 7, 9], None, [5, 7, 9]),
        (iter([5, 7, 9]), None, [5, 7, 9]),
        ([5, 7, 9], 2, [5, 7]),
        (itertools.count(3), 4, [3, 4, 5, 6]),
        (np.array([1, 2]), None, [1, 2]),
        ({8: "a", 9: "b"}, None, [8, 9]),
        ([IndexedFrameParams(at, at + 20) for at in (2, 0, 1)], None, [20, 21, 22]),
        ((IndexedFrameParams(at, at + 20) for at in (1, 2, 0)), None, [20, 21, 22]),
    ],
)
def test_any_iterable_of_parameters(
    tmp_path: Path, parameters: Any, n_frames: int | None, numbers: list[int]
) -> None:
    """Lists, generators, arrays, endless ones with `n_frames`, and numbered ones out of order."""
    path = tmp_path / "video.mp4"
    NumberedAnimator().make_video(path, parameters, n_frames=n_frames, num_workers=1)
    assert read_numbers(path) == numbers


class Counting(NumberedAnimator):
    """Notes what `update` is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, Any]] = []

    def update(self, frame_idx: int, params: Any) -> None:
        self.calls.append((frame_idx, params))
        super().update(frame_idx, frame_idx)


def test_frames_without_parameters(tmp_path: Path) -> None:
    """`n_frames` alone hands None to each update, once per frame, in order."""
    animator = Counting()
    animator.make_video(tmp_path / "video.mp4", n_frames=4, num_workers=1)
    assert animator.calls == [(0, None), (1, None), (2, None), (3, None)]


def test_a_subclass_may_bring_its_parameters(tmp_path: Path) -> None:
    """Attributes of the class stand in for arguments that are left out."""

    class Own(NumberedAnimator):
        fps = "24000/1001"
        param_by_frame = (4, 5)

    report = Own().make_video(tmp_path / "video.mp4")
    assert read_numbers(tmp_path / "video.mp4") == [4, 5]
    assert report.rate == Fraction(24000, 1001)


def test_produce_takes_an_animator_s_own_attributes(tmp_path: Path) -> None:
    """As `make_video` does; arguments come first."""

    class Own(NumberedAnimator):
        fps = 24
        param_by_frame = (4, 5)

    report = produce(Own(), outfile=tmp_path / "video.mp4")
    assert read_numbers(tmp_path / "video.mp4") == [4, 5]
    assert report.rate == 24
    report = produce(Own(), 10, outfile=tmp_path / "video.mp4", param_by_frame=[6], n_frames=1)
    assert read_numbers(tmp_path / "video.mp4") == [6]
    assert report.rate == 10


class Counted(NumberedAnimator):
    """Keeps a number of its own under the name `n_frames`.

    Parameters
    ----------
    n_frames
        Frames of its data, say.
    """

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames


@pytest.mark.parametrize("n_frames", [2, 100])
def test_an_attribute_n_frames_does_not_cut_parameters(tmp_path: Path, n_frames: int) -> None:
    """Neither those that were given nor those of the class: it may mean anything."""

    class Own(Counted):
        param_by_frame = (4, 5, 6)

    Counted(n_frames).make_video(tmp_path / "given.mp4", [7, 8, 9])
    Own(n_frames).make_video(tmp_path / "own.mp4")
    assert read_numbers(tmp_path / "given.mp4") == [7, 8, 9]
    assert read_numbers(tmp_path / "own.mp4") == [4, 5, 6]


def test_an_attribute_n_frames_ends_endless_parameters_of_the_class(tmp_path: Path) -> None:
    """Nothing else gives their length."""

    class Endless(NumberedAnimator):
        param_by_frame = itertools.count(3)
        n_frames = 4

    Endless().make_video(tmp_path / "video.mp4")
    assert read_numbers(tmp_path / "video.mp4") == [3, 4, 5, 6]


def test_how_many_frames_is_asked_for(tmp_path: Path) -> None:
    """Neither parameters nor `n_frames` is an error that names both."""
    with pytest.raises(SettingsError, match="param_by_frame, one entry per frame, or n_frames"):
        NumberedAnimator().make_video(tmp_path / "video.mp4")


@pytest.mark.parametrize("names", [("video_quality", "video_preset"), ("crf", "preset")])
def test_quality_and_preset_reach_the_encoder(tmp_path: Path, names: tuple[str, str]) -> None:
    """Under the animator's names and under `produce`'s; codec and pixel format too."""
    sizes = []
    for quality in (10, 40):
        path = tmp_path / f"{quality}.mkv"
        report = NumberedAnimator().make_video(
            path,
            range(20),
            video_mode="cpu",
            **{names[0]: quality, names[1]: "ultrafast"},
            codec="h265",
            pixel_format="yuv444p",
        )
        assert (report.codec, report.pixel_format) == ("libx265", "yuv444p")
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("hevc", "yuv444p")
        sizes.append(path.stat().st_size)
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"video_mode": "fast"},
        {"video_extra_ffmpeg_params": ["-vf", "negate"]},
        {"video_extra_ffmpeg_params": ["-crf"]},
        {"video_extra_ffmpeg_params": ["-crf", "good"]},
        {"video_extra_ffmpeg_params": ["-preset", "hasty"]},
        {"video_extra_ffmpeg_params": ["-crf", "20"], "video_quality": 20},
        {"video_mode": "cpu", "video_preset": "p5"},
        {"plotting_log_interval": 0},
        {"saving_log_interval": 1.5},
        {"n_frames": 0},
        {"savefig_params": ["dpi"]},
        {"savefig_params": {"dpi": math.nan}},
        {"savefig_params": {"bbox_inches": "thight"}},
        {"video_quality": 99},
        {"video_preset": "hasty"},
        {"codec": "h266"},
        {"pixel_format": "yuv"},
    ],
)
def test_wrong_arguments_are_refused_before_work_starts(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """`setup` is never called, and no file or folder is made."""

    class Untouched(NumberedAnimator):
        def setup(self) -> Figure:
            raise AssertionError("set up")

    with pytest.raises(SettingsError):
        Untouched().make_video(tmp_path / "new" / "video.mp4", [1, 2], **wrong)
    assert list(tmp_path.iterdir()) == []


def test_arguments_of_other_names_are_a_type_error(tmp_path: Path) -> None:
    """A slip in a name is not silently taken."""
    with pytest.raises(TypeError, match="colour"):
        NumberedAnimator().make_video(tmp_path / "video.mp4", [1], colour="red")


def test_log_intervals_write_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every so many frames, drawn and encoded, with the total where it is known."""
    with caplog.at_level(logging.INFO, "rayanim"):
        NumberedAnimator().make_video(
            tmp_path / "video.mp4",
            range(10),
            num_workers=1,
            plotting_log_interval=5,
            saving_log_interval=10,
            disable_progress_bar=True,
        )
    lines = [record.getMessage() for record in caplog.records]
    lines = [line for line in lines if "frames" in line]
    assert lines == ["5 of 10 frames drawn", "10 of 10 frames drawn", "10 of 10 frames encoded"]


def test_a_disabled_bar_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to either stream."""
    NumberedAnimator().make_video(tmp_path / "video.mp4", range(5), disable_progress_bar=True)
    assert capfd.readouterr() == ("", "")


def test_a_generator_that_fails_names_its_entry(tmp_path: Path) -> None:
    """It is the iterable that failed and not the drawing; nothing is left."""

    def parameters() -> Iterator[int]:
        yield 1
        raise LookupError("no more data")

    with pytest.raises(ParametersError, match="LookupError when asked for entry 1: no more data"):
        NumberedAnimator().make_video(tmp_path / "video.mp4", parameters())
    assert list(tmp_path.iterdir()) == []


rates = st.fractions(min_value=Fraction(1, 50), max_value=500, max_denominator=1001)


@settings(deadline=None)
@given(rates, rates, rates, st.integers(1, 300))
def test_data_frames_are_picked_exactly(
    data_fps: Fraction, play_speed: Fraction, rendered_fps: Fraction, n: int
) -> None:
    """Frame ``i`` shows data frame ``floor(i * stride)``; how many there are is exact."""
    stride = data_fps * play_speed / rendered_fps
    n = max(1, min(n, int(200 * stride)))
    ids = get_rendered_frame_ids(data_fps, play_speed, rendered_fps, n)
    count = max(1, math.floor(n / stride))
    assert ids.tolist() == [min(n - 1, math.floor(i * float(stride))) for i in range(count)]
    assert ids.dtype == np.int64


@pytest.mark.parametrize(
    ("data_fps", "play_speed", "rendered_fps"),
    [
        (24, 1 / 3, 24),
        (60, 2 / 3, 30),
        (330, 30 / 330, 30),
        (330, np.float64(30) / 330, np.int64(30)),
    ],
)
def test_data_frames_at_speeds_without_a_decimal(
    data_fps: Any, play_speed: Any, rendered_fps: Any
) -> None:
    """A float is the number that it is: each data frame is shown equally often, none is lost."""
    stride = round(3 * data_fps * play_speed / rendered_fps)  # in thirds
    n = 8 * stride
    ids = get_rendered_frame_ids(data_fps, play_speed, rendered_fps, n)
    assert ids.tolist() == [at * stride // 3 for at in range(24)]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((30, 1, 30, 4), [0, 1, 2, 3]),
        ((60, 1, 30, 5), [0, 2]),
        ((10, 0.5, 10, 2), [0, 0, 1, 1]),
        ((330, 0.1, 33.0, 3), [0, 1, 2]),
        ((3, 1.0, 2, 5), [0, 1, 3]),
        ((np.int64(60), np.float32(0.5), np.uint8(30), np.int64(3)), [0, 1, 2]),
        ((10, 1, 10, 0), []),
        ((1000, 1, 1, 5), [0]),
    ],
)
def test_data_frames_by_example(arguments: tuple[Any, ...], ids: list[int]) -> None:
    """Real time, too quick, slow motion, decimal floats, no data, fewer than one stride."""
    assert get_rendered_frame_ids(*arguments).tolist() == ids


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "x", None])
def test_senseless_speeds_are_errors(at: int, value: Any) -> None:
    """Rates and speeds are positive and finite."""
    arguments: list[Any] = [30, 1, 30, 10]
    arguments[at] = value
    with pytest.raises(SettingsError, match="above 0"):
        get_rendered_frame_ids(*arguments)


class Text(NumberedAnimator):
    """Keeps which frames it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Any]] = []

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, params)
        self.asked.append((frame_idx, params))


IDS = [4, 5, 9, 100, 101, 3000]


def gapped(numbers: list[int]) -> list[IndexedFrameParams]:
    """Parameters for frames of those numbers."""
    return [IndexedFrameParams(number, number) for number in numbers]


@pytest.mark.parametrize("wrap", [list, iter])
def test_numbers_with_gaps_make_a_video_in_their_order(tmp_path: Path, wrap: Any) -> None:
    """`update` gets each frame's own number; no frame is made of those left out."""
    anim, video = Text(), tmp_path / "video.mp4"
    numbers = [9, 3000, 5, 4, 101, 100]
    report = anim.make_video(video, wrap(gapped(numbers)), 20, num_workers=1)
    assert read_numbers(video) == IDS
    assert anim.asked == [(number, number) for number in IDS]
    assert (report.frames, report.rate, report.size) == (6, 20, SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("sequential", [True, False])
def test_actors_draw_numbers_with_gaps(tmp_path: Path, on_ray: Any, sequential: bool) -> None:
    """On actors too, some chosen, and with the updates that are skipped."""
    ids = list(range(7, 400, 11))
    video = tmp_path / "video.mp4"
    report = NumberedAnimator().make_video(
        video,
        iter(gapped(ids)),
        n_frames=len(ids),
        engine="ray",
        num_workers=2,
        frames="40-300",
        sequential=sequential,
    )
    assert report.engine == "ray"
    assert read_numbers(video) == [number for number in ids if 40 <= number <= 300]


class Grows(NumberedAnimator):
    """Shows how many updates there were."""

    sequential = True

    def setup(self) -> Figure:
        self.count = 0
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        self.count += 1
        super().update(frame_idx, self.count)


def test_numbers_with_gaps_are_all_updated_where_frames_build_on_others(tmp_path: Path) -> None:
    """Those before a chosen frame are, and only they."""
    video = tmp_path / "video.mp4"
    Grows().make_video(video, gapped(IDS), engine="local", frames="100-101")
    assert read_numbers(video) == [4, 5]


def test_a_video_with_gaps_is_taken_up_again(tmp_path: Path) -> None:
    """With other numbers its parts do not fit."""
    video, ids = tmp_path / "video.mp4", list(range(3, 303, 3))
    options: dict[str, Any] = {"engine": "local", "segment_frames": 20}
    NumberedAnimator().make_video(video, gapped(ids), keep_parts=True, **options)
    first = video.read_bytes()
    report = NumberedAnimator().make_video(
        video, iter(gapped(ids)), 30, 100, resume=True, **options
    )
    assert (report.resumed_frames, video.read_bytes()) == (100, first)


def test_an_animator_is_abstract() -> None:
    """A class without its two methods cannot be made, nor can one with the user's own lack."""
    with pytest.raises(TypeError, match="setup"):
        Animator()  # type: ignore[abstract]

    class WithoutUpdate(Animator):
        def setup(self) -> Figure:
            return Figure()

    with pytest.raises(TypeError, match="update"):
        WithoutUpdate()  # type: ignore[abstract]


def test_the_base_class_s_methods_may_be_called(tmp_path: Path) -> None:
    """They do nothing."""

    class Calls(NumberedAnimator):
        def setup(self) -> Figure:
            Animator.setup(self)  # type: ignore[safe-super]
            return super().setup()

        def update(self, frame_idx: int, params: Any) -> None:
            Animator.update(self, frame_idx, params)  # type: ignore[safe-super]
            super().update(frame_idx, params)

    Calls().make_video(tmp_path / "video.mp4", range(3), num_workers=1)
    assert read_numbers(tmp_path / "video.mp4") == [0, 1, 2]


def test_numpy_s_numbers_are_taken_everywhere(tmp_path: Path) -> None:
    """As counts, rates, sizes and truth values; the report is JSON all the same."""
    video = tmp_path / "video.mp4"
    report = NumberedAnimator().make_video(
        video,
        range(9),
        np.int64(10),
        n_frames=np.int64(4),
        num_workers=np.int32(1),
        plotting_log_interval=np.int64(2),
        savefig_params={"dpi": np.float32(200)},
        video_quality=np.int64(20),
        reuse_figure_object=np.bool_(True),
        segment_frames=np.int16(3),
        seed=np.uint8(5),
        overwrite=np.bool_(True),
        time_per_print=np.float64(2.0),
        settings=PerformanceSettings(max_workers=np.int64(2), window_size=np.float64(3.0)),
    )
    assert (report.frames, report.rate, report.size) == (4, 10, (2 * SIZE[0], 2 * SIZE[1]))
    assert type(report.rate.numerator) is int
    assert json.loads(json.dumps(report.to_dict()))["frames"] == 4
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_what_the_user_raises_is_caught_under_its_own_name(tmp_path: Path) -> None:
    """From `setup`, `update` and the parameters, as well as under rayanim's names."""

    class Broken(NumberedAnimator):
        def update(self, frame_idx: int, params: Any) -> None:
            raise KeyError("mine")

    class Never(NumberedAnimator):
        def setup(self) -> Figure:
            raise FileNotFoundError("no data")

    def parameters() -> Iterator[int]:
        raise ZeroDivisionError("none")
        yield 1

    video = tmp_path / "video.mp4"
    with pytest.raises(KeyError) as caught:
        Broken().make_video(video, [1, 2])
    assert isinstance(caught.value, FrameError)
    assert str(caught.value) == "Drawing frame 0 of Broken raised KeyError: 'mine'"
    with pytest.raises(FileNotFoundError, match=r"Never raised FileNotFoundError: no data"):
        Never().make_video(video, [1, 2])
    with pytest.raises(ZeroDivisionError, match="none"):
        NumberedAnimator().make_video(video, parameters())


def test_a_video_of_no_frames_is_a_runtime_error(tmp_path: Path) -> None:
    """Scripts may catch it so."""
    with pytest.raises(RuntimeError, match="no frames"):
        NumberedAnimator().make_video(tmp_path / "video.mp4", [])


@pytest.mark.parametrize("mode", ["auto", "cpu", "gpu"])
def test_every_video_mode_encodes_on_the_processor(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A graphics card's preset then means nothing; of "gpu" a warning says so."""
    video = tmp_path / "video.mp4"
    preset = "fast" if mode == "cpu" else "p5"
    report = NumberedAnimator().make_video(video, range(4), video_mode=mode, video_preset=preset)
    assert report.codec == "libx264"
    assert read_numbers(video) == [0, 1, 2, 3]
    assert ("encodes on the processor" in caplog.text) == (mode == "gpu")


def test_options_of_ffmpeg_s_command_are_taken_where_they_have_a_counterpart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Others of which no picture depends are named in a warning."""
    video = tmp_path / "video.mkv"
    extra = ["-c:v", "libx265", "-pix_fmt", "yuv444p", "-crf", "30", "-preset", "ultrafast"]
    report = NumberedAnimator().make_video(
        video, range(4), video_extra_ffmpeg_params=[*extra, "-tune", "animation", "-threads", 2]
    )
    assert (report.codec, report.pixel_format) == ("libx265", "yuv444p")
    assert "-tune animation has no effect" in caplog.text
    assert read_numbers(video) == [0, 1, 2, 3]
    rates = {"800k": 800, "1.5M": 1500, ".5M": 500, "64000": 64}
    assert {text: _read_ffmpeg_options(["-b:v", text])["bitrate"] for text in rates} == rates
    for wrong in ("1.2.3", ".", "k"):
        with pytest.raises(SettingsError, match="-b:v must be a number"):
            _read_ffmpeg_options(["-b:v", wrong])


def test_savefig_options_of_an_image_file_have_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that no savefig knows are named in a warning."""
    video = tmp_path / "video.mp4"
    options = {
        "dpi": "figure",
        "metadata": {"Title": "x"},
        "pil_kwargs": {"compress_level": 1},
        "format": "png",
        "colour": "red",
    }
    report = NumberedAnimator().make_video(video, range(3), savefig_params=options, dpi="figure")
    assert (report.size, read_numbers(video)) == (SIZE, [0, 1, 2])
    assert "savefig_params, without effect on a video: colour" in caplog.text


@pytest.mark.parametrize("factor", [0, -1, 1000])
def test_a_preload_factor_is_taken_and_has_no_effect(tmp_path: Path, factor: int) -> None:
    """Scripts pass what a queue takes."""
    video = tmp_path / "video.mp4"
    NumberedAnimator().make_video(video, [7, 8], preload_factor=factor, reuse_figure_object=1)
    assert read_numbers(video) == [7, 8]


def test_methods_with_other_arguments_are_named_with_the_remedy(tmp_path: Path) -> None:
    """Before any work starts."""

    class Short(NumberedAnimator):
        def update(self, frame_idx: int) -> None:  # type: ignore[override]
            raise AssertionError("updated")

    class Long(NumberedAnimator):
        def setup(self, dpi: int) -> Figure:  # type: ignore[override]
            raise AssertionError("set up")

    class Free(NumberedAnimator):
        def update(self, *args: Any, colour: str = "red") -> None:
            super().update(*args)

    video = tmp_path / "video.mp4"
    remedy = (
        r"Short\.update\(self, frame_idx.* has the wrong arguments: "
        r"it is called as update\(self, frame_idx, params\)\."
    )
    with pytest.raises(TypeError, match=remedy):
        Short().make_video(video, [1])
    with pytest.raises(SetupError, match=r"Long\.setup\(self, dpi.* called as setup\(self\)\."):
        Long().make_video(video, [1])
    assert list(tmp_path.iterdir()) == []
    Free().make_video(video, [3], num_workers=1)
    assert read_numbers(video) == [3]
