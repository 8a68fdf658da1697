"""The rooms: which module may import what, read from the source's imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rayanim

ROOT = Path(rayanim.__file__).parent

PURE = (
    "timeline",
    "easing",
    "farm.planning.plan",
    "farm.planning.ordering",
    "farm.planning.dispatch",
    "farm.pool.roster",
    "farm.faults.nodes",
    "farm.faults.overdue",
    "farm.faults.silence",
    "farm.faults.openings",
    "farm.pool.placing",
    "farm.scaling.policy",
    "farm.scaling.values",
    "farm.choosing.model",
    "farm.scaling.budget",
    "farm.pool.first_actor",
    "farm.scaling.fleet",
    "farm.scaling.fleet_use",
    "farm.scaling.windows",
    "farm.in_process.frame_cost",
    "farm.metrics",
    "farm.naming",
    "events",
    "doctor.facts",
    "doctor.findings",
    "doctor.judge",
    "doctor.judge_cluster",
    "travel.plan",
    "travel.rules",
)
IMPURE_PACKAGES = {"ray", "av", "matplotlib", "time", "threading", "subprocess"}

# Who may import each of the three large packages, at all and when loaded.
ROOMS_OF = {"av": {"video"}, "ray": {"farm", "doctor", "jobs"}, "matplotlib": {"drawing"}}

# What users subclass may draw, and so import matplotlib inside functions;
# the doctor's test film does as a user's script.
SUBCLASSED = {"util", "animator", "acts", "frame_gen", "scenes", "fluent", "doctor"}

# The entry: what lies below must not know it.
ENTRY = {"cli", "production", "request", "outcome", "overrides", "target", "discovery", "dry_run"}
ENTRY |= {"disk_target", "remote_target", "unfinished"}
FORBIDDEN = {
    "errors": None,
    "easing": None,
    "timeline": None,
    "selection": None,
    "settings": None,
    "events": None,
    "storage": None,
    "drawing": {"video", "farm", "source", "animator", "acts", "frame_gen", "progress"} | ENTRY,
    "video": {"drawing", "farm", "source", "animator", "acts", "frame_gen", "progress"} | ENTRY,
    "parts": {"drawing", "farm", "source", "animator", "acts", "frame_gen", "progress"} | ENTRY,
    "source": {"video", "farm", "progress"} | ENTRY,
    "travel": {"drawing", "video", "farm", "parts", "source", "jobs"} | ENTRY,
    "farm": ENTRY,
    "progress": {"video", "farm", "drawing", "source"} | ENTRY,
    "doctor": ENTRY,
    "production": {"cli"},
    "request": {"cli"},
}
"""Rooms by room that they must not import; None means every room but `errors`."""


FARM = (
    {"planning", "faults", "scaling", "machine", "naming", "transport", "metrics"},
    {"rendering", "writing", "exporter"},
    {"job", "actors", "connection"},
    {"pool", "in_process", "space"},
    {"choosing", "resumption"},
    {"running"},
    {"by_frames", "by_segments"},
    {"engine"},
)
"""The farm's floors from the ground up: each knows itself and those below it."""


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
    def room(self) -> str:
        return self.module.split(".")[0]

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    @property
    def imported_room(self) -> str | None:
        """The room of ours that is imported, None where it is none of ours."""
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


def imports_of(path: Path) -> Iterator[Import]:
    for node, inside in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module_of(path), alias.name, not inside)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(module_of(path), name, not inside)


FILES = sorted(ROOT.rglob("*.py"))
IMPORTS = [found for path in FILES for found in imports_of(path)]


def test_the_imports_are_read() -> None:
    """An empty list would prove nothing."""
    assert len(FILES) > 50
    assert Import("settings", "rayanim.errors.SettingsError", True) in IMPORTS
    assert any(found.name == "ray" and not found.at_load for found in IMPORTS)


def loaded_with(module: str) -> set[str]:
    """Our modules that loading `module` loads, itself included."""
    known = {module_of(path) for path in FILES}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for found in IMPORTS:
            if found.module == current and found.at_load and found.imported_room:
                name = found.name.removeprefix("rayanim.")
                target = name if name in known else name.rpartition(".")[0]
                if target in known - seen:
                    waiting.append(target)
    return seen


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_neither_clocks_nor_machinery(module: str) -> None:
    """Neither they nor what they load: they can be tested without any of it."""
    loaded = loaded_with(module)
    impure = [each for each in IMPORTS if each.module == module and each.package in IMPURE_PACKAGES]
    heavy = [
        each
        for each in IMPORTS
        if each.module in loaded and each.at_load and each.package in IMPURE_PACKAGES
    ]
    assert impure + heavy == []


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_lower_room_never_imports_a_higher_one(room: str) -> None:
    """Drawing and video know neither each other nor the farm; nobody knows the CLI."""
    forbidden = FORBIDDEN[room]
    wrong = [
        each
        for each in IMPORTS
        if each.room == room
        and each.imported_room not in (None, room)
        and (
            each.imported_room != "errors" if forbidden is None else each.imported_room in forbidden
        )
    ]
    assert wrong == []


def test_the_farm_is_built_floor_upon_floor() -> None:
    """No circle of imports, also not in functions: each part is read knowing what is below."""
    floors = {name: number for number, names in enumerate(FARM) for name in names}
    inside = [
        (each.module.split(".")[1], each.name.split(".")[2], each)
        for each in IMPORTS
        if each.module.startswith("farm.") and each.name.startswith("rayanim.farm.")
    ]
    found = {name for pair in inside for name in pair[:2]}
    assert found <= set(floors)
    wrong = [each for one, other, each in inside if one != other and floors[one] <= floors[other]]
    assert wrong == []


def test_only_the_command_and_its_caller_know_the_cli() -> None:
    """``rayanim.cli`` can be taken away and everything else still works."""
    known = {each.room for each in IMPORTS if each.imported_room == "cli"}
    assert known <= {"cli", "__main__"}


@pytest.mark.parametrize("package", ROOMS_OF)
def test_large_packages_stay_in_their_rooms(package: str) -> None:
    """PyAV in `video`, Ray in `farm`, matplotlib in `drawing` and in what users subclass."""
    allowed = ROOMS_OF[package] | (SUBCLASSED if package == "matplotlib" else set())
    assert [each for each in IMPORTS if each.package == package and each.room not in allowed] == []


def test_ray_is_imported_in_functions_only() -> None:
    """Loading a module of ours never loads it."""
    assert [each for each in IMPORTS if each.package == "ray" and each.at_load] == []


def test_what_needs_matplotlib_to_load_is_loaded_in_functions_only() -> None:
    """The canvas subclasses matplotlib's; nobody else loads it, or what loads it."""
    heavy = {each.module for each in IMPORTS if each.package == "matplotlib" and each.at_load}
    for _ in range(len(FILES)):
        heavy |= {each.module for each in IMPORTS if each.at_load and loads_one_of(heavy, each)}
    assert {module.split(".")[0] for module in heavy} == {"drawing"}


def loads_one_of(modules: set[str], each: Import) -> bool:
    return any(f"{each.name}.".startswith(f"rayanim.{module}.") for module in modules)


# Documented names of the standard library that begin with an underscore.
STANDARD = {"_exit"}


def own_private_names() -> set[str]:
    """Names with one leading underscore that rayanim itself defines."""
    names: set[str] = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return {name for name in names if name.startswith("_")}


def foreign_private_names(path: Path, own: set[str]) -> Iterator[str]:
    """Private names of other packages that a file reads: ``x._name`` and ``"_name"``."""
    for node in ast.walk(ast.parse(path.read_text())):
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
    listed = (ROOT / "drawing" / "private.py").read_text()
    for path in FILES:
        if module_of(path) == "farm.connection.ray_internals":
            # The same for Ray.
            continue
        names = set(foreign_private_names(path, own))
        assert not names or module_of(path).startswith("drawing."), (path, names)
        assert [name for name in sorted(names) if name not in listed] == [], path
