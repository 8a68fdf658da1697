"""The cell magic ``%%rayanim``, which is there after ``%load_ext rayanim``."""

from __future__ import annotations

import functools
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rayanim.cli.options import GroupedCommand, Options
from rayanim.errors import SettingsError
from rayanim.notebook import figures_held_back, nothing_to_resume, shown_report
from rayanim.overrides import Overrides, current, overriding
from rayanim.patching import Unsaved, patched
from rayanim.player import Player, leave_out_figures
from rayanim.report import Report
from rayanim.storage.address import Address


def load_ipython_extension(shell: Any) -> None:
    """Make ``%%rayanim`` known; called by ``%load_ext rayanim``."""
    magic = functools.partial(render_cell, shell)
    shell.register_magic_function(magic, "cell", "rayanim")


def render_cell(shell: Any, line: str, cell: str) -> None:
    """Run a cell and render what it defines, or what it renders itself, with the line's options."""
    from IPython.core.error import UsageError  # type: ignore[import-not-found, unused-ignore]

    try:
        options = _options(line)
        if options is not None:
            _render_cell(shell, cell, options)
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    except SettingsError as error:
        raise UsageError(error.message) from None


WITHOUT_EFFECT = "script preview compare as_json watch port no_open videos_folder resume_command"
"""Parameters of `rayanim run` that a cell does not have."""


def _options(line: str) -> Options | None:
    """The line's options, which are those of `rayanim run`; None where it asked for help."""
    from rayanim.cli.main import run

    command = GroupedCommand(
        "%%rayanim",
        params=[each for each in run.params if each.name not in WITHOUT_EFFECT.split()],
        help="Render the video of the cell: the Animator, FrameGenerator, Act or animation that "
        "it defines, or NAME of several; or what it renders itself.",
    )
    try:
        context = command.make_context("%%rayanim", shlex.split(line))
    except ValueError as error:
        raise SettingsError(f"The options {line!r} cannot be read: {error}.") from error
    except click.exceptions.Exit:
        return None
    with context:
        return Options.of(context.params, (), None)


def _render_cell(shell: Any, cell: str, options: Options) -> None:
    from IPython.display import display

    options.check()
    unsaved, shown = Unsaved(), list[tuple[Player | Report, Report]]()
    with tempfile.TemporaryDirectory(prefix="rayanim-show-") as folder:
        output = Path(folder, f"{options.name or 'cell'}.mp4")
        overrides = Overrides(
            outputs=options.outputs,
            default_output=output,
            arguments=options.arguments | ({"progress": False} if options.quiet else {}),
            quality_fps=options.quality_fps,
            dry_run=options.dry_run,
            # At once: the next video without a name goes to the same file.
            on_report=lambda report: shown.append((shown_report(report, Path(folder)), report)),
            how_to_resume="add --resume behind %%rayanim.",
        )
        held_back, kept = figures_held_back(), nothing_to_resume(folder)
        with kept, held_back, overriding(overrides), patched(unsaved):
            _run_cell(shell, cell, options, unsaved, output)
        for each, report in shown:
            display(each)
            if options.verbose:
                print(report.details())
    leave_out_figures()


def _run_cell(
    shell: Any, cell: str, options: Options, unsaved: Any, default_output: Address
) -> None:
    from rayanim.cli.script import choose, names_of, render_found

    overrides, namespace = current(), shell.user_ns
    before = dict(namespace)
    if options.name is not None:
        overrides.wanted = lambda thing: options.name in names_of(thing, namespace)
    # Not by `run_cell`: at its end the figures that are not drawn yet would be shown.
    code = shell.transform_cell(cell)
    name = shell.compile.cache(code, raw_code=cell)
    exec(shell.compile(code, name, "exec"), namespace)  # noqa: S102
    if overrides.calls == 0:
        found = choose(
            _defined(namespace, before), options.name, script="the cell", shown=unsaved.by_figure()
        )
        overrides.wanted = None
        render_found(found, overrides.target(None) or default_output)


def _defined(namespace: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What the cell has set; a module's name is what its classes are known by."""
    new = {
        name: value
        for name, value in list(namespace.items())
        if name not in before or before[name] is not value
    }
    return new | {"__name__": namespace.get("__name__")}
