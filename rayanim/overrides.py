"""What the command line asks of the script that it runs.

`rayanim run` executes a script unchanged; the script's own call of `produce`
or `make_video` renders. That call looks here for what the command's options
put in the place of its own arguments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.errors import SettingsError

if TYPE_CHECKING:
    from rayanim.progress import Progress
    from rayanim.report import Report
    from rayanim.storage.address import Address, Outfile


@dataclass(slots=True, kw_only=True)
class Overrides:
    """Options of the command, and what became of the script's calls.

    Attributes
    ----------
    output
        Takes the place of the script's output file; only one film can have it.
    default_output
        The output file of a call that names none.
    folder
        Where relative paths of the two begin, whatever folder the script goes
        to; None is wherever it is.
    films
        Where all relative paths begin, those that the script names too; None
        leaves them to `folder` and to the script.
    arguments
        Take the place of keyword arguments of `produce`.
    height_px
        Height of the film's frames, the width in proportion; None leaves them.
    quality_fps
        The rate that goes with `height_px`, for sources that can be drawn at
        any instant.
    still_number
        Draw this frame only, as an image.
    dry_run
        Print the plan and render nothing.
    progress
        Who is told how a job goes; None leaves it to the script.
    wanted
        Whether a call that would render this object is carried out; None
        carries out all.
    on_report
        Called with the report of every call that was carried out.
    how_to_resume
        What to tell the user to do to go on after a failure; None leaves it to
        the call.
    calls
        How many films were asked for, those that were passed over left out.
    """

    output: Address | None = None
    default_output: Address | None = None
    folder: Path | None = None
    films: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    height_px: int | None = None
    quality_fps: int | None = None
    still_number: int | None = None
    dry_run: bool = False
    progress: Progress | None = None
    wanted: Callable[[Any], bool] | None = None
    on_report: Callable[[Report], None] | None = None
    how_to_resume: str | None = None
    calls: int = 0

    def target(self, outfile: Outfile | None) -> Outfile | None:
        """The output file of a call that names `outfile`."""
        if self.films is not None:
            return self._below_films(self.output or outfile or self.default_output)
        if self.output is None and outfile is not None:
            return outfile
        path = self.output or self.default_output
        if path is None or self.folder is None or self.folder == Path.cwd():
            return path  # as it was written, for messages
        return self.folder / path

    def _below_films(self, outfile: Outfile | None) -> Outfile | None:
        """`outfile` in the folder for films; an absolute path and a URL stay what they are."""
        if self.films is None or outfile is None:
            return outfile
        from rayanim.storage.address import address_of

        address = address_of(outfile)
        if not isinstance(address, Path):
            return outfile
        target = self.films / address
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def admit(self, thing: Any) -> bool:
        """Count a call that would render `thing`, and say whether it is carried out.

        Raises
        ------
        SettingsError
            If it is the second, and an output file was given for one.
        """
        if self.wanted is not None and not self.wanted(thing):
            return False
        self.calls += 1
        if self.calls > 1 and self.output is not None:
            raise SettingsError(
                f"The script renders more than one film: -o {self.output} went to the first. "
                "Leave -o out, or choose one by its NAME after the script."
            )
        return True


# Of the process, not of a context: the script's threads are under the command too.
_in_force: list[Overrides] = []


def current() -> Overrides:
    """The overrides in force; empty ones outside of the command line."""
    return _in_force[-1] if _in_force else Overrides()


@contextlib.contextmanager
def overriding(overrides: Overrides) -> Iterator[Overrides]:
    """Put `overrides` in force for the calls made inside."""
    _in_force.append(overrides)
    try:
        yield overrides
    finally:
        _in_force.remove(overrides)
