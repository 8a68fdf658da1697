"""The driver of a job says what its cluster lacks, and finds a place for films."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayanim.jobs import driver


def test_what_cannot_be_imported_is_found() -> None:
    """By the names of packages, which may not be those of their modules."""
    needs = ["pillow>=11", "numpy<3,>=2.0", "no-such-package>=1", "pytest"]
    assert driver.missing(needs) == ["no-such-package>=1"]


def test_a_cluster_that_fits_hears_no_complaint() -> None:
    """Newer versions fit too."""
    assert driver.complaint((3, 11), [], "/bin/python") is None
    assert driver.complaint((3, 14), [], "/bin/python") is None


def test_a_cluster_that_lacks_something_is_told_what_to_do() -> None:
    """An old Python, or packages that an option installs."""
    assert "3.9 (/bin/python)" in (driver.complaint((3, 9), [], "/bin/python") or "")
    told = driver.complaint((3, 12), ["av<19,>=15.0"], "/bin/python") or ""
    assert "lacks av" in told and "--pip 'av<19,>=15.0'" in told


def test_films_go_where_the_head_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else below the home folder, else where anybody may write."""
    monkeypatch.setenv(driver.FILMS, str(tmp_path / "films"))
    assert driver.films_folder("wave-1") == tmp_path / "films" / "wave-1"
    monkeypatch.delenv(driver.FILMS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert driver.films_folder("wave-1") == tmp_path / "rayanim" / "wave-1"
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr(driver.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    assert driver.films_folder("wave-1") == tmp_path / "tmp" / "rayanim" / "wave-1"


def test_a_folder_that_the_head_names_and_lacks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Films must not go elsewhere in silence."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(driver.FILMS, str(tmp_path / "file"))
    with pytest.raises(OSError):
        driver.films_folder("wave-1")
