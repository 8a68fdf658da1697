"""A command that takes a script, and what belongs to it after ``--``."""

from __future__ import annotations

from collections.abc import Sequence

import click

SCRIPT_ARGUMENTS = "rayanim.script_arguments"
"""Where a click context keeps what stands after ``--``."""

OWN_ARGUMENTS = "rayanim.own_arguments"
"""Where it keeps what stands before, as it was written."""

NAME_HELP = """NAME chooses among several films: a variable or a class. Of the script's own
calls only those that render it are carried out; where none does, the
definition of that name is rendered. What stands after -- goes to the script."""


class ScriptCommand(click.Command):
    """A command whose words after ``--`` belong to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the script's words apart before click sees them."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[SCRIPT_ARGUMENTS] = tuple(args[at + 1 :])
        ctx.meta[OWN_ARGUMENTS] = tuple(args[:at])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line, with those words."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def words_again(ctx: click.Context, names: Sequence[str]) -> list[str]:
    """The options that the command was given, as words of another command line.

    Parameters
    ----------
    ctx
        A context of a `ScriptCommand`.
    names
        The options that count.
    """
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
