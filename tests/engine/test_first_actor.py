"""What people read where no actor starts."""

from __future__ import annotations

import pytest

from rayanim.engine.distributed import no_actor_text


@pytest.mark.parametrize(("cpus", "advice"), [(2, "workers=1"), (0, "autoscaler")])
def test_what_to_do_depends_on_what_there_is(cpus: int, advice: str) -> None:
    """Processors that others hold can be freed; where there are none, none were added."""
    text = no_actor_text(4, 120.0, cpus, 0)
    assert "4 were asked for" in text and advice in text
