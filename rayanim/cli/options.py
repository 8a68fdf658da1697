"""The options of `run`, `still` and `submit`, and the settings that they come to.

Options are named as `rayanim.settings.RenderSettings` and `ClusterSettings` name
them, and those two check them; this module says only how each is written.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from rayanim.cli.printing import in_options
from rayanim.errors import SettingsError
from rayanim.jobs.client import HIDDEN, masked
from rayanim.settings import (
    ClusterSettings,
    Dither,
    Drawing,
    Engine,
    RenderSettings,
    Transport,
    VideoSettings,
    parse_size,
)
from rayanim.storage.address import Address, Output, check_names, with_default_suffix
from rayanim.storage.video_folder import (
    VideoFolder,
    is_folder,
    is_image,
    output_of,
    with_number,
)

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

Decorator = Callable[[Any], Any]

QUALITIES = {"l": (480, 15), "m": (720, 30), "h": (1080, 60), "p": (1440, 60), "k": (2160, 60)}
"""Height in pixels and frames per second by the letter that stands for them."""


def with_options(command: CommandT, *options: Decorator) -> CommandT:
    """`command` with `options`, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def script_arguments(command: CommandT) -> CommandT:
    """The arguments of commands that run a script."""
    return with_options(
        command,
        click.argument("script", type=click.Path(path_type=Path)),
        click.argument("name", required=False),
    )


def _parsed(*names: str, parse: Callable[[Any], Any], **options: Any) -> Decorator:
    """An option that `parse` reads; its `SettingsError` is a usage error."""

    def callback(ctx: click.Context, param: click.Parameter, text: Any) -> Any:
        try:
            return None if text is None else parse(text)
        except SettingsError as error:
            raise click.BadParameter(error.message) from error

    return click.option(*names, callback=callback, **options)


def json_text_option(name: str, example: str, help: str) -> Decorator:
    """An option whose text is a JSON object."""

    def parse(text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise SettingsError(f"It must be a JSON object such as '{example}', got {text!r}.")
        return found

    return _parsed(name, parse=parse, metavar="JSON", help=help)


def actor_options(command: CommandT) -> CommandT:
    """Options of `run` and `submit` for what may be asked of a cluster."""
    return with_options(
        command,
        click.option(
            "--min-workers", type=Number(whole=True), metavar="N", help="The fewest actors."
        ),
        click.option(
            "--max-workers",
            type=Number(whole=True),
            metavar="N",
            help="The most; a cluster that can grow adds nodes for them.",
        ),
        click.option(
            "--actor-cpus", type=Number(), metavar="N", help="CPUs set aside for an actor."
        ),
        _parsed(
            "--actor-memory",
            "actor_memory_bytes",
            parse=parse_size,
            metavar="SIZE",
            help="Memory set aside for an actor, such as 2GB.",
        ),
        json_text_option("--resources", '{"render": 1}', "Custom Ray resources per actor."),
        click.option(
            "--keep-head-free",
            is_flag=True,
            default=None,
            help="Draw on other nodes than the cluster's head.",
        ),
        json_text_option(
            "--label-selector", '{"role": "render"}', "Draw on nodes with these labels only."
        ),
    )


def cluster_options(command: CommandT) -> CommandT:
    """Options of `run` for a cluster that this machine belongs to."""
    return with_options(
        command,
        click.option(
            "--address",
            metavar="auto|HOST:PORT",
            help="Draw on the Ray cluster that this machine belongs to; also RAY_ADDRESS.",
        ),
        actor_options,
        click.option(
            "--working-dir",
            type=click.Path(exists=True, file_okay=False),
            metavar="DIR",
            help="The folder that is sent to the nodes, in place of the script's.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave these files out: .gitignore patterns; may be repeated.",
        ),
        click.option(
            "--pip",
            "packages",
            multiple=True,
            metavar="PACKAGE",
            help="Install this on the nodes first; may be repeated, and name a file of them.",
        ),
    )


class WholeNumber(click.IntRange):
    """A whole number within bounds; click's own message speaks of an integer range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        try:
            int(value)
        except ValueError:
            self.fail(f"it must be a whole number, got {value!r}.", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.types.FloatParamType):
    """A number, with a fraction or `whole`; the settings know its bounds."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        try:
            return int(value) if self._whole else float(value)
        except ValueError:
            what = "a whole number" if self._whole else "a number"
            self.fail(f"it must be {what}, got {value!r}.", param, ctx)


def parsed_time(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """Seconds from text such as ``90s``, ``30m`` or ``2h``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", text)
    if found is None:
        raise click.BadParameter(f"A time is a number and a unit, such as 30m or 2h, got {text!r}.")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _parse_seed(text: str) -> int | str:
    """A whole number, or ``none``."""
    try:
        return "none" if text.lower() == "none" else int(text)
    except ValueError:
        raise SettingsError(f"seed must be a whole number or 'none', got {text!r}.") from None


def _parse_outputs(texts: tuple[str, ...]) -> tuple[Output, ...]:
    if "" in texts:
        raise SettingsError("The output's name is empty. Name a file, such as wave.mp4.")
    outputs = [output_of(text) for text in texts]
    check_names([each.address for each in outputs])
    return tuple(sorted(outputs, key=lambda each: is_image(each.address)))


def _parse_log(text: str) -> str:
    """Where the log goes, whatever folder the script goes to."""
    if text.endswith(".py"):
        raise SettingsError(
            f"log-json would write into the script {text!r}. Put the option behind the script, or "
            "name a file: --log-json=FILE."
        )
    return text if text == "-" else str(Path(text).absolute())


frames_option = click.option(
    "--frames",
    metavar="FRAMES",
    help="Only these, ends included: 0-99, 3,5-10 or 1-100x5.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")


def video_options(command: CommandT) -> CommandT:
    """Options of `run` and `submit`: where frames are drawn, how they are encoded and kept."""
    return with_options(
        command,
        click.option(
            "-j",
            "--workers",
            metavar="N|50%|auto|-1",
            help="The most processes that draw (actors): a number, a share of the cores, or all.",
        ),
        click.option(
            "--engine",
            type=click.Choice(get_args(Engine)),
            help="Draw in this process, on Ray, or where it is quicker.",
        ),
        click.option(
            "--drawing",
            type=click.Choice(get_args(Drawing)),
            help="Draw what changed in a figure, or everything in every frame.",
        ),
        frames_option,
        click.option(
            "--crf", type=Number(), metavar="N", help="Quality: lower is better and larger."
        ),
        click.option(
            "--codec",
            metavar="NAME",
            help="h264, vp9, av1, prores or another of `rayanim --formats`.",
        ),
        click.option(
            "--preset",
            metavar="NAME",
            help="small, balanced (the default) or quick; or the encoder's own, such as slow.",
        ),
        click.option(
            "--hwaccel",
            type=click.Choice(["auto"]),
            help="Have a graphics card encode where one can; not the same bytes everywhere.",
        ),
        click.option("--pixel-format", metavar="NAME", help="FFmpeg's name, such as yuv420p."),
        click.option(
            "--loop",
            type=Number(whole=True),
            metavar="N",
            help="Plays of a GIF or animated image; default: 0, for ever.",
        ),
        click.option(
            "--dither",
            type=click.Choice(get_args(Dither)),
            help="How a GIF shows colours that it lacks; default: none, the nearest one.",
        ),
        click.option(
            "--colors",
            type=Number(whole=True),
            metavar="N",
            help="The most colours of a GIF, at most 256.",
        ),
        click.option(
            "--hold",
            metavar="TIME|FRAME=TIME,...",
            help="Show the last frame longer: 2s; others: first=1s,120=500ms,last=2s.",
        ),
        click.option("--speed", metavar="X", help="2x draws every second frame; 0.5x is slower."),
        click.option(
            "--ping-pong",
            is_flag=True,
            default=None,
            help="Show all frames again in reverse; they are drawn once.",
        ),
        click.option(
            "--audio", metavar="FILE", help="Sound, cut or padded with silence to the length."
        ),
        click.option("--subtitles", metavar="FILE", help="An .srt file, as a text track."),
        click.option(
            "--bitrate",
            type=click.FloatRange(min=0, min_open=True),
            metavar="KBIT/S",
            help="Kilobits per second, in place of a quality.",
        ),
        click.option(
            "--audit",
            type=Number(),
            metavar="SHARE",
            help="Draw this share of the frames again, to compare; default: 5 % of the time.",
        ),
        click.option(
            "--transport",
            type=click.Choice(["auto", *get_args(Transport)]),
            help="segments: encode pieces and join them; frames: one encoder. Seldom needed.",
        ),
        click.option(
            "--segment-frames",
            type=Number(whole=True),
            metavar="N",
            help="The most frames in a segment; part of what decides the video's bytes.",
        ),
        click.option(
            "--resume",
            is_flag=True,
            default=None,
            help="Go on from the segments that a stopped or failed run of this video has left.",
        ),
        click.option(
            "--keep-parts",
            is_flag=True,
            default=None,
            help="Keep the segment files after the video is complete.",
        ),
        click.option(
            "--cache/--no-cache",
            default=None,
            help="Take unchanged segments from the cache, and keep new ones there; off by default. "
            "See `rayanim cache`.",
        ),
        _parsed(
            "--log-json",
            parse=_parse_log,
            metavar="FILE",
            is_flag=False,
            flag_value="-",
            help="Add a JSON line per event of the job to FILE, or without one to standard error.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the plan; write nothing."),
        # For the driver of a submitted job; see rayanim.jobs.driver.
        click.option("--videos-folder", hidden=True, type=click.Path(path_type=Path)),
        click.option("--resume-command", hidden=True),
    )


def page_options(command: CommandT) -> CommandT:
    """Options of commands that show a page."""
    return with_options(
        command,
        click.option(
            "--port",
            metavar="N",
            type=WholeNumber(0, 65535),
            help="The page's port on this machine; without it a free one.",
        ),
        click.option(
            "--no-open", is_flag=True, help="Print the page's address, and open no browser."
        ),
    )


def drawing_options(command: CommandT) -> CommandT:
    """Options of `run`, `still` and `preview` for how frames are drawn."""
    return with_options(
        command,
        click.option("--fps", metavar="RATE", help="Frames per second: 30 or 30000/1001."),
        click.option(
            "-q",
            "--quality",
            type=click.Choice(list(QUALITIES)),
            help="Height and rate: l is 480p15, m 720p30, h 1080p60, p 1440p60, k 2160p60. "
            "Frames that are given one by one, as by a list or parameters, keep their own rate.",
        ),
        click.option(
            "--dpi",
            type=Number(),
            metavar="N",
            help="Pixels per inch of figures.",
        ),
        _parsed(
            "--seed",
            parse=_parse_seed,
            metavar="N|none",
            help="For random numbers in the drawing; none leaves them unseeded.",
        ),
        click.option(
            "--sequential/--no-sequential",
            default=None,
            help="Run all updates in order in each process, however costly they are.",
        ),
        click.option(
            "--independent/--no-independent",
            default=None,
            help="Frames do not depend on those before: no update is run for a skipped frame.",
        ),
    )


def common_options(command: CommandT) -> CommandT:
    """Options that `run` and `still` share."""
    return with_options(
        command,
        drawing_options,
        _parsed(
            "-o",
            "--output",
            "outputs",
            parse=_parse_outputs,
            multiple=True,
            metavar="FILE",
            help="The file to write, or s3://bucket/FILE; its suffix chooses the format. May be "
            "repeated: -o wave.mp4 -o small.gif:width=480 -o poster.png:frame=30.",
        ),
        click.option(
            "-y",
            "--yes-overwrite",
            "--overwrite/--no-overwrite",
            "overwrite",
            default=None,
            help="Replace an existing file (the default), or refuse.",
        ),
        click.option("-p", "--preview", is_flag=True, help="Open the result."),
        json_option,
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="The longer report, whole tracebacks and log lines.",
        ),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    )


def _named(output: Output, still_number: int | None) -> Output:
    """`output` with a suffix; of a still, with its number where it names one for each frame."""
    if still_number is None:
        return replace(output, address=with_default_suffix(output.address, ".mp4"))
    address = with_number(with_default_suffix(output.address, ".png"), still_number)
    return replace(output, address=address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was given, beside the script.

    `settings` are the settings that it comes to by itself; those that are
    `given` take the place of the script's.
    """

    name: str | None
    script_arguments: tuple[str, ...]
    still_number: int | None
    outputs: tuple[Output, ...]
    quality: str | None
    videos_folder: Path | None
    resume_command: str | None
    dry_run: bool
    compare: bool
    preview: bool
    as_json: bool
    verbose: bool
    quiet: bool
    settings: RenderSettings
    given: frozenset[str]

    @classmethod
    def of(
        cls, values: dict[str, Any], script_arguments: tuple[str, ...], still_number: int | None
    ) -> Options:
        """The options from click's values."""
        values = {name: value for name, value in values.items() if value not in (None, ())}
        own = {
            name: values.pop(name, None)
            for name in ("name", "quality", "videos_folder", "resume_command")
        }
        flags = {
            name: values.pop(name, False)
            for name in ("dry_run", "compare", "preview", "as_json", "verbose", "quiet")
        }
        if flags["verbose"] and flags["quiet"]:
            raise click.UsageError("-v and --quiet exclude each other.")
        own["outputs"] = tuple(_named(each, still_number) for each in values.pop("outputs", ()))
        if still_number is not None and len(own["outputs"]) > 1:
            raise click.UsageError("A still is one file: give -o once.")
        if own["quality"] is not None and "dpi" in values:
            raise click.UsageError("--quality and --dpi exclude each other: both set the size.")
        if own["quality"] is not None:
            values["height_px"] = QUALITIES[own["quality"]][0]
        names = {each.name for each in fields(ClusterSettings)} & values.keys()
        cluster = {name: values.pop(name) for name in names}
        try:
            if cluster:
                values["cluster"] = ClusterSettings(**cluster)
            settings = RenderSettings(**values)
        except SettingsError as error:
            raise click.UsageError(in_options(error.message, {*values, *cluster})) from error
        return cls(
            script_arguments=script_arguments,
            still_number=still_number,
            settings=settings,
            given=frozenset(values),
            **own,
            **flags,
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """What takes the place of the arguments of `produce`, by name."""
        return {name: getattr(self.settings, name) for name in self.given}

    @property
    def quality_fps(self) -> int | None:
        """Rate that the quality asks for."""
        return None if self.quality is None else QUALITIES[self.quality][1]

    @property
    def replacing(self) -> dict[str, Any]:
        """What takes the place of the script's own, by name, for messages."""
        own: dict[str, Any] = {"outfile": self.output, "frames": self.still_number}
        return {name: value for name, value in own.items() if value is not None} | self.arguments

    @property
    def output(self) -> Address | None:
        """The first file to write; None where the script names it."""
        return self.outputs[0].address if self.outputs else None

    def check(self, *, is_here: bool = True) -> None:
        """Refuse before the script runs what can be refused of the outputs without it."""
        for number, each in enumerate(self.outputs):
            self._check_output(each, is_beside=number > 0, is_here=is_here)

    def _check_output(self, given: Output, *, is_beside: bool, is_here: bool) -> None:
        output = given.address
        if self.videos_folder is not None and isinstance(output, Path):
            output = self.videos_folder / output
        has_many_files = self.still_number is None and is_folder(output.name)
        if is_here and not self.dry_run:
            from rayanim.storage.output import Target

            target = VideoFolder(output) if has_many_files else Target(output)
            target.check_early(overwrite=self.settings.overwrite)
        if self.still_number is not None:
            from rayanim.still import check_image_suffix

            check_image_suffix(output.suffix)
            return
        from rayanim.video.codecs import check_target

        # Without the codec, which the script may choose, the rest cannot be judged; nor can
        # what may be meant for another output.
        is_alone = len(self.outputs) == 1
        names = ("hold", "audio", "subtitles") if is_here and is_alone else ()
        known: dict[str, Any] = {name: getattr(self.settings, name) for name in names}
        is_judged = "codec" in self.given and is_alone
        settings = self.settings if is_judged else VideoSettings(**known)
        own = dict(given.options)
        suffix = output.name if has_many_files else output.suffix
        check_target(suffix, replace(settings, **own) if own else settings, is_beside=is_beside)


NAME_OPTION = "--submission-id"

RUNTIME_ENV = "--runtime-env-json"
"""The variables in its value may hold keys, and a command line that is shown ends in logs.
What is hidden is no JSON any more: a line that is pasted says so."""


def resuming(command: Sequence[str]) -> str:
    """The command line that goes on from the segments of this one, without secrets.

    What stands after ``--`` is the script's, and stays as it is.
    """
    own, rest = _cut(["rayanim", *command[1:]])
    own = _without_secrets(own)
    return shlex.join([*own, *([] if "--resume" in own else ["--resume"]), *rest])


def going_on(command: Sequence[str]) -> str:
    """The same, as a job of another name: a cluster takes each name once."""
    own, rest = _cut(command)
    for at in reversed(range(len(own))):
        if own[at] == NAME_OPTION:
            del own[at : at + 2]
        elif own[at].startswith(f"{NAME_OPTION}="):
            del own[at]
    return resuming([*own, *rest])


def _cut(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our words, and the script's from ``--`` on."""
    at = command.index("--") if "--" in command else len(command)
    return list(command[:at]), list(command[at:])


def _without_secrets(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if kept and kept[-1] == RUNTIME_ENV:
            kept.append(_without_variables(word))
        elif equals and name == RUNTIME_ENV:
            kept.append(f"{name}={_without_variables(value)}")
        else:
            kept.append(masked(word))
    return kept


def _without_variables(text: str) -> str:
    return HIDDEN if "env_vars" in text else masked(text)


SCRIPT_ARGUMENTS = "rayanim.script_arguments"
"""Where a click context keeps what stands after ``--``."""

OWN_ARGUMENTS = "rayanim.own_arguments"
"""Where it keeps what stands before, as it was written."""

NAME_HELP = """NAME selects one video, a variable or a class: the script's calls that render
another one are skipped. Without such a call, the class or variable NAME is
rendered. Arguments after -- go to the script."""


HELP_GROUPS = {
    "Output": "outputs overwrite preview dry_run fetch",
    "Frames": "frame frames fps hold speed ping_pong quality dpi drawing seed sequential "
    "independent audit compare",
    "Encoding": "crf codec preset pixel_format hwaccel loop dither colors audio subtitles bitrate "
    "transport segment_frames",
    "Where it is drawn": "workers engine",
    "Stopping and resuming": "resume keep_parts cache",
    "Cluster": "",
    "The page": "watch port no_open",
    "Messages": "as_json log_json verbose quiet help",
}
"""The sections of ``--help`` and their options; all others are in the section "Cluster"."""


class GroupedCommand(click.Command):
    """A command whose help groups its options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A section for each group of options, each in the order of `HELP_GROUPS`."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        # The option that click adds has another name in each of its versions.
        named = {"help" if "--help" in each.opts else each.name: each for each in options}
        shown = {name: each.get_help_record(ctx) for name, each in named.items()}
        records = {name: record for name, record in shown.items() if record is not None}
        names = {title: group.split() for title, group in HELP_GROUPS.items()}
        grouped = {name for group in names.values() for name in group}
        names["Cluster"] = [name for name in records if name and name not in grouped]
        for title, group in names.items():
            lines = [records[name] for name in group if name in records]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


class ScriptCommand(GroupedCommand):
    """A command whose words after ``--`` belong to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the script's words apart before click sees them."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[SCRIPT_ARGUMENTS] = tuple(args[at + 1 :])
        ctx.meta[OWN_ARGUMENTS] = tuple(args[:at])
        try:
            return super().parse_args(ctx, args[:at])
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"{error.format_message()} Options of the script itself go after two dashes: "
                f"{ctx.command_path} SCRIPT -- {error.option_name}"
            ) from error
        except click.UsageError as error:
            found = re.search(r"extra arguments? \((.+)\)", error.format_message())
            if found is None:
                raise
            raise click.UsageError(
                f"{error.format_message()}. Arguments of the script go after two dashes: "
                f"{ctx.command_path} SCRIPT -- {found[1]}"
            ) from error

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line, with those words."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def words_again(ctx: click.Context, names: Sequence[str]) -> list[str]:
    """The options that the command was given, as words of another command line."""
    given, _, order = ctx.command.make_parser(ctx).parse_args(list(ctx.meta[OWN_ARGUMENTS]))
    words: list[str] = []
    for option in dict.fromkeys(order):  # an option that is given again takes the former's place
        if option.name in names and isinstance(option, click.Option):
            words += _words_of(option, given[option.name])
    return words


def _words_of(option: click.Option, value: object) -> list[str]:
    if option.is_flag:
        return [(option.opts if value else option.secondary_opts)[-1]]
    values = value if isinstance(value, list) else [value]
    # Of an option that was given without its value click has a mark of its own.
    texts = [each if isinstance(each, str) else str(option.flag_value) for each in values]
    return [word for text in texts for word in (option.opts[-1], text)]
