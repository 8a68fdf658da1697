"""Which transport is taken, and why."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from rayanim.engine.local import choose_transport
from rayanim.errors import SettingsError
from rayanim.settings import VideoSettings
from rayanim.video.codecs import make_spec
from rayanim.video.spec import StreamSpec


def spec(suffix: str = ".mp4", **settings: Any) -> StreamSpec:
    return make_spec(suffix, VideoSettings(**settings), (64, 48), Fraction(30))


NOT_JOINABLE = {
    "bit rate": (spec(bitrate=500.0), "a bit rate holds over the whole video"),
    "alpha": (spec(".webm", pixel_format="yuva420p"), "transparency"),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_segments_are_taken_where_they_can_be_joined(suffix: str) -> None:
    """Whatever the container."""
    assert choose_transport(spec(suffix), "auto")[0] == "segments"


@pytest.mark.parametrize("name", NOT_JOINABLE)
def test_what_cannot_be_joined_is_handed_over_as_frames(name: str) -> None:
    """With the reason; where segments are asked for all the same, it is an error."""
    stream, reason = NOT_JOINABLE[name]
    transport, why = choose_transport(stream, "auto")
    assert transport == "frames"
    assert reason in why
    with pytest.raises(SettingsError, match=rf"transport='segments' .*{reason}.* Use 'frames'"):
        choose_transport(stream, "segments")


def test_what_is_asked_for_is_taken() -> None:
    """And said to have been asked for."""
    assert choose_transport(spec(), "frames") == ("frames", "transport='frames' was asked for")
    assert choose_transport(spec(), "segments")[1] == "transport='segments' was asked for"
