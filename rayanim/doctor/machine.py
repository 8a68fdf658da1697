"""Finds out what this machine, or the container around the process, has to work with."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from rayanim.doctor.facts import Machine
from rayanim.farm.machine import ROOT, cgroup_memory_bytes, free_memory_bytes, usable_cores

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 # where Ray keeps its objects on Linux


def find_machine(*, root: Path = ROOT, shared_memory: Path = SHARED_MEMORY) -> Machine:
    """The machine as it is now.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are found.
    shared_memory
        Where shared memory is mounted.
    """
    import psutil

    temp_folder, home = ray_temp_folder(), _home()
    disk = shutil.disk_usage(_existing(temp_folder))
    return Machine(
        host=socket.gethostname(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(root=root),
        memory_bytes=int(psutil.virtual_memory().total),
        free_memory_bytes=free_memory_bytes(root=root),
        group_memory_bytes=cgroup_memory_bytes(root=root),
        shared_memory_bytes=_size_bytes(shared_memory),
        temp_folder=str(temp_folder),
        temp_bytes=disk.total,
        temp_free_bytes=disk.free,
        temp_is_writable=is_writable(_existing(temp_folder)),
        home="" if home is None else str(home),
        home_is_writable=home is not None and is_writable(home),
        omp_threads=os.environ.get("OMP_NUM_THREADS", ""),
    )


def ray_temp_folder() -> Path:
    """Where Ray makes its folder ``ray``: ``RAY_TMPDIR``, else the system's."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())


def is_writable(folder: Path) -> bool:
    """Whether a file can be written into `folder`; one is, as permissions do not tell all."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rayanim-"):
            return True
    except OSError:
        return False


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no such user, as in containers with a made-up one
        return None


def _size_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return None
