"""Helper functions under the name that parallel-matplotlib-animation gives them."""

from __future__ import annotations

import logging

from rayanim.animator import get_rendered_frame_ids

__all__ = ["configure_matplotlib_style", "get_rendered_frame_ids"]


def configure_matplotlib_style() -> None:
    """Set the font Arial, editable text in PDFs and the ``fast`` style, for all processes.

    If Arial is not installed, matplotlib uses its default font, without a
    warning for every text.
    """
    import matplotlib as mpl
    import matplotlib.style

    matplotlib.style.use("fast")
    mpl.rcParams["font.family"] = "Arial"
    mpl.rcParams["pdf.fonttype"] = 42
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
