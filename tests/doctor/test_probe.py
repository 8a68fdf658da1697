"""What is found out about this machine is so."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest

import rayanim
from rayanim.doctor import nodes
from rayanim.doctor.nodes import connect, find_token
from rayanim.doctor.probe import (
    PANELS,
    draw_test_video,
    find_machine,
    is_writable,
    pack_test_video,
    probe_here,
)
from rayanim.errors import ClusterError
from rayanim.settings import read_address

ROOT = str(Path(rayanim.__file__).parents[1])


@pytest.fixture(scope="module")
def probe():
    return probe_here()


def test_this_machine_is_seen(probe) -> None:
    """Packages with their versions, fonts, the test video."""
    assert probe.failure is None
    assert probe.software.version("matplotlib") == matplotlib.__version__
    assert all(each.failure is None for each in probe.software.packages)
    assert "DejaVu Sans" in probe.fonts.families
    assert set(probe.drawn.panels) == set(PANELS) and "libx264" in probe.drawn.segments


def test_the_video_is_the_same_each_time_and_as_it_is_sent(probe) -> None:
    """Packed for another process."""
    assert probe.drawn == draw_test_video(pack_test_video())


def test_another_font_changes_the_panels_with_text_alone(probe) -> None:
    """So the panels tell where a difference comes from."""
    with matplotlib.rc_context({"font.family": "monospace"}):
        other = draw_test_video()
    differing = {name for name in PANELS if other.panels[name] != probe.drawn.panels[name]}
    assert differing == {"text"}
    assert other.frames != probe.drawn.frames and other.segments != probe.drawn.segments


def test_a_package_that_cannot_be_imported_is_found(tmp_path: Path) -> None:
    """Its part is left out, and the rest is seen all the same."""
    (tmp_path / "av.py").write_text("raise ImportError('libGL.so.1 is missing')")
    code = (
        "from rayanim.doctor.nodes import examine\n"
        "probe = examine().here\n"
        "print(next(each.failure for each in probe.software.packages if each.name == 'av'))\n"
        "print(probe.drawn, probe.machine.cores > 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), ROOT])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["ImportError: libGL.so.1 is missing", "None True"]


def test_all_of_rayanim_s_encoders_but_libaom_work_here(probe) -> None:
    """PyAV's wheels bring them; SVT-AV1 stands in for the last."""
    assert {each.codec for each in probe.encoders} >= {"h264", "h265", "vp9", "av1"}
    failing = {each.name for each in probe.encoders if each.failure is not None}
    assert failing <= {"libaom-av1"} and failing == set(probe.drawn.failures)


def test_folders_are_tried_by_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary folder may not exist yet; then the one above it counts."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "later"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    found = find_machine(shared_memory=tmp_path)
    assert found.temp_is_writable and found.temp_folder == str(tmp_path / "later")
    assert found.shared_memory_bytes and not found.home_is_writable
    assert not list(tmp_path.iterdir())
    assert find_machine(shared_memory=tmp_path / "none").shared_memory_bytes is None
    assert not is_writable(tmp_path / "none")


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


def test_a_head_that_is_not_there_is_reported_at_once() -> None:
    """Before Ray, which would look for it for a minute."""
    with pytest.raises(ClusterError, match=r"nothing answers at 127\.0\.0\.1:1.*ray start"):
        connect(read_address("127.0.0.1:1", {}))


def connect_with(init: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> str:
    """The message where `init` is what Ray does once the head has answered."""
    ray = ModuleType("ray")
    monkeypatch.setattr(ray, "init", lambda **_: init(), raising=False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(nodes, "checked", lambda address: address.text)
    with pytest.raises(ClusterError) as caught:
        connect(read_address("10.0.0.1:6379", {}))
    return caught.value.message


def test_a_head_with_which_ray_waits_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "INIT_LIMIT_S", 0.0)
    is_over = threading.Event()
    try:
        message = connect_with(lambda: is_over.wait(60), monkeypatch)
    finally:
        is_over.set()
    assert message == "Ray did not connect to 10.0.0.1:6379 within 0 s."


@pytest.mark.parametrize("kind", [SystemExit, RuntimeError, TimeoutError])
def test_what_ray_raises_is_said(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """Also what would end the process."""

    def init() -> None:
        raise kind("no such node")

    assert connect_with(init, monkeypatch) == "Ray cannot use 10.0.0.1:6379: no such node"
