"""What a module imports is read off its text, as Python itself would."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from rayanim.storage.fingerprint import imported_files, imports_in

SOURCE = """
import one, two.deeper as second  # , three
from four import (
    five as cinq,  # not six
    seven,
)
from . import eight; import nine
from ..ten.eleven import *
if True: import twelve
def late():
    from thirteen \\
        import fourteen
    try: import fifteen
    except ImportError: pass
from .sixteen import(seventeen)
important = 1
"""


def parsed(source: str) -> set[tuple[int, str]]:
    found: set[tuple[int, str]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(
                (node.level, ".".join(filter(None, (node.module, alias.name))))
                for alias in node.names
            )
    return found


def test_they_are_those_that_python_finds() -> None:
    """In all the ways to write them, in functions too, and on one line with others."""
    found = imports_in(SOURCE)
    assert set(found) == parsed(SOURCE)
    assert len(set(found)) == len(found) == 11


@pytest.mark.parametrize(
    "name", ["numbered.py", "storage/test_segments.py", "storage/test_values.py"]
)
def test_none_of_a_real_module_is_missed(name: str) -> None:
    """Texts that read like imports may be more."""
    source = (Path(__file__).parents[1] / name).read_text()
    assert parsed(source) <= set(imports_in(source))


def test_they_lead_to_files(tmp_path: Path) -> None:
    """Relative to the module; too many dots lead nowhere."""
    (tmp_path / "package").mkdir()
    for name in ("__init__", "inner", "other"):
        (tmp_path / "package" / f"{name}.py").write_text("")
    inner = tmp_path / "package" / "inner.py"
    found = imported_files(((1, "other"), (1, "missing"), (99, "other"), (0, "sys")), str(inner))
    assert found == [str(tmp_path / "package" / "other.py")]
    assert imported_files(((2, "package.inner"),), str(inner)) == [
        str(tmp_path / "package" / "__init__.py"),
        str(inner),
    ]
