"""Makes the command line that goes on from the parts of another one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rayanim.masking import HIDDEN, masked

NAME_OPTION = "--submission-id"

RUNTIME_ENV = "--runtime-env-json"
"""The variables in its value may hold keys, and a command line that is shown ends in logs.
What is hidden is no JSON any more: a line that is pasted says so."""


def resuming(command: Sequence[str]) -> str:
    """The command line that goes on from the parts of this one, without secrets.

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
