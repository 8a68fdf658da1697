"""Tests of many cases of which a few are enough by default; ``-m slow`` runs the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """The cases of `parametrize`: those not in `quick` are marked as slow."""
    slow = pytest.mark.slow
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    keys = [row if len(row) > 1 else row[0] for row in rows]
    missing = [key for key in quick if key not in keys]
    assert not missing, f"no such cases: {missing}"
    return [
        pytest.param(*row, marks=() if key in quick else slow)
        for row, key in zip(rows, keys, strict=True)
    ]
