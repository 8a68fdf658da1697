"""The fingerprint of the drawing code: the same in every process, another with other code."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from samples import sampled

from rayanim import acts
from rayanim.animator import Animator
from rayanim.storage import fingerprint as fingerprint_module
from rayanim.storage.fingerprint import fingerprint

SCRIPT = """
import json
import numpy as np
from rayanim import Animator, produce
import helpers
from shapes.circle import radius

class Base(Animator):
    def setup(self):
        return None

class Wave(Base):
    size = 5

    def update(self, frame_idx, params):
        helpers.move({"a", "b", "c", "d"})

def draw(index):
    return {"x", "y", "z"}

if __name__ == "__main__":
    from rayanim.storage.fingerprint import fingerprint
    print(fingerprint(Wave()), fingerprint(draw))
    MAIN
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A script, a module beside it and a package."""
    return written(tmp_path)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The fingerprints of a project that nobody changes, the same wherever it lies."""
    return fingerprints_of(written(tmp_path_factory.mktemp("unchanged")))


def written(tmp_path: Path) -> Path:
    """The project, in a folder."""
    (tmp_path / "video.py").write_text(SCRIPT.replace("MAIN", "pass"))
    (tmp_path / "helpers.py").write_text("def move(what):\n    import colours\n")
    (tmp_path / "colours.py").write_text("RED = 1\n")
    (tmp_path / "unrelated.py").write_text("RED = 1\n")
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "__init__.py").write_text("")
    (tmp_path / "shapes" / "circle.py").write_text("from . import units\nradius = 1\n")
    (tmp_path / "shapes" / "units.py").write_text("CM = 1\n")
    return tmp_path


def fingerprints_of(
    project: Path, script: str = "video.py", hash_seed: str = "0", **options: Any
) -> list[str]:
    """The fingerprints that the script prints of its class and its function."""
    child = subprocess.run(
        [sys.executable, str(project / script)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        **options,
    )
    return child.stdout.split()


def test_it_is_the_same_in_every_process(project: Path) -> None:
    """And from wherever it is run, and wherever the project lies."""
    found = fingerprints_of(project)
    assert len(found) == 2
    assert fingerprints_of(project, hash_seed="4711", cwd="/") == found
    moved = project.rename(project.with_name("moved"))
    assert fingerprints_of(moved) == found


@pytest.mark.parametrize(
    "file",
    sampled(
        ["video.py", "helpers.py", "colours.py", "shapes/circle.py", "shapes/units.py"],
        ["video.py", "shapes/units.py"],
    ),
)
def test_it_changes_with_the_code(project: Path, file: str, unchanged: list[str]) -> None:
    """Of the script, and of the user's own modules that it leads to, imported by now or not."""
    path = project / file
    path.write_text(path.read_text() + "\nNEW = 2\n")
    after = fingerprints_of(project)
    assert [now != was for now, was in zip(after, unchanged, strict=True)] == [True, True]
    path.write_text(path.read_text().replace("\nNEW = 2\n", ""))
    assert fingerprints_of(project) == unchanged


def test_it_does_not_change_with_what_draws_nothing(project: Path, unchanged: list[str]) -> None:
    """Comments and layout where drawing is defined, and modules that it does not lead to."""
    (project / "unrelated.py").write_text("RED = 2\n")
    path = project / "video.py"
    path.write_text("# a comment\n" + path.read_text().replace("size = 5", "size  =  (5)  # px"))
    assert fingerprints_of(project) == unchanged


def test_a_changed_file_is_read_again_in_one_process(tmp_path: Path, monkeypatch: Any) -> None:
    """What was read of it before is kept only as long as it stays the same."""
    (tmp_path / "kept_drawing.py").write_text("import kept_helper\ndef draw(i):\n    return 1\n")
    (tmp_path / "kept_helper.py").write_text("RED = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    draw = importlib.import_module("kept_drawing").draw
    found = [fingerprint(draw), fingerprint(draw)]
    (tmp_path / "kept_helper.py").write_text("RED = 22\n")
    found.append(fingerprint(draw))
    (tmp_path / "kept_drawing.py").write_text("import kept_helper\ndef draw(i):\n    return 22\n")
    found.append(fingerprint(draw))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_long_file_counts_as_it_is_written(tmp_path: Path, monkeypatch: Any) -> None:
    """Reading its tree would take too long: a comment makes another video of it."""
    monkeypatch.setattr(fingerprint_module, "MAX_TREE_BYTES", 100)
    path = tmp_path / "long_drawing.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for comment in ("", "# short\n", "# long\n" * 30, "# longer\n" * 30):
        path.write_text("def draw(i):\n    return 1\n" + comment)
        found.append(fingerprint(importlib.import_module("long_drawing").draw))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_going_on_with_other_settings_is_no_other_video(project: Path) -> None:
    """How to run may be changed in the script itself, what to draw may not."""
    call = "json or produce(draw, {}n_frames=3)\n    json or Wave().make_video('x.mp4', {})"
    files = {"plain": ("", ""), "run": ("resume=True, workers=3, ", "resume=True, num_workers=2")}
    files |= {"other": ("crf=5, ", "")}
    for name, settings in files.items():
        (project / f"{name}.py").write_text(SCRIPT.replace("MAIN", call.format(*settings)))
    plain = fingerprints_of(project, "plain.py")
    assert fingerprints_of(project, "run.py") == plain
    assert fingerprints_of(project, "other.py") != plain


def test_other_calls_keep_their_arguments(project: Path) -> None:
    """A drawing may have workers, and progress, of its own."""
    (project / "one.py").write_text(SCRIPT.replace("MAIN", "json or draw(workers=1)"))
    (project / "two.py").write_text(SCRIPT.replace("MAIN", "json or draw(workers=2)"))
    assert fingerprints_of(project, "one.py") != fingerprints_of(project, "two.py")


def test_a_file_that_is_no_python_any_more_counts_by_its_text(
    project: Path, unchanged: list[str]
) -> None:
    """For example a module that is being edited while the video begins."""
    (project / "colours.py").write_text("RED = ")
    broken = fingerprints_of(project)
    (project / "colours.py").write_text("RED = (")
    # The class and the function stand in one file, and so have one fingerprint.
    assert len({*unchanged, *broken, *fingerprints_of(project)}) == 3


def test_installed_code_that_draws_counts_and_what_it_imports_does_not(tmp_path: Path) -> None:
    """A project that is installed is still the user's own drawing code."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "drawn.py").write_text("import tools\nfrom rayanim import Animator\n")
    with (installed / "drawn.py").open("a") as file:
        file.write("class Wave(Animator):\n    def update(self, i, p):\n        return 1\n")
    (installed / "tools.py").write_text("RED = 1\n")
    (tmp_path / "video.py").write_text(
        "import sys; sys.path.insert(0, sys.path[0] + '/site-packages'); import drawn\n"
        "from rayanim.storage.fingerprint import fingerprint; print(fingerprint(drawn.Wave))\n"
    )
    before = fingerprints_of(tmp_path)
    (installed / "tools.py").write_text("RED = 2\n")
    assert fingerprints_of(tmp_path) == before
    path = installed / "drawn.py"
    path.write_text(path.read_text().replace("return 1", "return 2"))
    assert fingerprints_of(tmp_path) != before


@pytest.mark.parametrize("change", [("+ 1", "+ 2"), ("(1, 2)", "(1, 3)")])
def test_of_a_source_the_user_s_object_counts(change: tuple[str, str]) -> None:
    """So that one call serves all forms."""
    from rayanim.settings import RenderSettings
    from rayanim.sources import AnimatorSource

    def of(text: str) -> str:
        return fingerprint(AnimatorSource(made(text)["Wave"](), RenderSettings()))

    assert of(TYPED) == of(TYPED)
    assert of(TYPED) != of(TYPED.replace(*change))


def made(text: str, **namespace: Any) -> dict[str, Any]:
    """What code without a file defines, as in a notebook."""
    module = types.ModuleType("typed")
    module.__dict__.update(namespace, Animator=Animator)
    exec(compile(text, "<typed>", "exec"), module.__dict__)
    return module.__dict__


TYPED = """
def helper(x):
    return x in {"a", "b", "c"}

class Wave(Animator):
    def setup(self):
        return None

    def update(self, frame_idx, params):
        return helper(frame_idx + 1) or [each for each in (1, 2)]

def draw(index):
    return lambda: helper(index)
"""


@pytest.mark.parametrize("name", ["Wave", "draw"])
@pytest.mark.parametrize(
    "change", [("+ 1", "+ 2"), ("lambda: helper", "lambda: not helper"), ('"c"', '"d"')]
)
def test_code_without_a_file_counts_by_what_it_does(name: str, change: tuple[str, str]) -> None:
    """Its helpers' too, and wherever it stands."""
    before = fingerprint(made(TYPED)[name])
    assert fingerprint(made("\n\n# a comment\n" + TYPED)[name]) == before
    is_in_it = change[0] == '"c"' or (change[0] == "+ 1") == (name == "Wave")
    assert (fingerprint(made(TYPED.replace(*change))[name]) != before) == is_in_it


def test_code_without_a_file_is_the_same_in_every_process() -> None:
    """Sets of constants have another order in each."""
    code = (
        "import test_fingerprint as t; from rayanim.storage.fingerprint import fingerprint as f; "
        "m = t.made(t.TYPED); print(f(m['Wave']()), f(m['draw']))"
    )
    found = set()
    for seed in ("0", "1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(child.stdout)
    assert len(found) == 1


def test_values_do_not_count() -> None:
    """Attributes and parameters have digests of their own."""
    wave = made(TYPED)["Wave"]
    one, two = wave(), wave()
    one.data, two.data = [1, 2, object()], {"x": 3}
    assert fingerprint(one) == fingerprint(two) == fingerprint(wave)


def test_what_an_act_is_made_of_counts() -> None:
    """Its renderer and scenes are the user's code, the act is not."""
    text = """
class Renderer(acts.ActRenderer):
    frame_size = (2, 2)
    def render(self, act_state):
        return 1

class Count(acts.Scene):
    duration = 100
    def apply(self, act_state, time_ms, dbg=False):
        act_state.number = 1
"""

    def act(text: str) -> Any:
        known = made(text, acts=acts)
        return acts.Act(acts.ActState(), known["Renderer"](), [known["Count"]()])

    before = fingerprint(act(text))
    assert fingerprint(act(text)) == before
    assert fingerprint(act(text.replace("return 1", "return 2"))) != before
    assert fingerprint(act(text.replace("number = 1", "number = 2"))) != before


def test_what_a_function_is_wrapped_in_counts() -> None:
    """Through decorators, partials, methods and closures."""
    text = """
import functools
def inner(index):
    return 1
def wrapper(function):
    @functools.wraps(function)
    def wrapped(index):
        return function(index)
    return wrapped
class Holder:
    def method(self, index):
        return 1
wrapped, partial, method = wrapper(inner), functools.partial(inner, 1), Holder().method
"""
    for name in ("wrapped", "partial", "method"):
        before = fingerprint(made(text)[name])
        assert fingerprint(made(text)[name]) == before
        assert fingerprint(made(text.replace("return 1", "return 2"))[name]) != before


class Strange:
    """Answers to every name, with an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_objects_that_do_not_want_to_be_looked_at() -> None:
    """They and circles among them are no obstacle."""
    wave = made(TYPED)["Wave"]()
    before = fingerprint(wave)
    wave.strange, wave.itself = Strange(), [wave]
    assert fingerprint(wave) != ""
    wave.strange = None
    assert fingerprint(wave) == before


def test_nothing_is_imported_by_looking(project: Path) -> None:
    """A module that only a function would import has not run."""
    (project / "colours.py").write_text("raise SystemExit('was run')\n")
    assert len(fingerprints_of(project)) == 2


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("params = [1.0 * {0} for _ in range(9)]", False),
        ("params = sum([[{0}]], [])", False),
        ("def sum(values): return values + [{0}]\nparams = sum([1])", True),
        ("from own import range\nparams = [{0} for _ in range(9)]", True),
        ("def key(value): return {0}\nparams = sorted([2, 1], key=key)", True),
    ],
)
def test_how_parameters_are_computed_counts_where_it_may_do_more(
    tmp_path: Path, code: str, counts: bool
) -> None:
    """Functions of Python's and numpy's do no more; the segments compare what they give."""
    texts = [f"{code.format(value)}\nvideo.make_video('a.mp4', params)\n" for value in (1, 2)]
    one, other = (fingerprint_module._normalised(text.encode()) for text in texts)
    assert (one != other) is counts
