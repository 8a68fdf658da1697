"""`Animator.make_video` and the helper that picks data frames for a play speed."""

from __future__ import annotations

import itertools
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
from numbered import NumberedAnimator, read_numbers

from rayanim import Animator, IndexedFrameParams, get_rendered_frame_ids, produce
from rayanim.dry_run import PlanReport
from rayanim.errors import ParametersError, SettingsError
from rayanim.overrides import Overrides, overriding


def planned(animator: Animator, **options: Any) -> PlanReport:
    """What `make_video` would do."""
    with overriding(Overrides(dry_run=True)):
        report = animator.make_video("film.mp4", **{"param_by_frame": range(12), **options})
    assert isinstance(report, PlanReport)
    return report


def test_a_film_in_a_new_folder(tmp_path: Path) -> None:
    """The folder is made, a string is a path, every frame is there in order."""
    path = tmp_path / "new" / "film.mp4"
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
    monkeypatch.setattr("rayanim.farm.machine.usable_cores", lambda: 8)
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
    assert all(f"{name}=" in caught.value.message for name in options)


def test_no_workers_are_an_error(tmp_path: Path) -> None:
    """0 means nothing, and nothing is written."""
    with pytest.raises(SettingsError, match="got 0"):
        NumberedAnimator().make_video(tmp_path / "film.mp4", range(12), num_workers=0)
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
    path = tmp_path / "film.mp4"
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
    animator.make_video(tmp_path / "film.mp4", n_frames=4, num_workers=1)
    assert animator.calls == [(0, None), (1, None), (2, None), (3, None)]


def test_a_subclass_may_bring_its_parameters(tmp_path: Path) -> None:
    """Attributes of the class stand in for arguments that are left out."""

    class Own(NumberedAnimator):
        fps = "24000/1001"
        param_by_frame = (4, 5)

    report = Own().make_video(tmp_path / "film.mp4")
    assert read_numbers(tmp_path / "film.mp4") == [4, 5]
    assert report.rate == Fraction(24000, 1001)


def test_produce_takes_an_animator_s_own_attributes(tmp_path: Path) -> None:
    """As `make_video` does; arguments come first."""

    class Own(NumberedAnimator):
        fps = 24
        param_by_frame = (4, 5)

    report = produce(Own(), outfile=tmp_path / "film.mp4")
    assert read_numbers(tmp_path / "film.mp4") == [4, 5]
    assert report.rate == 24
    report = produce(Own(), 10, outfile=tmp_path / "film.mp4", param_by_frame=[6], n_frames=1)
    assert read_numbers(tmp_path / "film.mp4") == [6]
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
    """Nothing else tells how long they are."""

    class Endless(NumberedAnimator):
        param_by_frame = itertools.count(3)
        n_frames = 4

    Endless().make_video(tmp_path / "film.mp4")
    assert read_numbers(tmp_path / "film.mp4") == [3, 4, 5, 6]


def test_how_many_frames_is_asked_for(tmp_path: Path) -> None:
    """Neither parameters nor `n_frames` is an error that names both."""
    with pytest.raises(SettingsError, match="param_by_frame, one entry per frame, or n_frames"):
        NumberedAnimator().make_video(tmp_path / "film.mp4")


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
        {"video_mode": "gpu"},
        {"video_mode": "gpu", "codec": "h264"},
        {"video_extra_ffmpeg_params": ["-vf", "negate"]},
        {"preload_factor": 0},
        {"reuse_figure_object": "yes"},
        {"plotting_log_interval": 0},
        {"saving_log_interval": 1.5},
        {"n_frames": 0},
        {"savefig_params": ["dpi"]},
        {"savefig_params": {"dpi": math.nan}},
        {"savefig_params": {"bbox_inches": "thight"}},
        {"video_quality": 99},
        {"video_preset": "quick"},
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
        Untouched().make_video(tmp_path / "new" / "film.mp4", [1, 2], **wrong)
    assert list(tmp_path.iterdir()) == []


def test_arguments_of_other_names_are_a_type_error(tmp_path: Path) -> None:
    """A slip in a name is not silently taken."""
    with pytest.raises(TypeError, match="colour"):
        NumberedAnimator().make_video(tmp_path / "film.mp4", [1], colour="red")


def test_log_intervals_write_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every so many frames, drawn and encoded, with the total where it is known."""
    with caplog.at_level(logging.INFO, "rayanim"):
        NumberedAnimator().make_video(
            tmp_path / "film.mp4",
            range(10),
            num_workers=1,
            plotting_log_interval=5,
            saving_log_interval=10,
            disable_progress_bar=True,
        )
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["5 of 10 frames drawn", "10 of 10 frames drawn", "10 of 10 frames encoded"]


def test_a_disabled_bar_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to either stream."""
    NumberedAnimator().make_video(tmp_path / "film.mp4", range(5), disable_progress_bar=True)
    assert capfd.readouterr() == ("", "")


def test_a_generator_that_fails_names_its_entry(tmp_path: Path) -> None:
    """The user's iterable is told apart from the user's drawing; nothing is left."""

    def parameters() -> Iterator[int]:
        yield 1
        raise LookupError("no more data")

    with pytest.raises(ParametersError, match="LookupError when asked for entry 1: no more data"):
        NumberedAnimator().make_video(tmp_path / "film.mp4", parameters())
    assert list(tmp_path.iterdir()) == []


rates = st.fractions(min_value=Fraction(1, 50), max_value=500, max_denominator=1001)


@settings(deadline=None)
@given(rates, rates, rates, st.integers(1, 300))
def test_data_frames_are_picked_exactly(
    data_fps: Fraction, play_speed: Fraction, rendered_fps: Fraction, n: int
) -> None:
    """Film frame ``i`` shows data frame ``floor(i * stride)``, in exact arithmetic."""
    stride = data_fps * play_speed / rendered_fps
    n = max(1, min(n, int(200 * stride)))
    ids = get_rendered_frame_ids(data_fps, play_speed, rendered_fps, n)
    count = max(1, math.floor(n / stride))
    assert ids.tolist() == [min(n - 1, math.floor(i * stride)) for i in range(count)]
    assert ids.dtype == np.int64


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((30, 1, 30, 4), [0, 1, 2, 3]),
        ((60, 1, 30, 5), [0, 2]),
        ((10, 0.5, 10, 2), [0, 0, 1, 1]),
        ((330, 0.1, 33.0, 3), [0, 1, 2]),
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
