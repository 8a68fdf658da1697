"""What arrives in any order leaves in order, once, as soon as it can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.scheduler import Ordering, Prefix


@given(st.permutations(range(15)), st.integers(0, 100))
def test_every_permutation_leaves_in_order(order: list[int], first: int) -> None:
    """Each item is released as soon as all before it have come, and none is kept."""
    ordering: Ordering[str] = Ordering(first)
    released: list[str] = []
    arrived: set[int] = set()
    for index in order:
        arrived.add(index)
        released += ordering.put(first + index, f"item {index}")
        in_order = next(each for each in range(16) if each not in arrived)
        assert released == [f"item {each}" for each in range(in_order)]
        assert len(ordering) == len(arrived) - in_order


@pytest.mark.parametrize("index", [0, 2])
def test_an_item_comes_once(index: int) -> None:
    """One that was released, and one that waits, are both refused a second time."""
    ordering: Ordering[str] = Ordering()
    ordering.put(0, "first")
    ordering.put(2, "third")
    with pytest.raises(ValueError, match=f"item {index} came twice"):
        ordering.put(index, "again")
    assert ordering.put(1, "second") == ["second", "third"]


@given(st.lists(st.integers(0, 12)), st.data())
def test_a_prefix_is_taken_once_without_a_gap(indices: list[int], data: st.DataObject) -> None:
    """In whatever order they come and are taken, and however often one comes."""
    prefix, arrived, taken = Prefix(), set[int](), list[int]()
    for index in indices:
        assert prefix.add(index) == (index not in arrived)
        arrived.add(index)
        if data.draw(st.booleans()):
            is_ready = prefix.is_ready
            run = prefix.take()
            assert is_ready == bool(run)
            taken += run
    taken += prefix.take()
    assert taken == list(range(next(each for each in range(14) if each not in arrived)))
    assert (prefix.next, prefix.is_ready) == (len(taken), False)
