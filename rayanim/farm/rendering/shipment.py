"""Packs what an actor needs to draw as this process would.

Code from ``__main__`` and from notebooks travels by value. The script's search
path, working folder and matplotlib settings travel with it.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from rayanim.drawing.style import Style, apply_style, capture_style
from rayanim.errors import NotPicklableError, SetupError

if TYPE_CHECKING:
    from rayanim.source import Source

LARGE_BYTES = 64 * 2**20
"""A source above this is worth a warning: every actor holds a copy."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A source that was not opened yet, ready to travel.

    Attributes
    ----------
    pickled
        The source and matplotlib's style, as cloudpickle wrote them.
    search_path
        ``sys.path`` of the process that packed it.
    folder
        Its working folder, where the script's relative paths begin.
    """

    pickled: bytes
    search_path: tuple[str, ...]
    folder: str


def pack(source: Source) -> Shipment:
    """Pack a source that was not opened yet.

    Raises
    ------
    NotPicklableError
        Naming the attribute that cannot travel.
    """
    try:
        pickled = cloudpickle.dumps((source, capture_style()))
    except Exception as error:
        culprit = _culprit(source)
        raise NotPicklableError(
            f"{source.name} cannot be sent to actors: {culprit or error}. Make it in setup() or "
            "start(), which run in the actor, or draw in this process with workers=1.",
            traceback_text=traceback.format_exc(),
        ) from error
    return Shipment(pickled, tuple(sys.path), str(Path.cwd()))


def unpack(shipment: Shipment) -> Source:
    """Make this process fit to draw, then unpack the source.

    Raises
    ------
    SetupError
        If a module that the source needs cannot be imported here, or
        unpickling raises in another way.
    """
    # Before any user code is imported: there may be no display here.
    os.environ["MPLBACKEND"] = "agg"
    sys.path.extend(entry for entry in shipment.search_path if entry not in sys.path)
    if Path(shipment.folder).is_dir():
        os.chdir(shipment.folder)
    try:
        source: Source
        style: Style | None
        source, style = cloudpickle.loads(shipment.pickled)
    except Exception as error:
        raise SetupError(
            f"The source could not be unpickled in the actor: {type(error).__name__}: {error}",
            traceback_text=traceback.format_exc(),
        ) from error
    apply_style(style)
    return source


def large_attributes(source: Source, shipment: Shipment) -> str | None:
    """A warning that names what makes `shipment` large, or None where it is not."""
    if len(shipment.pickled) < LARGE_BYTES:
        return None
    sizes = sorted(((_size(value), name) for name, value in _attributes(source)), reverse=True)
    named = ", ".join(f"{name} ({size / 2**20:.0f} MB)" for size, name in sizes[:3])
    return (
        f"{source.name} takes {len(shipment.pickled) / 2**20:.0f} MB in each actor, most of it "
        f"in {named}. Load it in setup(), or give it frame by frame through param_by_frame."
    )


def _attributes(source: Source) -> list[tuple[str, Any]]:
    """The attributes of the user's own object, or of the adapter where it has none."""
    for name in ("_animator", "_generator", "_function"):
        inner = getattr(source, name, None)
        if inner is not None:
            found = list(getattr(inner, "__dict__", {}).items())
            return [(f"self.{key}", value) for key, value in found] or [(source.name, inner)]
    return list(vars(source).items())


def _culprit(source: Source) -> str | None:
    for name, value in _attributes(source):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            return f"{name} = {value!r:.80} cannot be pickled ({error})"
    return None


def _size(value: Any) -> int:
    try:
        return len(cloudpickle.dumps(value))
    except Exception:  # a size for a message; what cannot be pickled was reported before
        return 0
