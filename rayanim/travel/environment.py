"""Builds the runtime environment of a Ray job: what its processes find on every node."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayanim.errors import PackageError
from rayanim.travel.pack import stage_rayanim, write_package
from rayanim.travel.plan import PackagePlan, plan_package
from rayanim.travel.walk import list_folder

RAYS_LIMIT_BYTES = 512 * 2**20
"""The largest message that Ray passes on, and so the largest package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baggage:
    """What a caller wants to travel.

    Attributes
    ----------
    folder
        The script's folder; None where none travels.
    excludes
        Gitignore patterns of what stays behind all the same.
    packages
        Requirements that pip installs on each node before anything runs there;
        a name that ends in ``.txt`` is a file of them.
    rayanim
        Whether this rayanim's own code travels.
    runtime_env
        A runtime environment of the user's own, which the rest is added to.
    """

    folder: Path | None = None
    excludes: Sequence[str] = ()
    packages: Sequence[str] = ()
    rayanim: bool = True
    runtime_env: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """A runtime environment whose packages lie ready on disk.

    Attributes
    ----------
    runtime_env
        What ``ray.init`` and Ray's Jobs API take.
    plan
        What of the folder travels; None where no folder does.
    """

    runtime_env: dict[str, Any]
    plan: PackagePlan | None


@contextlib.contextmanager
def packed(baggage: Baggage) -> Iterator[Packed]:
    """Pack `baggage`; the packages are there until the block ends.

    Ray reads them when it is initialised or a job is submitted, and not later.

    Raises
    ------
    PackageError
        If the folder cannot travel: nothing has been sent then.
    """
    with tempfile.TemporaryDirectory(prefix="rayanim-") as scratch:
        runtime_env = dict(baggage.runtime_env)
        excludes = [*baggage.excludes, *runtime_env.pop("excludes", ())]
        plan = None
        if baggage.folder is not None:
            package = Path(scratch) / "folder.zip"
            plan = _pack_folder(baggage.folder, excludes, package)
            runtime_env["working_dir"] = str(package)
        if baggage.rayanim:
            own = str(stage_rayanim(Path(scratch)))
            runtime_env["py_modules"] = [*runtime_env.get("py_modules", ()), own]
        if baggage.packages:
            runtime_env["pip"] = _requirements(baggage.packages, runtime_env.get("pip"))
        yield Packed(runtime_env, plan)


def plan_folder(folder: Path, excludes: Sequence[str] = ()) -> PackagePlan:
    """Decide what of `folder` travels, without packing it.

    Raises
    ------
    PackageError
        If it cannot.
    """
    found = list_folder(folder, excludes)
    return plan_package(found.entries, found.left, limit_bytes=limit_bytes(), folder=str(folder))


def _pack_folder(folder: Path, excludes: Sequence[str], package: Path) -> PackagePlan:
    plan = plan_folder(folder, excludes)
    write_package(folder, plan, package)
    return plan


def limit_bytes() -> int:
    """Ray's limit for one package, which both sides of a connection may have moved."""
    return int(os.environ.get("RAY_max_grpc_message_size", RAYS_LIMIT_BYTES))  # noqa: SIM112


def _requirements(packages: Sequence[str], given: object) -> list[str]:
    """All requirements, those of a user's own environment first."""
    if given is not None and not isinstance(given, list):
        raise PackageError(
            f"--pip adds to a list of requirements, and the runtime environment has pip = "
            f"{given!r}. Give the packages there."
        )
    lines = [str(each) for each in given or ()]
    for package in packages:
        lines += _lines_of(Path(package)) if package.endswith(".txt") else [package]
    return lines


def _lines_of(file: Path) -> list[str]:
    try:
        text = file.read_text()
    except OSError as error:
        raise PackageError(
            f"{str(file)!r}, a file of requirements, cannot be read: {error.strerror}."
        ) from error
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
