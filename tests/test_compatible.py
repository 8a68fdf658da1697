"""The helpers of the two older packages are found under their modules' names."""

from __future__ import annotations

import logging

import matplotlib as mpl
import pytest

import rayanim
from rayanim import timeline, util, utils


def test_util_holds_the_helpers_of_parallel_animate() -> None:
    """The choice of data frames is rayanim's own; the style is set, and nothing is drawn."""
    assert util.get_rendered_frame_ids is rayanim.get_rendered_frame_ids
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    try:
        with mpl.rc_context():
            util.configure_matplotlib_style()
            assert mpl.rcParams["font.family"] == ["Arial"]
            assert mpl.rcParams["pdf.fonttype"] == 42
            assert mpl.rcParams["path.simplify_threshold"] == 1.0
            assert not log.isEnabledFor(logging.WARNING)
    finally:
        log.setLevel(before)


@pytest.mark.parametrize(("name", "milliseconds"), [("ms", 1), ("sec", 1000), ("days", 86_400_000)])
def test_utils_holds_pympanim_s_units(name: str, milliseconds: int) -> None:
    """Names and lengths in milliseconds, the very table that times are read with."""
    assert utils.UNITS_LOOKUP[name] == milliseconds
    assert any(name in names and length == milliseconds for names, length in utils.UNITS)
    assert utils.UNITS_LOOKUP is timeline.UNITS_LOOKUP
