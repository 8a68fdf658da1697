"""Finds the files that a module imports, without importing them."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def imported_files(tree: ast.Module, file: str) -> list[str]:
    """The source files that the imports in `tree` lead to, in the order of the statements.

    Imports in functions count too: whether one has run already must not make
    a difference. What hooks of installed packages would find is not found.

    Parameters
    ----------
    tree
        The module.
    file
        Where it lies, for relative imports.
    """
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.update(dict.fromkeys(_files(alias.name, None)))
        elif isinstance(node, ast.ImportFrom):
            folder = Path(file).parents[node.level - 1] if node.level else None
            # What is imported from a package may be a module of it.
            for alias in node.names:
                name = ".".join(filter(None, (node.module, alias.name)))
                found.update(dict.fromkeys(_files(name, folder)))
    return list(found)


def _files(name: str, folder: Path | None) -> Iterator[str]:
    """The files of a dotted name's modules and packages, as far as there are any."""
    path = None if folder is None else [str(folder)]
    if path is None and name.partition(".")[0] in sys.stdlib_module_names:
        return
    full = ""
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        spec = _spec(full if folder is None else part, path)
        if spec is None:
            return
        if spec.origin is not None and spec.has_location:
            yield os.path.realpath(spec.origin)
        if spec.submodule_search_locations is None:
            return
        path = list(spec.submodule_search_locations)


def _spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    try:
        return PathFinder.find_spec(name, path)
    except (ImportError, ValueError):  # a strange entry of sys.path
        return None
