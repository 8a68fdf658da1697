"""Sees a job through: watches it, stops or leaves it on Ctrl-C, and tells how it has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rayanim.cli.output import write_text
from rayanim.cli.watching import Answer, Interruption, Shown, ask, remembering_signals
from rayanim.errors import JobError
from rayanim.jobs.outcome import how_to_go_on, outcome_of
from rayanim.jobs.request import STOP_WAIT_S
from rayanim.jobs.watch import Watch

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient
    from rayanim.jobs.job import Job

STOP_LIMIT_S = STOP_WAIT_S + 20.0
"""After it Ray has ended the driver's processes one by one, if it can do so at all."""


def see_through(
    client: JobsClient, name: str, shown: Shown, asks: Callable[[Interruption], Answer] = ask
) -> Job | int:
    """Follow a job until it ends, or somebody has had enough, and tell all of it.

    Parameters
    ----------
    client, name
        The job.
    shown
        Shows what it does.
    asks
        Says what a signal is to do to it.

    Returns
    -------
    Job or int
        A job that has ended well, or the exit code.
    """
    watch = Watch(client, name, shown)
    with remembering_signals() as interruption:
        while (job := _followed(watch, client, name, shown, interruption)) is None:
            answer, code = asks(interruption), interruption.exit_code
            interruption.forget()
            if answer == "watch":
                shown.go_on()
                continue
            told = stopped(client, name) if answer == "stop" else how_to_come_back(client, name)
            write_text(sys.stderr, f"rayanim: {told}")
            return code
    shown.end()
    outcome = outcome_of(job, shown.error)
    if outcome.text:
        write_text(sys.stderr, f"rayanim: error: {outcome.text}")
    return outcome.exit_code or job


def _followed(
    watch: Watch, client: JobsClient, name: str, shown: Shown, interruption: Interruption
) -> Job | None:
    try:
        return watch.follow(interruption.has_come)
    except JobError as error:
        again = client.command(f"logs -f {name}")
        raise JobError(f"{error.message} If {name} still runs: {again}") from error
    finally:
        shown.pause()


def how_to_come_back(client: JobsClient, name: str) -> str:
    """What to say of a job that nobody watches any more, in a few lines."""
    return (
        f"{name} goes on.\n"
        f"  to see it:       {client.command(f'logs -f {name}')}\n"
        f"  to end it:       {client.command(f'stop {name}')}\n"
        f"  to bring a film: {client.command(f'fetch {name}')}"
    )


def stopped(client: JobsClient, name: str) -> str:
    """Stop a job, wait until it has ended, and say what came of it.

    Raises
    ------
    JobError
        If it does not end.
    """
    client.stop(name)
    deadline_s = time.monotonic() + STOP_LIMIT_S
    while not (job := client.job(name)).has_ended:
        if time.monotonic() > deadline_s:
            raise JobError(
                f"{name} has not ended {STOP_LIMIT_S:.0f} s after it was told to. "
                f"Look at it: {client.command(f'status {name}')}"
            )
        time.sleep(0.5)
    if job.status == "STOPPED":
        return f"{name} was stopped.{how_to_go_on(job)}"
    return f"{name} had ended before: {job.status.lower()}."
