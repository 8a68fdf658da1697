"""Refuses what cannot be fingerprinted: where something is unknown, nothing is cached.

That is the time of day, what another program gives, what a package reads by itself, variables that
are found by names which stand in no code, and threads beside the drawing. What is read while frames
are drawn, and random numbers without a seed, `rayanim.engine.reads` notes.
"""

from __future__ import annotations

import dis
import functools
import os
import sys
import threading
import types
from typing import Any

import numpy as np

from rayanim.engine.packing import is_the_script_s
from rayanim.engine.reads import OF_A_TERMINAL, OF_RAY
from rayanim.storage.fingerprint import NoDigestError

KNOWN_PACKAGES = frozenset(
    [
        # Python's own
        "__future__", "_bisect", "_codecs", "_collections", "_collections_abc", "_csv",
        "_frozen_importlib", "_frozen_importlib_external",
        "_datetime", "_decimal", "_functools", "_heapq", "_io", "_json", "_operator", "_pickle",
        "_random", "_sitebuiltins", "_sre", "_statistics", "_strptime", "_struct", "_weakref",
        "_weakrefset", "abc", "argparse", "array", "ast", "base64", "binascii", "bisect",
        "builtins", "bz2", "cmath", "codecs", "collections", "colorsys",
        "configparser", "contextlib", "copy", "copyreg", "csv", "dataclasses", "datetime",
        "decimal", "difflib", "enum", "errno", "fnmatch", "fractions", "functools",
        "genericpath", "glob", "graphlib", "gzip", "hashlib", "heapq", "html", "io", "itertools",
        "json", "keyword", "lzma", "math", "numbers", "ntpath", "operator", "os",
        "pathlib", "pickle", "posixpath", "pprint", "random", "re", "reprlib", "shutil",
        "statistics", "string", "struct", "sys", "textwrap", "tomllib", "traceback", "types",
        "typing", "unicodedata", "uuid", "warnings", "weakref", "zipfile", "zlib", "zoneinfo",
        # installed
        "PIL", "attr", "attrs", "bottleneck", "cloudpickle", "cmasher", "cmcrameri",
        "cmocean", "colorcet", "colorspacious", "contourpy", "cycler", "dateutil",
        "fontTools", "kiwisolver", "matplotlib", "mpl_toolkits", "mpmath",
        "networkx", "numpy", "packaging", "palettable", "pandas",
        "pyparsing", "pytz", "rayanim", "scienceplots", "scipy", "seaborn", "shapely",
        "six", "skimage", "sklearn", "sympy", "tqdm", "typing_extensions",
        "tzdata", "tzlocal", "yaml",
    ]
)  # fmt: skip
"""What gives the same each time, and reads files by Python alone, at once, under whatever name.

Of others that is not known: some read by themselves, or later than it seems to, and some give the
time of day.
"""

UNSEEN_NAMES = frozenset(
    [
        "LogRecord", "SystemRandom", "__builtins__", "__globals__", "__import__",
        "__subclasses__", "_current_frames", "_getframe", "argv", "attrgetter", "cpu_count",
        "currentframe", "eval", "exec", "f_globals", "get_terminal_size", "getlogin", "getpid",
        "getppid", "globals", "import_module", "makeLogRecord", "methodcaller", "modules", "now",
        "open_dataset", "orig_argv", "read_feather", "read_hdf", "read_orc", "read_parquet",
        "query", "read_sql", "read_sql_query", "read_sql_table", "reload",
        "spec_from_file_location",
        "stdin", "today", "truetype", "uname", "urandom", "utcnow", "uuid1", "uuid4",
    ]
)  # fmt: skip
"""Names of functions that do, of the command's words, and of what finds variables by any name."""

SEEN_OF_THE_SYSTEM = frozenset(
    [
        # of os
        "DirEntry", "PathLike", "_Environ", "abort", "access", "altsep", "chdir", "chmod",
        "close", "copy_file_range", "curdir", "defpath", "devnull", "dup", "environ", "environb",
        "error", "execute", "extsep", "fdopen", "fsdecode", "fsencode", "fspath", "fstat",
        "fsync", "ftruncate", "getcwd", "getcwdb", "getenv", "getenvb", "kill", "linesep", "link",
        "listdir", "lseek", "lstat", "makedirs", "mkdir", "name", "open", "pardir", "path",
        "pathsep", "pipe", "putenv", "read", "readlink", "remove", "removedirs", "rename",
        "renames", "replace", "rmdir", "scandir", "sendfile", "sep", "splice", "st", "stat",
        "stat_result", "symlink", "sync", "system", "times", "truncate", "unlink", "unsetenv",
        "utime", "walk", "write",
        # of sys
        "byteorder", "copyright", "exc_info", "excepthook", "exception", "exit", "flags",
        "float_info", "float_repr_style", "getdefaultencoding", "getfilesystemencoding",
        "getrecursionlimit", "hexversion", "implementation", "int_info", "intern", "maxsize",
        "maxunicode", "platform", "prefix", "setrecursionlimit", "stderr", "stdout", "version",
        "version_info", "warnoptions",
    ]
)  # fmt: skip
"""Names of `os` and `sys` that give what is compared, or what is noted while frames are drawn."""

OF_THE_SYSTEM = (
    frozenset(
        name
        for module in (os, sys)
        for name, value in vars(module).items()
        if not name.startswith("__")
        and not name.isupper()
        and not isinstance(value, types.ModuleType)
    )
    - SEEN_OF_THE_SYSTEM
    - {"Mapping", "MutableMapping", "audit", "isatty", "lockf", "major", "minor", "nice", "wait"}
)
"""All other names there, but for words of many meanings: what this machine, this process or its
user is."""

OF_PLACES = frozenset(
    [
        "co_firstlineno", "co_lines", "co_linetable", "co_positions", "extract_stack",
        "extract_tb", "findsource", "format_exc", "format_stack", "format_tb", "getinnerframes",
        "getouterframes", "getsource", "getsourcelines", "lineno", "print_stack", "tb_frame",
        "tb_lineno",
    ]
)  # fmt: skip
"""What gives the lines of the script, which comments move."""

OF_THIS_PROCESS = frozenset(["hash", "id", "input"])
"""Python's own functions that give something else in each process."""

UNSEEN_TEXTS = (OF_A_TERMINAL | {"now", "today"}) - {"_"}
"""Texts that stand for what no fingerprint holds."""


def check_threads() -> None:
    """Refuse a script with code that runs beside the drawing: it may change anything meanwhile."""
    for thread in threading.enumerate():
        runs: Any = getattr(thread, "_target", None) or type(thread)
        runs = type(runs.__self__) if isinstance(runs, types.MethodType) else runs
        home = str(getattr(runs, "__module__", ""))
        is_library_s = home.partition(".")[0] not in {"__main__", *sys.stdlib_module_names}
        is_library_s &= not is_the_script_s(sys.modules.get(home))
        is_ours = thread is threading.main_thread() or thread.name.startswith("rayanim")
        if not is_ours and not is_library_s and not isinstance(thread, threading._DummyThread):
            raise NoDigestError(f"a thread of the script's runs ({thread.name})")


def check_home(thing: Any) -> None:
    """Refuse what is of a module that gives what no fingerprint holds, or pickles as a name."""
    home = thing.__name__ if isinstance(thing, types.ModuleType) else None
    if isinstance(thing, types.BuiltinFunctionType | types.FunctionType | type):
        home = thing.__module__
        names = UNSEEN_NAMES | (OF_THE_SYSTEM if home in ("posix", "nt", "os", "sys") else set())
        if thing.__name__ in names:
            raise NoDigestError(f"what {thing.__name__} gives is not seen")
    if isinstance(home, str) and home in sys.modules:
        _check_package(home)
    if isinstance(thing, types.ModuleType) and home == "__main__":
        raise NoDigestError("the script's code uses its own module")
    if isinstance(thing, np.ufunc) and getattr(np, thing.__name__, None) is not thing:
        raise NoDigestError(f"{thing.__name__} is no function of numpy's")


def _check_package(name: str) -> None:
    """Refuse a module of which nothing is known."""
    module = sys.modules.get(name)
    is_own = name in ("__main__", "__mp_main__") or is_the_script_s(module)
    is_compiled = str(getattr(module, "__file__", "")).endswith((".so", ".pyd"))
    if is_compiled if is_own else name.partition(".")[0] not in KNOWN_PACKAGES:
        raise NoDigestError(f"what {name or 'a relative import'} gives is not seen")


def imported_by(code: types.CodeType) -> list[Any]:
    """The script's own modules that `code` imports when it runs."""
    found = []
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            _check_package(each.argval)
            found.append(sys.modules.get(each.argval))
    return found


def check_text(text: str) -> None:
    """Refuse what names a time, or a variable of the environment that is not compared."""
    if text in UNSEEN_TEXTS or text.startswith(OF_RAY):
        raise NoDigestError(f"what {text!r} stands for is not seen")


@functools.lru_cache(maxsize=1000)
def why_not_seen(code: types.CodeType) -> str | None:
    """Why what `code` does may depend on something that no fingerprint holds."""
    names = UNSEEN_NAMES | OF_THE_SYSTEM | OF_PLACES
    for name in names.intersection(code.co_names):
        return f"what {name} gives is not seen"
    for each in dis.get_instructions(code):
        is_global = each.opname in ("LOAD_GLOBAL", "LOAD_NAME") and code.co_name != "__hash__"
        if is_global and each.argval in OF_THIS_PROCESS:
            return f"what {each.argval} gives is something else in each process"
        if each.argval == "param_by_frame" and not each.opname.startswith("STORE"):
            return f"{code.co_name} uses param_by_frame, the parameters of all frames"
    for text in (each for each in code.co_consts if isinstance(each, str)):
        if text in names | UNSEEN_TEXTS or text.startswith(OF_RAY):
            return f"what {text!r} stands for is not seen"
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return next(filter(None, map(why_not_seen, inner)), None)
