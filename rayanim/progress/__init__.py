"""Shows people and programs how far a job is: bars, lines, callbacks, JSON."""

from rayanim.progress.base import Progress, ProgressState
from rayanim.progress.reporters import (
    BarProgress,
    BothProgress,
    CallbackProgress,
    JsonProgress,
    LineProgress,
    NoProgress,
    NotebookProgress,
    choose_progress,
)

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
