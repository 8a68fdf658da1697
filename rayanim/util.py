"""Where scripts written for parallel-matplotlib-animation find its helpers."""

from __future__ import annotations

import logging

from rayanim.animator import get_rendered_frame_ids

__all__ = ["configure_matplotlib_style", "get_rendered_frame_ids"]


def configure_matplotlib_style() -> None:
    """Set Arial, text as text in PDFs and the ``fast`` style, for this process and its actors.

    Where Arial is not installed matplotlib takes its own font, without a
    warning for every text.
    """
    import matplotlib as mpl
    import matplotlib.style

    matplotlib.style.use("fast")
    mpl.rcParams["font.family"] = "Arial"
    mpl.rcParams["pdf.fonttype"] = 42
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
