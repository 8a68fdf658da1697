"""Finds out whether a cluster wants Ray's token."""

from __future__ import annotations

import os
import subprocess
import sys

ASK_LIMIT_S = 30.0
"""Loading Ray takes a second, the answer a fraction; a head that is gone is waited for 10 s."""

WANTS_TOKEN = 3
ASK = f"""
import sys
import ray
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient
try:
    GcsClient(address=canonicalize_bootstrap_address(sys.argv[1])).get_all_node_info(timeout=10)
except ray.exceptions.AuthenticationError:
    sys.exit({WANTS_TOKEN})
"""
"""Read in Ray 2.55 to 2.60; where another release has other names, no token is sent."""


def wants_token(address: str, *, limit_s: float = ASK_LIMIT_S) -> bool:
    """Whether the cluster at `address` refuses who brings no token.

    Asked in a process of its own, for a process can load Ray in one mode only.
    """
    try:
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-c", ASK, address],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False  # what is wrong shows when it is connected to
    return run.returncode == WANTS_TOKEN
