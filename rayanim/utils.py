"""Where scripts written for pympanim find its units of time."""

from __future__ import annotations

from rayanim.timeline import UNITS, UNITS_LOOKUP

__all__ = ["UNITS", "UNITS_LOOKUP"]
