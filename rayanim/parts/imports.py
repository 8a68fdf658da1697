"""Finds the files that a module imports, without importing or even parsing it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*"
    r"(?:from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n#;]*)"
    r"|import[ \t]+([^\n#;]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#[^\n]*")

Import = tuple[int, str]
"""How many dots a name begins with, and the rest of it."""


def imports_in(source: str) -> tuple[Import, ...]:
    """The names that the imports in a module's source lead to, each once, in order.

    Imports in functions count too: whether one has run already must not make
    a difference. What stands in a text and reads like an import counts as one.
    """
    found: dict[Import, None] = {}
    for dots, module, names, plain in _IMPORT.findall(source.replace("\\\n", " ")):
        if plain:
            found.update(dict.fromkeys((0, name) for name in _names(plain)))
        else:
            # What is imported from a package may be a module of it.
            inner = (".".join(filter(None, (module, name))) for name in _names(names))
            found.update(dict.fromkeys((len(dots), name) for name in inner))
    return tuple(found)


def imported_files(imports: tuple[Import, ...], file: str) -> list[str]:
    """The source files that imports lead to.

    What hooks of installed packages would find is not found.

    Parameters
    ----------
    imports
        See `imports_in`.
    file
        Where the module lies, for relative imports.
    """
    found: dict[str, None] = {}
    for level, name in imports:
        parents = Path(file).parents
        if level > len(parents):
            continue
        folder = str(parents[level - 1]) if level else None
        found.update(dict.fromkeys(_files(name, folder)))
    return list(found)


def _names(text: str) -> Iterator[str]:
    for entry in _COMMENT.sub("", text).strip(" \t()").split(","):
        name = entry.split(" as ")[0].strip()
        if name.replace(".", "").isidentifier() or name == "*":
            yield name


def _files(name: str, folder: str | None) -> Iterator[str]:
    """The files of a dotted name's modules and packages, as far as there are any."""
    path = None if folder is None else [folder]
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
