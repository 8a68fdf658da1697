"""A lock keeps two jobs from one file, and never a later one."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from rayanim.errors import OutputError
from rayanim.storage.lock import FileLock, remove_unfinished, removed_on_failure


def test_who_comes_second_gets_the_given_message(tmp_path: Path) -> None:
    """Until the first one closes it, twice if it likes; the file goes with the lock."""
    path = tmp_path / "file"
    first = FileLock(path, "taken")
    with pytest.raises(OutputError, match=r"^taken$"):
        FileLock(path, "taken")
    assert first.is_held
    first.close()
    first.close()
    assert (first.is_held, path.exists()) == (False, False)
    FileLock(path, "taken").close()


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    """A file of that name that has something in it is not a lock of ours."""
    path = tmp_path / "file"
    path.write_text("content")
    FileLock(path, "taken").close()
    assert path.read_text() == "content"


def test_what_others_wrote_stays_when_the_process_is_ended_at_once(tmp_path: Path) -> None:
    """An empty lock file goes."""
    (tmp_path / "theirs").write_text("content")
    locks = [FileLock(tmp_path / name, "taken") for name in ("theirs", "own")]
    remove_unfinished()
    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]
    for each in locks:
        each.close()


def test_only_the_process_that_made_a_lock_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that was forked from it."""
    lock = FileLock(tmp_path / "file", "taken")
    with removed_on_failure(tmp_path / "part"), monkeypatch.context() as forked:
        (tmp_path / "part").touch()
        forked.setattr(os, "getpid", lambda: -1)
        remove_unfinished()
        assert {each.name for each in tmp_path.iterdir()} == {"file", "part"}
    lock.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As some network file systems are; two jobs are not noticed there."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    FileLock(tmp_path / "file", "taken").close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the video, not the lock file, of which nobody has asked."""

    def refuse(*given: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError) as caught:
        FileLock(tmp_path / "video.mp4.lock", "taken")
    assert caught.value.message == (
        f"The folder {str(tmp_path)!r} is not writable, so {str(tmp_path / 'video.mp4')!r} "
        "cannot be made."
    )


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not made."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot be written"):
        FileLock(tmp_path / "link", "taken")
    assert not (tmp_path / "elsewhere").exists()
