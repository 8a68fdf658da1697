"""Keeps libx264's output the same from run to run on CPUs with AVX-512."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def steady_options(codec: str) -> dict[str, str]:
    """Options that change no byte of the film except those that chance would change.

    libx264's AVX-512 code for macroblock trees reads memory that it has not
    written (seen with the libx264 of PyAV 15.0 to 18.1: other bytes under
    another ``MALLOC_PERTURB_``, and in up to 1 of 60 short films). Its AVX2
    code does not, and gives the bytes that AVX-512 gives most of the time.
    """
    return {"x264-params": "asm=avx2"} if codec == "libx264" and _has_avx512() else {}


@cache
def _has_avx512() -> bool:
    # libx264 takes "asm" without a look at the CPU, so it is said only where
    # AVX2 is sure to be there. /proc/cpuinfo is Linux's; elsewhere nothing is said.
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
