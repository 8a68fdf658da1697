"""Tells which fonts matplotlib finds in this process, and which settings it has read."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rayanim.drawing.style import LEFT_ALONE


@dataclass(frozen=True, slots=True)
class FontCensus:
    """The fonts of this process.

    Attributes
    ----------
    families
        Names of all families.
    family
        What ``font.family`` asks for.
    default_file
        The file that is taken for it.
    default_digest
        Names that file's bytes.
    default_is_fallback
        Whether none of the families asked for was found.
    cache_folder
        Where matplotlib keeps its list of fonts.
    cache_is_temporary
        Whether that folder ends with the process, as the usual one cannot be written.
    settings_file
        The ``matplotlibrc`` that was read.
    settings
        What differs in this process from matplotlib's defaults, as text by name.
    """

    families: frozenset[str]
    family: tuple[str, ...]
    default_file: str
    default_digest: str
    default_is_fallback: bool
    cache_folder: str
    cache_is_temporary: bool
    settings_file: str
    settings: dict[str, str]


def take_census() -> FontCensus:
    """Look through matplotlib's fonts and settings; imports matplotlib."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties, fontManager

    found, is_fallback = _default_font()
    family = FontProperties().get_family()
    cache_folder = mpl.get_cachedir()
    return FontCensus(
        families=frozenset(entry.name for entry in fontManager.ttflist),
        family=tuple(family),
        default_file=Path(found).name,
        default_digest=hashlib.blake2b(Path(found).read_bytes(), digest_size=16).hexdigest(),
        default_is_fallback=is_fallback,
        cache_folder=cache_folder,
        cache_is_temporary=_is_temporary(Path(cache_folder)),
        settings_file=mpl.matplotlib_fname(),
        settings=_changed_settings(),
    )


def _default_font() -> tuple[str, bool]:
    """The file of the default font, and whether it only stands in for the ones asked for."""
    from matplotlib.font_manager import FontProperties, findfont

    properties = FontProperties()
    try:
        return str(findfont(properties, fallback_to_default=False)), False
    except ValueError:
        return str(findfont(properties)), True


def _is_temporary(folder: Path) -> bool:
    """Whether matplotlib made `folder` because the usual one cannot be written."""
    # Its name is what matplotlib gives to `tempfile.mkdtemp`.
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("matplotlib-")


def _changed_settings() -> dict[str, str]:
    import matplotlib as mpl

    defaults = mpl.rcParamsDefault
    return {
        str(name): str(mpl.rcParams[name])
        for name in sorted(mpl.rcParams)
        if name not in LEFT_ALONE and mpl.rcParams[name] != defaults[name]
    }
