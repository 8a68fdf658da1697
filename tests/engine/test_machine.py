"""What the process may use is read right from affinity, control groups and psutil."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from rayanim.engine import machine
from rayanim.engine.machine import (
    cgroup_cores,
    cgroup_free_bytes,
    process_of,
    wait_for_exit,
)

MIB = 2**20


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write `files`, given by their path below `root`, and return `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(root: Path, files: dict[str, str], group: str = "/") -> Path:
    """A machine with version 2 control groups, the process in `group`."""
    tree = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    return plant(root, {"proc/self/cgroup": f"0::{group}\n", **tree})


def v1(root: Path, files: dict[str, str], group: str = "/") -> Path:
    """A machine with version 1 control groups, the process in `group`."""
    lines = f"12:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:{group}\n"
    tree = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    return plant(root, {"proc/self/cgroup": lines, **tree})


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("150000 100000", 2), ("20000 100000", 1), ("1600000 100000", 16)],
)
def test_a_version_2_quota_is_rounded_up_to_whole_cores(
    tmp_path: Path, quota: str, cores: int
) -> None:
    """It takes two processes to use up one and a half cores, and one for a fifth."""
    assert cgroup_cores(root=v2(tmp_path, {"cpu.max": quota})) == cores


@pytest.mark.parametrize("text", ["max 100000", "max", "", "garbage here", "0 0"])
def test_no_version_2_quota_is_no_limit(tmp_path: Path, text: str) -> None:
    """ "max", an empty file and what cannot be read set no limit."""
    assert cgroup_cores(root=v2(tmp_path, {"cpu.max": text})) is None


def test_a_quota_on_a_parent_binds_the_groups_below(tmp_path: Path) -> None:
    """The tightest quota on the way up to the root counts, wherever it stands."""
    files = {
        "pod/app/cpu.max": "max 100000",
        "pod/cpu.max": "300000 100000",
        "cpu.max": "800000 100000",
    }
    assert cgroup_cores(root=v2(tmp_path, files, "/pod/app/job")) == 3


def test_a_sibling_groups_quota_does_not_count(tmp_path: Path) -> None:
    """Only groups that the process is in bind it."""
    files = {"pod/a/cpu.max": "400000 100000", "pod/b/cpu.max": "100000 100000"}
    assert cgroup_cores(root=v2(tmp_path, files, "/pod/a")) == 4


@pytest.mark.parametrize("group", ["/docker/0123abcd", "/../../host.slice"])
def test_a_path_of_the_host_falls_back_to_the_mounts_root(tmp_path: Path, group: str) -> None:
    """In a container the path may not exist; the mount's root is the container's group."""
    assert cgroup_cores(root=v2(tmp_path, {"cpu.max": "200000 100000"}, group)) == 2


def test_a_group_with_dots_cannot_leave_the_mount(tmp_path: Path) -> None:
    """A path that climbs out of the tree reads nothing outside it."""
    root = v2(tmp_path, {}, "/../../secret")
    plant(root, {"sys/secret/cpu.max": "100000 100000", "secret/cpu.max": "100000 100000"})
    assert cgroup_cores(root=root) is None


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
def test_a_version_1_quota_is_found_under_either_mount(tmp_path: Path, folder: str) -> None:
    """Distributions mount the processor controller under its long or its short name."""
    files = {f"{folder}/cpu.cfs_quota_us": "250000", f"{folder}/cpu.cfs_period_us": "100000"}
    assert cgroup_cores(root=v1(tmp_path, files)) == 3


def test_version_1_writes_minus_one_for_no_quota(tmp_path: Path) -> None:
    """A quota of -1 is no limit, but a parent's quota still binds."""
    files = {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}
    root = v1(tmp_path, files, "/a")
    assert cgroup_cores(root=root) is None
    plant(root, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000"})
    plant(root, {"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"})
    assert cgroup_cores(root=root) == 1


def test_the_hybrid_tree_is_read_too(tmp_path: Path) -> None:
    """Version 1 with version 2's tree under ``unified``: the tighter quota counts."""
    files = {
        "proc/self/cgroup": "3:cpu,cpuacct:/\n0::/user\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/unified/user/cpu.max": "200000 100000",
    }
    assert cgroup_cores(root=plant(tmp_path, files)) == 2


def test_free_memory_is_limit_less_usage_without_reclaimable_cache(tmp_path: Path) -> None:
    """File cache that the kernel gives back does not count as used."""
    files = {
        "memory.max": str(1000 * MIB),
        "memory.current": str(700 * MIB),
        "memory.stat": f"anon 5\ninactive_file {200 * MIB}\nslab_reclaimable {50 * MIB}\n",
    }
    assert cgroup_free_bytes(root=v2(tmp_path, files)) == 550 * MIB


def test_cache_beyond_usage_never_makes_more_than_the_limit(tmp_path: Path) -> None:
    """Counters are read one after the other; they may disagree, the limit stands."""
    files = {
        "memory.max": str(10 * MIB),
        "memory.current": str(1 * MIB),
        "memory.stat": f"inactive_file {4 * MIB}",
    }
    assert cgroup_free_bytes(root=v2(tmp_path, files)) == 10 * MIB


def test_the_throttling_limit_counts_as_well_as_the_killing_one(tmp_path: Path) -> None:
    """``memory.high`` slows the process to a crawl, so it is a limit too."""
    files = {
        "memory.max": "max",
        "memory.high": str(100 * MIB),
        "memory.current": str(60 * MIB),
    }
    assert cgroup_free_bytes(root=v2(tmp_path, files)) == 40 * MIB


def test_a_memory_limit_on_a_parent_counts_with_the_parents_usage(tmp_path: Path) -> None:
    """A neighbour in the same pod takes from the room that is left."""
    files = {
        "pod/app/memory.max": "max",
        "pod/app/memory.current": str(10 * MIB),
        "pod/memory.max": str(500 * MIB),
        "pod/memory.current": str(450 * MIB),
    }
    assert cgroup_free_bytes(root=v2(tmp_path, files, "/pod/app")) == 50 * MIB


def test_a_group_over_its_limit_has_nothing_free(tmp_path: Path) -> None:
    """Free memory is never negative."""
    files = {"memory.max": str(MIB), "memory.current": str(2 * MIB)}
    assert cgroup_free_bytes(root=v2(tmp_path, files)) == 0


def test_version_1_memory_counts_the_whole_subtrees_cache(tmp_path: Path) -> None:
    """Version 1 keeps the figure of the group with all below it under ``total_``."""
    files = {
        "memory/memory.limit_in_bytes": str(100 * MIB),
        "memory/memory.usage_in_bytes": str(80 * MIB),
        "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {30 * MIB}\n",
    }
    assert cgroup_free_bytes(root=v1(tmp_path, files)) == 50 * MIB


def free_of_machine(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free_bytes))


def test_version_1s_enormous_limit_leaves_the_machines_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit version 1 writes a number near 2**63; the machine's memory counts."""
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": str(MIB),
    }
    free_of_machine(monkeypatch, 2 * MIB)
    assert machine.free_memory_bytes(root=v1(tmp_path, files)) == 2 * MIB


def test_the_machines_memory_binds_below_a_wide_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may be allowed more than the machine has left."""
    files = {"memory.max": str(100 * MIB), "memory.current": "0"}
    free_of_machine(monkeypatch, MIB)
    assert machine.free_memory_bytes(root=v2(tmp_path, files)) == MIB


def test_without_any_file_the_operating_systems_figures_stand(tmp_path: Path) -> None:
    """Outside Linux and without control groups nothing is limited by them."""
    assert cgroup_cores(root=tmp_path) is None
    assert cgroup_free_bytes(root=tmp_path) is None
    assert machine.usable_cores(root=tmp_path) >= 1
    assert 0 < machine.free_memory_bytes(root=tmp_path) <= psutil.virtual_memory().total


def test_garbage_in_the_membership_file_is_passed_over(tmp_path: Path) -> None:
    """Lines that are no memberships are no error."""
    root = plant(tmp_path, {"proc/self/cgroup": "\n:\nx\n0::\n", "sys/fs/cgroup/cpu.max": "1 1"})
    assert cgroup_cores(root=root) == 1


def test_a_quota_of_one_core_makes_one_core(tmp_path: Path) -> None:
    """The quota binds below the affinity and the machine's count."""
    assert machine.usable_cores(root=v2(tmp_path, {"cpu.max": "100000 100000"})) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_limits_the_cores(tmp_path: Path) -> None:
    """A process that is bound to one core counts one."""
    code = (
        "import os, pathlib; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from rayanim.engine.machine import usable_cores;"
        f"print(usable_cores(root=pathlib.Path({str(tmp_path)!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1"


def test_free_memory_is_the_less_of_the_machine_s_and_the_group_s(tmp_path: Path) -> None:
    """A group of a few megabytes is fuller than any machine."""
    files = {"memory.max": str(8 * MIB), "memory.current": str(2 * MIB)}
    assert machine.free_memory_bytes(root=v2(tmp_path, files)) == 6 * MIB


def test_the_real_machine_can_be_read() -> None:
    """Whatever this runs on has a core and some memory, and Python takes some of it."""
    assert machine.usable_cores() >= 1
    assert machine.free_memory_bytes() >= 0
    assert machine.process_rss_bytes() > MIB


def test_a_stopped_process_is_killed_before_its_work_is_begun_anew() -> None:
    """It might run again one day, and write to a file that is another's by then."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        found = process_of(process.pid)
        assert found is not None
        process.send_signal(signal.SIGSTOP)
        wait_for_exit(found, 0.2)
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()


def test_a_process_that_is_gone_is_not_waited_for() -> None:
    """Nor is another one ended that has its number by now."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = process_of(process.pid)
    assert found is not None
    process.communicate()
    wait_for_exit(found, 100.0)
    assert process_of(process.pid) is None
