"""Ray's authentication token: whether one is there, and what to say when a cluster refuses it."""

from __future__ import annotations

import os
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
DEFAULT_PATH = Path("~/.ray/auth_token")


def source_of_token() -> str | None:
    """Where Ray will find the token; None where there is none."""
    if os.environ.get(TOKEN):
        return TOKEN
    given = os.environ.get(TOKEN_PATH)
    path = Path(given) if given else DEFAULT_PATH
    try:
        is_there = path.expanduser().is_file()
    except (OSError, RuntimeError):  # not ours to read, or no home folder
        return None
    return (TOKEN_PATH if given else str(path)) if is_there else None


def send_token_if_there() -> None:
    """Have Ray send the token that is there, unless it was told what to do.

    Must run before Ray is imported, which reads the variable then. A cluster
    without authentication passes over a token.
    """
    if MODE not in os.environ and source_of_token() is not None:
        os.environ[MODE] = "token"


def why_refused() -> str:
    """What to do about a cluster that asks for a token, or for another one."""
    mode, source = os.environ.get(MODE), source_of_token()
    where = "Ray prints it on the head: ray get-auth-token."
    if mode not in (None, "token"):
        return f"The cluster asks for a token, and {MODE} is {mode!r} here: set {MODE}=token."
    if source is None:
        return (
            f"The cluster asks for a token, and there is none here: set {TOKEN}, or write it to "
            f"{DEFAULT_PATH}. {where}"
        )
    return f"The token in {source} is not this cluster's: set {TOKEN} to the right one. {where}"
