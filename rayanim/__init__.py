"""Turns Python drawing code into video, as fast as the machines at hand allow.

Names are loaded when they are first used, so that ``import rayanim`` loads
neither Ray nor matplotlib nor FFmpeg.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayanim.animator import Animator, get_rendered_frame_ids
    from rayanim.errors import (
        ClusterError,
        EncodeError,
        EncoderLostError,
        FarmError,
        FarmSilentError,
        FarmStartError,
        FrameError,
        JobError,
        NotPicklableError,
        OutputError,
        PackageError,
        ParametersError,
        PartsError,
        RayanimError,
        ResumeError,
        ScriptError,
        SegmentLostError,
        SettingsError,
        SetupError,
    )
    from rayanim.notebook import show
    from rayanim.parameters import IndexedFrameParams
    from rayanim.patching import patch, save, unpatch
    from rayanim.render import produce
    from rayanim.report import Report
    from rayanim.settings import ClusterSettings, PerformanceSettings

__version__ = "0.1.0"

_ROOMS = ("acts", "easing", "frame_gen", "timeline")

__all__ = [
    "Animator",
    "ClusterError",
    "ClusterSettings",
    "EncodeError",
    "EncoderLostError",
    "FarmError",
    "FarmSilentError",
    "FarmStartError",
    "FrameError",
    "IndexedFrameParams",
    "JobError",
    "NotPicklableError",
    "OutputError",
    "PackageError",
    "ParametersError",
    "PartsError",
    "PerformanceSettings",
    "RayanimError",
    "Report",
    "ResumeError",
    "ScriptError",
    "SegmentLostError",
    "SettingsError",
    "SetupError",
    "__version__",
    "get_rendered_frame_ids",
    "patch",
    "produce",
    "save",
    "show",
    "unpatch",
]

_HOMES = {name: "errors" for name in __all__ if name.endswith("Error")} | {
    "Animator": "animator",
    "ClusterSettings": "settings",
    "IndexedFrameParams": "parameters",
    "PerformanceSettings": "settings",
    "Report": "report",
    "get_rendered_frame_ids": "animator",
    "load_ipython_extension": "cli.magic",
    "patch": "patching",
    "produce": "render",
    "save": "patching",
    "show": "notebook",
    "unpatch": "patching",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"rayanim.{name}")
    if name in _HOMES:
        value = getattr(import_module(f"rayanim.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rayanim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})


if "matplotlib.animation" in sys.modules:
    # The writer that ``animation.save(..., writer="rayanim")`` looks for.
    import_module("rayanim.patching").register_writer()
