"""What is known of how frames were drawn: values that are added up over frames and actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Ways:
    """How frames were drawn.

    Attributes
    ----------
    in_parts
        Frames of which only what changed was drawn.
    in_full
        Frames that were drawn whole, by the reason why. The reasons are a
        fixed set of texts.
    """

    in_parts: int = 0
    in_full: Mapping[str, int] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames drawn either way."""
        return self.in_parts + sum(self.in_full.values())

    def __add__(self, other: Ways) -> Ways:
        in_full = Counter(self.in_full) + Counter(other.in_full)
        return Ways(self.in_parts + other.in_parts, dict(in_full))


@dataclass(frozen=True, slots=True)
class Spent:
    """How often something ran, and for how long.

    Attributes
    ----------
    frames
        Frames in which it ran.
    seconds
        What it took in all of them.
    """

    frames: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.frames + other.frames, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell the user once in a job.

    Attributes
    ----------
    key
        Notes with one key say the same, with other figures.
    text
        What to tell.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """How the frames that show figures were drawn, and where their time went.

    Attributes
    ----------
    ways
        How they were drawn.
    timed
        The frames whose time was taken, and what they took from the beginning
        of the user's code to the finished pixels.
    drawing_s
        Seconds of it that went into drawing figures.
    layouts
        What laying out took, by who did it.
    notes
        What to tell the user. Notes are told as they come: a sum has none.
    """

    ways: Ways = field(default_factory=Ways)
    timed: Spent = field(default_factory=Spent)
    drawing_s: float = 0.0
    layouts: Mapping[str, Spent] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def after(self, other: Account) -> Account:
        """This, and the notes of `other`, whose frames were drawn again."""
        return replace(self, notes=(*other.notes, *self.notes))

    def __add__(self, other: Account) -> Account:
        names = {**self.layouts, **other.layouts}
        none = Spent()
        return Account(
            self.ways + other.ways,
            self.timed + other.timed,
            self.drawing_s + other.drawing_s,
            {name: self.layouts.get(name, none) + other.layouts.get(name, none) for name in names},
        )
