"""Room on the disk: what is still to be written, and whether it fits."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sample_segments import segment

from rayanim.errors import EncodeError, OutputError
from rayanim.storage.segments import SegmentFolder, segment_name
from rayanim.storage.store import Store, check_space


def disk_with(free_bytes: int) -> Any:
    """Stands in for `shutil.disk_usage`."""
    usage = type(shutil.disk_usage("/"))(2 * free_bytes, free_bytes, free_bytes)
    return lambda path: usage


def test_a_disk_with_room_is_no_error(tmp_path: Path, monkeypatch: Any) -> None:
    """To the byte, also where the folder is not made yet."""
    monkeypatch.setattr(shutil, "disk_usage", disk_with(1000))
    check_space(tmp_path, 1000)
    check_space(tmp_path / "not" / "made" / "yet", 1000)


def test_a_disk_without_room_is_reported_with_figures(tmp_path: Path, monkeypatch: Any) -> None:
    """What is free, what is needed, where, and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", disk_with(3 * 2**20))
    with pytest.raises(OutputError, match=r"3\.0 MB free.*2,048\.0 MB more.*Free some") as caught:
        check_space(tmp_path, 2 * 2**30)
    assert repr(str(tmp_path)) in caught.value.message


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    """No disk has an exabyte free."""
    with pytest.raises(OutputError):
        check_space(tmp_path, 2**60)


@pytest.mark.parametrize("failure", [OSError(errno.EACCES, "no"), None])
def test_a_disk_of_unknown_size_is_no_error(
    tmp_path: Path, monkeypatch: Any, failure: OSError | None
) -> None:
    """Whether it says so, or says that it has no size at all."""

    def usage(path: Path) -> tuple[int, int, int]:
        if failure is not None:
            raise failure
        return 0, 0, 0

    monkeypatch.setattr(shutil, "disk_usage", usage)
    check_space(tmp_path, 1000)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "full"), (errno.EIO, "Input")],
)
@pytest.mark.parametrize("call", ["write", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: Any, call: str, number: int, said: str
) -> None:
    """And nothing else, whichever step fails."""
    path = tmp_path / segment_name(0)
    path.write_bytes(b"before")

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    if call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fdopen", FailingFile)
        monkeypatch.setattr(FailingFile, "write", fail)
    with pytest.raises(EncodeError, match=said) as caught:
        SegmentFolder(Store(), tmp_path).put(0, 0, None, segment())
    assert repr(str(path)) in caught.value.message
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


class FailingFile:
    """A file on a disk that takes nothing.

    Parameters
    ----------
    descriptor, mode
        As for `os.fdopen`.
    """

    def __init__(self, descriptor: int, mode: str) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> FailingFile:
        return self

    def __exit__(self, *failure: object) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes) -> None:
        """Replaced by the test."""
