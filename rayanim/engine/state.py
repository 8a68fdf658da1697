"""A fingerprint of all that decides what a source draws next, the same in every process.

It is a digest of what a pickle by cloudpickle holds: the source with its figure, the user's classes
and functions with the variables that they use, the process's surroundings and random numbers.
What differs from run to run without meaning anything is left out: identities, the order of sets,
where code stands. What cannot be pickled, or may show something that no pickle holds, has no
fingerprint: unknown means changed.
"""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import dataclasses
import enum
import functools
import gc
import os
import pickle
import random
import re
import reprlib
import sys
import time
import types
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import xxhash

import rayanim
from rayanim.engine.packing import (
    Surroundings,
    is_plain,
    is_the_script_s,
    module_variables,
    own_modules_by_value,
)
from rayanim.engine.reads import is_of_a_terminal
from rayanim.engine.unseen import (
    KNOWN_PACKAGES,
    check_home,
    check_text,
    check_threads,
    imported_by,
    why_not_seen,
)
from rayanim.figure.figure import AnyPixels, kept_figures
from rayanim.figure.style import capture_style
from rayanim.settings import RenderSettings
from rayanim.sources import CHANGES, Source
from rayanim.storage.fingerprint import (
    NoDigestError,
    code_text,
    names_in,
    variables_of,
    versions,
)

MOST_BYTES = 256 * 2**20
"""A larger state has no fingerprint: this much takes a tenth of a second."""

MOST_DEPTH = 3000
"""Python's limit of recursion while a state is pickled, whatever the script has set."""

OF_DRAWING = ("dpi", "height_px", "savefig_params", "reuse_figure_object", "drawing")
"""Settings that decide about pixels, and that stand in no stream specification."""


def surroundings_digest(settings: RenderSettings) -> str:
    """Fingerprint of the process and of how it draws, without the script's own objects."""
    return repr(sorted(surroundings_parts(settings).items()))


def surroundings_parts(settings: RenderSettings) -> dict[str, str]:
    """The same by what it is of, in the words of a sentence that ends in "has changed"."""
    environment = {
        f"the environment variable {name}": value
        for name, value in sorted(os.environ.items())
        if not is_of_a_terminal(name)
    }
    here = replace(Surroundings.captured(), environment={}, filters=())
    colors = sys.modules.get("matplotlib.colors")
    styles = getattr(sys.modules.get("matplotlib.style"), "library", {})
    drawn_by = [getattr(settings, name) for name in OF_DRAWING]
    style = capture_style()
    fonts = () if style is None else style.fonts
    parts: dict[str, Any] = {
        "the command": sys.argv[1:],
        "the working folder": str(Path.cwd()),
        "a setting of the process, such as its locale or warning filters,": (
            here,
            _filters(),
            _flags(),
            time.tzname,
            time.timezone,
        ),
        "matplotlib's settings": (
            (style, {name: str(each) for name, each in styles.items()}),
            # Those of matplotlib's own names, too.
            {} if colors is None else dict(colors.get_named_colors_mapping()),
        ),
        "the set of fonts": [version_of(each) for each in fonts],
        "the set of installed packages": (versions(), sys.version, _installed()),
        "rayanim": [version_of(each) for each in sorted(_RAYANIM.rglob("*.py"))],
        "a setting of drawing": (settings.duration is None, drawn_by),
        "a variable of a module": (module_variables(), _put_on(builtins)),
    }
    with own_modules_by_value():
        return environment | {name: _digest(each) for name, each in parts.items()}


def _flags() -> tuple[Any, ...]:
    """How Python was started."""
    return tuple(sys.flags), sys.warnoptions


def _filters() -> list[Any]:
    """The filters of warnings that a script or the command may have set: libraries have others."""
    filters: list[tuple[Any, ...]] = list(warnings.filters)
    return [
        (action, getattr(message, "pattern", message), category.__qualname__, place, line)
        for action, message, category, place, line in filters
        # Those that libraries set as they are imported, which Ray is in some processes.
        if category.__module__.partition(".")[0] not in ("numpy", "ray", "requests", "urllib3")
        and not str(getattr(message, "pattern", message)).startswith("numpy.")
    ]


def random_digest() -> str:
    """Fingerprint of the state of the process's own generators."""
    return _digest((random.getstate(), np.random.get_state()))


_RAYANIM = Path(rayanim.__file__).parent


def version_of(path: Any) -> tuple[int, ...]:
    """What changes with a file: also where its time of modification is put back."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _installed() -> list[tuple[str, int]]:
    """The installed packages with their versions, by their folders; and when they were put there.

    The time says that a package was installed again in the same version.
    """
    folders = (Path(each) for each in sys.path)
    installed = (each for each in folders if {"site-packages", "dist-packages"} & set(each.parts))
    found = (each for folder in installed for each in folder.glob("*-info"))
    return sorted((each.name, each.stat().st_mtime_ns) for each in found)


def state_digest(source: Source, left_out: Collection[int] = ()) -> str:
    """Fingerprint of an open source and of all that its code uses.

    `left_out` are numbers of figures in pyplot that are compared elsewhere.

    Raises
    ------
    NoDigestError
        If there is none, with the reason.
    """
    if source.state is None:
        raise NoDigestError(f"{source.name} has no state that can be compared")
    check_threads()
    with own_modules_by_value():
        state = source.state, capture_style(), _figures_in_pyplot(left_out)
        return _digest(state, checks_texts=True)


def figures_in_pyplot() -> list[int]:
    """The numbers of those that a script's code may ask for."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    return [] if pyplot is None else pyplot.get_fignums()


def _figures_in_pyplot(left_out: Collection[int]) -> list[Any]:
    """Them, and which is the current one."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if not figures_in_pyplot():
        return []
    with kept_figures():
        numbers = [pyplot.gcf().number, *figures_in_pyplot()]
        return [numbers, *(pyplot.figure(each) for each in numbers[1:] if each not in left_out)]


def check_parameters(params: Any) -> None:
    """Refuse parameters that bring code of the script's, which is not compared.

    Raises
    ------
    NoDigestError
        If there are some.
    """
    nowhere = types.SimpleNamespace(write=len)
    try:
        # Arrays are not copied.
        _ParametersCheck(nowhere, protocol=5, buffer_callback=lambda buffer: None).dump(params)
    except NoDigestError:
        raise
    except Exception as error:  # the user's own objects may raise anything
        raise NoDigestError(f"the parameters cannot be pickled ({error})") from error


class _ParametersCheck(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        """Called for each that is not of Python's own plain kinds."""
        is_code = isinstance(thing, type | types.FunctionType | type(why_not_seen))
        kind = thing if is_code else type(thing)
        if kind.__module__ not in sys.modules or not _is_installed(kind):
            raise NoDigestError(f"parameters are of {kind.__qualname__}, the script's own")
        return NotImplemented


def _digest(thing: Any, *, checks_texts: bool = False) -> str:
    hashed = _Hashed()
    try:
        with _shallow():
            _Hasher(hashed, checks_texts).dump(thing)
    except NoDigestError:
        raise
    except Exception as error:  # the user's own objects may raise anything
        raise NoDigestError(f"it cannot be pickled ({type(error).__name__}: {error})") from error
    return hashed.hash.hexdigest()


@contextlib.contextmanager
def _shallow() -> Iterator[None]:
    """Pickle so deep at most that the interpreter's own stack holds it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, MOST_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


MOST_CHECKED, LONGEST_CHECKED = 20_000, 100
"""Texts that are not checked again, and their length: most are names of attributes."""

_checked: set[str] = set()


class _Hashed:
    """A file that keeps only a hash of what is written to it."""

    def __init__(self) -> None:
        self.hash = xxhash.xxh3_128()
        self._n_bytes = 0

    def write(self, data: Any) -> int:
        """Add to the hash."""
        n_bytes = memoryview(data).nbytes
        self._n_bytes += n_bytes
        if self._n_bytes > MOST_BYTES:
            raise NoDigestError(f"it takes more than {MOST_BYTES >> 20} MB")
        self.hash.update(data)
        return n_bytes


class _Hasher(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what has one meaning to one sequence of bytes."""

    def __init__(self, hashed: _Hashed, checks_texts: bool) -> None:
        super().__init__(hashed, protocol=5)
        self._checks_texts = checks_texts
        self._sets: dict[int, int] = {}
        matplotlib_transforms = sys.modules.get("matplotlib.transforms")
        matplotlib_cbook = sys.modules.get("matplotlib.cbook")
        self._artists = getattr(sys.modules.get("matplotlib.artist"), "Artist", ())
        self._nodes = getattr(matplotlib_transforms, "TransformNode", ())
        self._registries = getattr(matplotlib_cbook, "CallbackRegistry", ())

    def persistent_id(self, thing: Any) -> Any:
        """Sets have no order."""
        kind = type(thing)
        if kind is set or kind is frozenset:
            digests = (_digest(each, checks_texts=self._checks_texts) for each in thing)
            # Which ones are the same set: what is added to one is in the other.
            at = 0 if kind is frozenset else self._sets.setdefault(id(thing), len(self._sets))
            return kind.__name__, at, sorted(digests)
        if kind is str and self._checks_texts and thing not in _checked:
            check_text(thing)
            if len(_checked) < MOST_CHECKED and len(thing) < LONGEST_CHECKED:
                _checked.add(thing)
        return None

    def reducer_override(self, thing: Any) -> Any:
        """What stands for `thing`."""
        if isinstance(thing, types.CodeType):
            if reason := why_not_seen(thing):
                raise NoDigestError(reason)
            return tuple, (code_text(thing), *imported_by(thing))
        if isinstance(thing, AnyPixels):
            return tuple, ((thing.figure,),)
        check_home(thing)
        if isinstance(thing, types.FunctionType) and thing.__code__.co_filename in _REPRS:
            # It asks for identities, to know what it is inside of.
            return tuple, (code_text(thing.__code__), getattr(thing, "__wrapped__", None))
        is_artist = isinstance(thing, self._artists)
        called = thing.stale_callback if is_artist else None
        if isinstance(called, types.FunctionType) and not _is_a_library_s(called):
            raise NoDigestError(f"{_name_of(called)} is called whenever an artist changes")
        if type(thing) is type(why_not_seen):
            # `functools.lru_cache`, which pickles as a name.
            return tuple, (thing.__wrapped__, *_kept_by(thing))
        if isinstance(thing, self._nodes):
            return object, (), _without_identities(thing.__getstate__())
        if isinstance(thing, self._registries):
            # Its own state counts how often it was pickled.
            _check_draw_event(thing)
            called = {name: _called(each) for name, each in thing.callbacks.items()}
            set_on = {name: each for name, each in vars(thing).items() if name[0] != "_"}
            return object, (), (called, _set_by_a_script(set_on | {"callbacks": None}))
        if type(thing).__name__ in ("FontProperties", "FreeTypeFont"):
            # matplotlib's and Pillow's, which have the file's name alone.
            path = thing.path if hasattr(thing, "path") else thing.get_file()
            return tuple, (thing.__reduce_ex__(5)[1:3], version_of(path) if path else None)
        if type(thing) is np.ndarray and isinstance(thing.base, np.ndarray | bytearray):
            # Another array shows what is written here, and has more to be seen.
            return tuple, (thing.__reduce_ex__(5)[1:], thing.base)
        if type(thing) is functools.cached_property:
            return tuple, (thing.func,)  # where it has a lock
        reduced = super().reducer_override(thing)
        if reduced is NotImplemented and isinstance(thing, types.FunctionType):
            # One that is in the place of a library's, under its name.
            return _parts_of(thing) if _is_the_script_s_function(thing) else reduced
        if reduced is NotImplemented and isinstance(thing, type | types.ModuleType):
            is_a_library_s = _is_installed_module(thing) and thing.__name__ != "sys"
            name = getattr(thing, "__qualname__", thing.__name__)
            return (tuple, (name, _put_on(thing))) if is_a_library_s else reduced
        if reduced is NotImplemented:
            return self._with_all_attributes(thing)
        if isinstance(thing, type) and isinstance(reduced, tuple) and len(reduced) > 2:
            return self._reduced_class(thing, reduced)
        return reduced

    @staticmethod
    def _reduced_class(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        """A class of the user's, without the name that cloudpickle gives it for this process."""
        if any(
            each.__module__.startswith(("matplotlib.", "mpl_toolkits.")) for each in kind.__mro__
        ):
            raise NoDigestError(f"{kind.__qualname__} may keep something whenever it is drawn")
        make, arguments, state, *rest = reduced
        arguments = tuple(
            None if isinstance(each, str) and _TRACKER_ID.fullmatch(each) else each
            for each in arguments
        )
        if isinstance(state, tuple) and isinstance(state[0], dict):
            state = (_without_parameters(kind, state[0]), *state[1:])
        state = (state, kind.__qualname__)
        if issubclass(kind, enum.Enum):
            # Of its members a pickle has only the values.
            state = (state, [dict(vars(each)) for each in kind.__members__.values()])
        return make, arguments, state, *rest

    @staticmethod
    def _with_all_attributes(thing: Any) -> Any:
        """Of an object of the user's all attributes, whatever its own pickling leaves out."""
        kind = type(thing)
        if _is_installed(kind):
            return _with_set_attributes(thing)
        attributes = _slots_of(thing) | getattr(thing, "__dict__", {})
        if not attributes:
            return NotImplemented
        if not pickles_itself(kind) and not hasattr(kind, "param_by_frame"):
            return NotImplemented
        reduced = thing.__reduce_ex__(5)
        if isinstance(reduced, str):
            raise NoDigestError(f"{kind.__qualname__} pickles as a name")
        make, arguments, _state, *rest = [*reduced, None, None, None][:5]
        # Those of before are for another process, which sets up again.
        kept = _without_parameters(kind, attributes)
        kept.pop("_before_setup", None)
        return make, arguments, kept, *rest


def _with_set_attributes(thing: Any) -> Any:
    """A library's object with what a script may have set on it, which its own pickle leaves out."""
    kind = type(thing)
    is_default = all(getattr(kind, name, None) is getattr(object, name, None) for name in _OWN)
    # Figures and artists keep all but what a script cannot set to any effect.
    if is_default or kind.__module__.startswith("matplotlib.") or kind in copyreg.dispatch_table:
        return NotImplemented
    attributes: Any = getattr(thing, "__dict__", None)
    reduced = thing.__reduce_ex__(5) if isinstance(attributes, dict) and attributes else ""
    if isinstance(reduced, str):
        return NotImplemented
    make, arguments, state, *rest = [*reduced, None, None, None][:5]
    return make, arguments, (state, _set_by_a_script(attributes)), *rest


def _set_by_a_script(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes.items()
        if is_plain(value) or not _is_installed(value if isinstance(value, type) else type(value))
    }


_REPRS = frozenset([dataclasses.__file__, reprlib.__file__])
"""Where the functions are that guard a `__repr__` against objects that hold themselves."""

_OWN = ("__getstate__", "__reduce__", "__reduce_ex__")


def _slots_of(thing: Any) -> dict[str, Any]:
    """The attributes that have a place of their own."""
    names = (
        name
        for kind in type(thing).__mro__
        for name, place in vars(kind).items()
        if isinstance(place, types.MemberDescriptorType)
    )
    return {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def _kept_by(function: Any) -> list[Any]:
    """What `functools.lru_cache` has kept of calls, which it gives without making them again."""
    module = sys.modules.get(function.__module__)
    found: Any = module
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is function and not is_the_script_s(module) and function.__module__ != "__main__":
        return []  # a library's
    return [each for each in gc.get_referents(function) if not _is_of_links(each)]


def _is_of_links(held: Any) -> bool:
    """Whether it is the class of the links between what is kept, or the dictionary of them."""
    kinds = {held} if isinstance(held, type) else set()
    kinds |= set(map(type, held.values())) if type(held) is dict else set()
    return any((each.__module__, each.__name__) == _LINK for each in kinds)


_LINK = ("functools", "_lru_list_elem")


def _parts_of(function: types.FunctionType) -> tuple[Any, ...]:
    """A function with all that it uses, whatever its name is."""
    known = function.__globals__
    used = {name: known[name] for name in names_in(function.__code__) & known.keys()}
    cells = dict(variables_of(function))
    return tuple, ((function.__code__, cells, dict(sorted(used.items()))),)


def _is_the_script_s_function(function: types.FunctionType) -> bool:
    home = function.__globals__.get("__name__")
    return home == "__main__" or is_the_script_s(sys.modules.get(str(home)))


def _is_installed_module(thing: type | types.ModuleType) -> bool:
    """Whether it is a library's class that may be changed, or a library."""
    home = str(thing.__module__ if isinstance(thing, type) else thing.__name__)
    package = home.partition(".")[0]
    is_fixed = isinstance(thing, type) and package in sys.stdlib_module_names
    # One of the script's may have the name of a library.
    is_own = is_the_script_s(sys.modules.get(home))
    return package in KNOWN_PACKAGES and not is_fixed and not is_own


def _put_on(owner: Any) -> dict[str, Any]:
    """What a script may have put on a library or on a class of it: plain values, and its own."""
    found = {}
    for name, value in list(vars(owner).items()):
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        inner = inner.fget if isinstance(inner, property) else inner
        # What a library keeps for itself changes as it is used; members of an `Enum` are of their
        # own class.
        if name.startswith("_") or isinstance(inner, types.ModuleType) or type(inner) is owner:
            continue
        if isinstance(inner, types.FunctionType):
            is_own = _is_the_script_s_function(inner)
        else:
            is_own = is_plain(inner) or not _is_installed(
                inner if isinstance(inner, type) else type(inner)
            )
        if is_own:
            found[name] = inner
    return found


_TRACKER_ID = re.compile("[0-9a-f]{32}")


def _without_parameters(kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes without an `Animator`'s parameters, which segments name."""
    skipped = {CHANGES} | ({"param_by_frame"} if hasattr(kind, "param_by_frame") else set())
    return {name: value for name, value in attributes.items() if name not in skipped}


def pickles_itself(kind: type) -> bool:
    """Whether a class of the user's says itself what a pickle of it holds."""
    return not _is_installed(kind) and (
        kind in copyreg.dispatch_table
        or any(getattr(kind, name, None) is not getattr(object, name, None) for name in _OWN)
    )


def _is_installed(kind: type | types.FunctionType) -> bool:
    """Whether a class is Python's, rayanim's or an installed package's."""
    module = sys.modules.get(kind.__module__)
    return module is not None and kind.__module__ != "__main__" and not is_the_script_s(module)


def _without_identities(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a transform without what it is a part of, which stands there by its `id`."""
    return {
        name: value
        for name, value in state.items()
        if not (isinstance(value, dict) and all(type(key) is int for key in value))
    }


def _called(references: dict[int, Any]) -> list[Any]:
    """What is called on an event of matplotlib's: libraries' own by name."""
    functions = (reference() for reference in references.values())
    return [_name_of(each) if _is_a_library_s(each) else each for each in functions if each]


def _name_of(called: Any) -> str:
    named = called if hasattr(called, "__qualname__") else type(called)
    return f"{named.__module__}.{named.__qualname__}"


def _is_a_library_s(called: Any) -> bool:
    return _name_of(called).startswith(("matplotlib.", "mpl_toolkits.", "rayanim."))


def _check_draw_event(registry: Any) -> None:
    """Refuse what the user has called whenever a figure is drawn."""
    for each in _called(registry.callbacks.get("draw_event", {})):
        if not isinstance(each, str):
            raise NoDigestError(f"{_name_of(each)} is called whenever the figure is drawn")
