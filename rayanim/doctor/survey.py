"""Asks every node of a cluster to look at itself, and waits for none beyond a limit."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rayanim.doctor import bare
from rayanim.doctor.facts import Cluster, Node, Token
from rayanim.doctor.reach import UnreachableError, connect

ANSWER_LIMIT_S = 60.0
"""A node answers in 5 s or so, once its process has loaded matplotlib; disks may be slow."""

FEW_S = 5.0
"""For what Ray says of itself, and for ending what did not answer."""


def survey(address: str, token: Token, version: str, *, limit_s: float = ANSWER_LIMIT_S) -> Cluster:
    """Look at the cluster at `address` and at each of its nodes.

    Parameters
    ----------
    address
        ``auto`` or the head's ``HOST:PORT``.
    token
        Ray's token.
    version
        rayanim's version here.
    limit_s
        Seconds that all nodes together have to answer.
    """
    try:
        ray = connect(address, token)
    except UnreachableError as error:
        return Cluster(address, error.message, error.remedy)
    try:
        return look_at_nodes(ray, address, version, limit_s=limit_s)
    finally:
        ray.shutdown()


def look_at_nodes(ray: Any, address: str, version: str, *, limit_s: float) -> Cluster:
    """As `survey`, of the cluster that this process is connected to."""
    import platform

    listed = [each for each in ray.nodes() if each["Alive"]]
    here = ray.get_runtime_context().get_node_id()
    answers = _ask(ray, [each["NodeID"] for each in listed], version, limit_s)
    nodes = [_node(each, here, answers[each["NodeID"]]) for each in listed]
    return Cluster(
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
    from rayanim.doctor.specimen import packed_specimen

    film = ray.put(pickle.dumps(packed_specimen()))
    ray.cloudpickle.register_pickle_by_value(bare)
    try:
        asked = {_asked(ray, node_id, version, film): node_id for node_id in node_ids}
    finally:
        ray.cloudpickle.unregister_pickle_by_value(bare)
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


def _asked(ray: Any, node_id: str, version: str, film: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # No CPU: also nodes that are busy, or that have none for actors, answer.
    task = ray.remote(bare.answer).options(
        num_cpus=0,
        max_retries=0,
        name="rayanim doctor",
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    return task.remote(version, film)


def _taken(ray: Any, ref: Any) -> Mapping[str, Any] | str:
    try:
        found: Mapping[str, Any] = ray.get(ref, timeout=FEW_S)
    except Exception as error:  # whatever went wrong there is what is looked for
        return f"it failed: {type(error).__name__}: {_last_line(str(error))}"
    return found


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines()) if line.strip()), "")


def _node(listed: Mapping[str, Any], here: str, answer: Mapping[str, Any] | str) -> Node:
    resources = listed["Resources"]
    found = answer if isinstance(answer, Mapping) else {}
    look = found.get("look")
    return Node(
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
