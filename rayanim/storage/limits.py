"""Calls what may never come back, within a limit, and again where that may help."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from rayanim.storage.refusals import Refusal

ResultT = TypeVar("ResultT")

PAUSES_S = (0.5, 2.0, 5.0)
"""Between tries; clients of stores try again by themselves, more quickly."""


def within(limit_s: float, call: Callable[[], ResultT]) -> ResultT:
    """What `call` gives, in a thread of its own that is left behind if it takes too long.

    Raises
    ------
    TimeoutError
        If it takes longer than `limit_s`.
    """
    outcome: Future[ResultT] = Future()
    threading.Thread(
        target=_settle, args=(call, outcome), daemon=True, name="rayanim-store"
    ).start()
    if not wait([outcome], limit_s).done:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {limit_s:.0f} s")
    return outcome.result()


def _settle(call: Callable[[], ResultT], outcome: Future[ResultT]) -> None:
    try:
        outcome.set_result(call())
    # Whatever it is, it belongs to who waits.
    except BaseException as error:
        outcome.set_exception(error)


def persistently(
    call: Callable[[], ResultT],
    explain: Callable[[BaseException], Refusal],
    *,
    limit_s: float,
    pauses_s: tuple[float, ...],
) -> ResultT:
    """What `call` gives, tried once more after each pause unless its refusal is lasting.

    Parameters
    ----------
    call
        May be called several times.
    explain
        What a failure means.
    limit_s
        Seconds for one try.
    pauses_s
        Seconds between tries; as many as there are tries beyond the first.

    Raises
    ------
    OSError
        The last refusal.
    """
    for pause_s in (*pauses_s, None):
        try:
            return within(limit_s, call)
        # A client may raise anything; what it is, `explain` says.
        except Exception as error:
            refusal = explain(error)
            if refusal.is_lasting or pause_s is None:
                raise refusal.as_error() from error
            time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")
