"""Writes packages: the script's folder as a zip file, rayanim's own code as a folder."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rayanim.errors import PackageError
from rayanim.travel.plan import Entry, PackagePlan

_BLOCK_BYTES = 2**20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Every file's time in a package, so that the same files give the same package."""


def write_package(folder: Path, plan: PackagePlan, target: Path) -> None:
    """Write the files of `plan` into a zip file; the same files give the same bytes.

    Ray knows a package by the hash of its bytes: one that is there already is
    not sent again.

    Raises
    ------
    PackageError
        If a file has gone or grown since it was listed, or `target` cannot be written.
    """
    try:
        _write(folder, plan, target)
    except OSError as error:
        raise PackageError(
            f"The package cannot be written to {str(target.parent)!r} ({error.strerror}). "
            "Set TMPDIR to a folder that has room for it."
        ) from error


def _write(folder: Path, plan: PackagePlan, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        if not plan.entries:  # Ray takes no empty package
            package.writestr(_header(".empty", 0o644), b"")
        for entry in plan.entries:
            _add(package, folder / entry.path, entry)


def _add(package: zipfile.ZipFile, source: Path, entry: Entry) -> None:
    with _told(source):
        mode, reading = source.stat().st_mode & 0o777, source.open("rb")
    with reading, package.open(_header(entry.path.as_posix(), mode), "w") as writing:
        left_bytes = entry.size_bytes
        while block := _read(source, reading):
            left_bytes -= len(block)
            if left_bytes < 0:  # it must not pass Ray's limit, nor travel in part
                raise _changed(source, "it grows")
            writing.write(block)


def _read(source: Path, reading: IO[bytes]) -> bytes:
    with _told(source):
        return reading.read(_BLOCK_BYTES)


@contextlib.contextmanager
def _told(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _changed(source, str(error.strerror)) from error


def _changed(source: Path, what: str) -> PackageError:
    return PackageError(
        f"{source} cannot be read any more ({what}). "
        "Wait until nothing writes into the folder, or leave it out with --exclude."
    )


def _header(name: str, mode: int) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(name, _EARLIEST)
    header.compress_type = zipfile.ZIP_DEFLATED
    header.external_attr = mode << 16
    return header


def stage_rayanim(parent: Path) -> Path:
    """Copy this rayanim's code below `parent`, with its version and what it needs.

    Returns
    -------
    Path
        The package's folder.
    """
    from rayanim import __version__

    source = Path(__file__).resolve().parent.parent
    copy = parent / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]"))
    (copy / "TRAVELLED_VERSION").write_text(__version__)
    (copy / "TRAVELLED_REQUIREMENTS").write_text("\n".join(own_requirements()))
    return copy


def own_requirements() -> list[str]:
    """What rayanim needs, extras left out: ``av<19,>=15.0`` and so on."""
    from importlib.metadata import requires

    travelled = Path(__file__).resolve().parent.parent / "TRAVELLED_REQUIREMENTS"
    if travelled.is_file():
        return travelled.read_text().splitlines()
    return [each for each in requires("rayanim") or () if ";" not in each]
