"""Lets matplotlib itself draw only what changed: ``matplotlib.use("module://rayanim.figure.backend")``."""

from __future__ import annotations

from matplotlib.backend_bases import FigureManagerBase

from rayanim.figure.canvas import IncrementalCanvas

FigureCanvas = IncrementalCanvas
FigureManager = FigureManagerBase
