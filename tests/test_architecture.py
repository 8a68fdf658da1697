"""Which module may import what, read from the source's imports."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rayanim

ROOT = Path(rayanim.__file__).parent

# Modules that decide and do nothing else: tests drive them without clocks, processes or files.
PURE = (
    "timeline",
    "easing",
    "settings",
    "engine.plan",
    "engine.chunks",
    "engine.messages",
    "engine.roster",
    "engine.scheduler",
    "engine.autoscaler",
    "engine.placement",
    "video.timing",
    "doctor.facts",
    "doctor.checks",
)
IMPURE_PACKAGES = {"ray", "av", "matplotlib", "time", "threading", "subprocess"}

# Which of our packages may import each of the three large ones. What users
# subclass may draw, so it may import matplotlib inside functions.
HOMES = {
    "av": {"video", "doctor"},
    "ray": {"engine", "doctor", "jobs"},
    "matplotlib": {
        "figure",
        "util",
        "animator",
        "acts",
        "frame_gen",
        "timeline",
        "doctor",
        "notebook",
        "profiling",
    },
}

WRITTEN_BY_USERS = {"animator", "acts", "frame_gen"}
PLAN = {"overrides", "planning"}
ENTRY = PLAN | {"cli", "render", "still", "dry_run", "preview", "notebook", "profiling"}
FORBIDDEN = {
    "errors": None,
    "easing": None,
    "settings": None,
    "timeline": {"figure", "video", "storage", "engine", "sources", "progress"} | ENTRY,
    "figure": {"video", "storage", "engine", "sources", "progress"} | WRITTEN_BY_USERS | ENTRY,
    "video": {"figure", "storage", "engine", "sources", "progress"} | WRITTEN_BY_USERS | ENTRY,
    "storage": {"figure", "engine", "progress"} | WRITTEN_BY_USERS | ENTRY,
    "sources": {"video", "storage", "engine", "progress"} | ENTRY,
    "progress": {"figure", "video", "storage", "engine", "sources"} | ENTRY,
    "engine": ENTRY,
    "jobs": ENTRY,
    "doctor": ENTRY,
    "overrides": ENTRY - PLAN,
    "planning": ENTRY - {"still"},
    "render": {"cli", "preview", "notebook"},
    "still": {"cli", "preview", "notebook"},
    "dry_run": {"cli", "preview", "notebook"},
    "preview": {"cli"},
    "profiling": {"cli", "preview", "notebook"},
    "report": {"figure", "video", "sources", "engine"} | ENTRY,
    "profile_report": {"figure", "video", "sources", "engine"} | ENTRY,
    "player": WRITTEN_BY_USERS | {"engine"} | ENTRY,
}
"""What each module or package must not import; None means all of ours but `errors`."""


@dataclass(frozen=True)
class Import:
    """One import statement.

    Attributes
    ----------
    module
        Where it stands, without ``rayanim.``.
    name
        What it imports, dotted.
    at_load
        Whether it runs when the module is loaded, and not in a function.
    """

    module: str
    name: str
    at_load: bool

    @property
    def home(self) -> str:
        return self.module.split(".")[0]

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    @property
    def imported_home(self) -> str | None:
        """Our module or package that is imported, None where it is not ours."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "rayanim" and len(parts) > 1 else None


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes below `node` that run, and whether a function holds them back."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        inside = in_function or isinstance(child, ast.FunctionDef | ast.Lambda)
        yield child, inside
        yield from walk(child, inside)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports_of(path: Path) -> Iterator[Import]:
    for node, inside in walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module_of(path), alias.name, not inside)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(module_of(path), name, not inside)


FILES = sorted(ROOT.rglob("*.py"))


@functools.cache
def imports() -> list[Import]:
    return [found for path in FILES for found in imports_of(path)]


def test_the_imports_are_read() -> None:
    """An empty list would prove nothing."""
    assert len(FILES) > 50
    assert Import("settings", "rayanim.errors.SettingsError", True) in imports()
    assert any(found.name == "ray" and not found.at_load for found in imports())


def loaded_with(module: str) -> set[str]:
    """Our modules that loading `module` loads, itself included."""
    known = {module_of(path) for path in FILES}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for found in imports():
            if found.module == current and found.at_load and found.imported_home:
                name = found.name.removeprefix("rayanim.")
                target = name if name in known else name.rpartition(".")[0]
                if target in known - seen:
                    waiting.append(target)
    return seen


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_neither_clocks_nor_machinery(module: str) -> None:
    """Neither they nor what they load."""
    loaded = loaded_with(module)
    impure = [
        each for each in imports() if each.module == module and each.package in IMPURE_PACKAGES
    ]
    heavy = [
        each
        for each in imports()
        if each.module in loaded and each.at_load and each.package in IMPURE_PACKAGES
    ]
    assert impure + heavy == []


@pytest.mark.parametrize("home", FORBIDDEN)
def test_a_lower_module_never_imports_a_higher_one(home: str) -> None:
    """`figure` and `video` know neither each other nor the engine; nobody knows the CLI."""
    forbidden = FORBIDDEN[home]
    wrong = [
        each
        for each in imports()
        if each.home == home
        and each.imported_home not in (None, home)
        and (
            each.imported_home != "errors" if forbidden is None else each.imported_home in forbidden
        )
    ]
    assert wrong == []


def test_no_two_modules_and_no_two_classes_share_a_name() -> None:
    names = Counter(path.stem for path in FILES if path.stem != "__init__")
    classes = Counter(
        node.name for path in FILES for node in tree_of(path).body if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in (names + classes).items() if times > 1] == []


def test_packages_have_at_most_two_levels() -> None:
    assert max(len(path.relative_to(ROOT).parts) for path in FILES) == 2


def test_only_the_command_and_its_caller_know_the_cli() -> None:
    """``rayanim.cli`` can be taken away and everything else still works."""
    known = {each.home for each in imports() if each.imported_home == "cli"}
    assert known <= {"cli", "__main__"}


@pytest.mark.parametrize("package", HOMES)
def test_large_packages_stay_where_they_belong(package: str) -> None:
    """PyAV in `video`, Ray in `engine`, matplotlib in `figure` and in what users subclass."""
    allowed = HOMES[package]
    assert [
        each for each in imports() if each.package == package and each.home not in allowed
    ] == []


def test_ray_is_imported_in_functions_only() -> None:
    """Loading a module of ours never loads it."""
    assert [each for each in imports() if each.package == "ray" and each.at_load] == []


def test_what_needs_matplotlib_to_load_is_loaded_in_functions_only() -> None:
    """The canvas subclasses matplotlib's; nobody else loads it, or what loads it."""
    heavy = {each.module for each in imports() if each.package == "matplotlib" and each.at_load}
    for _ in range(len(FILES)):
        heavy |= {each.module for each in imports() if each.at_load and loads_one_of(heavy, each)}
    assert {module.split(".")[0] for module in heavy} == {"figure"}


def loads_one_of(modules: set[str], each: Import) -> bool:
    return any(f"{each.name}.".startswith(f"rayanim.{module}.") for module in modules)


# Documented names of the standard library that begin with an underscore.
STANDARD = {"_exit", "_DummyThread"}


def own_private_names() -> set[str]:
    """Names with one leading underscore that rayanim itself defines."""
    names: set[str] = set()
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return {name for name in names if name.startswith("_")}


def foreign_private_names(path: Path, own: set[str]) -> Iterator[str]:
    """Private names of other packages that a file reads: ``x._name`` and ``"_name"``."""
    for node in ast.walk(tree_of(path)):
        name = ""
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr"):
            name = getattr(node.args[1], "value", "")
        private = isinstance(name, str) and name.startswith("_") and not name.startswith("__")
        if private and name not in own | STANDARD:
            yield name


def test_matplotlib_s_private_names_are_listed_in_one_place() -> None:
    """They may change with any release: one module lists them all, with what they are for."""
    own = own_private_names()
    listed = (ROOT / "figure" / "private.py").read_text()
    for path in FILES:
        if module_of(path) == "engine.cluster":
            # The same for Ray.
            continue
        names = set(foreign_private_names(path, own))
        assert not names or module_of(path).startswith("figure."), (path, names)
        assert [name for name in sorted(names) if name not in listed] == [], path
