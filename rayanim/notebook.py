"""In a notebook: `rayanim.show`, and which figures a cell shows."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayanim.errors import OutputError, SettingsError
from rayanim.overrides import current
from rayanim.player import IMAGE_TYPES, VIDEO_TYPES, Player, media_type
from rayanim.report import Report
from rayanim.storage.address import Outfile, Url, address_of
from rayanim.tracebacks import called_by_users


@called_by_users
def show(source: Any, outfile: Outfile | None = None, **options: Any) -> Player | Report:
    """Render a video and show it in a notebook, where this is a cell's last line.

    Parameters
    ----------
    source
        What `rayanim.produce` takes: an `Animator`, an animation of matplotlib's, a function
        and so on. Or a video that is there: its path, or the report of its job.
    outfile
        Where the video is kept; None keeps it in the notebook alone.
    **options
        Further options of `rayanim.produce`; figures keep their own `dpi` where it is not given.

    Returns
    -------
    Player or Report
        What the notebook shows: an HTML5 video with a bar that steps by frames; with an
        `outfile` the report, which shows the same and the summary. A ``display(...)`` shows
        it in the middle of a cell.

    Raises
    ------
    OutputError
        If there is no such file, or browsers do not show it.
    RayanimError
        As `rayanim.produce` does.

    Examples
    --------
    >>> rayanim.show(animation)  # doctest: +SKIP
    >>> rayanim.show("wave.mp4")  # doctest: +SKIP
    """
    from rayanim.render import produce

    if isinstance(source, Report):
        source = source.output
    if isinstance(source, str | os.PathLike | Url):
        if options or outfile is not None:
            names = ", ".join(sorted(options) or ["outfile"])
            raise SettingsError(
                f"{str(source)!r} is a video that is there: {names} would have no effect."
            )
        return Player(_checked(source))
    options = {"dpi": None, **options}
    # In the temporary folder it would be lost to a command that has a place for it.
    if outfile is not None or current().default_output is not None:
        return produce(source, outfile=outfile, **options)
    name = getattr(source, "__name__", type(source).__name__).strip("<>")
    with tempfile.TemporaryDirectory(prefix="rayanim-show-") as folder:
        with nothing_to_resume(folder):
            report = produce(source, outfile=Path(folder, f"{name}.mp4"), **options)
        return shown_report(report, Path(folder))


@contextlib.contextmanager
def nothing_to_resume(folder: str) -> Iterator[None]:
    """Leave out of an exception the note on segments in a folder that is about to go."""
    try:
        yield
    except BaseException as error:
        notes = getattr(error, "__notes__", [])
        notes[:] = [each for each in notes if folder not in each]
        raise


def _checked(video: Outfile) -> Path:
    path = address_of(video)
    if isinstance(path, Url):
        raise OutputError(
            f"{path} is in a store, and a notebook shows files. Copy it to this machine first."
        )
    if not path.is_file():
        raise OutputError(f"There is no video {str(path)!r}.")
    if media_type(path) is None:
        known = ", ".join((*VIDEO_TYPES, *IMAGE_TYPES))
        raise OutputError(f"Browsers do not show {str(path)!r}. They show {known}.")
    return path


def shown_report(report: Report, folder: Path) -> Player | Report:
    """What a notebook shows: the report, but the video alone if it is in the temporary `folder`."""
    output = report.output
    if isinstance(output, Path) and output.parent == folder and output.exists():
        return Player(output, embedded=True)
    return report


@contextlib.contextmanager
def figures_held_back() -> Iterator[None]:
    """Have ``plt.show()`` do nothing: a notebook shows at the cell's end the figures left open."""
    from matplotlib import pyplot

    from rayanim.figure.private import replaced

    with replaced((pyplot, "show", _shows_nothing)):
        yield


def _shows_nothing(show: Any) -> Any:
    @functools.wraps(show)
    def shows_nothing(*args: Any, **kwargs: Any) -> None:
        """Nothing."""

    return shows_nothing
