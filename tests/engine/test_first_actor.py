"""A node that has to be added is waited for longer than an actor for which there is room."""

from __future__ import annotations

import pytest

from rayanim.engine.distributed import NODE_LIMIT_S, ROOM_LIMIT_S, no_actor_text


def test_a_cluster_without_room_is_given_the_time_to_grow() -> None:
    """From nothing to the first node takes a cloud minutes."""
    assert NODE_LIMIT_S >= 600 > ROOM_LIMIT_S


@pytest.mark.parametrize(("cpus", "advice"), [(2, "workers=1"), (0, "autoscaler")])
def test_what_to_do_depends_on_what_there_is(cpus: int, advice: str) -> None:
    """Processors that others hold can be freed; where there are none, none were added."""
    text = no_actor_text(4, 120.0, cpus, 0)
    assert "4 were asked for" in text and advice in text
