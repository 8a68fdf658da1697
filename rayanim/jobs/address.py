"""Reads the address of a cluster's Jobs API, from what was given or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from rayanim.errors import SettingsError

VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Where Ray's own commands look, the first before the second."""

DASHBOARD_PORT = 8265
GCS_PORT = 6379


def read_address(given: str | None, environment: Mapping[str, str]) -> str | None:
    """The address to reach Ray's Jobs API at.

    Parameters
    ----------
    given
        As the user wrote it; None takes the environment's.
    environment
        Variables by name.

    Returns
    -------
    str or None
        ``http://HOST:PORT``, or what Ray itself finds the address by: ``auto``,
        ``HOST:6379``, or None for the Ray that runs on this machine.

    Raises
    ------
    SettingsError
        If it is an address of another kind.
    """
    found = given or next((environment[name] for name in VARIABLES if environment.get(name)), None)
    if found is None or found == "auto":
        return found
    scheme, separator, rest = found.partition("://")
    if not separator:
        return found if _port(found) == GCS_PORT else _url("http", found, found)
    if scheme == "ray":
        host = rest.partition(":")[0] or "HEAD"
        raise SettingsError(
            f"{found!r} is an address of Ray Client, through which no film can be rendered: it "
            "passes no streams on, and ends the work when the connection breaks for 30 s. Submit "
            f"to the cluster's dashboard instead: --address http://{host}:{DASHBOARD_PORT}."
        )
    if scheme not in ("http", "https"):
        raise SettingsError(
            f"An address is http://HOST:{DASHBOARD_PORT}, https://HOST or auto, got {found!r}."
        )
    return _url(scheme, rest, found)


def _url(scheme: str, rest: str, found: str) -> str:
    parts = urlsplit(f"{scheme}://{rest.rstrip('/')}")
    if not parts.hostname:
        raise SettingsError(f"The address {found!r} names no host: http://HOST:{DASHBOARD_PORT}.")
    if scheme == "http" and _port(rest) is None and not parts.path:
        return f"{parts.geturl()}:{DASHBOARD_PORT}"
    return parts.geturl()


def _port(text: str) -> int | None:
    try:
        return urlsplit(f"//{text}").port
    except ValueError:
        raise SettingsError(f"The address {text!r} has no port that makes sense.") from None
