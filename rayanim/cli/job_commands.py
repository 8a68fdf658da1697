"""What ``rayanim status``, ``logs``, ``stop`` and ``fetch`` do."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from rayanim.cli.failures import told_failures
from rayanim.cli.fetching import fetch_films
from rayanim.cli.following import see_through, stopped
from rayanim.cli.job_table import Known, print_table
from rayanim.cli.output import write_text
from rayanim.cli.watching import Shown, ShownAsJson
from rayanim.errors import JobError
from rayanim.jobs.client import JobsClient
from rayanim.jobs.log import Text, read_log
from rayanim.jobs.offer import Offer

LINES_LOOKED_AT = 200
"""The end of a log, in which a job's latest progress stands."""


def show_status(address: str | None, name: str | None, *, as_json: bool) -> int:
    """Show all jobs, or one."""
    with told_failures() as codes:
        client = JobsClient(address)
        jobs = [Known(job) for job in (client.jobs() if name is None else [client.job(name)])]
        for known in jobs:
            with contextlib.suppress(JobError):  # a log may be gone with its node
                known.learn(read_log(client.log(known.job, LINES_LOOKED_AT)))
        if as_json:
            for known in jobs:
                write_text(sys.stdout, json.dumps(known.to_dict()))
        elif name is not None:
            write_text(sys.stdout, jobs[0].describe(client.command(f"fetch {name}")))
        else:
            print_table(jobs, client.address)
    return codes[-1]


def show_logs(address: str | None, name: str, *, follow: bool, as_json: bool) -> int:
    """Show a job's log, as far as it is or to the job's end."""
    with told_failures() as codes:
        client = JobsClient(address)
        job = client.job(name)
        shown = ShownAsJson() if as_json else Shown(with_progress=follow)
        if follow:
            ended = see_through(client, name, shown, asks=lambda _: "leave")
            codes.append(ended if isinstance(ended, int) else 0)
        else:
            for each in read_log(client.log(job)):
                if isinstance(each, Text):
                    shown.text(each.text)
                else:
                    shown.event(each)
            shown.end()
    return codes[-1]


def stop_job(address: str | None, name: str) -> int:
    """Stop a job, and say how to go on."""
    with told_failures() as codes:
        write_text(sys.stdout, stopped(JobsClient(address), name))
    return codes[-1]


def fetch_job(address: str | None, name: str, output: Path | None) -> int:
    """Bring the films that a job has finished here."""
    with told_failures() as codes:
        client = JobsClient(address)
        job = client.job(name)
        told = read_log(client.log(job))
        films = [
            Offer.of(each.values)
            for each in told
            if not isinstance(each, Text) and each.kind == "film"
        ]
        if not films:
            yet = "" if job.has_ended else " yet"
            raise JobError(f"{name} ({job.status.lower()}) has finished no film{yet}.")
        fetch_films(client, job, films, output, quiet=False)
    return codes[-1]
