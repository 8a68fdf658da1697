"""Tells people and programs how far a job is: bars, lines, callbacks, JSON."""

from rayanim.progress.choose import choose_progress
from rayanim.progress.notebook import NotebookProgress
from rayanim.progress.plain import (
    BothProgress,
    CallbackProgress,
    JsonProgress,
    LineProgress,
    NoProgress,
)
from rayanim.progress.protocol import Progress, ProgressState
from rayanim.progress.terminal import BarProgress

__all__ = [
    "BarProgress",
    "BothProgress",
    "CallbackProgress",
    "JsonProgress",
    "LineProgress",
    "NoProgress",
    "NotebookProgress",
    "Progress",
    "ProgressState",
    "choose_progress",
]
