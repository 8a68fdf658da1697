"""The command's options: read with the functions that check `produce`'s own arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rayanim.cli.cluster_options import cluster_settings
from rayanim.errors import SettingsError
from rayanim.storage.address import Address, address_of

# height in pixels, frames per second
QUALITIES = {"l": (480, 15), "m": (720, 30), "h": (1080, 60), "p": (1440, 60), "k": (2160, 60)}

QUALITY_HELP = (
    "Height and rate: l is 480p15, m 720p30, h 1080p60, p 1440p60, k 2160p60. "
    "Frames that are given one by one keep their rate."
)

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

Decorators = tuple[Callable[[Any], Any], ...]
"""Options, in the order in which `--help` lists them."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed that was given, which may be None."""

    value: int | None


def read_rate(text: str) -> Any:
    """A rate as an exact fraction; see `parse_rate`."""
    from rayanim.settings import parse_rate

    return parse_rate(text)


def read_workers(text: str) -> int | str:
    """The text itself, once it is known to make sense; see `parse_workers`."""
    from rayanim.settings import parse_workers

    parse_workers(text, cores=1)
    return text


def read_frames(text: str) -> str:
    """The text itself, once it is known to make sense; see `Selection.parse`."""
    from rayanim.selection import Selection

    Selection.parse(text)
    return text


def read_crf(text: str) -> float:
    """A constant rate factor; the codec's own limits are checked later."""
    from rayanim.settings import VideoSettings

    number = _number("crf", text)
    VideoSettings(crf=number)
    return number


def read_bitrate(text: str) -> float:
    """Kilobits per second."""
    from rayanim.settings import VideoSettings

    number = _number("bitrate", text)
    VideoSettings(bitrate_kbps=number)
    return number


def read_seed(text: str) -> Seed:
    """A whole number, or none."""
    if text.lower() == "none":
        return Seed(None)
    try:
        return Seed(int(text))
    except ValueError:
        raise SettingsError(f"seed must be a whole number or 'none', got {text!r}.") from None


def read_log(text: str) -> str:
    """Where the log goes, whatever folder the script goes to."""
    if text.endswith(".py"):
        raise SettingsError(
            f"log-json would write into the script {text!r}. Put the option behind the script, or "
            "name a file: --log-json=FILE."
        )
    return text if text == "-" else str(Path(text).absolute())


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise SettingsError(f"{name} must be a number, got {text!r}.") from None
    return int(number) if number.is_integer() else number


def film_options(command: CommandT) -> CommandT:
    """Options of `run` alone: how the film is encoded and who draws it."""
    return with_options(command, *_who_draws(), *_how_encoded(), *_segments(), *_told())


def _who_draws() -> Decorators:
    """Where frames are drawn, and which."""
    return (
        _checked(
            "-j",
            "--workers",
            read=read_workers,
            metavar="N|50%|auto|-1",
            help="The most render actors: a number, a share of the cores, or all of them.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["auto", "local", "ray"]),
            help="Draw in this process, on Ray, or where it is quicker.",
        ),
        click.option(
            "--drawing",
            type=click.Choice(["auto", "full"]),
            help="Draw what changed in a figure, or everything in every frame.",
        ),
        _checked(
            "--frames",
            read=read_frames,
            metavar="FRAMES",
            help="Only these, ends included: 0-99, 3,5-10 or 1-100x5.",
        ),
    )


def _how_encoded() -> Decorators:
    """The codec and its settings."""
    return (
        _checked("--crf", read=read_crf, metavar="N", help="Quality: lower is better and larger."),
        click.option(
            "--codec", metavar="NAME", help="h264, h265, vp9, av1, or an FFmpeg encoder's name."
        ),
        click.option("--preset", metavar="NAME", help="The encoder's own, such as slow."),
        click.option("--pixel-format", metavar="NAME", help="FFmpeg's name, such as yuv420p."),
        _checked(
            "--bitrate",
            read=read_bitrate,
            metavar="KBIT/S",
            help="Kilobits per second, in place of a quality.",
        ),
    )


def _segments() -> Decorators:
    """How the film is cut, and what is kept of it."""
    return (
        click.option(
            "--on-history",
            type=click.Choice(["error", "warn", "ignore"]),
            help="What to do where frames turn out to build on those before.",
        ),
        click.option(
            "--transport",
            type=click.Choice(["auto", "segments", "frames"]),
            help="Encode segments where they are drawn, or all frames in one encoder.",
        ),
        click.option(
            "--segment-frames",
            type=click.IntRange(min=1),
            metavar="N",
            help="The most frames in a segment; part of what decides the film's bytes.",
        ),
        click.option(
            "--resume",
            is_flag=True,
            default=None,
            help="Go on from the segments that a stopped or failed run of this film has left.",
        ),
        click.option(
            "--keep-parts", is_flag=True, default=None, help="Keep finished segments beside it."
        ),
    )


def _told() -> Decorators:
    """What is told instead of, or besides, the film."""
    return (
        _checked(
            "--log-json",
            read=read_log,
            metavar="FILE",
            is_flag=False,
            flag_value="-",
            help="Add a JSON line per event of the job to FILE, or without one to standard error.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the plan; write nothing."),
        # What a submitted job's driver is told; see rayanim.jobs.driver.
        click.option("--films-folder", hidden=True, type=click.Path(path_type=Path)),
        click.option("--resume-command", hidden=True),
    )


def common_options(command: CommandT) -> CommandT:
    """Options that `run` and `still` share."""
    return with_options(
        command,
        _checked(
            "-o",
            "--output",
            read=address_of,
            metavar="FILE",
            help="The file to write, or s3://bucket/FILE; its suffix chooses the format.",
        ),
        _checked(
            "--fps", read=read_rate, metavar="RATE", help="Frames per second: 30 or 30000/1001."
        ),
        click.option("-q", "--quality", type=click.Choice(list(QUALITIES)), help=QUALITY_HELP),
        click.option(
            "-y",
            "--yes-overwrite",
            "--overwrite/--no-overwrite",
            "overwrite",
            default=None,
            help="Whether an existing file may be replaced. It is, by a finished one.",
        ),
        _checked(
            "--seed",
            read=read_seed,
            metavar="N|none",
            help="For random numbers in the drawing; none leaves them unseeded.",
        ),
        click.option(
            "--sequential/--no-sequential",
            default=None,
            help="Each frame builds on those before: the updates that are skipped are run.",
        ),
        click.option("-p", "--preview", is_flag=True, help="Open the result."),
        click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output."),
        click.option("-v", "--verbose", is_flag=True, help="Whole tracebacks, and log lines."),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    )


def _checked(
    *names: str,
    read: Callable[[str], Any],
    metavar: str,
    help: str,
    **rest: Any,
) -> Callable[[CommandT], CommandT]:
    """An option that a function of rayanim's reads, whose refusal is a usage error."""

    def callback(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else read(text)
        except SettingsError as error:
            raise click.BadParameter(error.message) from error

    return click.option(*names, metavar=metavar, callback=callback, help=help, **rest)


def with_options(command: CommandT, *options: Callable[[CommandT], CommandT]) -> CommandT:
    """`command` with `options`, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was given, beside the script.

    Attributes
    ----------
    name
        Which film of the script; None where there is only one.
    script_arguments
        What stands after ``--``.
    still_number
        The frame of a still; None renders a film.
    films_folder
        Where all relative targets go, those of the script too; None leaves
        them in the current folder.
    resume_command
        The command that goes on where this one stops; None is this one itself.
    arguments
        Keyword arguments of `produce` by name, those that were given.
    """

    name: str | None
    script_arguments: tuple[str, ...]
    still_number: int | None
    output: Address | None
    quality: str | None
    films_folder: Path | None
    resume_command: str | None
    dry_run: bool
    preview: bool
    as_json: bool
    verbose: bool
    quiet: bool
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, given: dict[str, Any], script_arguments: tuple[str, ...], still_number: int | None
    ) -> Options:
        """The options from click's values; what is left of them belongs to `produce`."""
        own = {name: given.pop(name) for name in ("name", "output", "quality")}
        of_jobs = {name: given.pop(name, None) for name in ("films_folder", "resume_command")}
        if given["verbose"] and given["quiet"]:
            raise click.UsageError("-v and --quiet exclude each other.")
        flags = {name: given.pop(name) for name in ("preview", "as_json", "verbose", "quiet")}
        dry_run = given.pop("dry_run", False)
        on_cluster = cluster_settings(given)
        arguments = {name: value for name, value in given.items() if value is not None}
        arguments |= on_cluster
        if isinstance(arguments.get("seed"), Seed):
            arguments["seed"] = arguments["seed"].value
        return cls(
            script_arguments=script_arguments,
            still_number=still_number,
            dry_run=dry_run,
            arguments=arguments,
            **own,
            **of_jobs,
            **flags,
        )

    @property
    def height_px(self) -> int | None:
        """Height of the frames that the quality asks for."""
        return None if self.quality is None else QUALITIES[self.quality][0]

    @property
    def quality_fps(self) -> int | None:
        """Rate that the quality asks for."""
        return None if self.quality is None else QUALITIES[self.quality][1]

    @property
    def replacing(self) -> dict[str, Any]:
        """What stands in the place of the script's own arguments, by name."""
        own = {"outfile": self.output, "frames": self.still_number}
        return {name: value for name, value in own.items() if value is not None} | self.arguments

    def check(self, *, is_here: bool = True) -> None:
        """Refuse before the script runs what can be refused without it.

        Parameters
        ----------
        is_here
            Whether the output goes to this machine.

        Raises
        ------
        SettingsError
            If options exclude each other, or the output's suffix is unknown.
        """
        if self.arguments.get("crf") is not None and self.arguments.get("bitrate") is not None:
            raise SettingsError(
                "--crf and --bitrate exclude each other: the first asks for a quality, "
                "the second for a size. Give one of them."
            )
        if self.output is not None:
            output = self.output
            if self.films_folder is not None and isinstance(output, Path):
                output = self.films_folder / output
            self._check_output(output, is_here)

    def _check_output(self, output: Address, is_here: bool) -> None:
        if is_here and not self.dry_run:
            from rayanim.target import target_at

            target_at(output).check_early(overwrite=self.arguments.get("overwrite", True))
        if self.still_number is not None:
            from rayanim.still import check_image_suffix

            check_image_suffix(output.suffix)
            return
        from rayanim.settings import VideoSettings
        from rayanim.video.codecs import check_target as check_format

        given = self.arguments
        # Without the codec, which the script may choose, the rest cannot be judged.
        settings = VideoSettings()
        if given.get("codec") is not None:
            settings = VideoSettings(
                codec=given["codec"],
                crf=given.get("crf"),
                preset=given.get("preset"),
                pixel_format=given.get("pixel_format"),
            )
        check_format(output.suffix, settings)
