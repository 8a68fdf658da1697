"""Units of time under the name that pympanim gives them."""

from __future__ import annotations

from rayanim.timeline import UNITS, UNITS_LOOKUP

__all__ = ["UNITS", "UNITS_LOOKUP"]
