"""`rayanim preview`: starts the server of the page, and is the process that draws for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rayanim.cli.options import Options
from rayanim.cli.printing import (
    USAGE,
    Stopped,
    exiting_on_failure,
    open_on_desktop,
    stopping_on_signals,
    write_text,
)

START = "import sys; sys.path[:1] == [''] and sys.path.pop(0); sys.argv[0] = ''; "
"""As for the command itself, the current folder is no place to import from."""

WORKER_FLAG = "--draws-for-page"


def serve_preview(
    script: Path,
    name: str | None,
    arguments: Sequence[str],
    for_script: Sequence[str],
    *,
    port: int,
    opens: bool,
) -> int:
    """Serve the page until Ctrl-C; the exit code."""
    from rayanim.cli.script import check_script
    from rayanim.preview.server import PreviewServer

    own = drawing_command(arguments, for_script)
    with exiting_on_failure():
        check_script(script)

        def render_command(words: Sequence[str]) -> list[str]:
            watched = [*arguments, "--watch", "--no-open", "--port=0", "--json", *words]
            return rendering_command(watched, for_script)

        with PreviewServer(script, own, port, render_command) as server:
            write_text(sys.stdout, f"{script}: {server.url}\nCtrl-C ends the preview.")
            sys.stdout.flush()
            try:
                with stopping_on_signals():
                    if name is not None:
                        error = server.session.first_error()
                        # A mistake in the script has a traceback, and can be mended.
                        if error.get("exit_code") == USAGE and error["traceback"] is None:
                            return USAGE
                    why_not = open_on_desktop(server.make_ticket_url()) if opens else None
                    if why_not:
                        write_text(sys.stderr, f"rayanim: {why_not}")
                    server.serve_forever()
            except Stopped as stopped:
                return 0 if stopped.is_ctrl_c else stopped.exit_code
    return 0


def drawing_command(arguments: Sequence[str], for_script: Sequence[str]) -> list[str]:
    """The command line of the process that draws."""
    return command_line("preview", [*arguments, WORKER_FLAG], for_script)


def rendering_command(arguments: Sequence[str], for_script: Sequence[str]) -> list[str]:
    """The command line of a process that renders, and ends with its standard input."""
    first = "from rayanim.preview.drawing import end_with_input; end_with_input(); "
    return command_line("run", arguments, for_script, first)


def command_line(
    name: str, arguments: Sequence[str], for_script: Sequence[str], first: str = ""
) -> list[str]:
    """A command of rayanim's, by the Python that runs here."""
    code = f"{START}{first}from rayanim.cli import main; main()"
    return [sys.executable, "-c", code, name, *arguments, "--", *for_script]


def draw_for_page(script: Path, options: Options) -> int:
    """Draw what the server asks for; the exit code."""
    from rayanim.cli.run import run_script
    from rayanim.preview.drawing import Requests, draw_on_request, preload

    requests = Requests()
    preload()
    requests.wait_for_start()
    return run_script(
        script, options, lambda plan, printer: draw_on_request(plan, requests, printer.event)
    )
