"""An unexpected error of Ray becomes one clear message."""

from __future__ import annotations

import pytest

from rayanim.engine.ray_session import ray_errors_explained
from rayanim.errors import EncodeError, FarmError

# As Ray's own, which this test need not load.
StoreFull = type("ObjectStoreFullError", (Exception,), {"__module__": "ray.exceptions"})


def test_an_unexpected_error_of_ray_is_one_message() -> None:
    """No traceback of Ray's reaches a person."""
    with (
        pytest.raises(FarmError, match=r"^Ray failed \(ObjectStoreFullError: no room\)"),
        ray_errors_explained(),
    ):
        raise StoreFull("no room\nmore of it")


@pytest.mark.parametrize("error", [EncodeError("disk full"), KeyError("x"), KeyboardInterrupt()])
def test_all_else_stays_as_it_is(error: BaseException) -> None:
    """Ours has its message already; a slip of ours is not Ray's."""
    with pytest.raises(type(error)) as caught, ray_errors_explained():
        raise error
    assert caught.value is error
