"""Carries matplotlib's settings from the process that made them to those that draw.

A script sets ``rcParams``, registers fonts, colours and more at its top level.
Actors import matplotlib afresh and would draw with the defaults.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayanim.figure.private import scale_classes, shipped_colormaps

SHIPPED_BY = ("matplotlib.", "mpl_toolkits.")


LEFT_ALONE = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "webagg.port"})
"""rcParams that belong to a process, not to the look of a figure."""


@dataclass(frozen=True, slots=True)
class Style:
    """What decides the look of a figure beside the code that draws it.

    Of colours, colour maps, scales and projections only what matplotlib does not ship.
    """

    rc: dict[str, Any]
    fonts: tuple[str, ...]
    colormaps: dict[str, Any]
    colors: dict[str, Any]
    sequences: dict[str, Any]
    scales: tuple[type, ...]
    projections: tuple[type, ...]
    units: dict[type, Any]
    epoch: str | None


def capture_style() -> Style | None:
    """The style of this process, or None where matplotlib was never imported."""
    if "matplotlib" not in sys.modules:
        return None
    import matplotlib as mpl

    sequences = {}
    if "matplotlib.colors" in sys.modules:
        sequences = {name: mpl.color_sequences[name] for name in mpl.color_sequences}
    return Style(
        # Reading the backend's entry would choose one: it is left out before it is read.
        rc={str(name): mpl.rcParams[name] for name in mpl.rcParams if name not in LEFT_ALONE},
        fonts=_known_fonts(),
        colormaps=_registered_colormaps(),
        colors=_colors(),
        sequences=sequences,
        scales=_own(scale_classes()),
        projections=_own(_projection_classes()),
        units=_units(),
        # Asking for it by its public name would set it for good.
        epoch=getattr(sys.modules.get("matplotlib.dates"), "_epoch", None),
    )


def apply_style(style: Style | None) -> None:
    """Make this process draw as the one that `style` was captured in; sets Agg."""
    if style is None:
        return
    import matplotlib as mpl
    from matplotlib import projections, scale
    from matplotlib.colors import get_named_colors_mapping

    mpl.use("agg")
    get_named_colors_mapping().update(style.colors)
    for name, colors in style.sequences.items():
        if name not in mpl.color_sequences:
            mpl.color_sequences.register(name, colors)
    for each in style.scales:
        scale.register_scale(each)
    for each in style.projections:
        projections.register_projection(each)
    if style.units:
        importlib.import_module("matplotlib.units").registry.update(style.units)
    if style.epoch is not None:
        with contextlib.suppress(RuntimeError):  # this process has one for good
            importlib.import_module("matplotlib.dates").set_epoch(style.epoch)
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


def _colors() -> dict[str, Any]:
    colors = sys.modules.get("matplotlib.colors")
    if colors is None:
        return {}
    shipped = {*colors.BASE_COLORS, *colors.TABLEAU_COLORS, *colors.CSS4_COLORS}
    return {
        name: color
        for name, color in colors.get_named_colors_mapping().items()
        if name not in shipped and not name.startswith("xkcd:")
    }


def _units() -> dict[type, Any]:
    """The converters of units that the script has registered, by the class of its values."""
    module = sys.modules.get("matplotlib.units")
    registry = {} if module is None else module.registry
    own = ("matplotlib", "numpy", "datetime", "decimal", "builtins")
    return {
        kind: converter
        for kind, converter in registry.items()
        if not type(converter).__module__.startswith(own)
    }


def _projection_classes() -> list[type]:
    projections = sys.modules.get("matplotlib.projections")
    if projections is None:
        return []
    return [projections.get_projection_class(name) for name in projections.get_projection_names()]


def _own(classes: list[type]) -> tuple[type, ...]:
    return tuple(each for each in classes if not each.__module__.startswith(SHIPPED_BY))
