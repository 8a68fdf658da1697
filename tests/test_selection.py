"""What ``--frames`` means, against the plain expansion of its text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.errors import SettingsError
from rayanim.settings import Selection


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A selection's text, and the numbers it stands for."""
    parts: list[str] = []
    numbers: list[int] = []
    following = 0
    for _ in range(draw(st.integers(1, 5))):
        first = following + draw(st.integers(0, 20))
        kind = draw(st.sampled_from(["number", "range", "step"]))
        last = first if kind == "number" else first + draw(st.integers(0, 30))
        step = draw(st.integers(1, 12)) if kind == "step" else 1
        text = {"number": f"{first}", "range": f"{first}-{last}", "step": f"{first}-{last}x{step}"}
        space = draw(st.sampled_from(["", " "]))
        parts.append(space + text[kind].replace("-", space + "-" + space) + space)
        numbers += list(range(first, last + 1, step))
        following = last + 1
    return ",".join(parts), numbers


@given(written(), st.integers(1, 3))
def test_a_selection_is_its_plain_expansion(given_: tuple[str, list[int]], beyond: int) -> None:
    """Numbers, membership, length, negative indices and slices are those of a list."""
    text, numbers = given_
    selection = Selection.parse(text)
    video = numbers[-1] + beyond
    chosen = selection.within(video)
    assert list(chosen) == numbers
    assert [number for number in range(video) if number in selection] == numbers
    assert (len(chosen), chosen[-1], selection.last) == (len(numbers), numbers[-1], numbers[-1])
    assert list(chosen[1:7]) == numbers[1:7]
    assert list(chosen[-3:]) == numbers[-3:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a",
        "-1",
        "1-",
        "5-3",
        "1-9x0",
        "1-9x",
        "3x2",
        "1,1",
        "5,3",
        "0-9,9-12",
        "1.5",
        "1;2",
    ],
)
def test_what_makes_no_sense_is_quoted(text: str) -> None:
    """Wrong forms, empty ranges and numbers that do not ascend are told apart from right ones."""
    with pytest.raises(SettingsError) as caught:
        Selection.parse(text)
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("text", ["10", "0-10", "3,5-50x5"])
def test_frames_beyond_the_end_are_an_error(text: str) -> None:
    """A selection never silently loses frames that the video does not have."""
    with pytest.raises(SettingsError, match="the video has frames 0 to 9"):
        Selection.parse(text).within(10)


@pytest.mark.parametrize("index", [6, -7])
def test_there_is_nothing_outside_a_selection(index: Any) -> None:
    """Indices past the ends raise as a list's do."""
    with pytest.raises(IndexError):
        Selection.parse("0-2,5-7").within(8)[index]
