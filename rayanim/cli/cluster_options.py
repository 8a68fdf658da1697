"""The command's options for a Ray cluster: where it is, and what may be asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from rayanim.cluster import ClusterSettings, parse_size, read_address
from rayanim.errors import SettingsError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

# An option's name in click by the setting's.
FIELDS = {
    "min_workers": "min_workers",
    "max_workers": "max_workers",
    "actor_cpus": "actor_cpus",
    "actor_memory_bytes": "actor_memory",
    "resources": "resources",
    "keep_head_free": "keep_head_free",
    "label_selector": "label_selector",
    "max_node_hours": "max_node_hours",
    "packages": "pip",
    "working_dir": "working_dir",
    "exclude": "exclude",
}


def read_given_address(text: str) -> str:
    """The text itself, once it is known to make sense; see `read_address`."""
    read_address(text)
    return text


def read_texts(text: str) -> dict[str, str]:
    """A JSON object of texts."""
    return _object("label-selector", text, '{"role": "render"}')


def read_amounts(text: str) -> dict[str, float]:
    """A JSON object of numbers."""
    return _object("resources", text, '{"render": 1}')


def _object(name: str, text: str, example: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f"{name} must be a JSON object such as '{example}', got {text!r}.")
    return found


def cluster_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Take the cluster's options out of click's values.

    Returns
    -------
    dict
        `produce`'s own arguments: ``address`` and ``cluster``, those that were given.
    """
    fields = {name: given.pop(option, None) for name, option in FIELDS.items()}
    fields = {name: value for name, value in fields.items() if value not in (None, ())}
    arguments = {"address": given.pop("address", None)}
    if fields:
        try:
            arguments["cluster"] = ClusterSettings(**fields)
        except SettingsError as error:
            raise click.UsageError(error.message) from error
    return {name: value for name, value in arguments.items() if value is not None}


def actor_options(command: CommandT) -> CommandT:
    """Options of `run` and `submit` for what may be asked of a cluster."""
    options = (
        click.option(
            "--min-workers", type=click.IntRange(min=1), metavar="N", help="The fewest actors."
        ),
        click.option(
            "--max-workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="The most; a cluster that can grow adds nodes for them.",
        ),
        click.option("--actor-cpus", type=float, metavar="N", help="CPUs set aside for an actor."),
        _read(
            "--actor-memory",
            read=parse_size,
            metavar="SIZE",
            help="Memory set aside for an actor, such as 2GB.",
        ),
        _read("--resources", read=read_amounts, metavar="JSON", help="What else an actor needs."),
        click.option(
            "--keep-head-free",
            is_flag=True,
            default=None,
            help="Draw on other nodes than the cluster's head.",
        ),
        _read(
            "--label-selector",
            read=read_texts,
            metavar="JSON",
            help="Draw on nodes with these labels only.",
        ),
        click.option(
            "--max-node-hours",
            type=click.FloatRange(min=0, min_open=True),
            metavar="N",
            help="The most that the film may cost: hours of nodes that hold actors, added up.",
        ),
    )
    return _with(command, options)


def cluster_options(command: CommandT) -> CommandT:
    """Options of `run` for a cluster that this machine belongs to."""
    options = (
        _read(
            "--address",
            read=read_given_address,
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
            help="Leave these of it behind, as .gitignore writes it; may be repeated.",
        ),
        click.option(
            "--pip",
            multiple=True,
            metavar="PACKAGE",
            help="Install this on the nodes first; may be repeated, and name a file of them.",
        ),
    )
    return _with(command, options)


def _with(command: CommandT, options: Sequence[Callable[[CommandT], CommandT]]) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command


def _read(
    *names: str, read: Callable[[str], Any], metavar: str, help: str
) -> Callable[[CommandT], CommandT]:
    def callback(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else read(text)
        except SettingsError as error:
            raise click.BadParameter(error.message) from error

    return click.option(*names, metavar=metavar, callback=callback, help=help)
