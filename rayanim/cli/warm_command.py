"""`rayanim warm`: starts the process that keeps a warm Ray, and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rayanim.cli.printing import exiting_on_failure, write_text
from rayanim.engine.warm import Description, description_path, is_locked, is_used, lock_path
from rayanim.errors import FarmStartError, SettingsError

STOP_LIMIT_S = 120.0
"""Ray ends in 1.4 s on a quiet machine; one that is just starting in place of it starts first."""

STOP_POLL_S = 0.1
"""Seconds between two looks whether it has ended."""


def start_warm(limit_s: float) -> int:
    """Start it in the background, and print when it is ready; the exit code."""
    with exiting_on_failure():
        running = _running()
        if running is None:
            text = f"Ray is ready (process {_start(limit_s)}). {_until(limit_s)}"
        else:
            text = f"A warm Ray runs already (process {running.pid}). {_until(running.limit_s)}"
    write_text(sys.stdout, text)
    return 0


def stop_warm() -> int:
    """End it, and print when it has ended; the exit code."""
    with exiting_on_failure():
        running = _running()
        if running is None:
            text = "There is no warm Ray."
        else:
            os.kill(running.pid, signal.SIGTERM)
            text = _ended(Path(running.users))
    write_text(sys.stdout, text)
    return 0


def _running() -> Description | None:
    """The warm Ray of this user; None where there is none."""
    if not hasattr(os, "getuid"):
        raise SettingsError("`rayanim warm` needs Linux or macOS.")
    path = description_path()
    if not is_locked(lock_path(path.parent)):
        return None
    try:
        return Description.read(path)
    except (OSError, ValueError) as error:
        raise FarmStartError(
            "A warm Ray is just starting or ending. Try again in a few seconds."
        ) from error


def _start(limit_s: float) -> int:
    """Start the warm process, and wait until Ray is ready; its id."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", "rayanim.engine.warm", str(limit_s)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
    except KeyboardInterrupt:
        process.terminate()
        raise
    answer = json.loads(line) if line else {"error": "Its process ended."}
    if "error" in answer:
        raise FarmStartError(f"The warm Ray did not start. {answer['error']}")
    return process.pid


def _until(limit_s: float) -> str:
    return (
        f"It ends when no job has used it for {limit_s / 60:g} min, or with `rayanim warm --stop`."
    )


def _ended(users: Path) -> str:
    """Wait until the warm process has ended, unless a job still uses its Ray; what to print."""
    path = description_path()
    until_s = time.monotonic() + STOP_LIMIT_S
    while is_locked(lock_path(path.parent)):
        if not path.exists() and is_used(users):
            return "It takes no more jobs, and ends with the one that uses it."
        if time.monotonic() > until_s:
            raise FarmStartError(f"The warm Ray has not ended within {STOP_LIMIT_S:.0f} s.")
        time.sleep(STOP_POLL_S)
    return "The warm Ray has ended."
