"""Segments stay where a job fails, go where it does not, and only its own are used again."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from sample_segments import SPEC, segment

from rayanim.engine.plan import Segment
from rayanim.errors import FrameError, ResumeError
from rayanim.parameters import Batch
from rayanim.storage.fingerprint import batch_digest
from rayanim.storage.output import Target
from rayanim.storage.segments import SegmentFolder, SegmentStore
from rayanim.storage.store import Store


@contextlib.contextmanager
def keeping(video: Path, thing: Any, **how: Any) -> Iterator[SegmentStore]:
    """The segments of a job that claims its target, as all do."""
    target = Target(video)
    with target.claimed(), SegmentStore(target, thing, **how) as segment_store:
        yield segment_store


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A target that is not there yet."""
    return tmp_path / "video.mp4"


def planned(
    index: int, params: Sequence[Any] | None = None, n_frames: int = 3
) -> tuple[Segment, Batch]:
    start = 3 * index
    numbers = range(start, start + n_frames)
    return Segment(index, start, start + n_frames), Batch(numbers, params)


def opened(segment_store: SegmentStore, log: list[str] | None = None, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "n_frames": 15,
        "segment_frames": "3",
        "seed": 0,
        "source_name": "Video",
        "first_frame": "ab",
        "log": (log if log is not None else []).append,
    }
    return segment_store.open(SPEC, **{**values, **changes})


def resumed_frames(segment_store: SegmentStore) -> int:
    return sum(each.n_frames for each in segment_store.finished.values())


def put(store: Any, index: int, params: Sequence[Any] | None = None) -> None:
    each, batch = planned(index, params)
    digest = batch_digest(batch.numbers, batch.params)
    store.put(index, each.start, digest, segment(index))


def fail_after(video: Path, *indices: int, params: Sequence[Any] | None = None) -> BaseException:
    with pytest.raises(ZeroDivisionError) as caught, keeping(video, object) as segment_store:
        store = opened(segment_store)
        for index in indices:
            put(store, index, params)
        raise ZeroDivisionError
    return caught.value


def test_after_an_error_of_the_script_its_code_must_not_change(video: Path) -> None:
    """A command that cannot work once the code is corrected is not printed."""
    with pytest.raises(FrameError) as caught, keeping(video, object) as segment_store:
        put(opened(segment_store), 0)
        raise FrameError("Frame 3: ...")
    (note,) = caught.value.__notes__
    assert note.endswith(
        " It can be reused (--resume) only if the script's code is unchanged."
    ) and note.startswith("1 finished segment is kept in ")


def test_segments_go_with_success_and_stay_with_failure(video: Path) -> None:
    """The error says how many there are, and what to do."""
    error = fail_after(video, 0, 1, 4)
    assert "3 finished segments are kept" in error.__notes__[0]
    assert "To go on from there, give resume=True." in error.__notes__[0]
    with keeping(video, object, resume=True) as segment_store:
        opened(segment_store)
        assert (resumed_frames(segment_store), segment_store.path.exists()) == (9, True)
        assert sum(each.file_bytes for each in segment_store.finished.values()) == sum(
            each.stat().st_size for each in segment_store.path.glob("*.part")
        )
    assert list(video.parent.iterdir()) == []


def test_a_job_without_a_segment_leaves_nothing(video: Path) -> None:
    """And has nothing to say of it."""
    assert not hasattr(fail_after(video), "__notes__")
    assert list(video.parent.iterdir()) == []


def test_a_job_that_never_opened_its_folder_leaves_older_segments_alone(video: Path) -> None:
    """A wrong argument costs nobody their work."""
    fail_after(video, 0)
    with pytest.raises(KeyError), keeping(video, object):
        raise KeyError
    assert len(list(video.with_name("video.mp4.parts").glob("*.part"))) == 1


def test_only_the_same_frames_are_used_again(video: Path) -> None:
    """Same place, same numbers, same parameters."""
    fail_after(video, 0, 1, params=["a", "b", "c"])
    with keeping(video, object, resume=True) as segment_store:
        opened(segment_store)
        assert segment_store.take_up(*planned(0, ["a", "b", "c"])) is True
        assert segment_store.take_up(*planned(0, ["a", "b", "d"])) is False
        assert segment_store.take_up(*planned(0)) is False
        assert segment_store.take_up(*planned(1, ["a", "b"], n_frames=2)) is False
        assert set(segment_store.finished) == {0, 1}
        assert segment_store.finished[1].n_frames == 3


def test_parameters_without_a_name_are_drawn_again(video: Path) -> None:
    """Of two lambdas nobody can say that they are one."""
    params = [lambda: 1] * 3
    fail_after(video, 0, params=params)
    with keeping(video, object, resume=True) as segment_store:
        opened(segment_store)
        assert segment_store.take_up(*planned(0, params)) is False


def test_segments_behind_the_end_go(video: Path) -> None:
    """Whole or broken: the video is joined from what is in the folder."""
    fail_after(video, 0, 1, 2, 3)
    parts = video.with_name("video.mp4.parts")
    (parts / "000003.part").write_bytes(b"broken")
    log: list[str] = []
    with keeping(video, object, resume=True) as segment_store:
        store = opened(segment_store, log)
        assert segment_store.end_at(2) == 3
        assert sorted(store.indices()) == [0, 1]
        assert resumed_frames(segment_store) == 6
        assert segment_store.end_at(2) == 0
    assert "000003.part is not used" in log[0]


def test_a_folder_that_is_gone_hides_no_error(video: Path) -> None:
    """What the job failed of is what is reported."""
    with pytest.raises(ZeroDivisionError), keeping(video, object) as segment_store:
        put(opened(segment_store), 0)
        shutil.rmtree(segment_store.path)
        raise ZeroDivisionError


def test_other_settings_are_refused_and_change_nothing(video: Path) -> None:
    """The segments stay for who takes the change back."""
    fail_after(video, 0, 1)
    with (
        pytest.raises(ResumeError, match="seed was 0, is 5 now"),
        keeping(video, object, resume=True) as segment_store,
    ):
        opened(segment_store, seed=5)
    with keeping(video, object, resume=True, keep=True) as segment_store:
        opened(segment_store)
        assert resumed_frames(segment_store) == 6
    assert len(list(segment_store.path.glob("*.part"))) == 2


class Thing:
    """Drawn from its attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def test_other_values_are_another_video(video: Path) -> None:
    """Named, also where the first frame is the same; those that cannot be compared are listed."""
    with (
        pytest.raises(ZeroDivisionError),
        keeping(video, Thing(speed=1, lock=Lock())) as segment_store,
    ):
        put(opened(segment_store), 0)
        raise ZeroDivisionError
    with (
        pytest.raises(ResumeError, match="values of the source have changed: speed"),
        keeping(video, Thing(speed=2, lock=Lock()), resume=True) as segment_store,
    ):
        opened(segment_store)
    log: list[str] = []
    with keeping(video, Thing(speed=1, lock=3), resume=True) as segment_store:
        opened(segment_store, log)
        assert resumed_frames(segment_store) == 3
    assert len(log) == 1
    assert "could not be compared with those of the earlier job: lock." in log[0]


def test_a_job_with_fewer_segments_says_which_are_resumed(video: Path) -> None:
    """Forgetting to resume costs nothing."""
    fail_after(video, 0, 1, 2)
    error = fail_after(video, 0)
    assert "3 finished segments are kept in" in error.__notes__[0]
    assert "video.mp4.parts.old'" in error.__notes__[0]
    with keeping(video, object, resume=True) as segment_store:
        opened(segment_store)
        assert resumed_frames(segment_store) == 9
    assert list(video.parent.iterdir()) == []


def test_one_segment_is_one(video: Path) -> None:
    """In the note."""
    assert "1 finished segment is kept" in fail_after(video, 0).__notes__[0]


def test_an_interrupt_while_ending_leaves_the_target_free(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook goes on in the same process, and may want the same video."""

    def interrupted(store: SegmentFolder) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SegmentFolder, "clear", interrupted)
        with pytest.raises(KeyboardInterrupt), keeping(video, object) as segment_store:
            opened(segment_store)
    fail_after(video, 0)
    with keeping(video, object, resume=True) as segment_store:
        opened(segment_store)
        assert resumed_frames(segment_store) == 3


class Unreachable(Store):
    """A disk that is gone for a while."""

    def kind(self, address: Any, **how: Any) -> Any:
        raise OSError(5, "gone")


def test_segments_that_cannot_be_counted_are_not_removed(video: Path) -> None:
    """A store that does not answer is not an empty one."""
    with pytest.raises(ZeroDivisionError), keeping(video, object) as segment_store:
        put(opened(segment_store), 0)
        segment_store._used = dataclasses.replace(segment_store._used, store=Unreachable())
        raise ZeroDivisionError
    assert len(list(video.with_name("video.mp4.parts").glob("*.part"))) == 1
