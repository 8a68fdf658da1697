"""Carries matplotlib's settings from the process that made them to those that draw.

A script sets ``rcParams``, registers fonts, colours and more at its top level.
Actors import matplotlib afresh and would draw with the defaults.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayanim.drawing.private import shipped_colormaps
from rayanim.drawing.registries import Additions, apply_additions, capture_additions

LEFT_ALONE = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "webagg.port"})
"""rcParams that belong to a process, not to the look of a figure."""


@dataclass(frozen=True, slots=True)
class Style:
    """What decides the look of a figure beside the code that draws it.

    Attributes
    ----------
    rc
        The ``rcParams`` by name.
    fonts
        Files of the fonts that matplotlib knew.
    colormaps
        Colour maps by name, those that matplotlib does not ship.
    additions
        What else was registered.
    """

    rc: dict[str, Any]
    fonts: tuple[str, ...]
    colormaps: dict[str, Any]
    additions: Additions


def capture_style() -> Style | None:
    """The style of this process, or None where matplotlib was never imported."""
    if "matplotlib" not in sys.modules:
        return None
    import matplotlib as mpl

    # Reading the backend's entry would choose one: it is left out before it is read.
    rc: dict[str, Any] = {
        str(name): mpl.rcParams[name] for name in mpl.rcParams if name not in LEFT_ALONE
    }
    return Style(rc, _known_fonts(), _registered_colormaps(), capture_additions())


def apply_style(style: Style | None) -> None:
    """Make this process draw as the one that `style` was captured in; sets Agg."""
    if style is None:
        return
    import matplotlib as mpl

    mpl.use("agg")
    apply_additions(style.additions)
    mpl.rcParams.update(style.rc)  # type: ignore[arg-type] # its keys are literals there
    for name, colormap in style.colormaps.items():
        mpl.colormaps.register(colormap, name=name, force=name in mpl.colormaps)
    missing = set(style.fonts) - set(_known_fonts(load=bool(style.fonts)))
    for path in sorted(missing):
        if Path(path).is_file():
            sys.modules["matplotlib.font_manager"].fontManager.addfont(path)


def _known_fonts(*, load: bool = False) -> tuple[str, ...]:
    if load:
        import matplotlib.font_manager  # noqa: F401
    manager = sys.modules.get("matplotlib.font_manager")
    if manager is None:
        return ()
    return tuple(sorted({entry.fname for entry in manager.fontManager.ttflist}))


def _registered_colormaps() -> dict[str, Any]:
    if "matplotlib.cm" not in sys.modules:
        return {}
    import matplotlib as mpl

    shipped = shipped_colormaps()
    if shipped is None:
        # Sent whole: a few hundred small objects, and right in any case.
        shipped = frozenset()
    return {name: mpl.colormaps[name] for name in mpl.colormaps if name not in shipped}
