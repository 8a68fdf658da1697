"""The commands' arguments and help, and the usage errors that click finds."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rayanim.cli import job_commands
from rayanim.cli.options import (
    NAME_HELP,
    OWN_ARGUMENTS,
    SCRIPT_ARGUMENTS,
    Options,
    ScriptCommand,
    WholeNumber,
    cluster_options,
    common_options,
    drawing_options,
    frames_option,
    json_option,
    page_options,
    parsed_time,
    script_arguments,
    video_options,
)
from rayanim.cli.printing import INTERRUPTED, USAGE

EXIT_CODES = (
    "Exit codes: 0 done; 1 the render or the script failed; 2 an option, a setting or NAME "
    "is not valid, or there is no such script; 130 stopped by Ctrl-C, 143 by SIGTERM; "
    "otherwise the code that the script passes to sys.exit."
)


class Main(click.Group):
    """Prints usage errors as all other errors are printed."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse, run, and end the process with the command's exit code."""
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            exit_code = super().main(
                arguments, prog_name or "rayanim", complete_var, standalone_mode=False, **extra
            )
        except click.ClickException as error:
            click.echo(f"rayanim: error: {error.format_message()}", err=True)
            exit_code = USAGE
        except click.Abort:
            exit_code = INTERRUPTED
        if standalone_mode:
            sys.exit(exit_code)
        return exit_code

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which there are."""
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            script = name if name.endswith(".py") else "SCRIPT"
            raise click.UsageError(
                f"There is no command {name!r}. The commands are {', '.join(self.commands)}: "
                f"rayanim run {script}, for example."
            )
        return super().resolve_command(ctx, args)


def _print_formats(ctx: click.Context, param: click.Parameter, is_asked: bool) -> None:
    """Print what can be written here, and end."""
    if not is_asked or ctx.resilient_parsing:
        return
    from rayanim.video.codecs import output_formats

    click.echo(
        "suffix    --codec       encoder         alpha  loop count  audio  subtitles  "
        "size of a plot"
    )
    for each in output_formats():
        alpha, loops = ("yes" if has else "no" for has in (each.keeps_alpha, each.loops))
        subtitles = "yes" if each.has_subtitles else "no"
        click.echo(
            f"{each.suffix:9} {each.codec:13} {each.encoder:15} {alpha:6} {loops:11} "
            f"{each.audio or 'no':6} {subtitles:10} {each.size:g}"
        )
    click.echo("Sizes are of one moving line at the default settings, H.264 being 1.")
    ctx.exit()


@click.group(
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: rayanim run wave.py -o wave.mp4",
)
@click.option(
    "--formats",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_formats,
    help="List the kinds of files that can be written here, and exit.",
)
@click.version_option(package_name="rayanim", message="%(prog)s %(version)s")
def main() -> None:
    """Turn Python drawing code into video."""


@main.command(cls=ScriptCommand, epilog=EXIT_CODES)
@script_arguments
@common_options
@video_options
@click.option(
    "--compare",
    is_flag=True,
    help="Draw some frames of an animation as Animation.save does, too; compare pixels and time.",
)
@cluster_options
@click.option(
    "--watch",
    is_flag=True,
    help="Show a page that plays what is finished, with the report as it grows.",
)
@page_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    script: Path,
    watch: bool,
    port: int | None,
    no_open: bool,
    **given: Any,
) -> int:
    """Render SCRIPT's video.

    SCRIPT runs as `python SCRIPT` would. What it saves with save(...) of a
    matplotlib animation, produce(...) or make_video(...) is rendered; options
    take the place of its arguments. A SCRIPT that only shows an animation, or
    only defines an Animator, FrameGenerator or Act, is rendered to NAME.mp4, or
    SCRIPT's name with .mp4, in the current folder.
    """
    if not watch:
        if port is not None or no_open:
            raise click.UsageError("--port and --no-open go with --watch.")
        return _carry_out(ctx, script, given)
    from rayanim.cli.watch_command import run_watched

    options = Options.of(given, ctx.meta[SCRIPT_ARGUMENTS], None)
    if options.dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other: nothing is rendered.")
    return run_watched(script, options, port=port or 0, opens=not no_open)


@main.command(cls=ScriptCommand, epilog=EXIT_CODES)
@script_arguments
@click.option(
    "--frame",
    metavar="N",
    type=WholeNumber(min=0),
    default=0,
    help="The frame's number; without it the first one, 0.",
)
@common_options
@click.pass_context
def still(ctx: click.Context, /, script: Path, frame: int, **given: Any) -> int:
    """Draw one frame of SCRIPT's video into an image.

    The frame is the video's, before encoding, with its transparency; formats
    that have none, such as .jpg, get the video's background. Without -o it goes
    where the video would, as .png. Vector formats are refused.
    """
    return _carry_out(ctx, script, given, frame)


@main.command(
    cls=ScriptCommand,
    epilog="Exit codes: 0 ended by Ctrl-C; 2 an option or NAME is not valid, the port is taken, or "
    "there is no such script; 143 stopped by SIGTERM.",
)
@script_arguments
@page_options
@drawing_options
@click.option("--draws-for-page", is_flag=True, hidden=True)
@click.pass_context
def preview(
    ctx: click.Context,
    /,
    script: Path,
    port: int | None,
    no_open: bool,
    draws_for_page: bool,
    **given: Any,
) -> int:
    """Show SCRIPT's video in the browser, frame by frame, without rendering it.

    Any frame is drawn when it is asked for, the same as in the video. Whenever
    SCRIPT or a module beside it is saved, the frame is drawn anew, by a fresh
    process; mistakes are shown in the page. Only this machine can see the page,
    and only with the token in its address. Without NAME it is SCRIPT's first
    video.
    """
    from rayanim.cli.preview_command import draw_for_page, serve_preview

    options = Options.of({**given, "as_json": draws_for_page}, ctx.meta[SCRIPT_ARGUMENTS], None)
    if draws_for_page:
        return draw_for_page(script, options)
    own, for_script = ctx.meta[OWN_ARGUMENTS], ctx.meta[SCRIPT_ARGUMENTS]
    return serve_preview(script, options.name, own, for_script, port=port or 0, opens=not no_open)


@main.command(cls=ScriptCommand, epilog=EXIT_CODES)
@script_arguments
@frames_option
@drawing_options
@json_option
@click.pass_context
def profile(ctx: click.Context, /, script: Path, **given: Any) -> int:
    """Show where the time of SCRIPT's frames goes, and what would make it less.

    The first frames, as many as take ten seconds, are drawn, converted and encoded, and
    nothing is written. It prints how long the script's own code takes, layouts, each artist
    and the encoder; which frames are the slowest; what makes the script slow; and whether
    actors would help.
    """
    from rayanim.cli.run import run_script
    from rayanim.profiling import profile

    options = Options.of(given, ctx.meta[SCRIPT_ARGUMENTS], None)
    return run_script(script, options, lambda plan, printer: profile(plan))


DOCTOR_EXIT_CODES = "Exit codes: 0 no errors; 1 errors were found; 2 an option is not valid."


@main.command(epilog=DOCTOR_EXIT_CODES)
@click.option(
    "--address",
    metavar="ADDRESS",
    envvar="RAY_ADDRESS",
    help="A Ray cluster to check, too: 'auto' for the one that runs on this machine, or the "
    "head's HOST:PORT. Otherwise the variable RAY_ADDRESS.",
)
@click.option(
    "--timeout",
    "limit_s",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="How long the cluster's nodes have to answer; those that do not are named.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines for programs.")
def doctor(address: str | None, limit_s: float, as_json: bool) -> int:
    """Check this machine, and a cluster; report what is wrong and how to fix it.

    Versions, codecs, fonts, memory, disks, Ray's token; and whether each of the
    cluster's nodes draws and encodes the same test video to the same bytes as
    this machine.
    """
    from rayanim.cli.doctor_command import run_doctor

    return run_doctor(address, as_json=as_json, limit_s=limit_s)


@main.command(epilog="Exit codes: 0 done; 1 Ray did not start; 2 an option is not valid.")
@click.option(
    "--for",
    "limit_s",
    metavar="TIME",
    callback=parsed_time,
    default="30m",
    show_default=True,
    help="End when no job has used it for so long: 90s, 30m or 2h.",
)
@click.option("--stop", is_flag=True, help="End it; a job that uses it is finished first.")
def warm(limit_s: float, stop: bool) -> int:
    """Keep Ray ready, so that the videos to come start sooner.

    A Ray on this machine, for this user alone, whose workers have loaded
    matplotlib. `rayanim run` and produce(...) find it and attach to it where
    they would start Ray. It takes about 0.6 GB of memory.
    """
    from rayanim.cli.warm_command import start_warm, stop_warm

    return stop_warm() if stop else start_warm(limit_s)


@main.command(epilog="Exit codes: 0 done; 1 the cache cannot be removed; 2 an option is not valid.")
@click.option("--clear", is_flag=True, help="Remove all of it.")
def cache(clear: bool) -> int:
    """Show what the cache of finished segments holds.

    `rayanim run --cache` takes from it the segments whose frames have not
    changed, and keeps new ones there. When it is full, those that were not used
    for the longest time go first.
    """
    from rayanim.cli.cache_command import clear_cache, show_cache

    return clear_cache() if clear else show_cache()


for _command in (run, still, preview, profile):
    _command.help = f"{inspect.cleandoc(_command.help or '')}\n\n{NAME_HELP}"


for _command in job_commands.COMMANDS:
    main.add_command(_command)


def _carry_out(
    ctx: click.Context, script: Path, given: dict[str, Any], still_number: int | None = None
) -> int:
    # Here, so that --help loads none of it.
    from rayanim.cli.run import run_script

    options = Options.of(given, ctx.meta[SCRIPT_ARGUMENTS], still_number)
    return run_script(script, options)
