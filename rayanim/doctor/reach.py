"""Reaches a cluster within a limit, or says why not and what to do."""

from __future__ import annotations

import logging
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

from rayanim.doctor.facts import Token
from rayanim.farm.connection.token import wants_token

CONNECT_LIMIT_S = 5.0
"""For a connection to the head's port, which a reachable head accepts at once."""

INIT_LIMIT_S = 60.0
"""For Ray's own steps after that; they take a second or two."""


class UnreachableError(Exception):
    """The cluster could not be reached.

    Parameters
    ----------
    message, remedy
        Why, and what to do.
    """

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
    """Connect this process to the cluster at `address`; the module `ray`.

    Raises
    ------
    UnreachableError
        If that is not possible within the limits.
    """
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
