"""Promises of the account of nodes: which is left out, and what is not drawn there again."""

from __future__ import annotations

from rayanim.engine.scheduler import FORGIVEN_BY, MAX_FAILURES, NodeBook


def book_of(*nodes):
    book = NodeBook()
    for node in nodes:
        book.seen(node)
    return book


def test_a_node_is_left_out_after_three_failures():
    """Not before, and with what happened there."""
    book = book_of("a", "b")
    assert [book.failed("a", "died") for _ in range(MAX_FAILURES - 1)] == [None, None]
    exclusion = book.failed("a", "died at last")
    assert (exclusion.node, exclusion.failures, exclusion.why) == ("a", 3, "died at last")
    assert book.left_out == ["a"]


def test_no_node_is_left_out_where_all_do_badly():
    """Then the video is at fault, which ends it by its segments."""
    book = book_of("a", "b")
    for _ in range(10):
        assert book.failed("a", "died") is None
        assert book.failed("b", "died") is None
    assert book.left_out == []


def test_the_only_node_is_never_left_out():
    """Somebody has to draw."""
    book = book_of("a")
    assert [book.failed("a", "died") for _ in range(10)] == [None] * 10


def test_what_a_node_drew_makes_good_for_what_it_lost():
    """A machine of a long job may fail now and then."""
    book = book_of("a", "b")
    for _ in range(20):
        assert book.failed("a", "died") is None
        for index in range(FORGIVEN_BY):
            book.drawn("a", index)


def test_a_failure_of_full_weight_leaves_a_node_out_at_once():
    """One that never opened the source, where others did."""
    assert book_of("a", "b").failed("a", "hung", weight=MAX_FAILURES) is not None


def test_a_segment_is_not_drawn_again_where_it_failed():
    """While there is another node; it is forgotten once the segment is drawn."""
    book = book_of("a", "b")
    book.failed("a", "died", index=7)
    assert book.to_avoid("a", {"a", "b"}) == {7}
    assert book.to_avoid("b", {"a", "b"}) == frozenset()
    assert book.to_avoid("a", {"a"}) == frozenset()
    book.drawn("b", 7)
    assert book.to_avoid("a", {"a", "b"}) == frozenset() and not book.has_failures


def test_a_failure_that_nobody_can_place_is_no_nodes():
    """An actor may die before it has said where it lives."""
    book = book_of("a", "b")
    assert [book.failed(None, "died") for _ in range(10)] == [None] * 10
    assert book.left_out == []
