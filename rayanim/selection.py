"""Reads which frames are wanted, as in ``0-99``, ``3,5-10`` or ``1-100x5``."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rayanim.errors import SettingsError

_PART = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*(?:x\s*(\d+)\s*)?)?")


@dataclass(frozen=True, slots=True)
class Selection:
    """Numbers of frames, ascending.

    Parameters
    ----------
    parts
        Ranges that do not overlap, ascending.
    text
        What the user wrote, for messages.
    """

    parts: tuple[range, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read numbers and inclusive ranges, separated by commas, a step after ``x``.

        Raises
        ------
        SettingsError
            If `text` is not of that form, or does not ascend.
        """
        parts = tuple(_parse_part(part, text) for part in str(text).split(","))
        for before, after in pairwise(parts):
            if after[0] <= before[-1]:
                raise SettingsError(
                    f"frames {text!r}: {after[0]} comes after {before[-1]}. "
                    "List frames in ascending order, each once."
                )
        return cls(parts, str(text))

    @property
    def last(self) -> int:
        """The highest number."""
        return self.parts[-1][-1]

    def __contains__(self, number: object) -> bool:
        return any(number in part for part in self.parts)

    def within(self, n_frames: int) -> Sequence[int]:
        """The numbers, checked against a film of `n_frames` frames.

        Raises
        ------
        SettingsError
            If one is not below `n_frames`.
        """
        if self.last >= n_frames:
            raise SettingsError(
                f"frames {self.text!r}: there is no frame {self.last}; "
                f"the film has frames 0 to {n_frames - 1}."
            )
        return self.parts[0] if len(self.parts) == 1 else _Chained(self.parts)


class _Chained(Sequence[int]):
    """Ranges one after the other, without listing their numbers."""

    def __init__(self, parts: tuple[range, ...]) -> None:
        self._parts = parts
        self._ends = [sum(map(len, parts[: at + 1])) for at in range(len(parts))]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        index = at % len(self)
        which = bisect_left(self._ends, index + 1)
        before = self._ends[which - 1] if which else 0
        return self._parts[which][index - before]


def _parse_part(part: str, text: str) -> range:
    found = _PART.fullmatch(part)
    if not found:
        raise SettingsError(f"frames must be such as '0-99', '3,5-10' or '1-100x5', got {text!r}.")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    step = 1 if found[3] is None else int(found[3])
    if step < 1 or last < first:
        raise SettingsError(
            f"frames {text!r}: {part.strip()!r} holds no frame; write first-last, ends included."
        )
    return range(first, last + 1, step)
