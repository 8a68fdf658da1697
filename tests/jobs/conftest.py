"""One cluster for all tests of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.head import Cluster, started_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and a second node, with a token."""
    pytest.importorskip(
        "ray.dashboard.optional_deps",
        reason="a cluster that takes jobs needs pip install '.[cluster]'",
        exc_type=ImportError,
    )
    home: Path = tmp_path_factory.mktemp("home")
    with started_cluster(home) as found:
        yield found
