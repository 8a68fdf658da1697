"""Runs a script as ``python script.py`` would, inside this process."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import platform
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from rayanim.errors import ScriptError, SettingsError

if TYPE_CHECKING:
    from rayanim.report import Report
    from rayanim.storage.address import Outfile


def check_script(path: Path) -> None:
    """See that `path` can be a Python script, before anything is run."""
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
    """Run the code of the file that `module` was made for."""
    path = module.__file__
    if path is None:
        raise SettingsError(f"{module!r} belongs to no file.")
    exec(_code_of(path), module.__dict__)  # noqa: S102


def check_syntax(path: Path) -> None:
    """See that `path` is Python, without running any of it."""
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


DEFAULT_FPS = 30
"""The rate of a found generator that does not say one: `produce`'s own default."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Something at a script's top level that is, or makes, a video."""

    name: str
    value: Any
    obstacle: str = ""

    @property
    def is_class(self) -> bool:
        """Whether an instance must be made first."""
        return inspect.isclass(self.value)

    @property
    def kind(self) -> str:
        """What it is, for lists: ``Animator class``, ``FrameGenerator (Square)``."""
        cls = self.value if self.is_class else type(self.value)
        base = _base_name(cls)
        if self.is_class:
            return f"{base} class"
        return base if cls.__name__ == base else f"{base} ({cls.__name__})"

    def thing(self) -> Any:
        """The object to render; made now where this is a class."""
        return self.value() if self.is_class else self.value


def definitions(namespace: Mapping[str, Any]) -> list[Definition]:
    """What there is in a script's namespace, objects before classes, each in the script's order.

    Objects of the three forms, wherever their classes come from; classes only
    where the script itself defines them. An object with two names is found
    under the first.
    """
    if not _loaded_forms():
        return []
    objects: dict[int, Definition] = {}
    classes: dict[int, Definition] = {}
    for name, value in list(namespace.items()):
        if inspect.isclass(value):
            if _is_own_class(value, namespace):
                classes.setdefault(id(value), Definition(name, value, _obstacle(value)))
        elif isinstance(value, _loaded_forms()):
            objects.setdefault(id(value), Definition(name, value))
    return [*objects.values(), *classes.values()]


def choose(
    namespace: Mapping[str, Any],
    name: str | None,
    *,
    script: str,
    rendered: Iterable[Sequence[str]] = (),
) -> Definition:
    """The one definition to render."""
    there = definitions(namespace)
    if name is not None:
        return _named(there, namespace, name, script, rendered)
    usable = [found for found in there if not found.obstacle and not found.name.startswith("_")]
    objects = [found for found in usable if not found.is_class]
    candidates = objects or usable
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise SettingsError(
            f"{script} defines several things to render and renders none of them. "
            f"Name one after the script:{_listed(usable)}"
        )
    if there:
        raise SettingsError(
            f"{script} renders nothing, and nothing that it defines can be rendered as it "
            f"stands:{_listed(there)}\nCall produce(...) or make_video(...) in the script."
        )
    raise SettingsError(
        f"{script} renders nothing and defines no Animator, FrameGenerator or Act. "
        "Call rayanim.produce(...) or make_video(...) in it, or define one of them."
    )


def names_of(thing: Any, namespace: Mapping[str, Any]) -> list[str]:
    """What a user may call `thing`: variables at the script's top level, then its class."""
    variables = [name for name, value in list(namespace.items()) if value is thing]
    own = getattr(thing, "__name__", None)
    kind = own if isinstance(own, str) else type(thing).__name__
    return variables if kind in variables else [*variables, kind]


def render_found(found: Definition, output: Outfile) -> Report:
    """Render a definition as `produce` or `make_video` would by default."""
    from rayanim.animator import Animator
    from rayanim.render import produce

    thing = found.thing()
    if isinstance(thing, Animator):
        if thing.param_by_frame is None and thing.n_frames is None:
            raise SettingsError(
                f"{found.name} does not say how many frames it has. Set n_frames = 90, or "
                f"param_by_frame with one entry per frame, in class {type(thing).__name__}, "
                "or call its make_video(...) in the script."
            )
        return thing.make_video(output)
    return produce(thing, fps=getattr(thing, "fps", DEFAULT_FPS), outfile=output)


def _loaded_forms() -> tuple[type, ...]:
    """The classes of what can be rendered, as far as the script has loaded them.

    A script that never imported them has no object of theirs.
    """
    homes = (("animator", "Animator"), ("frame_gen", "FrameGenerator"), ("frame_gen", "FluentFG"))
    loaded = ((sys.modules.get(f"rayanim.{home}"), name) for home, name in homes)
    return tuple(getattr(module, name) for module, name in loaded if module is not None)


def _base_name(cls: type) -> str:
    """The public form that `cls` is one of."""
    known = ("Act", "Animator", "FluentFG", "FrameGenerator")
    bases = (base for base in cls.__mro__ if base.__module__.startswith("rayanim."))
    return next((base.__name__ for base in bases if base.__name__ in known), cls.__name__)


def _is_own_class(value: type, namespace: Mapping[str, Any]) -> bool:
    return issubclass(value, _loaded_forms()) and value.__module__ == namespace.get("__name__")


def _obstacle(cls: type) -> str:
    """Why no video can be made of `cls` without more ado; empty where one can."""
    missing = _missing(cls)
    if missing:
        return f"lacks {' and '.join(missing)}"
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):  # written in C, or strange: trying it will tell
        return ""
    try:
        signature.bind()
    except TypeError:
        return f"needs arguments: {cls.__name__}{signature}"
    return ""


def _missing(cls: type) -> list[str]:
    """Methods that a video needs and that `cls` inherits unwritten."""
    from rayanim.animator import Animator
    from rayanim.frame_gen import FrameGenerator

    if inspect.isabstract(cls):
        return sorted(getattr(cls, "__abstractmethods__", ()))
    if issubclass(cls, Animator):
        return [name for name in ("setup", "update") if not _overridden(cls, Animator, name)]
    if not issubclass(cls, FrameGenerator):
        return []
    needed = ("duration", "frame_size")
    missing = [name for name in needed if not _overridden(cls, FrameGenerator, name)]
    drawing = ("generate_at", "generate_at_pil")
    if not any(_overridden(cls, FrameGenerator, name) for name in drawing):
        missing.append("generate_at")
    return missing


def _overridden(cls: type, base: type, name: str) -> bool:
    return inspect.getattr_static(cls, name) is not inspect.getattr_static(base, name)


def _named(
    there: list[Definition],
    namespace: Mapping[str, Any],
    name: str,
    script: str,
    rendered: Iterable[Sequence[str]],
) -> Definition:
    for found in there:
        if name == found.name or namespace.get(name) is found.value:
            if found.obstacle:
                raise SettingsError(
                    f"{name} in {script} cannot be rendered as it stands: it {found.obstacle}."
                )
            return found
    listed = _listed([found for found in there if not found.obstacle], rendered)
    what = f" {name} is a {type(namespace[name]).__name__}." if name in namespace else ""
    raise SettingsError(
        f"{script} has no video called {name!r}.{what}"
        + (f" There is:{listed}" if listed else " There is nothing in it to render.")
    )


def _listed(there: Iterable[Definition], rendered: Iterable[Sequence[str]] = ()) -> str:
    """A line for each video; those that the script renders go by the first of their names."""
    videos = [names for names in rendered if names]
    lines = {names[0]: "rendered by the script" for names in videos}
    known = {name for names in videos for name in names}
    others = (found for found in there if found.name not in known)
    lines |= {found.name: found.obstacle or found.kind for found in others}
    width = max(map(len, lines), default=0)
    return "".join(f"\n  {name:<{width}}  {what}" for name, what in lines.items())
