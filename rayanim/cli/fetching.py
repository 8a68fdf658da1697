"""Fetches a job's films to this machine, with a bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from rayanim.cli.output import write_text
from rayanim.errors import JobError, OutputError, SettingsError
from rayanim.jobs.client import JobsClient
from rayanim.jobs.fetch import fetch
from rayanim.jobs.job import Job
from rayanim.jobs.offer import Offer
from rayanim.progress.choose import can_show_bar
from rayanim.report import size_text


def targets(films: Sequence[Offer], output: Path | None) -> list[tuple[Offer, Path]]:
    """Where each film goes on this machine.

    Of a film that its job has made again, the last one counts.

    Raises
    ------
    SettingsError
        If two were to go to one file.
    """
    films = list({film.output: film for film in films}.values())
    if output is None:
        return _apart([(film, below_here(film)) for film in films])
    if len(films) > 1:
        names = ", ".join(film.relative for film in films)
        raise SettingsError(f"The job has made more than one film ({names}): leave -o out.")
    return [(films[0], output)]


def _apart(found: list[tuple[Offer, Path]]) -> list[tuple[Offer, Path]]:
    """`found` itself, once each film is known to have a file of its own."""
    taken: dict[Path, Offer] = {}
    for film, target in found:
        first = taken.setdefault(target, film)
        if first is not film:
            raise SettingsError(
                f"{first.output} and {film.output} would both be {str(target)!r} here. They are "
                "still on the cluster; give them different names in the script, or paths that "
                "are relative."
            )
    return found


def below_here(film: Offer) -> Path:
    """Where `film` goes below the current folder.

    Any program of a job can write what its log says: a path that leads out of
    the folder counts for its name alone.

    Raises
    ------
    SettingsError
        If it names no file.
    """
    path = PurePosixPath(film.relative)
    if not path.name or "\0" in film.relative or path.name == "..":
        raise SettingsError(f"The job offers {film.relative!r}, which names no file: give -o.")
    return Path(path.name) if path.is_absolute() or ".." in path.parts else Path(path)


def fetch_films(
    client: JobsClient,
    job: Job,
    films: Sequence[Offer],
    output: Path | None,
    *,
    quiet: bool,
    overwrite: bool = True,
) -> list[Path]:
    """Bring films here.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    JobError
        If a film cannot be had any more.
    OutputError
        If one would replace a file although `overwrite` is False.
    """
    brought = []
    found = targets(films, output)
    if not overwrite:
        check_free(found, client.command(f"fetch {job.submission_id}"))
    for film, target in found:
        if job.node_id is None:
            raise JobError(f"Ray does not know any more on which node {film.output} lies.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _bar(target, film.size_bytes, quiet=quiet) as on_bytes:
            fetch(client, job.node_id, film, target, on_bytes=on_bytes)
        brought.append(target)
        if not quiet:
            told = (
                f"rayanim: {target} was fetched: {size_text(film.size_bytes)}, its hash is right."
            )
            write_text(sys.stderr, told)
    return brought


def check_free(found: Sequence[tuple[Offer, Path]], again: str) -> None:
    """See that no film would replace a file.

    Raises
    ------
    OutputError
        If one would; `again` is the command that brings it all the same.
    """
    for _, target in found:
        if target.exists():
            raise OutputError(
                f"{str(target)!r} exists, and --no-overwrite keeps it. The film is still on the "
                f"cluster: {again} -o FILE"
            )


@contextlib.contextmanager
def _bar(target: Path, size_bytes: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    if quiet or not can_show_bar(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"fetching {target.name}", total=size_bytes)
        yield lambda done_bytes: progress.update(task, completed=done_bytes)
