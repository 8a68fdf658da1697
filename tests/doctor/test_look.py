"""What is found out about this machine is so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from rayanim.doctor import nodes, probe
from rayanim.doctor.encoder_trials import read_trials, try_hardware, try_software
from rayanim.doctor.nodes import UnreachableError, connect, find_token
from rayanim.doctor.probe import PANELS, draw_specimen, find_machine, look_here, packed_specimen


@pytest.fixture(scope="module")
def look():
    return look_here(with_encoders=False)


def test_this_machine_is_seen(look) -> None:
    """Packages with their versions, fonts, the test video."""
    assert look.failure is None
    assert look.software.version("matplotlib") == matplotlib.__version__
    assert all(each.failure is None for each in look.software.packages)
    assert "DejaVu Sans" in look.fonts.families
    assert set(look.drawn.panels) == set(PANELS) and "libx264" in look.drawn.segments


def test_the_video_is_the_same_each_time_and_as_it_travels(look) -> None:
    """Packed for another process or not."""
    assert draw_specimen() == look.drawn == draw_specimen(packed_specimen())


def test_another_font_changes_the_panels_with_text_alone(look) -> None:
    """So the panels tell where a difference comes from."""
    with matplotlib.rc_context({"font.family": "monospace"}):
        other = draw_specimen()
    differing = {name for name in PANELS if other.panels[name] != look.drawn.panels[name]}
    assert differing == {"text"}
    assert other.frames != look.drawn.frames and other.segments != look.drawn.segments


def test_a_line_s_width_changes_the_panels_with_lines_alone(look) -> None:
    """Text stays as it is."""
    with matplotlib.rc_context({"lines.dashed_pattern": [2.0, 2.0]}):
        other = draw_specimen()
    assert {name for name in PANELS if other.panels[name] != look.drawn.panels[name]} == {"lines"}


def test_a_package_that_cannot_be_imported_is_found(tmp_path: Path) -> None:
    """Its part is left out, and the rest is seen all the same."""
    (tmp_path / "av.py").write_text("raise ImportError('libGL.so.1 is missing')")
    code = (
        "from rayanim.doctor.probe import look_here\n"
        "look = look_here()\n"
        "print(next(each.failure for each in look.software.packages if each.name == 'av'))\n"
        "print(look.drawn, look.machine.cores > 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["ImportError: libGL.so.1 is missing", "None True"]


def test_all_of_rayanim_s_encoders_but_libaom_work_here() -> None:
    """PyAV's wheels bring them; SVT-AV1 stands in for the last."""
    failing = {each.encoder for each in try_software() if each.failure is not None}
    assert failing <= {"libaom-av1"}


def test_hardware_encoders_are_tried_in_a_process_of_their_own() -> None:
    """Each has an answer, be it a reason; this process has not loaded a driver."""
    trials = try_hardware()
    assert trials and all(each.is_hardware for each in trials)
    assert not any("did not answer" in (each.failure or "") for each in trials)


@pytest.mark.parametrize("kind", [bytes, str])
def test_what_was_said_before_an_encoder_hung_counts(
    monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    """POSIX hands over bytes, Windows text; the one without an answer is told of."""
    said = (
        '{"encoder": "a", "codec": "h264"}\n{"encoder": "a", "codec": "h264", "failure": null}\n'
        '{"encoder": "b", "codec": "h264"}\n'
    )

    def hang(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 1, said.encode() if kind is bytes else said)

    monkeypatch.setattr(subprocess, "run", hang)
    found = {each.encoder: each.failure for each in try_hardware(limit_s=1)}
    assert found == {"a": None, "b": "it did not answer within 1 s"}


def test_an_encoder_that_hangs_is_given_up() -> None:
    """Here the process has no time even to load."""
    assert try_hardware(limit_s=0.01) == ()


def test_an_encoder_that_ends_its_process_is_named() -> None:
    """It is the one that was begun and has no answer."""
    said = (
        '{"encoder": "h264_qsv", "codec": "h264"}\n'
        '{"encoder": "h264_qsv", "codec": "h264", "failure": null}\n'
        "a driver's remark\n"
        '{"encoder": "av1_nvenc", "codec": "av1"}\n'
    )
    works, crashed = read_trials(said, "its process ended with status -11")
    assert (works.encoder, works.failure) == ("h264_qsv", None)
    assert (crashed.encoder, crashed.failure) == ("av1_nvenc", "its process ended with status -11")


def test_folders_are_tried_by_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary folder may not exist yet; then the one above it counts."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "later"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    found = find_machine(shared_memory=tmp_path)
    assert found.temp_is_writable and found.temp_folder == str(tmp_path / "later")
    assert found.shared_memory_bytes and not found.home_is_writable
    assert not list(tmp_path.iterdir())
    assert find_machine(shared_memory=tmp_path / "none").shared_memory_bytes is None
    assert not probe.is_writable(tmp_path / "none")


def test_the_token_is_looked_for_as_ray_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable before its file, that before the file in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert find_token().origin is None and not find_token().is_usable
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("f" * 64)
    assert (find_token().origin, find_token().is_usable) == (str(file), True)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert not find_token().is_usable
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    assert find_token().origin == "RAY_AUTH_TOKEN"


def test_a_head_that_is_not_there_is_told_at_once() -> None:
    """Before Ray, which would look for it for a minute."""
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached") as caught:
        connect("127.0.0.1:1", find_token())
    assert "rayanim submit" in caught.value.remedy
    assert nodes.CONNECT_LIMIT_S < 10
