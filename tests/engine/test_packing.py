"""An actor has what the script's process has: its arguments, and its modules as they are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import pytest

import rayanim
from rayanim.engine.packing import module_variables, set_module_variables

MODULE = """
import math
ACCENT = "tab:blue"
TABLE = {"sizes": [1, 2], "grid": None}
LARGE = list(range(100_000))
_seen = 0
def double(value):
    return 2 * value
class Kind:
    pass
kind = Kind()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the script's own."""
    (tmp_path / "script_settings.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("script_settings")
    sys.modules.pop("script_settings", None)


def test_only_plain_values_of_the_script_s_own_modules_are_taken(module: ModuleType) -> None:
    """Not functions, objects, what is large, and not what is installed."""
    found = module_variables()
    assert set(found["script_settings"]) == {"ACCENT", "TABLE", "_seen"}
    assert not {"numpy", "matplotlib", "json", "rayanim", "pytest"} & set(found)


def test_values_are_set_in_modules_that_can_be_imported(module: Any) -> None:
    """One that cannot is no reason to fail: the source may not need it."""
    set_module_variables({"script_settings": {"ACCENT": "red"}, "no_such_module": {"x": 1}})
    assert module.ACCENT == "red" and module.double(2) == 4


class Accented(rayanim.Animator):
    """Draws by a variable of a module, and by the script's arguments."""

    def setup(self) -> Any:
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        (self.line,) = ax.plot([0, 1], [0, 1], lw=int(sys.argv[-1]))
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        import script_settings  # type: ignore[import-not-found]

        self.line.set_ydata([0, frame_idx / 20])
        # Not in the first frame, by which actors are compared.
        self.line.set_color(script_settings.ACCENT if frame_idx > 4 else "black")


def test_a_variable_set_at_run_time_and_the_arguments_reach_actors(
    on_ray: Any, tmp_path: Path, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video is that of one process."""
    module.ACCENT = "tab:red"
    monkeypatch.setattr(sys, "argv", ["script.py", "9"])
    videos = []
    places: dict[str, dict[str, Any]] = {"local": {}, "ray": {"workers": 2}}
    for engine, options in places.items():
        path = tmp_path / f"{engine}.mp4"
        rayanim.produce(
            Accented(), 20, outfile=path, n_frames=20, engine=engine, progress=False, **options
        )
        videos.append(path.read_bytes())
    assert videos[0] == videos[1]
