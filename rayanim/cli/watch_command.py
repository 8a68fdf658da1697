"""`rayanim run --watch` and `rayanim watch JOB`: the page of a render, and what ends it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.cli.job_display import JobDisplay, follow_job
from rayanim.cli.options import Options
from rayanim.cli.printing import (
    exiting_on_failure,
    open_on_desktop,
    stopping_on_signals,
    write_json,
    write_text,
)
from rayanim.cli.run import run_script
from rayanim.errors import RayanimError
from rayanim.jobs.fetch import Offer, fetch_video
from rayanim.jobs.watch import outcome_of

if TYPE_CHECKING:
    from rayanim.jobs.client import JobsClient, SubmittedJob
    from rayanim.preview.submitted import SubmittedRender
    from rayanim.preview.watching import WatchedRender, WatchServer

FIRST_PAGE_S = 15.0
"""So long a browser may take to show the page; the video may be finished before."""

LINK_S = 3.0
"""So long a program may take that got the address, as the preview does."""


def run_watched(script: Path, options: Options, *, port: int, opens: bool) -> int:
    """Run `script`, whose videos a page shows; the exit code.

    After a video is finished its page goes on until it is closed, or until Ctrl-C.
    """
    from rayanim.preview.live_report import LiveReport
    from rayanim.preview.watching import WatchServer

    watched = LiveReport()
    with exiting_on_failure():
        server = WatchServer(watched, script.name, port)
    with server:
        until_s = _show(server, script, opens=opens, as_json=options.as_json)
        exit_code = run_script(script, options, watch=watched)
        if exit_code == 0 and options.as_json:
            write_json(sys.stdout, "watch", {"url": server.url, "is_over": True})
        _linger(watched, until_s, has_video=exit_code == 0)
    return exit_code


class PageDisplay(JobDisplay):
    """Shows a job at the terminal, as `rayanim logs -f` does, and in pages."""

    def __init__(self, watched: SubmittedRender) -> None:
        super().__init__()
        self._watched = watched

    def _event(self, kind: str, values: dict[str, Any]) -> None:
        super()._event(kind, values)
        if kind == "watch":
            self._watched.take(values)


def watch_job(client: JobsClient, name: str, *, port: int, opens: bool) -> int:
    """Show a submitted job in a page; the exit code, as of `rayanim logs -f`."""
    from rayanim.preview.submitted import SubmittedRender
    from rayanim.preview.watching import WatchServer

    client.job(name)  # an error where there is none
    watched = SubmittedRender(client, name)
    display = PageDisplay(watched)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(WatchServer(watched, name, port))
        until_s = _show(server, name, opens=opens)
        code, job = follow_job(client, name, display, asks=lambda _: "leave")
        if job is None:
            return code
        if code == 0:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rayanim-page-"))
            watched.finish(_brought_here(client, job, display.videos, Path(folder)))
        else:
            outcome = outcome_of(job, display.error)
            watched.fail(outcome.text, is_stopped=job.status == "STOPPED")
        _linger(watched, until_s, has_video=code == 0)
    return code


def _brought_here(
    client: JobsClient, job: SubmittedJob, videos: Sequence[Offer], folder: Path
) -> Path | None:
    """The job's last video in `folder`; None where there is none to fetch."""
    if not videos or job.node_id is None:
        return None
    path = folder / Path(videos[-1].name).name
    try:
        fetch_video(client, job.node_id, videos[-1], path)
    except RayanimError as error:
        write_text(sys.stderr, f"rayanim: {error.message}")
        return None
    return path


def _show(server: WatchServer, what: object, *, opens: bool, as_json: bool = False) -> float:
    """Print the page's address and open it; until when a browser is waited for."""
    if as_json:
        write_json(sys.stdout, "watch", {"url": server.url, "is_over": False})
    else:
        write_text(sys.stderr, f"rayanim: to watch {what}: {server.url}")
    why_not = open_on_desktop(server.make_ticket_url()) if opens else None
    if why_not:
        write_text(sys.stderr, f"rayanim: {why_not}")
    is_opened = opens and not why_not
    return time.monotonic() + (FIRST_PAGE_S if is_opened else LINK_S if as_json else 0.0)


def _linger(watched: WatchedRender, until_s: float, *, has_video: bool) -> None:
    """Serve a page with a video until it is closed, or until Ctrl-C.

    A page that is still to come gets what there is to say of a failure.
    """
    if watched.shown["state"] == "stopped":
        return
    with contextlib.suppress(KeyboardInterrupt), stopping_on_signals():
        is_open = watched.wait_for_page(until_s)
        if not has_video:
            return
        if is_open:
            text = "rayanim: the page shows the video until it is closed, or until Ctrl-C."
            write_text(sys.stderr, text)
        watched.wait_until_left()
