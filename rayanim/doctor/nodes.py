"""Checks this machine, and a cluster by a task on each node that probes it within a limit."""

from __future__ import annotations

import logging
import os
import pickle
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rayanim.doctor.checks import check_cluster, check_machine, check_token
from rayanim.doctor.facts import ClusterFacts, Finding, NodeFacts, Probe, Token
from rayanim.doctor.probe import pack_test_video, probe_here
from rayanim.engine.cluster import checked
from rayanim.errors import ClusterError
from rayanim.settings import Address, read_address
from rayanim.storage.store import within

INIT_LIMIT_S = 60.0
"""For Ray's own steps once the head has answered; they take a second or two."""

ANSWER_LIMIT_S = 60.0
"""A node answers in 5 s or so, once its process has loaded matplotlib; disks may be slow."""

GET_LIMIT_S = 5.0
"""For fetching an answer that is there."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found out, and the findings."""

    here: Probe
    token: Token
    cluster: ClusterFacts | None
    of_machine: tuple[Finding, ...]
    of_cluster: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return self.of_machine + self.of_cluster

    @property
    def is_well(self) -> bool:
        """Whether there is no error."""
        return all(each.level != "error" for each in self.findings)

    @property
    def summary(self) -> str:
        """One line: how many errors there are, and how many warnings."""
        levels = [each.level for each in self.findings]
        counts = ((levels.count(level), level) for level in ("error", "warning"))
        texts = (f"{count or 'no'} {level}{'' if count == 1 else 's'}" for count, level in counts)
        return f"{', '.join(texts)}.".capitalize()

    def facts(self) -> dict[str, Any]:
        """What was found out as plain values for JSON."""
        return {
            "machine": asdict(self.here),
            "token": asdict(self.token),
            "cluster": None if self.cluster is None else asdict(self.cluster),
        }


def examine(address: str | None = None, *, limit_s: float = ANSWER_LIMIT_S) -> Examination:
    """Check this machine, and the cluster at `address`."""
    # As where a video is made; the command has read the environment.
    cluster_address = None if address is None else read_address(address, {})
    here, token, cluster = probe_here(), find_token(), None
    if cluster_address is not None and here.software.version("ray") is not None:
        version = str(here.software.version("rayanim"))
        cluster = ask_cluster(cluster_address, version, limit_s=limit_s)
    return Examination(
        here,
        token,
        cluster,
        (*check_machine(here, token), check_token(token, cluster)),
        () if cluster is None else check_cluster(here, cluster),
    )


def find_token() -> Token:
    """Ray's token as Ray looks for it: the variable, the variable's file, the usual file."""
    mode = os.environ.get("RAY_AUTH_MODE")
    value = os.environ.get("RAY_AUTH_TOKEN")
    if value is not None:
        return Token(mode, "RAY_AUTH_TOKEN", bool(value.strip()))
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    try:
        file = Path(path).expanduser()
        is_usable = bool(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, RuntimeError):
        return Token(mode, path if "RAY_AUTH_TOKEN_PATH" in os.environ else None)
    return Token(mode, str(file), is_usable, is_usable and _is_open_to_all(file.resolve()))


def _is_open_to_all(file: Path) -> bool:
    """Whether every user may read `file`, and pass through the folders above it."""
    folders_let_pass = all(each.stat().st_mode & stat.S_IXOTH for each in file.parents)
    return folders_let_pass and bool(file.stat().st_mode & stat.S_IROTH)


def ask_cluster(address: Address, version: str, *, limit_s: float) -> ClusterFacts:
    """Probe each node of the cluster at `address`."""
    import platform

    try:
        ray = connect(address)
    except ClusterError as error:
        return ClusterFacts(address.text, error.message)
    try:
        listed = [each for each in ray.nodes() if each["Alive"]]
        answers = _ask_nodes(ray, [each["NodeID"] for each in listed], version, limit_s)
        nodes = [_node(each, answers[each["NodeID"]]) for each in listed]
    finally:
        ray.shutdown()
    return ClusterFacts(
        address.text,
        ray=ray.__version__,
        python=platform.python_version(),  # Ray lets drivers of no other Python connect
        nodes=tuple(sorted(nodes, key=lambda node: (not node.is_head, node.name))),
    )


def connect(address: Address) -> Any:
    """Connect this process to the cluster at `address`, as for a video; gives the module `ray`."""
    head = checked(address)

    def connected() -> Any:
        try:
            import ray

            ray.init(address=head, logging_level=logging.ERROR, log_to_driver=False)
        except BaseException as error:  # whatever Ray raises, also SystemExit
            raise ClusterError(f"Ray cannot use {head}: {error}") from error
        return ray

    try:
        return within(INIT_LIMIT_S, connected)
    except TimeoutError as error:
        raise ClusterError(f"Ray did not connect to {head} within {INIT_LIMIT_S:g} s.") from error


def _node_task() -> Callable[[str, bytes], dict[str, object]]:
    """What runs on a node, with or without rayanim there: it needs the standard library alone.

    Made here, it is pickled with its code and not by its name. It answers in plain values,
    which a node with another rayanim can give, too.
    """

    def answer(version: str, packed_video: bytes) -> dict[str, object]:
        import importlib.metadata
        import pickle
        import platform

        def installed(name: str) -> str | None:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return None

        found: dict[str, object] = {
            "python": platform.python_version(),
            "ray": installed("ray"),
            "rayanim": installed("rayanim"),
        }
        if found["rayanim"] == version:
            from rayanim.doctor.probe import probe_here

            video = pickle.loads(packed_video)  # noqa: S301 # the driver's own, through Ray
            found["probe"] = pickle.dumps(probe_here(video))
        return found

    return answer


def _ask_nodes(
    ray: Any, node_ids: Iterable[str], version: str, limit_s: float
) -> dict[str, Mapping[str, Any] | str]:
    """What each node answers, or why it does not."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    video = ray.put(pickle.dumps(pack_test_video()))
    asked = {}
    for node_id in node_ids:
        # No CPU: also nodes that are busy, or that have none for actors, answer.
        task = ray.remote(_node_task()).options(
            num_cpus=0,
            max_retries=0,
            name="rayanim doctor",
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        asked[task.remote(version, video)] = node_id
    by_s = time.monotonic() + limit_s
    answers: dict[str, Mapping[str, Any] | str] = {}
    waiting = list(asked)
    while waiting and time.monotonic() < by_s:
        done, waiting = ray.wait(waiting, timeout=max(0.0, by_s - time.monotonic()))
        for ref in done:
            try:
                answers[asked[ref]] = ray.get(ref, timeout=GET_LIMIT_S)
            except Exception as error:  # whatever went wrong there is what is looked for
                last = str(error).strip().rpartition("\n")[2]
                answers[asked[ref]] = f"it failed: {type(error).__name__}: {last}"
    for ref in waiting:
        ray.cancel(ref, force=True)
        answers[asked[ref]] = f"it did not answer within {limit_s:g} s"
    return answers


def _node(listed: Mapping[str, Any], answer: Mapping[str, Any] | str) -> NodeFacts:
    resources = listed["Resources"]
    found = answer if isinstance(answer, Mapping) else {}
    probe = found.get("probe")
    return NodeFacts(
        node_id=listed["NodeID"],
        address=listed["NodeManagerAddress"],
        is_head="node:__internal_head__" in resources,
        cpus=resources.get("CPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
        store_bytes=resources.get("object_store_memory", 0.0),
        ray=found.get("ray"),
        python=found.get("python"),
        rayanim=found.get("rayanim"),
        probe=None if probe is None else pickle.loads(probe),  # noqa: S301 # our own, through Ray
        failure=answer if isinstance(answer, str) else None,
    )
