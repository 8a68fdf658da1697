"""matplotlib's private names stand in one table, and each is looked for before it is used."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import dates, scale
from matplotlib.figure import Figure
from sameness import unguarded
from samples import sampled
from test_canvas import full_pixels
from videos import X, wave

from rayanim import figure
from rayanim.figure import private
from rayanim.figure.private import ANIMATION_NAMES, NAMES, STYLE_NAMES, PrivateName, owners_in

PACKAGE = Path(figure.__file__).parent
PRIVATE = re.compile(r"_[a-zA-Z]\w*")
HARMLESS = (
    private.TRANSFORM_CACHES
    | private.AXES_UNSEEN
    | private.UNSEEN
    | {private.WEDGE_PATH}
    | private.LEFT_OUT
    | set(private.FUNC_ANIMATION_NAMES)
)
"""Names that are only left out of comparisons, or are looked for."""


@pytest.fixture(scope="module")
def owners() -> dict[str, Any]:
    """All owners of private names, of a figure that was drawn once."""
    figure = Figure()
    figure.add_subplot(121).legend([], [])
    figure.add_subplot(122, projection="3d")
    canvas = unguarded(figure)
    canvas.draw()
    return dict(owners_in(canvas.get_renderer(), canvas.figure))


def shown(entry: PrivateName) -> str:
    """An entry's name in a test's."""
    return f"{entry.owner}.{entry.name}"


def test_this_matplotlib_has_each_name(owners: dict[str, Any]) -> None:
    """A matplotlib that lacks some of the private names fails here, by name."""
    assert [shown(each) for each in NAMES if not hasattr(owners[each.owner], each.name)] == []


def test_this_matplotlib_has_the_names_for_styles() -> None:
    """So do the registries of colour maps and scales."""
    owners = {"colormaps": mpl.colormaps, "scales": scale, "dates": dates}
    assert all(hasattr(owners[entry.owner], entry.name) for entry in STYLE_NAMES)


@pytest.mark.parametrize("entry", sampled(NAMES, NAMES[::9]), ids=shown)
def test_each_missing_name_means_full_draws(
    entry: PrivateName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the names is missing, frames are drawn in full and one warning names it."""
    gone = replace(entry, name=entry.name + "_gone")
    table = tuple(gone if each is entry else each for each in NAMES)
    monkeypatch.setattr(private, "NAMES", table)
    figure = wave()
    canvas = unguarded(figure)
    with pytest.warns(RuntimeWarning, match=f"lacks {entry.owner}.{entry.name}_gone") as caught:
        for number in range(2):
            figure.axes[0].lines[0].set_ydata(np.sin(X + number))
            canvas.draw()
            assert np.array_equal(canvas.pixels, full_pixels(figure))
    assert len(caught) == 1
    assert canvas.drawn_incrementally == 0


def test_every_private_name_in_the_package_is_in_the_table() -> None:
    """No module of the package reads a private name that the table does not have."""
    table = (*NAMES, *STYLE_NAMES, *ANIMATION_NAMES)
    known = {entry.name for entry in table} | HARMLESS | sys.stdlib_module_names
    trees = {path.name: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")}
    own = {name for tree in trees.values() for name in defined(tree)}
    strange = {
        (module, name)
        for module, tree in trees.items()
        if module != "private.py"
        for name in used(tree) - own - known
    }
    assert strange == set()


def defined(tree: ast.Module) -> Iterator[str]:
    """Private names that a module gives to things of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def used(tree: ast.Module) -> set[str]:
    """Private names that a module reads, also by a text that is one."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    names = attributes | {text for text in texts if isinstance(text, str)}
    return {name for name in names if PRIVATE.fullmatch(name)}
