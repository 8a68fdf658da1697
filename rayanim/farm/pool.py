"""Holds the render actors: asks for them, gives them segments, sees them die."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rayanim.errors import FarmStartError, NotPicklableError, RayanimError
from rayanim.farm.actors import DrawnMeta, Hello, RenderActor, remote
from rayanim.farm.plan import Segment

MAX_STARTS_LOST = 3
"""Actors that may die while they start, in a row, before the job ends."""


@dataclass(slots=True)
class Member:
    """One render actor as the driver sees it."""

    number: int
    handle: Any
    hello_ref: Any
    pid: int | None = None
    held: deque[Segment] = field(default_factory=deque)
    leaving: bool = False

    @property
    def alive(self) -> bool:
        return self.pid is not None


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor has answered and can draw."""

    number: int


@dataclass(frozen=True, slots=True)
class SegmentDrawn:
    """An actor has drawn a segment; its pixels stay where they are."""

    segment: Segment
    meta: DrawnMeta
    payload_ref: Any


@dataclass(frozen=True, slots=True)
class Died:
    """An actor is gone.

    Attributes
    ----------
    drawing
        The segment that it was drawing, if any.
    waiting
        Segments that it had not begun.
    """

    number: int
    why: str
    drawing: Segment | None
    waiting: tuple[Segment, ...]


Event = Joined | SegmentDrawn | Died


class RenderPool:
    """The render actors of one job.

    Parameters
    ----------
    make_arguments
        The constructor's arguments of a new actor.
    queue_size
        Segments that one actor holds, the one it draws included.
    """

    def __init__(self, make_arguments: Callable[[], tuple[Any, ...]], *, queue_size: int) -> None:
        self._make_arguments = make_arguments
        self._queue_size = queue_size
        self._class = remote(RenderActor, num_cpus=1, max_restarts=0, max_task_retries=0)
        self._members: dict[int, Member] = {}
        self._waiting: dict[Any, tuple[Member, Segment | None, Any]] = {}
        self._numbers = 0
        self._starts_lost = 0

    @property
    def requested(self) -> int:
        """Actors asked for, those included that have answered."""
        return sum(not member.leaving for member in self._members.values())

    @property
    def alive(self) -> int:
        """Actors that have answered and were not told to leave."""
        return sum(member.alive and not member.leaving for member in self._members.values())

    def drawing(self) -> list[Segment]:
        """What is being drawn now, one segment per busy actor."""
        return [member.held[0] for member in self._members.values() if member.held]

    def pids(self) -> dict[int, int]:
        """Process ids of the living actors by their number."""
        return {m.number: m.pid for m in self._members.values() if m.pid is not None}

    def refs(self) -> list[Any]:
        """What to wait for."""
        return list(self._waiting)

    def apply(self, target: int) -> None:
        """Ask for actors, or release some, until `target` are requested."""
        for _ in range(target - self.requested):
            self._add()
        for member in self._to_release(self.requested - target):
            member.leaving = True
            self._let_go_if_idle(member)

    def free_slots(self) -> list[int]:
        """Actors that can take a segment, the idlest first; once per free place."""
        slots = [
            (len(member.held) + extra, member.number)
            for member in self._members.values()
            if member.alive and not member.leaving
            for extra in range(self._queue_size - len(member.held))
        ]
        return [number for _, number in sorted(slots)]

    def submit(self, number: int, segment: Segment) -> None:
        """Give a segment to actor `number`.

        Raises
        ------
        NotPicklableError
            If the parameters of its frames cannot travel.
        """
        member = self._members[number]
        name = f"RenderActor.render {segment.label}"
        render = member.handle.render.options(num_returns=2, name=name)
        try:
            meta_ref, payload_ref = render.remote(segment)
        except TypeError as error:
            # Ray's own text lists every object on the way to the culprit.
            raise NotPicklableError(
                f"The parameters of {segment.label} cannot be sent to an actor: "
                f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
                "or draw in this process with workers=1.",
                frame=segment.batch.numbers[0],
            ) from error
        member.held.append(segment)
        self._waiting[meta_ref] = (member, segment, payload_ref)

    def take(self, ref: Any) -> Event | None:
        """What the ready `ref` says; None where it belongs to an actor that is gone.

        Raises
        ------
        RayanimError
            If the user's code raised in the actor.
        FarmStartError
            If actors die while they start.
        """
        import ray

        found = self._waiting.pop(ref, None)
        if found is None:
            return None
        member, segment, payload_ref = found
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._bury(member, error)
        if segment is None:
            return self._welcome(member, answer)
        return self._collect(member, segment, payload_ref, answer)

    def close(self) -> None:
        """Let every actor finish its source, then end them."""
        import ray

        closing = [m.handle.close.remote() for m in self._members.values() if m.alive]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=5)
        self.kill()

    def kill(self) -> None:
        """End all actors at once."""
        import ray

        for member in self._members.values():
            ray.kill(member.handle)
        self._members.clear()
        self._waiting.clear()

    def _add(self) -> None:
        self._numbers += 1
        handle = self._class.remote(*self._make_arguments())
        member = Member(self._numbers, handle, handle.open.remote())
        self._members[member.number] = member
        self._waiting[member.hello_ref] = (member, None, None)

    def _to_release(self, count: int) -> list[Member]:
        """Those that have not answered first, then those with the least to do."""
        staying = [member for member in self._members.values() if not member.leaving]
        staying.sort(key=lambda member: (member.alive, len(member.held), -member.number))
        return staying[: max(0, count)]

    def _let_go_if_idle(self, member: Member) -> None:
        if not member.held:
            # Queued after `close`: the user's finish() runs first.
            member.handle.close.remote()
            member.handle.__ray_terminate__.remote()
            self._forget(member)

    def _welcome(self, member: Member, hello: Hello) -> Event:
        if hello.failure is not None:
            raise hello.failure
        self._starts_lost = 0
        member.pid = hello.pid
        return Joined(member.number)

    def _collect(
        self, member: Member, segment: Segment, payload_ref: Any, meta: DrawnMeta
    ) -> Event:
        if meta.failure is not None:
            raise meta.failure
        member.held.remove(segment)
        if member.leaving:
            self._let_go_if_idle(member)
        return SegmentDrawn(segment, meta, payload_ref)

    def _bury(self, member: Member, error: Exception) -> Event:
        why = first_line(error)
        self._forget(member)
        if not member.alive:
            self._starts_lost += 1
            if self._starts_lost >= MAX_STARTS_LOST:
                raise FarmStartError(
                    f"{MAX_STARTS_LOST} render actors in a row died while they opened the source "
                    f"({why}). Does setup() or start() need more memory than there is? "
                    "Try workers=1."
                ) from error
        held = tuple(member.held)
        return Died(member.number, why, held[0] if held else None, held[1:])

    def _forget(self, member: Member) -> None:
        self._members.pop(member.number, None)
        gone = [ref for ref, (owner, _, _) in self._waiting.items() if owner is member]
        for ref in gone:
            del self._waiting[ref]


def first_line(error: Exception) -> str:
    """The one line of a Ray exception that a person needs."""
    if isinstance(error, RayanimError):
        return error.message
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
