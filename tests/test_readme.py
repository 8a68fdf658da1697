"""The README's code and commands work, and CI runs its first commands."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
from video_reading import read_video

from rayanim.cli import main
from rayanim.overrides import Overrides, overriding
from rayanim.patching import Unsaved, patched

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
CONSOLE = re.findall(r"^\$ (rayanim .*)$", README, re.MULTILINE)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_code_block_renders(number, tmp_path, monkeypatch):
    """Each block of Python is a complete script that makes a video."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "block.py"
    script.write_text(PYTHON[number], encoding="utf-8")
    arguments = {"engine": "local", "progress": False, "frames": "0-59x4"}
    with overriding(Overrides(arguments=arguments)), patched(Unsaved()):
        runpy.run_path(str(script), run_name="__main__")
    videos = [each for each in tmp_path.iterdir() if each.suffix in (".mp4", ".webm")]
    assert len(videos) == 1
    assert len(read_video(videos[0]).frames) == 15


def test_the_example_shown_is_as_long_as_it_says():
    """The number of lines under the picture is that of the file."""
    name, lines = re.search(r"\((examples/\w+\.py)\), (\d+) lines", README).groups()
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) == int(lines)


def test_the_source_archive_holds_what_its_tests_read():
    """A test that reads a file of the repository finds it in the archive too."""
    included = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = included["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for path in ("rayanim", "examples", "tests", "benchmarks", "docs", ".ci", "README.md"):
        assert path in included
        assert (ROOT / path).exists()


def test_there_are_code_blocks():
    """The pattern that finds them still does."""
    assert len(PYTHON) >= 3
    assert len(CONSOLE) >= 3


@pytest.mark.parametrize("line", CONSOLE)
def test_a_command_works(line, tmp_path, monkeypatch, capsys):
    """Each command line is accepted and ends with success."""
    arguments = shlex.split(line)[1:]
    arguments = [str(ROOT / part) if part.startswith("examples/") else part for part in arguments]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--engine", "local"] if "run" in arguments else arguments)
    assert ended.value.code in (0, None)


def test_ci_runs_the_commands_of_the_readme():
    """CI runs the two commands that the README starts with."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "rayanim run examples/wave.py -o" in README
    assert "rayanim run examples/wave.py -o" in ci
    assert "python -m pytest" in README
    assert "python -m pytest" in ci
