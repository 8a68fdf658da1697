"""Runs a script as ``python script.py`` would, inside this process."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from rayanim.errors import ScriptError, SettingsError


def check_script(path: Path) -> None:
    """See that `path` can be a Python script, before anything is run.

    Raises
    ------
    SettingsError
        If it is missing, a folder, a notebook, or cannot be read.
    """
    if not path.exists():
        raise SettingsError(f"There is no script {str(path)!r}.")
    if path.is_dir():
        raise SettingsError(f"{str(path)!r} is a folder. Name a Python script in it.")
    if path.suffix.lower() == ".ipynb":
        raise SettingsError(
            f"{str(path)!r} is a notebook. Render in a cell of it with rayanim.produce(...) or "
            "make_video(...), or save its code as a .py script."
        )
    if not os.access(path, os.R_OK):
        raise SettingsError(f"The script {str(path)!r} is not readable.")


@contextlib.contextmanager
def as_main(path: Path, arguments: Sequence[str] = ()) -> Iterator[ModuleType]:
    """Stand in for ``python path arguments...``: a fresh ``__main__`` for the script.

    It stays ``sys.modules["__main__"]`` until the context ends, also after the
    script's own end: what the script defined is pickled by value, to actors
    for example, only under that name.

    Yields
    ------
    types.ModuleType
        The module, empty as yet; see `execute`.
    """
    module = _main_module(path)
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    sys.modules["__main__"] = module
    sys.argv = [str(path), *arguments]
    sys.path[:] = _search_path(path, before[1], before[2])
    try:
        yield module
    finally:
        sys.modules["__main__"], sys.argv = before[:2]
        sys.path[:] = before[2]


def execute(module: ModuleType) -> None:
    """Run the code of the file that `module` was made for.

    Raises
    ------
    BaseException
        Whatever the script raises, `SyntaxError` and `SystemExit` among it.
    """
    path = module.__file__
    if path is None:
        raise SettingsError(f"{module!r} belongs to no file.")
    exec(_code_of(path), module.__dict__)  # noqa: S102


def check_syntax(path: Path) -> None:
    """See that `path` is Python, without running any of it.

    Raises
    ------
    ScriptError
        If it is not.
    """
    try:
        _code_of(str(path))
    except (SyntaxError, ValueError) as error:  # the latter for a null character
        shown = "".join(traceback.format_exception_only(error))
        raise ScriptError(
            f"{path} is no Python that {platform.python_version()} reads, and was not sent.",
            traceback_text=shown,
        ) from error


def _code_of(path: str) -> CodeType:
    with io.open_code(path) as file:
        source = file.read()
    code: CodeType = compile(source, path, "exec", dont_inherit=True)
    return code


def _main_module(path: Path) -> ModuleType:
    """An empty module with the attributes that Python gives to a script's."""
    # Absolute, as Python's own: the script may change the working folder.
    file = str(path.absolute())
    module = ModuleType("__main__")
    module.__file__ = file
    module.__loader__ = SourceFileLoader("__main__", file)
    module.__dict__.update(__builtins__=sys.modules["builtins"], __cached__=None)
    if sys.version_info < (3, 14):  # later, functions stand in for the dictionary
        module.__annotations__ = {}
    return module


def _search_path(path: Path, argv: Sequence[str], search_path: list[str]) -> list[str]:
    """`search_path` with the script's folder in the place of our own command's."""
    own = str(Path(argv[0]).resolve().parent) if argv and argv[0] else None
    rest = search_path[1:] if search_path and search_path[0] == own else search_path
    if sys.flags.safe_path:
        return rest
    return [str(path.resolve().parent), *rest]
