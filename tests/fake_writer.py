"""A writer that does what a test wants; actors import it from here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayanim.engine.plan import Segment
from rayanim.errors import EncodeError


@dataclass(frozen=True)
class FakeWriter:
    """Writes what it is given, or fails in the way that a test wants."""

    path: Path
    how: str = ""
    width: int = 1
    patience_s: float = 120.0

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def open(self) -> None:
        if self.how == "cannot open":
            raise EncodeError("no such disk")

    def put(self, segment: Segment, payload: Any) -> int:
        if self.how == "is wrong":
            raise ValueError("no such segment")
        time.sleep(0.5)
        self.path.with_suffix(".part").write_bytes(payload)
        return len(payload)

    def found(self, indices: Iterable[int]) -> None:
        """Nothing is joined."""

    def finish(self, n_frames: int) -> int:
        """Write a little, again and again, for longer than an answer may take, or never."""
        for _ in range(15):
            time.sleep(0.1)
            if self.how != "stands still":
                with self.path.open("ab") as file:
                    file.write(b"x")
        return self.path.stat().st_size if self.path.exists() else 0
