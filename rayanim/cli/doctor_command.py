"""Prints what the doctor found, for people or for programs."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, TextIO, cast

from rayanim.cli.printing import (
    FAILED,
    exiting_on_failure,
    stdout_kept_clean,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from rich.console import Console

    from rayanim.doctor.facts import Finding
    from rayanim.doctor.nodes import Examination

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
ASCII_MARKS = {"ok": "+", "warning": "!", "error": "x"}
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def run_doctor(address: str | None, *, as_json: bool, limit_s: float) -> int:
    """Examine, print, and give the exit code.

    0 without errors, 1 with errors, 2 where `address` is none.
    """
    # matplotlib and Ray print remarks of their own.
    with exiting_on_failure(), stdout_kept_clean() as stdout:
        from rayanim.doctor.nodes import examine

        found = examine(address, limit_s=limit_s)
        exit_code = 0 if found.is_well else FAILED
        if as_json:
            _print_json(stdout, found, exit_code)
        else:
            _print_text(stdout, found)
    return exit_code


def _print_json(stdout: TextIO, found: Examination, exit_code: int) -> None:
    for each in found.findings:
        write_json(stdout, "finding", each.to_dict())
    values = {"summary": found.summary, "exit_code": exit_code, **found.facts()}
    write_json(stdout, "examination", values)


def _print_text(stdout: TextIO, found: Examination) -> None:
    """Sections of lines; in colour on a terminal, in ASCII where the stream knows no more."""
    from rich.console import Console

    from rayanim.progress.base import QuietStream, is_terminal

    stream = cast("IO[str]", QuietStream(stdout))
    console = Console(file=stream, highlight=False, soft_wrap=not is_terminal(stdout))
    _section(console, f"This machine ({found.here.machine.host})", found.of_machine)
    if found.cluster is not None:
        _section(console, f"The cluster at {found.cluster.address}", found.of_cluster)
    write_text(stdout, found.summary)


def _section(console: Console, title: str, findings: tuple[Finding, ...]) -> None:
    from rich.text import Text

    marks = MARKS if _shows(console, "".join(MARKS.values())) else ASCII_MARKS
    console.print(title, style="bold", markup=False)
    width = max(len(each.topic) for each in findings)
    for each in findings:
        where = f"{each.where}: " if each.where else ""
        line = Text("  ").append(marks[each.level], COLOURS[each.level])
        console.print(line.append(f" {each.topic:<{width}}  {where}{each.text}"))
        if each.remedy:
            console.print(Text(f"    {'':<{width}}  To do: {each.remedy}."))
    console.print()


def _shows(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
