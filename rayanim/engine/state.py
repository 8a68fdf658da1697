"""A fingerprint of all that decides what a source draws next, the same in every process.

It is a digest of what a pickle by cloudpickle holds: the source with its figure, the user's classes
and functions with the variables that they use, the process's surroundings and random numbers.
What differs from run to run without meaning anything is left out: identities, the order of sets,
where code stands. What cannot be pickled, or may show something that no pickle holds, has no
fingerprint: unknown means changed.
"""

from __future__ import annotations

import contextlib
import decimal
import dis
import functools
import os
import pickle
import random
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import xxhash

from rayanim.engine.packing import Surroundings, is_outside, own_modules_by_value
from rayanim.figure.figure import AnyPixels
from rayanim.figure.style import capture_style
from rayanim.settings import RenderSettings
from rayanim.sources import CHANGES, Source
from rayanim.storage.fingerprint import NoDigestError, code_text, versions

MOST_BYTES = 256 * 2**20
"""A larger state has no fingerprint: this much takes a tenth of a second."""

MOST_DEPTH = 3000
"""Python's limit of recursion while a state is pickled, whatever the script has set."""

UNSEEN_MODULES = frozenset(
    [
        "aiohttp", "av", "cv2", "dask", "decord", "duckdb", "fastparquet", "fiona", "fitz",
        "ftplib", "geopandas", "h5py", "http", "httpx", "itk", "librosa", "lxml", "MDAnalysis",
        "mdtraj", "netCDF4", "open3d", "openslide", "osgeo", "polars", "psycopg", "psycopg2",
        "pyarrow", "pygrib", "pymongo", "pyogrio", "pyreadstat", "pyvista", "rasterio", "redis",
        "requests", "secrets", "serial", "SimpleITK", "socket", "soundfile", "sqlalchemy",
        "sqlite3", "subprocess", "tables", "tiledb", "time", "torchaudio", "torchvision", "urllib",
        "urllib3", "vtk", "vtkmodules", "xarray", "zarr",
    ]
)  # fmt: skip
"""What reads files by itself, or later than it seems to, or gives something else each time."""

UNSEEN_NAMES = frozenset(
    [
        "__import__", "SystemRandom", "argv", "eval", "exec", "getpid", "globals", "import_module",
        "modules", "now",
        "open_dataset", "orig_argv", "read_feather", "read_hdf", "read_orc", "read_parquet",
        "read_sql", "today", "urandom", "utcnow", "uuid1", "uuid4",
    ]
)  # fmt: skip
"""Names of functions that do, of the command's words, and of what finds variables by any name."""

GENERATORS = frozenset(
    ["MT19937", "PCG64", "Philox", "Random", "RandomState", "SFC64", "SeedSequence", "default_rng"]
)
"""Names of what makes random numbers, others each time where it gets no seed."""

OF_DRAWING = ("dpi", "height_px", "savefig_params", "reuse_figure_object", "drawing")
"""Settings that decide about pixels, and that stand in no stream specification."""

OF_A_TERMINAL = frozenset(
    [
        "_", "COLORTERM", "COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "GPG_AGENT_INFO",
        "GPG_TTY", "LINES", "OLDPWD", "PWD", "SHLVL", "SSH_AGENT_PID", "SSH_AUTH_SOCK",
        "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
        "TERM_SESSION_ID", "TMUX", "TMUX_PANE", "VSCODE_GIT_ASKPASS_EXTRA_ARGS",
        "VSCODE_GIT_ASKPASS_MAIN", "VSCODE_GIT_ASKPASS_NODE", "VSCODE_GIT_IPC_HANDLE",
        "VSCODE_INJECTION", "VSCODE_IPC_HOOK_CLI", "VSCODE_PID", "VTE_VERSION", "WAYLAND_DISPLAY",
        "WINDOWID", "WINDOWPATH", "XAUTHORITY", "XDG_ACTIVATION_TOKEN", "XDG_CURRENT_DESKTOP",
        "XDG_MENU_PREFIX", "XDG_RUNTIME_DIR", "XDG_SEAT", "XDG_SEAT_PATH", "XDG_SESSION_CLASS",
        "XDG_SESSION_DESKTOP", "XDG_SESSION_ID", "XDG_SESSION_PATH", "XDG_SESSION_TYPE", "XDG_VTNR",
        "CUDA_VISIBLE_DEVICES", "MPLBACKEND", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS",
        "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_JOB_ID", "RAY_TMPDIR", "RAY_USE_TLS",
    ]
)  # fmt: skip
"""Variables that say where a command was typed, or that are of one process."""

OF_RAY = (
    "RAY_ACCEL_", "RAY_AUTH_", "RAY_BACKEND_", "RAY_CLIENT_", "RAY_CLUSTER_", "RAY_DASHBOARD_",
    "RAY_DEDUP_", "RAY_ENABLE_", "RAY_GCS_", "RAY_LOG_", "RAY_NODE_", "RAY_RAYLET_",
    "RAY_RUNTIME_ENV_", "RAY_TLS_", "RAY_TRAIN_", "RAY_USAGE_", "RAY_WORKER_", "RAY_enable_",
    "RAY_max_", "RAY_memory_", "RAY_preload_", "RAY_worker_", "RAYANIM_",
)  # fmt: skip
"""How the names of Ray's own variables begin, and of rayanim's."""


def surroundings_digest(settings: RenderSettings) -> str:
    """Fingerprint of the process and of how it draws, without the script's own objects."""
    environment = {
        name: value
        for name, value in sorted(os.environ.items())
        if name not in OF_A_TERMINAL and not name.startswith(OF_RAY)
    }
    # Ray adds filters of warnings, which no frame shows.
    here = replace(Surroundings.captured(), environment=environment, filters=())
    numbers = decimal.getcontext().copy()
    numbers.clear_flags()
    styles = getattr(sys.modules.get("matplotlib.style"), "library", {})
    drawn_by = [getattr(settings, name) for name in OF_DRAWING]
    return _digest(
        (
            (here, capture_style(), str(Path.cwd()), versions(), _installed()),
            (sys.argv[1:], repr(numbers), {name: str(each) for name, each in styles.items()}),
            (settings.duration is None, drawn_by),
        )
    )


def random_digest() -> str:
    """Fingerprint of the state of the process's own generators."""
    return _digest((random.getstate(), np.random.get_state()))


def _installed() -> list[tuple[str, int]]:
    """The installed packages with their versions, by their folders; and when they were put there.

    The time says that a package was installed again in the same version.
    """
    folders = (Path(each) for each in sys.path)
    installed = (each for each in folders if {"site-packages", "dist-packages"} & set(each.parts))
    found = (each for folder in installed for each in folder.glob("*-info"))
    return sorted((each.name, each.stat().st_mtime_ns) for each in found)


def state_digest(source: Source) -> str:
    """Fingerprint of an open source and of all that its code uses.

    Raises
    ------
    NoDigestError
        If there is none, with the reason.
    """
    if source.state is None:
        raise NoDigestError(f"{source.name} has no state that can be compared")
    with own_modules_by_value():
        return _digest((source.state, capture_style()))


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
        is_code = isinstance(thing, type | types.FunctionType | type(_refusal))
        kind = thing if is_code else type(thing)
        if kind.__module__ not in sys.modules or not _is_installed(kind):
            raise NoDigestError(f"parameters are of {kind.__qualname__}, the script's own")
        return NotImplemented


def _digest(thing: Any) -> str:
    hashed = _Hashed()
    try:
        with _shallow():
            _Hasher(hashed).dump(thing)
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

    def __init__(self, hashed: _Hashed) -> None:
        super().__init__(hashed, protocol=5)
        matplotlib_transforms = sys.modules.get("matplotlib.transforms")
        matplotlib_cbook = sys.modules.get("matplotlib.cbook")
        self._nodes = getattr(matplotlib_transforms, "TransformNode", ())
        self._registries = getattr(matplotlib_cbook, "CallbackRegistry", ())

    def persistent_id(self, thing: Any) -> Any:
        """Sets have no order."""
        kind = type(thing)
        if kind is set or kind is frozenset:
            return kind.__name__, sorted(map(_digest, thing))
        return None

    def reducer_override(self, thing: Any) -> Any:
        """What stands for `thing`."""
        if isinstance(thing, types.CodeType):
            if refusal := _refusal(thing):
                raise NoDigestError(refusal)
            return str, (code_text(thing),)
        if isinstance(thing, AnyPixels):
            return tuple, ((thing.figure,),)
        _check_home(thing)
        if type(thing) is type(_refusal):
            # `functools.lru_cache`, which pickles as a name.
            return tuple, (thing.__wrapped__,)
        if isinstance(thing, self._nodes):
            return object, (), _without_identities(thing.__getstate__())
        if isinstance(thing, self._registries):
            # Its own state counts how often it was pickled.
            _check_draw_event(thing)
            return object, (), {name: _called(each) for name, each in thing.callbacks.items()}
        reduced = super().reducer_override(thing)
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
        return make, arguments, state, *rest

    @staticmethod
    def _with_all_attributes(thing: Any) -> Any:
        """Of an object of the user's all attributes, whatever its own pickling leaves out."""
        kind = type(thing)
        attributes = getattr(thing, "__dict__", None)
        if not isinstance(attributes, dict) or _is_installed(kind):
            return NotImplemented
        if not pickles_itself(kind) and not hasattr(kind, "param_by_frame"):
            return NotImplemented
        reduced = thing.__reduce_ex__(5)
        if isinstance(reduced, str):
            return reduced
        make, arguments, _state, *rest = [*reduced, None, None, None][:5]
        # Those of before are for another process, which sets up again.
        kept = _without_parameters(kind, attributes)
        kept.pop("_before_setup", None)
        return make, arguments, kept, *rest


_OWN_PICKLING = ("__getstate__", "__reduce__", "__reduce_ex__")

_TRACKER_ID = re.compile("[0-9a-f]{32}")


def _without_parameters(kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes without an `Animator`'s parameters, which segments name."""
    skipped = {CHANGES} | ({"param_by_frame"} if hasattr(kind, "param_by_frame") else set())
    return {name: value for name, value in attributes.items() if name not in skipped}


def pickles_itself(kind: type) -> bool:
    """Whether a class of the user's says itself what a pickle of it holds."""
    return not _is_installed(kind) and any(
        getattr(kind, name, None) is not getattr(object, name, None) for name in _OWN_PICKLING
    )


def _is_installed(kind: type | types.FunctionType) -> bool:
    """Whether a class is Python's, rayanim's or an installed package's."""
    package = kind.__module__.partition(".")[0]
    if package == "__main__":
        return False
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if package == "rayanim" or package in sys.stdlib_module_names or file is None:
        return True
    return not is_outside(file)


def _without_identities(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a transform without what it is a part of, which stands there by its `id`."""
    return {
        name: value
        for name, value in state.items()
        if not (isinstance(value, dict) and all(type(key) is int for key in value))
    }


def _called(references: dict[int, Any]) -> list[str]:
    """What is called on an event of matplotlib's, by name."""
    functions = (reference() for reference in references.values())
    named = (each if hasattr(each, "__qualname__") else type(each) for each in functions if each)
    return [f"{each.__module__}.{each.__qualname__}" for each in named]


def _check_draw_event(registry: Any) -> None:
    """Refuse what the user has called whenever a figure is drawn."""
    for name in _called(registry.callbacks.get("draw_event", {})):
        if not name.startswith(_OF_LIBRARIES):
            raise NoDigestError(f"{name} is called whenever the figure is drawn")


_OF_LIBRARIES = ("matplotlib.", "mpl_toolkits.", "rayanim.")


def _check_home(thing: Any) -> None:
    """Refuse what is of a module that gives what no fingerprint holds, or pickles as a name."""
    home = thing.__name__ if isinstance(thing, types.ModuleType) else None
    if isinstance(thing, types.BuiltinFunctionType | types.FunctionType | type):
        home = thing.__module__
    if isinstance(home, str):
        file = getattr(sys.modules.get(home), "__file__", None) or ""
        is_compiled = file.endswith((".so", ".pyd")) and is_outside(file)
        if home.partition(".")[0] in UNSEEN_MODULES or is_compiled:
            raise NoDigestError(f"what {home} gives is not seen")
    if isinstance(thing, types.ModuleType) and home == "__main__":
        raise NoDigestError("the script's code uses its own module")
    if isinstance(thing, np.ufunc) and getattr(np, thing.__name__, None) is not thing:
        raise NoDigestError(f"{thing.__name__} is no function of numpy's")


@functools.lru_cache(maxsize=1000)
def _refusal(code: types.CodeType) -> str | None:
    """Why what `code` does may depend on something that no fingerprint holds."""
    for name in UNSEEN_NAMES.intersection(code.co_names):
        return f"what {name} gives is not seen"
    made = None
    for each in dis.get_instructions(code):
        if each.opname in ("CACHE", "PRECALL", "PUSH_NULL"):
            continue
        has_none = (each.opname, each.argval) in (("CALL", 0), ("LOAD_CONST", None))
        if made in GENERATORS and has_none:
            return f"what {made} gives without a seed is not seen"
        made = each.argval if isinstance(each.argval, str) else None
        if each.opname == "IMPORT_NAME" and each.argval.partition(".")[0] in UNSEEN_MODULES:
            return f"what {each.argval} gives is not seen"
        if each.opname == "LOAD_CONST" and each.argval in ("now", "today"):
            return f"what {each.argval} means is not seen"
        if each.argval == "param_by_frame" and not each.opname.startswith("STORE"):
            return f"{code.co_name} uses param_by_frame, the parameters of all frames"
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return next(filter(None, map(_refusal, inner)), None)
