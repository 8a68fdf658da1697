"""The keeper: parts stay where a job fails, go where it does not, and only its own are taken up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from sample_parts import SPEC, beside, segment

from rayanim.engine.plan import Segment
from rayanim.errors import ResumeError
from rayanim.parameters import Batch
from rayanim.storage.fingerprint import batch_digest
from rayanim.storage.segments import Keeper, PartsFolder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A target that is not there yet."""
    return tmp_path / "video.mp4"


def planned(index: int, params: Sequence[Any] | None = None, n_frames: int = 3) -> Segment:
    start = 3 * index
    numbers = range(start, start + n_frames)
    return Segment(index, start, start + n_frames, Batch(numbers, params))


def opened(keeper: Keeper, told: list[str] | None = None, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "n_frames": 15,
        "segment_frames": "3",
        "seed": 0,
        "sequential": False,
        "source_name": "Video",
        "first_frame": "ab",
        "tell": (told if told is not None else []).append,
    }
    return keeper.open(SPEC, **{**values, **changes})


def put(store: Any, index: int, params: Sequence[Any] | None = None) -> None:
    each = planned(index, params)
    digest = batch_digest(each.batch.numbers, each.batch.params)
    store.put(index, each.start, digest, segment(index))


def fail_after(video: Path, *indices: int, params: Sequence[Any] | None = None) -> BaseException:
    with pytest.raises(ZeroDivisionError) as caught, Keeper(beside(video), object) as keeper:
        store = opened(keeper)
        for index in indices:
            put(store, index, params)
        raise ZeroDivisionError
    return caught.value


def test_parts_go_with_success_and_stay_with_failure(video: Path) -> None:
    """The error says how many there are, and what to do."""
    error = fail_after(video, 0, 1, 4)
    assert "3 finished segments are kept" in error.__notes__[0]
    assert "To go on from there, give resume=True." in error.__notes__[0]
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper)
        assert (keeper.resumed_frames, keeper.path.exists()) == (9, True)
        assert keeper.resumed_bytes == sum(
            each.stat().st_size for each in keeper.path.glob("*.part")
        )
    assert list(video.parent.iterdir()) == []


def test_a_job_without_a_part_leaves_nothing(video: Path) -> None:
    """And has nothing to say of it."""
    assert not hasattr(fail_after(video), "__notes__")
    assert list(video.parent.iterdir()) == []


def test_a_job_that_never_opened_its_parts_leaves_older_ones_alone(video: Path) -> None:
    """A wrong argument costs nobody their work."""
    fail_after(video, 0)
    with pytest.raises(KeyError), Keeper(beside(video), object):
        raise KeyError
    assert len(list(video.with_name("video.mp4.parts").glob("*.part"))) == 1


def test_only_the_same_frames_are_taken_up(video: Path) -> None:
    """Same place, same numbers, same parameters."""
    fail_after(video, 0, 1, params=["a", "b", "c"])
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper)
        assert keeper.take_up(planned(0, ["a", "b", "c"])) is True
        assert keeper.take_up(planned(0, ["a", "b", "d"])) is False
        assert keeper.take_up(planned(0)) is False
        assert keeper.take_up(planned(1, ["a", "b"], n_frames=2)) is False
        assert keeper.take_up(planned(2)) is None
        assert keeper.info_of(planned(1)).n_frames == 3


def test_parameters_without_a_name_are_drawn_again(video: Path) -> None:
    """Of two lambdas nobody can say that they are one."""
    params = [lambda: 1] * 3
    fail_after(video, 0, params=params)
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper)
        assert keeper.take_up(planned(0, params)) is False


def test_parts_behind_the_end_go(video: Path) -> None:
    """Whole or broken: the video is joined from what is in the folder."""
    fail_after(video, 0, 1, 2, 3)
    parts = video.with_name("video.mp4.parts")
    (parts / "000003.part").write_bytes(b"broken")
    told: list[str] = []
    with Keeper(beside(video), object, resume=True) as keeper:
        store = opened(keeper, told)
        assert keeper.end_at(2) == 3
        assert sorted(store.indices()) == [0, 1]
        assert keeper.resumed_frames == 6
        assert keeper.end_at(2) == 0
    assert "000003.part is not used" in told[0]


def test_a_folder_that_is_gone_hides_no_error(video: Path) -> None:
    """What the job failed of is what is told."""
    with pytest.raises(ZeroDivisionError), Keeper(beside(video), object) as keeper:
        put(opened(keeper), 0)
        shutil.rmtree(keeper.path)
        raise ZeroDivisionError


def test_other_settings_are_refused_and_change_nothing(video: Path) -> None:
    """The parts stay for who takes the change back."""
    fail_after(video, 0, 1)
    with (
        pytest.raises(ResumeError, match="the seed was 0, is 5 now"),
        Keeper(beside(video), object, resume=True) as keeper,
    ):
        opened(keeper, seed=5)
    with Keeper(beside(video), object, resume=True, keep=True) as keeper:
        opened(keeper)
        assert keeper.resumed_frames == 6
    assert len(list(keeper.path.glob("*.part"))) == 2


class Thing:
    """Drawn from its attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def test_other_values_are_another_video(video: Path) -> None:
    """Named, also where the first frame is the same; those that cannot be told are said to be."""
    with (
        pytest.raises(ZeroDivisionError),
        Keeper(beside(video), Thing(speed=1, lock=Lock())) as keeper,
    ):
        put(opened(keeper), 0)
        raise ZeroDivisionError
    with (
        pytest.raises(ResumeError, match="values of the source have changed: speed"),
        Keeper(beside(video), Thing(speed=2, lock=Lock()), resume=True) as keeper,
    ):
        opened(keeper)
    told: list[str] = []
    with Keeper(beside(video), Thing(speed=1, lock=3), resume=True) as keeper:
        opened(keeper, told)
        assert keeper.resumed_frames == 3
    assert len(told) == 1
    assert "could not be compared with those of the earlier job: lock." in told[0]


@pytest.mark.parametrize("step", ["forget_set_aside", "remove", "count"])
def test_an_interrupt_while_ending_leaves_the_folder_unlocked(
    video: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A notebook goes on in the same process, and may want the same video."""

    def interrupted(folder: PartsFolder) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartsFolder, step, interrupted)
        with pytest.raises(KeyboardInterrupt), Keeper(beside(video), object) as keeper:
            put(opened(keeper), 0)
            if step == "count":
                raise ZeroDivisionError
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper)
        assert keeper.resumed_frames == 3


def test_a_job_with_fewer_parts_gives_the_earlier_ones_their_place(video: Path) -> None:
    """Forgetting to resume costs nothing: the note says whose parts are kept."""
    fail_after(video, 0, 1, 2)
    error = fail_after(video, 0)
    assert "3 finished segments of an earlier job, more than of this one, are" in error.__notes__[0]
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper)
        assert keeper.resumed_frames == 9
    assert list(video.parent.iterdir()) == []


def test_going_on_from_parts_that_were_put_aside_is_said(video: Path) -> None:
    """A job that was killed could not give them their place."""
    fail_after(video, 0, 1, 2)
    video.with_name("video.mp4.parts").rename(video.with_name("video.mp4.parts.old"))
    told: list[str] = []
    with Keeper(beside(video), object, resume=True) as keeper:
        opened(keeper, told)
        assert keeper.resumed_frames == 9
    assert ["3 finished segments that were put aside" in each for each in told] == [True]
    assert list(video.parent.iterdir()) == []
