"""Packs a source for actors, with what its script's process has and an actor's has not.

That is the search path, the working folder, `sys.argv`, what the script changed in its
environment, locale, warning filters, how numpy prints and fails, how `decimal` rounds,
matplotlib's settings, and the plain values of variables in the script's own modules,
which a script may have set at run time: an actor imports those modules afresh.
"""

from __future__ import annotations

import contextlib
import decimal
import functools
import importlib
import locale
import os
import re
import sys
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np

from rayanim.animations import is_animation_source
from rayanim.errors import NotPicklableError, SetupError
from rayanim.figure.figure import kept_figures
from rayanim.figure.style import Style, apply_style, capture_style
from rayanim.randomness import kept_randomness
from rayanim.sources import Source, listed_bytes

LARGE_BYTES = 64 * 2**20
"""A source above this is worth a warning: every actor holds a copy."""


_BEGAN_WITH = dict(os.environ)
"""The environment when rayanim was imported, where the system does not keep the first one."""

OF_ITS_PROCESS = ("RAY_", "RAYANIM_", "MPLBACKEND", "CUDA_VISIBLE_DEVICES")
"""Variables that each process has its own values of, by how their names begin."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a script may set for its whole process, beside matplotlib's settings.

    `environment` has what the script changed, None for what it deleted; `categories`
    the locale by its categories, `deepest` how deep functions may call themselves.
    """

    environment: Mapping[str, str | None]
    categories: Mapping[int, str]
    filters: tuple[Any, ...]
    print_options: Mapping[str, Any]
    error_handling: Any
    decimals: decimal.Context
    deepest: int

    @classmethod
    def captured(cls) -> Surroundings:
        """Those of this process."""
        decimals = decimal.getcontext().copy()
        decimals.clear_flags()
        return cls(
            _changed_environment(),
            {category: locale.setlocale(category) for category in _categories()},
            tuple(warnings.filters),
            np.get_printoptions(),
            np.geterr(),
            decimals,
            sys.getrecursionlimit(),
        )

    def apply(self) -> None:
        """Make them this process's."""
        set_environment(self.environment)
        for category, name in self.categories.items():
            # A locale that this machine has not: audits find out whether it shows.
            with contextlib.suppress(locale.Error):
                locale.setlocale(category, name)
        warnings.filters[:] = self.filters  # type: ignore[index]
        np.set_printoptions(**self.print_options)
        np.seterr(**self.error_handling)
        decimal.setcontext(self.decimals)
        sys.setrecursionlimit(max(self.deepest, sys.getrecursionlimit()))


def set_environment(changes: Mapping[str, str | None]) -> None:
    """Set these variables, and delete those that are None."""
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if hasattr(time, "tzset"):
        time.tzset()


def _categories() -> tuple[int, ...]:
    names = ("LC_COLLATE", "LC_CTYPE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")
    return tuple(getattr(locale, name) for name in names)


def _changed_environment() -> dict[str, str | None]:
    """What the script changed in its environment; None for what it deleted."""
    first, now = _first_environment(), dict(os.environ)
    return {
        name: now.get(name)
        for name in first.keys() | now.keys()
        if first.get(name) != now.get(name) and not name.startswith(OF_ITS_PROCESS)
    }


def _first_environment() -> dict[str, str]:
    """The environment that this process was started with."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return _BEGAN_WITH
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class PackedSource:
    """A pickled source, and what it needs where it is unpickled.

    `environment` is what is different from that of the process where it is unpickled.
    """

    pickled: bytes
    search_path: tuple[str, ...]
    folder: str
    arguments: tuple[str, ...] = ()
    variables: bytes | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)


def pack(source: Source, dumps: Callable[[Any], bytes] = cloudpickle.dumps) -> PackedSource:
    """Pack a source: for actors, one that was not opened yet."""
    try:
        pickled = dumps((source, capture_style(), Surroundings.captured()))
    except NotPicklableError:
        raise
    except Exception as error:
        culprit = _culprit(source)
        raise NotPicklableError(
            f"{source.name} cannot be sent to actors: {culprit or error}. Make it in setup() or "
            "start(), which run in the actor, or draw in this process with workers=1.",
            traceback_text=traceback.format_exc(),
        ) from error
    return PackedSource(
        pickled,
        search_path=tuple(sys.path),
        folder=str(Path.cwd()),
        arguments=tuple(sys.argv),
        variables=_packed_variables(),
    )


@contextlib.contextmanager
def own_modules_by_value() -> Iterator[None]:
    """Pickle functions of the script's modules with the variables that they use.

    Imported anew in an actor, they would change a figure of their own.
    """
    found = [
        module
        for name, module in list(sys.modules.items())
        if name not in ("__main__", "__mp_main__")
        and is_the_script_s(module)
        # Under another name cloudpickle does not find it.
        and sys.modules.get(module.__name__) is module
    ]
    registered = cloudpickle.list_registry_pickle_by_value()
    found = [module for module in found if module.__name__ not in registered]
    reduce = cloudpickle.Pickler.reducer_override

    def reducer_override(pickler: Any, thing: Any) -> Any:
        shared = getattr(pickler, "globals_ref", None)
        is_copy = type(thing) is ModuleCopy
        if shared is None or not (is_copy or any(thing is module for module in found)):
            return reduce(pickler, thing)
        own = vars(thing)["_variables"] if is_copy else vars(thing)
        # What cloudpickle gives the module's functions for their global variables.
        variables = shared.setdefault(id(own), {})
        values = {name: value for name, value in own.items() if name != "__builtins__"}
        return ModuleCopy, (variables,), values, None, None, _set_variables

    for module in found:
        cloudpickle.register_pickle_by_value(module)
    cloudpickle.Pickler.reducer_override = reducer_override
    try:
        yield
    finally:
        cloudpickle.Pickler.reducer_override = reduce
        for module in found:
            cloudpickle.unregister_pickle_by_value(module)


class ModuleCopy(ModuleType):
    """A copy of a module: its attributes are the global variables of its functions' copies."""

    def __init__(self, variables: dict[str, Any]) -> None:
        super().__init__("copied")
        for name in list(vars(self)):
            super().__delattr__(name)
        super().__setattr__("_variables", variables)

    def __getattr__(self, name: str) -> Any:
        try:
            return vars(self)["_variables"][name]
        except KeyError:
            raise AttributeError(f"module has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)["_variables"][name] = value

    def __delattr__(self, name: str) -> None:
        del vars(self)["_variables"][name]

    def __dir__(self) -> list[str]:
        return list(vars(self)["_variables"])


def _set_variables(copy: ModuleCopy, values: dict[str, Any]) -> None:
    vars(copy)["_variables"].update(values)


def unpack(packed: PackedSource) -> Source:
    """Prepare this process for drawing, then unpickle the source."""
    set_environment(packed.environment)
    # Before any user code is imported: there may be no display here.
    os.environ["MPLBACKEND"] = "agg"
    sys.path.extend(entry for entry in packed.search_path if entry not in sys.path)
    if Path(packed.folder).is_dir():
        os.chdir(packed.folder)
    sys.argv[:] = packed.arguments or sys.argv
    try:
        source, style, surroundings = _loaded(packed)
        surroundings.apply()
        restore_variables(packed)
    except Exception as error:
        raise SetupError(
            f"The source could not be unpickled in the actor: {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error
    apply_style(style)
    return source


def unpickled(packed: PackedSource) -> Source:
    """The source as it was packed, for the process that packed it."""
    with classes_apart():
        return _loaded(packed)[0]


_is_apart: list[bool] = []


@contextlib.contextmanager
def classes_apart() -> Iterator[None]:
    """Unpickle classes of the script as classes of their own.

    cloudpickle takes those that it has pickled in this process for the same, and gives
    them the methods of the copy, which have other global variables. What is unpickled
    inside, nested or not, has the same classes.
    """
    known = vars(cloudpickle.cloudpickle).get("_DYNAMIC_CLASS_TRACKER_BY_ID", {})
    if _is_apart:
        yield
        return
    _is_apart.append(True)
    kept = dict(known)
    known.clear()
    try:
        yield
    finally:
        _is_apart.clear()
        known.clear()
        known.update(kept)


@contextlib.contextmanager
def copied(packed: PackedSource) -> Iterator[Source]:
    """A copy of the source that is drawn in this process, and leaves no trace in it.

    Variables of the script's modules, random numbers and pyplot's figures are those of
    before afterwards.
    """
    now = module_variables()
    with kept_randomness(), kept_figures():
        restore_variables(packed)
        try:
            yield unpickled(packed)
        finally:
            set_module_variables(now)


def restore_variables(packed: PackedSource) -> None:
    """Give the script's modules the plain values that they had when the source was packed."""
    if packed.variables is not None:
        set_module_variables(cloudpickle.loads(packed.variables))


def _loaded(packed: PackedSource) -> tuple[Source, Style | None, Surroundings]:
    loaded: tuple[Source, Style | None, Surroundings] = cloudpickle.loads(packed.pickled)
    return loaded


MOST_BYTES, MOST_ENTRIES = 2**20, 1000
"""Larger arrays, texts and containers are what a module loads or computes by itself."""

PLAIN = (type(None), bool, int, float, complex, PurePath)
"""Values of these kinds, texts, arrays and containers are the same wherever they are unpickled."""


def _packed_variables() -> bytes | None:
    try:
        pickled: bytes = cloudpickle.dumps(module_variables())
    except Exception:  # a thread changes them, or an array holds objects
        return None
    return pickled


def module_variables() -> dict[str, dict[str, Any]]:
    """The plain values in the script's own modules, by module; `__main__` is pickled anyway."""
    found: dict[str, dict[str, Any]] = {}
    for name, module in list(sys.modules.items()):
        if name != "__main__" and is_the_script_s(module):
            values = {
                key: value
                for key, value in list(vars(module).items())
                if not key.startswith("__") and is_plain(value)
            }
            if values:
                found[name] = values
    return found


def set_module_variables(variables: Mapping[str, Mapping[str, Any]]) -> None:
    """Give this process's modules the values that they had in the script's."""
    for name, values in variables.items():
        module = _imported(name)
        if module is not None:
            vars(module).update(values)


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit):  # the source fails the same way where it needs it
        return None


def is_the_script_s(module: Any) -> bool:
    """Whether a module is neither installed, nor Python's, nor ours."""
    file = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not file:
        return False
    if module.__name__.partition(".")[0] == "rayanim":
        return False
    return is_outside(file)


def own_files() -> dict[str, str]:
    """The files of the script's own modules that are loaded, by name."""
    return {
        name: str(module.__file__)
        for name, module in list(sys.modules.items())
        if name != "__mp_main__"
        and (is_the_script_s(module) or (name == "__main__" and getattr(module, "__file__", None)))
    }


INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")


@functools.lru_cache(maxsize=10_000)
def is_outside(file: str) -> bool:
    """Whether a file is neither of an installed package nor Python's."""
    return not (INSTALLED.search(file) or file.startswith(_own_folders()))


@functools.cache
def _own_folders() -> tuple[str, ...]:
    """Where Python's own modules lie."""
    return tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))


def is_plain(value: Any, depth: int = 4) -> bool:
    """Whether a value, with all that it holds, is of such a kind."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype != object and value.nbytes <= MOST_BYTES
    if type(value) in (list, tuple, set, frozenset, dict):
        if depth == 0 or len(value) > MOST_ENTRIES:
            return False
        entries = (*value, *value.values()) if isinstance(value, dict) else value
        return all(is_plain(each, depth - 1) for each in entries)
    if isinstance(value, str | bytes):
        return len(value) <= MOST_BYTES
    return isinstance(value, PLAIN)


def large_attributes(source: Source, packed: PackedSource) -> str | None:
    """A warning that names what makes `packed` large, or None where it is not."""
    if len(packed.pickled) < LARGE_BYTES:
        return None
    if listed_bytes(source) is not None:
        return large_list(source, len(packed.pickled))
    if is_animation_source(source):
        return f"{source.name} takes {len(packed.pickled) / 2**20:.0f} MB in each actor."
    sizes = sorted(((_size(value), name) for name, value in _attributes(source)), reverse=True)
    named = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for size, name in sizes[:3])
    return (
        f"{source.name} takes {len(packed.pickled) / 2**20:.0f} MB in each actor, most of it "
        f"in {named}. Load it in setup(), or give it frame by frame through param_by_frame."
    )


def large_list(source: Source, list_bytes: int) -> str:
    """The same for a list of frames."""
    return (
        f"{source.name} takes {list_bytes / 2**20:.0f} MB in each actor. "
        "A function of the frame number makes each frame where it is drawn."
    )


def _attributes(source: Source) -> list[tuple[str, Any]]:
    """The attributes of the user's own object, or of the adapter where it has none."""
    for name in ("_animator", "_generator", "_function"):
        inner = getattr(source, name, None)
        if inner is not None:
            found = list(getattr(inner, "__dict__", {}).items())
            return [(f"self.{key}", value) for key, value in found] or [(source.name, inner)]
    return list(vars(source).items())


def _culprit(source: Source) -> str | None:
    for name, value in _attributes(source):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            return f"{name} = {value!r:.80} cannot be pickled ({error})"
    return None


def _size(value: Any) -> int:
    try:
        return len(cloudpickle.dumps(value))
    except Exception:  # a size for a message; what cannot be pickled was reported before
        return 0
