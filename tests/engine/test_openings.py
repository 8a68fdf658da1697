"""Promises of the account of how actors open their source."""

from __future__ import annotations

from rayanim.engine.scheduler import LIMIT_S, MAX_LOST, MOST_NODES_TRIED, OPENING_FACTOR, Openings


def test_the_first_opening_may_take_for_ever():
    """Nobody knows how long it should take."""
    assert Openings().limit_s == float("inf")


def test_an_opening_may_take_ten_times_the_slowest():
    """And half a minute, however quick the others were."""
    openings = Openings()
    openings.done(0.5)
    assert openings.limit_s == LIMIT_S
    openings.done(60.0)
    openings.done(1.0)
    assert openings.limit_s == 60.0 * OPENING_FACTOR


def test_actors_that_die_are_counted_in_a_row_and_by_nodes():
    """Three on each of a few nodes; one that opens its source makes good for all."""
    openings = Openings(lost=MAX_LOST)
    assert openings.too_many_lost(nodes=0) and openings.too_many_lost(nodes=1)
    assert not openings.too_many_lost(nodes=2)
    openings.lost = MAX_LOST * MOST_NODES_TRIED
    assert openings.too_many_lost(nodes=1000)
    openings.done(1.0)
    assert not openings.too_many_lost(nodes=1)
