"""Actors and nodes over time: each change, the time that nodes were held, and a bound on both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.stats import MOST_SIZES, FleetUse
from rayanim.report import FleetSize


def test_each_change_is_kept_once() -> None:
    """Looks between two changes add nothing; a job without actors has no history."""
    use = FleetUse()
    use.note(1.0, 0, 0)
    assert use.sizes == []
    for at_s, actors, nodes in [(2.0, 0, 1), (3.0, 1, 1), (4.0, 1, 1), (5.0, 0, 0)]:
        use.note(at_s, actors, nodes)
    assert use.sizes == [FleetSize(2.0, 0, 1), FleetSize(3.0, 1, 1), FleetSize(5.0, 0, 0)]


def test_nodes_are_paid_for_as_long_as_they_are_held() -> None:
    """Two nodes for an hour and one for another half are two and a half node-hours."""
    use = FleetUse()
    use.note(100.0, 8, 2)
    use.note(1900.0, 7, 2)
    use.note(3700.0, 4, 1)
    use.note(5500.0, 0, 0)
    use.note(9000.0, 0, 0)
    assert use.node_hours == pytest.approx(2.5)
    assert use.nodes_peak == 2


@given(
    st.lists(
        st.tuples(st.floats(0.01, 40), st.integers(0, 99), st.integers(0, 9)),
        min_size=1,
        max_size=3 * MOST_SIZES,
    )
)
def test_the_history_of_a_long_job_is_bounded(steps: list[tuple[float, int, int]]) -> None:
    """What is told has the right order, peak, time and end, however much came and went."""
    use, at_s, node_s = FleetUse(), 0.0, 0.0
    nodes = 0
    for after_s, actors, now in steps:
        at_s, node_s = at_s + after_s, node_s + after_s * nodes
        nodes = now
        use.note(at_s, actors, nodes)
    assert len(use.sizes) <= MOST_SIZES
    assert [size.at_s for size in use.sizes] == sorted({size.at_s for size in use.sizes})
    assert use.node_s == pytest.approx(node_s)
    assert use.nodes_peak == max(step[2] for step in steps)
    if use.sizes:
        assert (use.sizes[-1].actors, use.sizes[-1].nodes) == steps[-1][1:]


def test_what_is_thinned_keeps_its_shape() -> None:
    """A thousand actors that come one by one are told in steps that all are near the truth."""
    use = FleetUse()
    for number in range(1, 10 * MOST_SIZES):
        use.note(0.5 * number, number, 1)
    assert len(use.sizes) > MOST_SIZES / 4
    assert all(0 <= size.actors - 2 * size.at_s <= 2 * use.step_s for size in use.sizes)
