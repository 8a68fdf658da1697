"""The video's file is replaced whole, or left as it was."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.lock import remove_unfinished
from rayanim.storage.output import Target
from rayanim.storage.store import Store


def test_folders_are_made(tmp_path: Path) -> None:
    """The way to the file is made with all its folders."""
    Target(tmp_path / "a" / "b" / "video.mp4").check(overwrite=True)
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    """The message names the folder and what is missing."""
    with pytest.raises(OutputError, match="is a folder") as caught:
        Target(tmp_path).check(overwrite=True)
    assert repr(str(tmp_path)) in caught.value.message


def test_a_store_that_refuses_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words are not quoted twice."""

    def refuse(self: Store, address: object, **how: object) -> None:
        raise OSError(13, "there are no credentials")

    monkeypatch.setattr(Store, "kind", refuse)
    with pytest.raises(OutputError) as caught:
        Target(tmp_path / "a.mp4").check(overwrite=True)
    assert caught.value.message == (
        f"{str(tmp_path / 'a.mp4')!r} cannot be written: there are no credentials."
    )


def test_an_existing_file_may_be_protected(tmp_path: Path) -> None:
    """It is replaced only where that is allowed."""
    video = tmp_path / "video.mp4"
    video.write_text("before")
    Target(video).check(overwrite=True)
    with pytest.raises(OutputError, match="exists"):
        Target(video).check(overwrite=False)
    assert video.read_text() == "before"


@pytest.mark.parametrize("below", ["video.mp4", "deeper/video.mp4"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    """A folder that cannot be made is an error of ours, not of the system."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        Target(tmp_path / "file" / below).check(overwrite=True)


def test_a_folder_without_write_permission(tmp_path: Path, monkeypatch: Any) -> None:
    """What the system says of the folder is believed before work starts."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        Target(tmp_path / "video.mp4").check(overwrite=True)


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "x" * 249 + ".mp4", "a\0b.mp4"])
def test_names_that_the_system_refuses(tmp_path: Path, name: str) -> None:
    """Names too long, with or without ``.part``, and null bytes are the caller's slip."""
    with pytest.raises(OutputError):
        Target(tmp_path / name).check(overwrite=True)
        with Target(tmp_path / name).claimed():
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused_early(tmp_path: Path) -> None:
    """By the system, not with a traceback."""
    with pytest.raises(OutputError, match="cannot be a file"):
        Target(tmp_path / ("x" * 256)).check_early(overwrite=True)
        Target(tmp_path / ("x" * 256)).check(overwrite=True)  # Python 3.14 asks the system here


def test_a_finished_part_becomes_the_video(tmp_path: Path) -> None:
    """The old video stands until the new one is whole."""
    video = tmp_path / "video.mp4"
    video.write_text("before")
    with Target(video).part() as part:
        part.write_text("after")
        assert video.read_text() == "before"
    assert video.read_text() == "after"
    assert list(tmp_path.iterdir()) == [video]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_part_goes(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever ended the job, the target is as it was and nothing else is left."""
    video = tmp_path / "video.mp4"
    video.write_text("before")
    with pytest.raises(error), Target(video).part() as part:
        part.write_text("half")
        raise error
    assert video.read_text() == "before"
    assert list(tmp_path.iterdir()) == [video]


def test_unfinished_parts_can_be_removed_at_once(tmp_path: Path) -> None:
    """Those that are being written go, other jobs' and finished videos stay."""
    for name in ("done.mp4", "theirs.mp4.part"):
        (tmp_path / name).touch()
    with Target(tmp_path / "done.mp4").part() as part:
        part.write_text("whole")
    with pytest.raises(KeyboardInterrupt), Target(tmp_path / "video.mp4").part() as part:
        part.write_text("half")
        remove_unfinished()
        assert not part.exists()
        raise KeyboardInterrupt
    remove_unfinished()
    assert {path.name for path in tmp_path.iterdir()} == {"done.mp4", "theirs.mp4.part"}


def test_two_jobs_do_not_share_a_part(tmp_path: Path) -> None:
    """The second is refused, and the first one's part is not touched by that."""
    video = tmp_path / "video.mp4"
    first = Target(video)
    with first.claimed(), first.part() as part:
        part.write_text("of the first")
        with pytest.raises(OutputError, match="Another job"), Target(video).claimed():
            pass
        assert part.read_text() == "of the first"
    assert video.read_text() == "of the first"
    assert list(tmp_path.iterdir()) == [video]


def test_an_unfinished_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Somebody may have put it there in a folder that many write to."""
    (tmp_path / "video.mp4.part").symlink_to(tmp_path / "elsewhere")
    with Target(tmp_path / "video.mp4").part() as part:
        part.write_text("whole")
    assert [each.name for each in tmp_path.iterdir()] == ["video.mp4"]


def test_a_part_left_by_a_killed_job_is_no_obstacle(tmp_path: Path) -> None:
    """A lock ends with its process: the next job takes the file over."""
    (tmp_path / "video.mp4.part").write_text("left over, and longer than what follows")
    with Target(tmp_path / "video.mp4").part() as part:
        part.write_text("new")
    assert (tmp_path / "video.mp4").read_text() == "new"


def test_a_folder_in_the_place_of_the_part_is_named_before_work_starts(tmp_path: Path) -> None:
    """It stays, as what is in it does."""
    (tmp_path / "video.mp4.part" / "notes").mkdir(parents=True)
    with (
        pytest.raises(OutputError, match=r"video\.mp4\.part'"),
        Target(tmp_path / "video.mp4").part(),
    ):
        raise AssertionError
    assert (tmp_path / "video.mp4.part" / "notes").is_dir()


def test_a_part_that_cannot_be_removed_does_not_hide_the_error(tmp_path: Path) -> None:
    """A folder in its place, for example."""
    with pytest.raises(ValueError, match="real"), Target(tmp_path / "video.mp4").part() as part:
        part.mkdir()
        raise ValueError("real")


def test_a_target_that_became_a_folder_is_reported(tmp_path: Path) -> None:
    """A video that cannot be put in place is an error, and its part goes."""
    video = tmp_path / "video.mp4"
    with pytest.raises(EncodeError, match="could not be put"), Target(video).part() as part:
        part.write_text("whole")
        video.mkdir()
    assert list(tmp_path.iterdir()) == [video]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read_takes_a_video(tmp_path: Path) -> None:
    """It cannot be synced, but the video is there: that is no failure."""
    folder = tmp_path / "drop"
    folder.mkdir(mode=0o300)
    with Target(folder / "video.mp4").part() as part:
        part.write_text("whole")
    assert (folder / "video.mp4").read_text() == "whole"
    folder.chmod(0o700)


def test_a_folder_that_cannot_be_opened_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where it is root who renders."""
    real = os.open

    def refuse_folders(path: Any, flags: int, *rest: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse_folders)
    with Target(tmp_path / "video.mp4").part() as part:
        part.write_text("whole")
    assert (tmp_path / "video.mp4").read_text() == "whole"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that a link points to is replaced, not the link."""
    (tmp_path / "disk").mkdir()
    video = tmp_path / "video.mp4"
    video.symlink_to(tmp_path / "disk" / "real.mp4")
    with Target(video).part() as part:
        part.write_text("whole")
    assert video.is_symlink()
    assert (tmp_path / "disk" / "real.mp4").read_text() == "whole"


def test_a_script_may_change_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video goes where its path led when the job began."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    target = Target(Path("video.mp4"))
    target.check(overwrite=True)
    with target.claimed(), target.part() as part:
        part.write_text("whole")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert target.segments == tmp_path / "video.mp4.parts"
    assert (tmp_path / "video.mp4").read_text() == "whole"
    assert [each.name for each in (tmp_path / "elsewhere").iterdir()] == []


def test_a_video_is_on_the_disk_before_it_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its name after that, before the segments go that it was made of."""
    video = tmp_path / "video.mp4"
    video.write_text("old")
    synced: list[tuple[bool, str]] = []

    def sync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), video.read_text()))

    monkeypatch.setattr(os, "fsync", sync)
    with Target(video).part() as part:
        part.write_text("new")
    assert synced == [(False, "old"), (True, "new")]
