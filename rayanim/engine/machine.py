"""What this machine, or the container around the process, has to offer.

Cores and memory are what the process may use, not what the hardware has: a
container's quota stands in its control group (cgroup), and a group's limit
binds every group below it. So the group of the process and all groups above it
are read, and the tightest counts. Formats: Linux, `Documentation/admin-guide`,
``cgroup-v2.rst`` and ``cgroup-v1/``. Where those files are missing, the
operating system's own figures count.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

ROOT = Path("/")
"""Where the files of control groups are found; tests give a folder of their own."""

V1_LIMIT = "memory.limit_in_bytes"
NO_LIMIT_BYTES = 2**60
"""A group's limit above this is none."""


def usable_cores(*, root: Path = ROOT) -> int:
    """Cores that this process may use: the least of affinity, cgroup quota and Python's count.

    A quota of one and a half cores counts as 2: two processes are what it
    takes to use it up.
    """
    quota_cores = cgroup_cores(root=root)
    own_cores = _cores_of_process()
    return own_cores if quota_cores is None else min(own_cores, quota_cores)


def free_memory_bytes(*, root: Path = ROOT) -> int:
    """Bytes that may still be taken: the less of the machine's and the cgroup's."""
    import psutil

    available = int(psutil.virtual_memory().available)
    within_group = cgroup_free_bytes(root=root)
    return available if within_group is None else min(available, within_group)


def process_rss_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def process_of(pid: int) -> psutil.Process | None:
    """The process of this machine that has `pid` now, which may be another one's later."""
    import psutil

    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def wait_for_exit(process: psutil.Process, limit_s: float) -> None:
    """Wait until `process` ends; kill it after so many seconds, and wait as long once more."""
    import psutil

    with contextlib.suppress(psutil.Error):
        try:
            process.wait(limit_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(limit_s)


def cgroup_cores(*, root: Path = ROOT) -> int | None:
    """The tightest processor quota above this process in whole cores; None without one."""
    quotas = [_v2_cores(group) for group in _groups(root, None)]
    quotas += [_v1_cores(group) for group in _groups(root, "cpu")]
    known = [quota for quota in quotas if quota is not None]
    return max(1, math.ceil(min(known))) if known else None


def cgroup_free_bytes(*, root: Path = ROOT) -> int | None:
    """Bytes left under the tightest memory limit above this process; None without a limit."""
    rooms = [_v2_free_bytes(group) for group in _groups(root, None)]
    rooms += [_v1_free_bytes(group) for group in _groups(root, "memory")]
    known = [room for room in rooms if room is not None]
    return max(0, min(known)) if known else None


def cgroup_memory_bytes(*, root: Path = ROOT) -> int | None:
    """The tightest memory limit above this process in bytes; None without one."""
    limits = [_v2_limit(group) for group in _groups(root, None)]
    limits += [_integer(_text(group / V1_LIMIT)) for group in _groups(root, "memory")]
    # Version 1 writes nearly 2**63 where there is no limit.
    known = [limit for limit in limits if limit is not None and limit < NO_LIMIT_BYTES]
    return min(known, default=None)


def _cores_of_process() -> int:
    counts = [os.cpu_count()]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    # New in Python 3.13: it also knows `-X cpu_count` and PYTHON_CPU_COUNT.
    count_of_process = getattr(os, "process_cpu_count", None)
    if count_of_process is not None:
        counts.append(count_of_process())
    return min((count for count in counts if count), default=1)


def _groups(root: Path, controller: str | None) -> Iterator[Path]:
    """Folders of the process's group and all above it; None asks for version 2's tree."""
    for controllers, group in _memberships(root):
        if controllers == "" if controller is None else controller in controllers.split(","):
            for mount in _mounts(root, controllers, controller):
                yield from _with_ancestors(mount, group)


def _memberships(root: Path) -> Iterator[tuple[str, str]]:
    """The lines of ``/proc/self/cgroup`` as (controllers, path of the group)."""
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, group = rest.partition(":")
        if colon:
            yield controllers, group


def _mounts(root: Path, controllers: str, controller: str | None) -> list[Path]:
    """Where a hierarchy is usually mounted; folders that are missing do no harm."""
    base = root / "sys/fs/cgroup"
    if controller is None:
        return [base, base / "unified"]
    return [base / name for name in dict.fromkeys([controllers, controller])]


def _with_ancestors(mount: Path, group: str) -> Iterator[Path]:
    # Inside a container the path may be the host's, or climb out with "..",
    # while the mount shows the container's group as its root. What then does
    # not exist is passed over by the readers, and the root remains.
    names = [name for name in PurePosixPath(group).parts if name not in ("/", "..")]
    for depth in range(len(names), -1, -1):
        yield mount.joinpath(*names[:depth])


def _v2_cores(group: Path) -> float | None:
    quota, _, period = (_text(group / "cpu.max") or "").partition(" ")
    return _ratio(_integer(quota), _integer(period))


def _v1_cores(group: Path) -> float | None:
    quota = _integer(_text(group / "cpu.cfs_quota_us"))
    return _ratio(quota, _integer(_text(group / "cpu.cfs_period_us")))


def _ratio(quota_us: int | None, period_us: int | None) -> float | None:
    # Version 2 writes "max" for no quota (no integer), version 1 writes -1.
    if quota_us is None or period_us is None or quota_us <= 0 or period_us <= 0:
        return None
    return quota_us / period_us


def _v2_free_bytes(group: Path) -> int | None:
    return _free_bytes(
        _v2_limit(group),
        _integer(_text(group / "memory.current")),
        _statistic(group, "inactive_file") + _statistic(group, "slab_reclaimable"),
    )


def _v2_limit(group: Path) -> int | None:
    # At "high" the kernel throttles, at "max" it kills: stay below both.
    limits = [_integer(_text(group / name)) for name in ("memory.max", "memory.high")]
    return min((limit for limit in limits if limit is not None), default=None)


def _v1_free_bytes(group: Path) -> int | None:
    return _free_bytes(
        _integer(_text(group / V1_LIMIT)),
        _integer(_text(group / "memory.usage_in_bytes")),
        _statistic(group, "total_inactive_file"),
    )


def _free_bytes(limit: int | None, usage: int | None, reclaimable: int) -> int | None:
    """What is left; the cache that the kernel gives back under pressure is not in use."""
    if limit is None or usage is None:
        return None
    return limit - max(0, usage - reclaimable)


def _statistic(group: Path, name: str) -> int:
    """One count of bytes from ``memory.stat``; 0 where it does not stand there."""
    for line in (_text(group / "memory.stat") or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _integer(value) or 0
    return 0


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
