"""Asks every node of a cluster to look at itself, and waits for none beyond a limit."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rayanim.doctor import node_task
from rayanim.doctor.checks import judge_cluster, judge_machine, judge_token
from rayanim.doctor.facts import ClusterFacts, Finding, Look, NodeFacts, Token, is_well, summary
from rayanim.doctor.probe import look_here
from rayanim.engine.ray_session import wants_token
from rayanim.settings import read_address

CONNECT_LIMIT_S = 5.0
"""For a connection to the head's port, which a reachable head accepts at once."""

INIT_LIMIT_S = 60.0
"""For Ray's own steps after that; they take a second or two."""


class UnreachableError(Exception):
    """The cluster could not be reached."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def find_token() -> Token:
    """Ray's token as Ray looks for it: the variable, the variable's file, the usual file."""
    mode = os.environ.get("RAY_AUTH_MODE")
    value = os.environ.get("RAY_AUTH_TOKEN")
    if value is not None:
        return Token(mode, "RAY_AUTH_TOKEN", bool(value.strip()))
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    try:
        file = Path(path).expanduser()
        usable = bool(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, RuntimeError):
        return Token(mode, path if "RAY_AUTH_TOKEN_PATH" in os.environ else None)
    return Token(mode, str(file), usable, usable and _is_open_to_all(file.resolve()))


def _is_open_to_all(file: Path) -> bool:
    """Whether every user may read `file`, and pass through the folders above it."""
    folders_let_pass = all(each.stat().st_mode & stat.S_IXOTH for each in file.parents)
    return folders_let_pass and bool(file.stat().st_mode & stat.S_IROTH)


def connect(address: str, token: Token) -> Any:
    """Connect this process to the cluster at `address`; the module `ray`."""
    if address != "auto":
        _check_port(address)
    if token.is_usable and token.mode is None:
        # Read when Ray is loaded. Ray by itself sends no token to a given address; and with
        # one where the cluster has none, its nodes could not answer this process.
        os.environ["RAY_AUTH_MODE"] = "token" if wants_token(address) else "disabled"
    failure: list[BaseException] = []
    thread = threading.Thread(target=_init, args=(address, failure), daemon=True)
    thread.start()
    thread.join(INIT_LIMIT_S)
    if thread.is_alive():
        raise UnreachableError(
            f"{address} took the connection, and Ray did not answer within {INIT_LIMIT_S:g} s",
            "see that it is the head's port (6379, not 8265 or 10001), and `ray status` there",
        )
    if failure:
        raise _explained(address, failure[0]) from failure[0]
    import ray

    return ray


def _init(address: str, failure: list[BaseException]) -> None:
    try:
        import ray

        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except BaseException as error:  # handed to the thread that waits
        failure.append(error)


def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_LIMIT_S).close()
    except OSError as error:
        raise UnreachableError(
            f"{address} cannot be reached: {error.strerror or error}",
            "see that the head runs (`ray status` there), and that a firewall or a Kubernetes "
            "Service lets this machine reach all of the cluster's ports; else `rayanim submit`",
        ) from error


def _explained(address: str, error: BaseException) -> UnreachableError:
    text = f"{type(error).__name__}: {error}".strip().rstrip(".")
    if "version mismatch" in text.lower():
        remedy = "use the cluster's own versions here, or `rayanim submit`"
    elif "auth" in text.lower():
        remedy = (
            "copy the cluster's token to ~/.ray/auth_token (`ray get-auth-token` on the head "
            "prints it) and set RAY_AUTH_MODE=token"
        )
    elif address == "auto":
        remedy = "start Ray on this machine (`ray start --head`), or give the head's HOST:PORT"
    else:
        remedy = "see `ray status` on the head"
    return UnreachableError(f"{address} cannot be used: {text}", remedy)


ANSWER_LIMIT_S = 60.0
"""A node answers in 5 s or so, once its process has loaded matplotlib; disks may be slow."""

FEW_S = 5.0
"""For what Ray says of itself, and for ending what did not answer."""


def survey(
    address: str, token: Token, version: str, *, limit_s: float = ANSWER_LIMIT_S
) -> ClusterFacts:
    """Look at the cluster at `address` and at each of its nodes."""
    try:
        ray = connect(address, token)
    except UnreachableError as error:
        return ClusterFacts(address, error.message, error.remedy)
    try:
        return look_at_nodes(ray, address, version, limit_s=limit_s)
    finally:
        ray.shutdown()


def look_at_nodes(ray: Any, address: str, version: str, *, limit_s: float) -> ClusterFacts:
    """As `survey`, of the cluster that this process is connected to."""
    import platform

    listed = [each for each in ray.nodes() if each["Alive"]]
    here = ray.get_runtime_context().get_node_id()
    answers = _ask(ray, [each["NodeID"] for each in listed], version, limit_s)
    nodes = [_node(each, here, answers[each["NodeID"]]) for each in listed]
    return ClusterFacts(
        address,
        ray=ray.__version__,
        # Ray lets drivers of no other Python connect.
        python=platform.python_version(),
        nodes=tuple(sorted(nodes, key=lambda node: (not node.is_head, node.name))),
    )


def _ask(
    ray: Any, node_ids: Iterable[str], version: str, limit_s: float
) -> dict[str, Mapping[str, Any] | str]:
    """What each node answers, or why it does not."""
    from rayanim.doctor.probe import packed_specimen

    video = ray.put(pickle.dumps(packed_specimen()))
    ray.cloudpickle.register_pickle_by_value(node_task)
    try:
        asked = {_asked(ray, node_id, version, video): node_id for node_id in node_ids}
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_task)
    by_s = time.monotonic() + limit_s
    answers: dict[str, Mapping[str, Any] | str] = {}
    waiting = list(asked)
    while waiting and time.monotonic() < by_s:
        done, waiting = ray.wait(waiting, timeout=max(0.0, by_s - time.monotonic()))
        answers |= {asked[ref]: _taken(ray, ref) for ref in done}
    for ref in waiting:
        ray.cancel(ref, force=True)
        answers[asked[ref]] = f"it did not answer within {limit_s:g} s"
    return answers


def _asked(ray: Any, node_id: str, version: str, video: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # No CPU: also nodes that are busy, or that have none for actors, answer.
    task = ray.remote(node_task.answer).options(
        num_cpus=0,
        max_retries=0,
        name="rayanim doctor",
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    return task.remote(version, video)


def _taken(ray: Any, ref: Any) -> Mapping[str, Any] | str:
    try:
        found: Mapping[str, Any] = ray.get(ref, timeout=FEW_S)
    except Exception as error:  # whatever went wrong there is what is looked for
        return f"it failed: {type(error).__name__}: {_last_line(str(error))}"
    return found


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines()) if line.strip()), "")


def _node(listed: Mapping[str, Any], here: str, answer: Mapping[str, Any] | str) -> NodeFacts:
    resources = listed["Resources"]
    found = answer if isinstance(answer, Mapping) else {}
    look = found.get("look")
    return NodeFacts(
        node_id=listed["NodeID"],
        address=listed["NodeManagerAddress"],
        is_head="node:__internal_head__" in resources,
        is_driver=listed["NodeID"] == here,
        cpus=resources.get("CPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
        store_bytes=resources.get("object_store_memory", 0.0),
        labels=dict(listed.get("Labels") or {}),
        ray=found.get("ray"),
        python=found.get("python"),
        rayanim=found.get("rayanim"),
        look=None if look is None else pickle.loads(look),  # noqa: S301 # our own, through Ray
        failure=answer if isinstance(answer, str) else None,
    )


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, and what is to be said of it."""

    here: Look
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
        """Whether there is nothing that must be mended."""
        return is_well(self.findings)

    @property
    def summary(self) -> str:
        """One line."""
        return summary(self.findings)

    def facts(self) -> dict[str, Any]:
        """What was found as plain values that JSON can hold."""
        return {
            "machine": _plain(asdict(self.here)),
            "token": asdict(self.token),
            "cluster": None if self.cluster is None else _plain(asdict(self.cluster)),
        }


def examine(address: str | None = None, *, limit_s: float = ANSWER_LIMIT_S) -> Examination:
    """Examine this machine, and the cluster at `address`."""
    # As where a video is made; what the environment says is not asked for here.
    cluster_address = None if address is None else read_address(address, {})
    here, token = look_here(), find_token()
    cluster = None
    if cluster_address is not None and here.software.version("ray") is not None:
        version = str(here.software.version("rayanim"))
        cluster = survey(cluster_address.text, token, version, limit_s=limit_s)
    return Examination(
        here,
        token,
        cluster,
        (*judge_machine(here, token), judge_token(token, cluster)),
        () if cluster is None else judge_cluster(here, cluster),
    )


def _plain(value: Any) -> Any:
    """`value` with sets as sorted lists, and what holds them likewise."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return sorted(value) if isinstance(value, frozenset) else value
