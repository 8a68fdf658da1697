"""matplotlib's private names that this room uses: each of them here, each guarded.

Checked against matplotlib 3.10.0 to 3.11.2. A name that is missing makes the
function that reads it answer None, and its caller do without.

===================================  ==========================================
name                                 what it is used for
===================================  ==========================================
``ColormapRegistry._builtin_cmaps``  tells a script's own colour maps from
                                     those that matplotlib ships
``matplotlib.scale._scale_mapping``  the classes behind the names of axis scales
===================================  ==========================================
"""

from __future__ import annotations

import sys


def shipped_colormaps() -> frozenset[str] | None:
    """Names of the colour maps that matplotlib ships, or None where it does not tell."""
    import matplotlib as mpl

    shipped = getattr(mpl.colormaps, "_builtin_cmaps", None)
    return None if shipped is None else frozenset(shipped)


def scale_classes() -> list[type]:
    """The classes of all axis scales, those of the script included; none where it is not told."""
    known = getattr(sys.modules.get("matplotlib.scale"), "_scale_mapping", {})
    return list(known.values())
