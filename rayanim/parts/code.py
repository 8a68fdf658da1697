"""Tells compiled code apart, for what was typed or made by ``exec`` and has no file."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any


def codes_of(bearer: type | types.FunctionType) -> list[types.CodeType]:
    """The code of a function, or of all that stands in a class, by name."""
    if isinstance(bearer, types.FunctionType):
        return [bearer.__code__]
    entries = sorted(vars(bearer).items(), key=lambda entry: entry[0])
    return [code for _name, value in entries for code in _codes_in(value, bearer)]


def _codes_in(value: Any, owner: type) -> Iterator[types.CodeType]:
    if isinstance(value, types.FunctionType):
        yield value.__code__
    elif isinstance(value, staticmethod | classmethod):
        yield from _codes_in(value.__func__, owner)
    elif isinstance(value, property):
        for each in (value.fget, value.fset, value.fdel):
            yield from _codes_in(each, owner)
    elif isinstance(value, type) and value.__qualname__ == f"{owner.__qualname__}.{value.__name__}":
        yield from codes_of(value)


def code_text(code: types.CodeType) -> str:
    """What decides what `code` does, without where it stood: names, constants, instructions."""
    parts = [
        code.co_name,
        repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)),
        repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        code.co_code.hex(),
        *map(_constant_text, code.co_consts),
    ]
    return "\n".join(parts)


def names_in(code: types.CodeType) -> set[str]:
    """Names that `code`, and what is defined in it, may look up."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(names_in, inner))


def _constant_text(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return f"({code_text(value)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant_text, value))})"
    if isinstance(value, frozenset):
        # Their order differs from run to run.
        return f"{{{', '.join(sorted(map(_constant_text, value)))}}}"
    return repr(value)
