"""What is used of Ray beyond its documented interface, all in one place.

Each function says what it stands in for. They were read in Ray 2.55 to 2.60;
another release may move them, so each gives None, or does nothing, where what
it needs is not there: Ray's own checks then come later, and in other words.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cluster's head says to one who has not joined.

    Attributes
    ----------
    ray_version, python_version
        The head's; None where it does not say.
    here
        Whether a node of it runs on this machine.
    hosts
        Addresses of its living nodes.
    """

    ray_version: str | None
    python_version: str | None
    here: bool
    hosts: tuple[str, ...]


def latest_address() -> str | None:
    """Where the cluster is that was started on this machine last; None where there is none."""
    try:
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        return None
    with _silent("ray._private.services"):
        try:
            found: str | None = canonicalize_bootstrap_address("auto")
        except ConnectionError:
            return None
    return found


def use_token_if_there_is_one() -> None:
    """Send Ray's token where one is known and nobody has said whether to.

    ``ray.init`` does so for a cluster that it finds itself, but not for an
    address that it is given. It must have been called before Ray's first
    connection.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    try:
        from ray._private.authentication.authentication_token_setup import (
            maybe_enable_token_auth_if_token_available,
        )
    except ImportError:
        return
    with _silent("ray._private.authentication.authentication_token_setup"):
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def look_at(address: str, limit_s: float) -> Seen | None:
    """Ask the head at `address`; None where this Ray cannot be asked.

    Raises
    ------
    ray.exceptions.AuthenticationError
        If it refuses the token.
    ray.exceptions.RayError
        If it does not answer.
    """
    try:
        from ray._private.services import find_node_ids
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
    except ImportError:
        return None
    client = GcsClient(address=address)
    nodes = client.get_all_node_info(timeout=limit_s)
    alive = {key.hex(): node for key, node in nodes.items() if node.state == 0}
    # The head's versions are there before its first node is.
    metadata = _metadata(client)
    return Seen(
        metadata.get("ray_version"),
        metadata.get("python_version"),
        not set(alive).isdisjoint(find_node_ids()),
        tuple(sorted({node.node_manager_address for node in alive.values()})),
    )


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
    except (AttributeError, KeyError, TypeError):  # another Ray tells it in another way
        return None


def _metadata(client: Any) -> dict[str, str]:
    try:
        from ray._common.usage.usage_lib import get_cluster_metadata
    except ImportError:
        return {}
    try:
        return dict(get_cluster_metadata(client))
    except (AttributeError, ValueError):  # nothing was put there
        return {}


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a logger of Ray's from saying what is said in other words."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
