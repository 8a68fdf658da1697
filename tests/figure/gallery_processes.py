"""Forks of a process that end when they should."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable

CPU_LIMIT_S = 45
"""A process that draws one figure is ended after this much processor time."""

LIMIT_S = 240.0
"""It is ended after this time too, however little of it was processor time."""

PR_SET_PDEATHSIG = 1
"""From Linux's prctl.h: the signal that a process gets when its parent has ended."""


def end_with_parent() -> None:
    """Let this process be killed when the one that forked it has ended (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def in_child(work: Callable[[], None], limit_s: float = LIMIT_S) -> str:
    """Do `work` in a fork of this process; returns how it failed, or nothing."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            end_with_parent()
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGXCPU, -signal.SIGKILL):
                return f"took longer than {CPU_LIMIT_S} s of processor time"
            return "" if code == 0 else f"ended with exit status {code}"
        _wait_a_little()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"took longer than {limit_s:g} s"


def _wait_a_little() -> None:
    """Wait a little; scripts of the gallery are run with `time.sleep` replaced."""
    signal.sigtimedwait([], 0.005)
