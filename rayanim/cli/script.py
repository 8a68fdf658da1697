"""Runs a script as ``python script.py`` would, and finds what can be rendered in it."""

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
from typing import TYPE_CHECKING, Any, TypeGuard

from rayanim.errors import ScriptError, SettingsError

if TYPE_CHECKING:
    from rayanim.report import Report
    from rayanim.storage.address import Outfile


def check_script(path: Path) -> None:
    """Refuse what cannot be a Python script, before anything is run."""
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
    exec(_code_of(str(module.__file__)), module.__dict__)  # noqa: S102


def check_syntax(path: Path) -> None:
    """See that `path` is Python, without running any of it."""
    try:
        _code_of(str(path))
    except (SyntaxError, ValueError) as error:  # the latter for a null character
        shown = "".join(traceback.format_exception_only(error))
        raise ScriptError(
            f"{path} is not valid in Python {platform.python_version()}, so it was not sent.",
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


@dataclass(frozen=True, slots=True)
class Definition:
    """An object or a class in a script that can be rendered, unless there is an obstacle.

    `beside` are further animations of the same figure.
    """

    name: str
    value: Any
    obstacle: str = ""
    beside: tuple[Any, ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether an instance must be made first."""
        return inspect.isclass(self.value)

    @property
    def kind(self) -> str:
        """What it is, for lists: ``Animator class``, ``FrameGenerator (Square)``."""
        cls = self.value if self.is_class else type(self.value)
        names = ("Act", "Animation", "Animator", "FluentFG", "FrameGenerator")
        form = next(base.__name__ for base in cls.__mro__ if base.__name__ in names)
        if self.is_class:
            return f"{form} class"
        return form if cls.__name__ == form else f"{form} ({cls.__name__})"

    def thing(self) -> Any:
        """The object to render; made now where this is a class."""
        return self.value() if self.is_class else self.value


def definitions(namespace: Mapping[str, Any]) -> list[Definition]:
    """What a script defines: objects before classes, each in the script's order.

    Imported classes are left out: many are base classes. An object with two
    names is found under the first.
    """
    found: dict[int, Definition] = {}
    for name, value in list(namespace.items()):
        if isinstance(value, _forms()):
            found.setdefault(id(value), Definition(name, value))
        elif _is_form(value) and value.__module__ == namespace.get("__name__"):
            found.setdefault(id(value), Definition(name, value, _obstacle(value)))
    return sorted(found.values(), key=lambda each: each.is_class)


def choose(
    namespace: Mapping[str, Any],
    name: str | None,
    *,
    script: str,
    rendered: Iterable[Sequence[str]] = (),
    shown: Iterable[Sequence[Any]] = (),
) -> Definition:
    """The one definition to render; `rendered` are the names of what the script itself renders.

    `shown` are the animations that it made and did not save, by figure.
    """
    there = [*definitions(namespace), *_animations(namespace, shown)]
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
    imported = [found.name for found in _imported(namespace) if not found.obstacle]
    if imported:
        raise SettingsError(
            f"{script} renders nothing and only imports {', '.join(imported)}. To render an "
            f"imported class, name it: rayanim run {script} {imported[0]}"
        )
    raise SettingsError(
        f"{script} makes no animation. What can be rendered: a FuncAnimation or ArtistAnimation of "
        "matplotlib's that it saves or shows; rayanim.produce(update, n_frames=120, "
        "outfile='video.mp4'); an Animator, FrameGenerator or Act. Of a loop with plt.pause() or "
        "savefig(), make the body a function update(frame)."
    )


def _animations(
    namespace: Mapping[str, Any], shown: Iterable[Sequence[Any]]
) -> Iterator[Definition]:
    """The animations of each figure, as one video."""
    for number, (first, *others) in enumerate(shown, 1):
        names = [name for each in (first, *others) for name in _variables(each, namespace)]
        yield Definition(names[0] if names else f"animation{number}", first, beside=tuple(others))


def _variables(thing: Any, namespace: Mapping[str, Any]) -> list[str]:
    return [name for name, value in list(namespace.items()) if value is thing]


def names_of(thing: Any, namespace: Mapping[str, Any]) -> list[str]:
    """What a user may call `thing`: variables at the script's top level, then its class."""
    variables = _variables(thing, namespace)
    own = getattr(thing, "__name__", None)
    kind = own if isinstance(own, str) else type(thing).__name__
    return variables if kind in variables else [*variables, kind]


def render_found(found: Definition, output: Outfile) -> Report | None:
    """Render a definition as `produce` or `make_video` would by default."""
    from rayanim.animator import Animator
    from rayanim.figure.playback import is_animation
    from rayanim.patching import save
    from rayanim.render import produce

    thing = found.thing()
    if is_animation(thing):
        return save(thing, str(output), writer="rayanim", extra_anim=found.beside)
    if isinstance(thing, Animator):
        if thing.param_by_frame is None and thing.n_frames is None:
            raise SettingsError(
                f"{found.name} has no frame count. Set n_frames = 90, or param_by_frame with one "
                f"entry per frame, in class {type(thing).__name__}, or call its make_video(...) in "
                "the script."
            )
        return thing.make_video(output)
    return produce(thing, fps=getattr(thing, "fps", None), outfile=output)


def _forms() -> tuple[type, ...]:
    """The classes whose objects can be rendered."""
    from rayanim.animator import Animator
    from rayanim.frame_gen import FluentFG, FrameGenerator

    return Animator, FrameGenerator, FluentFG


def _is_form(value: Any) -> TypeGuard[type]:
    return inspect.isclass(value) and issubclass(value, _forms())


def _is_imported(value: Any) -> TypeGuard[type]:
    """Whether it is a class that the script imports from elsewhere than rayanim."""
    return _is_form(value) and value.__module__.partition(".")[0] != "rayanim"


def _imported(namespace: Mapping[str, Any]) -> list[Definition]:
    """The imported classes, which are rendered only where they are named."""
    return [
        Definition(name, value, _obstacle(value))
        for name, value in namespace.items()
        if _is_imported(value) and value.__module__ != namespace.get("__name__")
    ]


def _obstacle(cls: type) -> str:
    """Why `cls` cannot be rendered as it stands; empty where it can."""
    missing = _missing(cls)
    if missing:
        return f"lacks {' and '.join(missing)}"
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):  # written in C, or strange: calling it will show
        return ""
    try:
        signature.bind()
    except TypeError:
        return f"needs arguments: {cls.__name__}{signature}"
    return ""


def _missing(cls: type) -> list[str]:
    """What a video needs and `cls` does not define."""
    from rayanim.frame_gen import FrameGenerator

    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing or not issubclass(cls, FrameGenerator):
        return missing

    def inherited(name: str) -> bool:
        return inspect.getattr_static(cls, name) is inspect.getattr_static(FrameGenerator, name)

    missing = [name for name in ("duration", "frame_size") if inherited(name)]
    if inherited("generate_at") and inherited("generate_at_pil"):
        missing.append("generate_at")
    return missing


def _named(
    there: list[Definition],
    namespace: Mapping[str, Any],
    name: str,
    script: str,
    rendered: Iterable[Sequence[str]],
) -> Definition:
    value = namespace.get(name)
    found = next((each for each in there if name == each.name or value is each.value), None)
    if found is None and _is_imported(value):
        found = Definition(name, value, _obstacle(value))
    if found is not None:
        if found.obstacle:
            raise SettingsError(
                f"{name} in {script} cannot be rendered as it stands: it {found.obstacle}."
            )
        return found
    usable = [each for each in (*there, *_imported(namespace)) if not each.obstacle]
    listed = _listed(usable, rendered)
    what = f" {name} is a {type(value).__name__}." if name in namespace else ""
    if Path(name).suffix and name not in namespace:
        what += f" To name the output: -o {name}."
    raise SettingsError(
        f"{script} has no video called {name!r}.{what}"
        + (f" It has:{listed}" if listed else " There is nothing in it to render.")
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
