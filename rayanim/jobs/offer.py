"""Offers a finished film to the machine that submitted its job, on the node where it lies.

Ray's dashboard serves the files of each node's log folder, and follows links
in it. So a link is all that it takes: nothing is copied.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rayanim.jobs.request import JOB, LOG_FOLDER

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Offer:
    """A film that can be fetched.

    Attributes
    ----------
    output
        Where it lies on its node.
    relative
        Its path below the folder for films; its name where it lies elsewhere.
    name
        Where it can be found in the node's log folder.
    size_bytes, sha256
        What it is.
    newlines
        How many bytes of it are newlines. Ray's dashboard gives a file from its
        n-th line on, and so from wherever a broken connection has stopped,
        although a film has no lines.
    ends_with_newline
        Whether its last byte is one.
    """

    output: str
    relative: str
    name: str
    size_bytes: int
    sha256: str
    newlines: int
    ends_with_newline: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a job's log tells them."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The offer that a job's log tells."""
        return cls(**{name: values[name] for name in cls.__slots__})


def offer(film: Path, films: Path) -> Offer | None:
    """Offer `film`, which lies on this node; None where this is no job's driver.

    Parameters
    ----------
    film
        The finished file, absolute.
    films
        The folder for films.
    """
    logs, job = os.environ.get(LOG_FOLDER), os.environ.get(JOB)
    if not logs or not job or not film.is_file():
        return None
    name = f"{job}-{hashlib.sha256(str(film).encode()).hexdigest()[:8]}{film.suffix}"
    _link(Path(logs) / name, film.resolve())
    relative = film.relative_to(films) if film.is_relative_to(films) else Path(film.name)
    return _described(film, relative.as_posix(), name)


def _link(link: Path, film: Path) -> None:
    try:
        link.symlink_to(film)
    except FileExistsError:
        link.unlink()
        link.symlink_to(film)


def _described(film: Path, relative: str, name: str) -> Offer:
    digest, newlines, size_bytes, last = hashlib.sha256(), 0, 0, b""
    with film.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            newlines += block.count(b"\n")
            size_bytes += len(block)
            last = block[-1:]
    found = digest.hexdigest()
    return Offer(str(film), relative, name, size_bytes, found, newlines, last == b"\n")
