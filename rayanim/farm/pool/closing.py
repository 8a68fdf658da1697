"""Lets the user's ``finish()`` run in actors that leave, and waits for that within limits."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from rayanim.errors import RayanimError
from rayanim.farm.connection.blame import ANSWER_LIMIT_S

FINISH_LIMIT_S = 60.0
"""What the user's ``finish()`` may take in an actor before it is ended."""

SILENT_LIMIT_S = 5.0
"""What it may take, after that, on a node that says nothing."""


class Closing:
    """Actors that were told to close their source."""

    def __init__(self) -> None:
        # By what they were asked: who they are, and where.
        self._asked: dict[Any, tuple[Any, str | None]] = {}

    def add(self, handle: Any, node: str | None) -> None:
        """Tell an actor to close its source, after all that it was told before."""
        self._asked[handle.close.remote()] = handle, node

    def kill(self) -> None:
        """End those that have not answered; nothing is waited for any more."""
        import ray

        for handle, _ in self._asked.values():
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        self._asked.clear()

    def wait(self, silent_nodes: Collection[str]) -> list[RayanimError]:
        """How closing failed in those that answered in time; the others are ended.

        Parameters
        ----------
        silent_nodes
            Nodes of which little is to be expected.
        """
        import ray

        likely = [ref for ref, (_, node) in self._asked.items() if node not in silent_nodes]
        unlikely = [ref for ref, (_, node) in self._asked.items() if node in silent_nodes]
        ready: list[Any] = []
        for refs, limit_s in ((likely, FINISH_LIMIT_S), (unlikely, SILENT_LIMIT_S)):
            if refs:
                ready += ray.wait(refs, num_returns=len(refs), timeout=limit_s)[0]
        failures: list[RayanimError] = []
        for ref in ready:
            del self._asked[ref]
            # An actor that is gone by now has nothing more to say.
            with contextlib.suppress(ray.exceptions.RayError):
                failure = ray.get(ref, timeout=ANSWER_LIMIT_S)
                if failure is not None:
                    failures.append(failure)
        self.kill()
        return failures
