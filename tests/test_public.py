"""The public surface: its names, and how little an import loads."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

import rayanim

HEAVY = ("ray", "av", "matplotlib", "click", "PIL", "rich")

PUBLIC = [
    "Animator",
    "ClusterError",
    "ClusterSettings",
    "EncodeError",
    "EncoderLostError",
    "FarmError",
    "FarmSilentError",
    "FarmStartError",
    "FrameError",
    "IndexedFrameParams",
    "JobError",
    "NotPicklableError",
    "OutputError",
    "PackageError",
    "ParametersError",
    "PartsError",
    "PerformanceSettings",
    "RayanimError",
    "Report",
    "ResumeError",
    "ScriptError",
    "SegmentLostError",
    "SettingsError",
    "SetupError",
    "__version__",
    "get_rendered_frame_ids",
    "patch",
    "produce",
    "save",
    "show",
    "unpatch",
]


def loaded_by(statement: str, names: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of the packages `names` a fresh Python has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_the_public_names_are_these() -> None:
    """A name is added or taken away on purpose only, and the list is sorted."""
    assert rayanim.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_there(name: str) -> None:
    """Every name resolves, and ``dir()`` shows it."""
    assert getattr(rayanim, name) is not None
    assert name in dir(rayanim)


def test_other_names_are_no_attributes() -> None:
    """A slip is an AttributeError with the name in it, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'prodce'"):
        rayanim.prodce  # noqa: B018


@pytest.mark.parametrize(
    "module",
    ["rayanim", "rayanim.errors", "rayanim.settings", "rayanim.easing", "rayanim.timeline"],
)
def test_an_import_is_light(module: str) -> None:
    """None of the large packages is loaded before it is needed."""
    assert loaded_by(f"import {module}") == []


@pytest.mark.parametrize("module", ["rayanim.animator", "rayanim.frame_gen", "rayanim.acts"])
def test_writing_a_script_loads_neither_ray_nor_ffmpeg(module: str) -> None:
    """Defining an animation costs no more than the user's own imports."""
    assert loaded_by(f"import {module}", ("ray", "av", "matplotlib")) == []


@pytest.mark.parametrize(
    "before",
    [
        "import rayanim.render",
        "import rayanim.render, rayanim.cli",
        "from rayanim import *",
        "import rayanim.acts, rayanim.frame_gen, rayanim.animator",
    ],
)
def test_produce_stays_a_function_after_any_import(before: str) -> None:
    """No module of ours hides it under its name."""
    code = f"{before}\nimport rayanim\nassert callable(rayanim.produce), rayanim.produce"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_types_are_shipped() -> None:
    """Type checkers read rayanim's annotations: ``py.typed`` lies beside them."""
    assert files("rayanim").joinpath("py.typed").is_file()
