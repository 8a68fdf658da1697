"""The driver of a job says what its cluster lacks, and finds a place for videos."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_cluster_that_lacks_something_is_reported_what_to_do() -> None:
    """An old Python, or packages that an option installs."""
    assert "3.9 (/bin/python)" in (driver.complaint((3, 9), [], "/bin/python") or "")
    shown = driver.complaint((3, 12), ["av<19,>=15.0"], "/bin/python") or ""
    assert "lacks av" in shown and "--pip 'av<19,>=15.0'" in shown


def test_an_old_python_gets_as_far_as_the_complaint() -> None:
    """What is loaded before it takes nothing from typing that Python 3.10 lacks."""
    code = (
        "import sys, typing\n"
        "for name in ('Self', 'assert_never', 'Never', 'LiteralString', 'Unpack'):\n"
        "    delattr(typing, name)\n"
        "from rayanim.jobs import driver\n"
        "driver.OLDEST_PYTHON = (9, 9)\n"
        "driver.main(['videos', 'run', 'wave.py'])\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert shown.returncode == 2
    assert shown.stderr.startswith("rayanim: error: The cluster's Python is")


def test_only_events_are_marked(tmp_path: Path) -> None:
    """Not what the script prints, nor its children, nor what is printed when the process ends."""
    script = tmp_path / "wave.py"
    script.write_text(
        "import atexit, os, subprocess\n"
        "print('printed')\n"
        f"subprocess.run(['sh', '-c', 'echo child ${driver.EVENTS_VARIABLE}'])\n"
        "atexit.register(print, 'at exit')\n"
        "atexit.register(os.write, 1, b'past Python\\n')\n"
        "raise ValueError('on purpose')\n"
    )
    mark = "[rayanim 1] "
    shown = subprocess.run(
        [sys.executable, "-m", "rayanim.jobs.driver", "videos", "run", "--json", script.name],
        env={**os.environ, driver.EVENTS_VARIABLE: mark, driver.VIDEOS: str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    lines = shown.stdout.splitlines()
    marked = [line for line in lines if mark in line]
    assert all('"event": "error"' in line or '"event": "watch"' in line for line in marked)
    assert any(line.startswith(f'{mark}{{"event": "error"') for line in lines)
    assert {"printed", "at exit", "past Python"} <= set(lines)
    assert "child" in [line.rstrip() for line in lines]


def test_videos_go_where_the_head_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else below the home folder, else where anybody may write."""
    monkeypatch.setenv(driver.VIDEOS, str(tmp_path / "videos"))
    assert driver.videos_folder("wave-1") == tmp_path / "videos" / "wave-1"
    monkeypatch.delenv(driver.VIDEOS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert driver.videos_folder("wave-1") == tmp_path / "rayanim" / "wave-1"
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr(driver.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    assert driver.videos_folder("wave-1") == tmp_path / "tmp" / "rayanim" / "wave-1"


def test_a_folder_that_the_head_names_and_lacks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos must not go elsewhere in silence."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(driver.VIDEOS, str(tmp_path / "file"))
    with pytest.raises(OSError):
        driver.videos_folder("wave-1")
