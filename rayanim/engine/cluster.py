"""Connects this process to a Ray cluster, after checks that end in one clear message.

Ray itself looks for a head that is not there for a minute, and describes a wrong
token or version in the terms of its own layers. So it is checked in steps first:
does anything listen there, does it speak Ray's protocol, does it take our
token, are its versions ours, and is this machine one of its nodes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from rayanim.engine.placement import Need, Node, most_actors, room, room_on
from rayanim.engine.ray_session import RaySession, first_line, ray_is_running, wants_token
from rayanim.errors import ClusterError, RayanimError
from rayanim.jobs.package import packed_for
from rayanim.settings import Address, RenderSettings

_logger = logging.getLogger("rayanim")

REACH_LIMIT_S = 5.0
"""A head anywhere in a data centre answers within milliseconds."""

ASK_LIMIT_S = 10.0
"""A head that is busy may take a few seconds to list its nodes."""

JOINING_S = 10.0
"""Seconds that a node which is just starting may take to be listed."""

CONNECT_LIMIT_S = 120.0
"""Connecting takes 1 to 2 s, and as long again as the script's folder takes to be sent."""

POLL_S = 0.02
"""Seconds between two looks at a connection that is being checked."""

WHAT_TO_SET = (
    "Set RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN or its file in "
    "RAY_AUTH_TOKEN_PATH (`ray get-auth-token` on the head prints it)."
)


class ClusterLink(RaySession):
    """The cluster of one job."""

    limit_s = CONNECT_LIMIT_S

    def __init__(self, address: Address, settings: RenderSettings) -> None:
        super().__init__()
        self._address = address
        self._workers = settings.workers
        self._max_workers = settings.performance.max_workers
        self.settings = settings.cluster
        self._checked = threading.Event()

    def connect(self) -> None:
        """Begin to connect; returns as soon as the cluster is known to take this process.

        That is in 1 to 2 s. So a wrong address is reported before anything is
        drawn, while connecting and sending go on in the background.
        """
        if ray_is_running():
            self._check_same()
        self.start()
        until_s = time.monotonic() + self.limit_s
        while not (self.ready or self._checked.wait(POLL_S)):
            if time.monotonic() > until_s:
                raise self.failed(None)
        if self.ready:
            self.wait()

    @property
    def is_there(self) -> bool:
        """Whether it can be asked; raises where the connection has failed."""
        if not self.ready:
            return False
        self.wait()
        return True

    def need(self) -> Need:
        head = next((node.node_id for node in living_nodes() if node.is_head), None)
        return Need.of(self.settings, head)

    def room(self) -> int:
        """Render actors for which its nodes have room, when nobody else uses them."""
        return room(living_nodes(), self.need())

    def free(self) -> int:
        """Render actors for which there is room now."""
        import ray

        free_cpus = ray.available_resources().get("CPU", 0.0)
        return min(self.room(), int(free_cpus / self.settings.actor_cpus))

    def most_actors(self) -> int:
        """The most render actors that the caller allows."""
        most = most_actors(self._workers, self._max_workers, self.room())
        if most == 0:
            need = self.need()
            amounts = [f"{name} {amount:g}" for name, amount in need.resources.items()]
            labels = [f"{name}={value}" for name, value in need.labels.items()]
            raise ClusterError(
                f"{self._address.origin}: none of the cluster's {len(living_nodes())} nodes "
                f"has room for a render actor, which takes {', '.join(amounts + labels)}. If the "
                "cluster adds nodes on demand, give the highest number of actors: --max-workers N."
            )
        return most

    def init(self) -> None:
        found = checked(self._address)
        self._checked.set()
        # What the job's processes find on every node; nothing where a submitted job has it already.
        with packed_for(self.settings, os.environ) as package:
            for note in package.notes():
                _logger.warning("%s", note)
            import ray

            ray.init(
                address=found,
                logging_level=logging.ERROR,
                log_to_driver=_logger.isEnabledFor(logging.INFO),
                runtime_env=package.runtime_env or None,
            )

    def failed(self, error: BaseException | None) -> RayanimError:
        if isinstance(error, RayanimError):
            return error
        origin = self._address.origin
        if error is None:
            what = f"did not come about within {CONNECT_LIMIT_S:.0f} s"
        else:
            text = first_line(error) if isinstance(error, Exception) else repr(error)
            what = f"failed: {text}"
        return ClusterError(
            f"The connection to the Ray cluster ({origin}) {what}. `ray status` on this machine "
            "shows whether the cluster is well."
        )

    def _check_same(self) -> None:
        import ray

        there = ray.get_runtime_context().gcs_address
        asked = self._address
        if asked.text != "auto" and not same_place(located(asked), there):
            raise ClusterError(
                f"{self._address.origin}: this process is connected to the Ray at {there} "
                "already. Leave the address out to use that one, or call ray.shutdown() first."
            )


def checked(address: Address) -> str:
    """``HOST:PORT`` of the head, which takes this process."""
    found = located(address)
    check_reach(found, address)
    choose_token(found)
    check_fit(found, address)
    return found


def located(address: Address) -> str:
    """``HOST:PORT`` of the head."""
    if address.text != "auto":
        return address.text
    found = latest_address()
    if found is None:
        raise ClusterError(
            f"{address.origin}: no Ray cluster runs on this machine. Begin one with "
            "`ray start --head`, join one with `ray start --address=HOST:PORT`, or leave the "
            "address out to draw on this machine alone."
        )
    return found


def latest_address() -> str | None:
    """Where the cluster is that was started on this machine last; None where there is none."""
    try:
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        return None
    with _muted("ray._private.services"):
        try:
            found: str | None = canonicalize_bootstrap_address("auto")
        except ConnectionError:
            return None
    return found


def same_place(one: str, other: str) -> bool:
    """Whether two ``HOST:PORT`` mean one listener, as far as names can be told apart here."""
    (host, _, port), (other_host, _, other_port) = one.rpartition(":"), other.rpartition(":")
    if port != other_port:
        return False
    found, others = _addresses(host.strip("[]")), _addresses(other_host.strip("[]"))
    here = {each.address for known in psutil.net_if_addrs().values() for each in known}
    return not (found and others) or bool(found & others) or bool(found & here and others & here)


def _addresses(host: str) -> set[str]:
    """The addresses of a host name; none where it cannot be resolved."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def check_reach(found: str, address: Address) -> None:
    host, _, port = found.rpartition(":")
    try:
        speaks_http2 = _speaks_http2(host.strip("[]"), int(port))
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise ClusterError(
            f"{address.origin}: nothing answers at {found} ({why}). Does the cluster's head run "
            "there, and is its port open? `ray start --head` prints its address."
        ) from error
    if not speaks_http2:
        raise ClusterError(
            f"{address.origin}: what answers at {found} is no head of a Ray cluster. Its port is "
            "6379 unless another was given to `ray start --head --port`; 8265, the dashboard's, "
            f"is for `rayanim submit SCRIPT.py --address http://{host}:8265`."
        )


def _speaks_http2(host: str, port: int) -> bool:
    """Whether what listens there answers as a gRPC server does; not asked under TLS.

    By hand: Ray's own client would try for half a minute, and then not say why.
    """
    with socket.create_connection((host, port), REACH_LIMIT_S) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return True
        connection.settimeout(REACH_LIMIT_S)
        # How a client begins HTTP/2, and empty settings, which have to be answered with
        # others, a frame of type 4 (RFC 9113, 3.4); gRPC is spoken over it.
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        answer = connection.recv(9)
        return len(answer) >= 4 and answer[3] == 4


def choose_token(found: str) -> None:
    """Send Ray's token where the cluster wants one, and nowhere else.

    A driver that sends it to a cluster without authentication can use the
    head's actors alone: to those of other nodes it is unknown.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if not wants_token(found):
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    # `ray.init` does so for a cluster that it finds itself, but not for an address
    # that it is given. It must be called before Ray's first connection.
    try:
        from ray._private.authentication.authentication_token_setup import (
            maybe_enable_token_auth_if_token_available,
        )
    except ImportError:
        return
    with _muted("ray._private.authentication.authentication_token_setup"):
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


@dataclass(frozen=True, slots=True)
class HeadAnswer:
    """What a cluster's head answers to a process that has not connected."""

    ray_version: str | None
    python_version: str | None
    here: bool
    hosts: tuple[str, ...]


def check_fit(found: str, address: Address) -> None:
    """Check that the cluster takes this process: token, versions, and a node here."""
    until_s = time.monotonic() + JOINING_S
    while (answer := _answer_of(found, address)) is not None:
        _check_versions(answer, address)
        if answer.here:
            return
        if time.monotonic() > until_s:
            raise ClusterError(_no_node_here(found, address, answer))
        time.sleep(0.5)


def ask_head(address: str, limit_s: float) -> HeadAnswer | None:
    """Ask the head at `address`; None where this release of Ray cannot."""
    try:
        from ray._private.services import find_node_ids
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
    except ImportError:
        return None
    client = GcsClient(address=address)
    nodes = client.get_all_node_info(timeout=limit_s)
    alive = {key.hex(): node for key, node in nodes.items() if node.state == 0}
    metadata: dict[str, str] = {}
    # The head's versions are there before its first node is; not in each release of Ray.
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        from ray._common.usage.usage_lib import get_cluster_metadata

        metadata = dict(get_cluster_metadata(client))
    return HeadAnswer(
        metadata.get("ray_version"),
        metadata.get("python_version"),
        not set(alive).isdisjoint(find_node_ids()),
        tuple(sorted({node.node_manager_address for node in alive.values()})),
    )


def _answer_of(found: str, address: Address) -> HeadAnswer | None:
    import ray

    try:
        return ask_head(found, ASK_LIMIT_S)
    except ray.exceptions.AuthenticationError as error:
        raise ClusterError(
            f"{address.origin}: the cluster at {found} refuses this process: {_token_fault()}. "
            f"{WHAT_TO_SET}"
        ) from error
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"{address.origin}: the head at {found} does not answer ({first_line(error)})."
        ) from error


def _token_fault() -> str:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is None:
        return "it wants a token, and there is none here"
    if mode != "token":
        return f"it wants a token, and RAY_AUTH_MODE={mode} says to send none"
    return "its token is another one"


def _check_versions(answer: HeadAnswer, address: Address) -> None:
    if answer.ray_version is None or answer.python_version is None:
        return
    import ray

    # As strict as Ray itself, which refuses where this passes.
    by_minor = os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor"
    python, parts = platform.python_version(), 2 if by_minor else 3
    faults = []
    if answer.ray_version != ray.__version__:
        faults.append(f"Ray {answer.ray_version} there and {ray.__version__} here")
    if answer.python_version.split(".")[:parts] != python.split(".")[:parts]:
        faults.append(f"Python {answer.python_version} there and {python} here")
    if faults:
        raise ClusterError(
            f"{address.origin}: the cluster's versions are not those of this process: "
            f"{' and '.join(faults)}. Run the script with the Python and Ray that the cluster was "
            "started with: pickled code does not pass between them."
        )


def _no_node_here(found: str, address: Address, answer: HeadAnswer) -> str:
    nodes = ", ".join(answer.hosts[:3]) + (", ..." if len(answer.hosts) > 3 else "")
    host = found.rpartition(":")[0]
    return (
        f"{address.origin}: this machine is no node of the cluster at {found} (its nodes: "
        f"{nodes or 'none'}), and a driver has to run on one. Run `ray start --address={found}` "
        "here first, or send the script: `rayanim submit SCRIPT.py --address "
        f"http://{host}:8265`."
    )


@contextlib.contextmanager
def _muted(name: str) -> Iterator[None]:
    """Keep a logger of Ray's from reporting what we report in other words."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def living_nodes() -> tuple[Node, ...]:
    """The nodes of the cluster that this process is connected to."""
    import ray

    return tuple(
        Node(
            node["NodeID"],
            node["Resources"],
            node.get("Labels") or {},
            "node:__internal_head__" in node["Resources"],
        )
        for node in ray.nodes()
        if node["Alive"]
    )


def usable_nodes(need: Need | None) -> set[str]:
    """Ids of the living nodes that are large enough for a render actor."""
    need = need or Need(resources={"CPU": 1.0})
    return {node.node_id for node in living_nodes() if room_on(node, need)}


def node_of_actor(handle: Any) -> str | None:
    """The node on which an actor lives or lived; None where that cannot be found out.

    Ray's exception names the machine's address alone, which several nodes may share.
    """
    try:
        from ray._private.state import actors
    except ImportError:
        return None
    actor_id = getattr(handle, "_actor_id", None)
    if actor_id is None:
        return None
    try:
        return actors(actor_id.hex())["Address"]["NodeID"] or None
    except (AttributeError, KeyError, TypeError):  # another release has another form
        return None
