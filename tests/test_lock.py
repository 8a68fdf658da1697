"""A lock keeps two jobs from one file, and never a later one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayanim.errors import OutputError
from rayanim.storage.lock import FileLock


def test_who_comes_second_is_told_in_the_given_words(tmp_path: Path) -> None:
    """Until the first one closes it, twice if it likes; what is in the file stays."""
    path = tmp_path / "file"
    path.write_text("content")
    first = FileLock(path, "taken")
    with pytest.raises(OutputError, match=r"^taken$"):
        FileLock(path, "taken")
    first.close()
    first.close()
    assert not first.is_held
    FileLock(path, "taken").close()
    assert path.read_text() == "content"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not made."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot be written"):
        FileLock(tmp_path / "link", "taken")
    assert not (tmp_path / "elsewhere").exists()
