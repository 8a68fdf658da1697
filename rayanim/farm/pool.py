"""Holds the render actors: asks for them, gives them segments, sees them die."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rayanim.errors import FarmStartError, FrameError, NotPicklableError, RayanimError
from rayanim.events import ActorAsked, ActorJoined, ActorReleased, Listener, Nobody
from rayanim.farm.actors import DrawnMeta, Opened, RenderActor, remote
from rayanim.farm.faults import first_line, is_code_fault, plain_text
from rayanim.farm.fleet import Need
from rayanim.farm.naming import JobName
from rayanim.farm.plan import Segment
from rayanim.farm.roster import Member, Roster

MAX_STARTS_LOST = 3
"""Actors that may die while they start, in a row, before the job ends."""


OVERDUE = 2.0
"""A segment that takes this many times the usual may be drawn by another actor, too."""

FINISH_LIMIT_S = 60.0
"""What the user's ``finish()`` may take in an actor before it is ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an actor has not answered yet.

    `segment` and `payload_ref` are None where it is not one of `render`.
    """

    member: Member
    what: Literal["hello", "open", "render"]
    segment: Segment | None = None
    payload_ref: Any = None


@dataclass(frozen=True, slots=True)
class Joined:
    """An actor can draw.

    Attributes
    ----------
    differs
        Whether the film's first frame has other pixels there.
    """

    number: int
    differs: bool


@dataclass(frozen=True, slots=True)
class SegmentDrawn:
    """An actor has drawn a segment; its pixels stay where they are."""

    number: int
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
        The constructor's first arguments of a new actor.
    name
        What the job and its actors are called.
    log
        Who is told of actors that come and go.
    need
        What an actor takes of a cluster's node; None where Ray runs on this
        machine alone.
    """

    def __init__(
        self,
        make_arguments: Callable[[], tuple[Any, ...]],
        name: JobName,
        log: Listener | None = None,
        need: Need | None = None,
    ) -> None:
        self._make_arguments = make_arguments
        self._name = name
        self._log = log or Nobody()
        self._class = remote(RenderActor, num_cpus=1, max_restarts=0, max_task_retries=0)
        self.need = need
        self._roster = Roster()
        self._asked: dict[Any, Asked] = {}
        self._closing: list[Any] = []
        self._numbers = 0
        self._starts_lost = 0
        self._in_full = False

    @property
    def requested(self) -> int:
        """Actors asked for, those included that have answered."""
        return self._roster.requested

    @property
    def alive(self) -> int:
        """Actors that can draw and were not told to leave."""
        return self._roster.alive

    @property
    def answered(self) -> int:
        """Actors whose process is there, those included that still open their source."""
        return self._roster.answered

    @property
    def nodes(self) -> int:
        """Nodes on which there are actors."""
        return self._roster.nodes

    @property
    def idle(self) -> list[int]:
        """Actors that could draw and have nothing to."""
        return self._roster.idle()

    def drawing(self) -> list[Segment]:
        """What is being drawn now, one segment per busy actor."""
        return self._roster.drawing()

    def refs(self) -> list[Any]:
        """What to wait for."""
        return list(self._asked)

    def apply(self, target: int) -> None:
        """Ask for actors, or release some, until `target` are requested."""
        for _ in range(target - self.requested):
            self._add()
        for member in self._roster.to_release(self.requested - target):
            self._roster.leave(member)
            self._let_go_if_idle(member)

    def free_places(self, depth: int) -> Iterator[int]:
        """See `Roster.free_places`."""
        return self._roster.free_places(depth)

    def overdue(self, frame_s: float) -> set[int]:
        """Segments that were not begun, or whose frames take much longer than others' do.

        Parameters
        ----------
        frame_s
            What a frame usually takes.
        """
        now_s = time.perf_counter()
        found: set[int] = set()
        for member in self._roster:
            for position, segment in enumerate(member.held):
                usual_s = OVERDUE * frame_s * len(segment)
                if position > 0 or now_s - member.began_s > usual_s:
                    found.add(segment.index)
        return found

    def submit(
        self, number: int, segment: Segment, done_ref: Any = None, *, is_checked: bool = False
    ) -> None:
        """Give a segment to actor `number`.

        Parameters
        ----------
        number, segment
            Who draws what.
        done_ref
            Reference to its first frames, where they were drawn before.
        is_checked
            Whether to see if its frames depend on those drawn before.

        Raises
        ------
        NotPicklableError
            If the parameters of its frames cannot travel.
        """
        member = self._roster[number]
        # Without a name of its own: Ray keeps nine series of metrics for each name it meets.
        render = member.handle.render.options(num_returns=2)
        with travelling(segment):
            meta_ref, payload_ref = render.remote(segment, self._in_full, done_ref, is_checked)
        if not member.held:
            member.began_s = time.perf_counter()
        self._roster.begin(member, segment)
        self._note(meta_ref, Asked(member, "render", segment, payload_ref))

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

        asked = self._asked.pop(ref, None)
        if asked is None:
            return None
        asked.member.refs.discard(ref)
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayError as error:
            if is_code_fault(error):
                raise _failed_call(asked, error) from error
            return self._bury(asked.member, error)
        if asked.what == "hello":
            asked.member.node = answer.node
            self._roster.answer(asked.member)
            return None
        if asked.segment is None:
            return self._welcome(asked.member, answer)
        return self._collect(asked.member, asked.segment, asked.payload_ref, answer)

    def close(self) -> None:
        """Let every actor finish its source, then end them.

        One that still draws what another has drawn meanwhile is just ended.

        Raises
        ------
        ScriptError
            If the user's ``finish()`` raised in one of them, those included
            that were released before.
        """
        import ray

        open_members = [each for each in self._roster if each.is_open and not each.held]
        closing = self._closing + [member.handle.close.remote() for member in open_members]
        ready = ray.wait(closing, num_returns=len(closing), timeout=FINISH_LIMIT_S)[0]
        self.kill()
        for ref in ready:
            # An actor that is gone by now has nothing more to say.
            with contextlib.suppress(ray.exceptions.RayError):
                failure = ray.get(ref)
                if failure is not None:
                    raise failure

    def kill(self) -> None:
        """End all actors at once."""
        import ray

        for member in self._roster:
            ray.kill(member.handle)
        self._roster = Roster()
        self._asked.clear()
        self._closing.clear()

    def _add(self) -> None:
        self._numbers += 1
        number, name = self._numbers, self._name
        actor_class = self._class.options(
            **{**_options(self.need), "name": name.render_actor(number)}
        )
        handle = actor_class.remote(*self._make_arguments(), f"{number} of {name.film}")
        member = Member(number, handle, asked_s=time.perf_counter())
        self._log.tell(ActorAsked(actor=number))
        self._roster.add(member)
        self._note(handle.hello.remote(), Asked(member, "hello"))
        self._note(handle.open.remote(), Asked(member, "open"))

    def _note(self, ref: Any, asked: Asked) -> None:
        self._asked[ref] = asked
        asked.member.refs.add(ref)

    def _let_go_if_idle(self, member: Member) -> None:
        if not member.held:
            # Queued after `close`: the user's finish() runs first.
            self._closing.append(member.handle.close.remote())
            member.handle.__ray_terminate__.remote()
            self._log.tell(ActorReleased(actor=member.number))
            self._forget(member)

    def _welcome(self, member: Member, opened: Opened) -> Event:
        if opened.failure is not None:
            raise opened.failure
        self._starts_lost = 0
        self._roster.open(member)
        waited_s = time.perf_counter() - member.asked_s
        self._log.tell(ActorJoined(actor=member.number, waited_s=waited_s))
        return Joined(member.number, opened.differs)

    def _collect(
        self, member: Member, segment: Segment, payload_ref: Any, meta: DrawnMeta
    ) -> Event:
        if meta.failure is not None:
            raise meta.failure
        # One actor has found a difference from full draws: all others stop drawing in parts.
        self._in_full = self._in_full or meta.difference is not None
        self._roster.end(member, segment)
        member.began_s = time.perf_counter()
        if member.leaving:
            self._let_go_if_idle(member)
        return SegmentDrawn(member.number, segment, meta, payload_ref)

    def _bury(self, member: Member, error: Exception) -> Event:
        why = first_line(error)
        self._forget(member)
        if not member.is_open:
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
        self._roster.remove(member)
        for ref in member.refs:
            self._asked.pop(ref, None)


def _options(need: Need | None) -> dict[str, Any]:
    """Ray's options for an actor that takes `need`, spread over the nodes."""
    if need is None:
        return {}
    amounts = dict(need.resources)
    options: dict[str, Any] = {"num_cpus": amounts.pop("CPU"), "scheduling_strategy": "SPREAD"}
    if "memory" in amounts:
        options["memory"] = amounts.pop("memory")
    if amounts:
        options["resources"] = amounts
    if need.labels:
        options["label_selector"] = dict(need.labels)
    return options


def _failed_call(asked: Asked, error: Exception) -> RayanimError:
    """What to tell when code raised that is not the user's drawing."""
    what = "Opening the source" if asked.segment is None else f"Drawing {asked.segment.label}"
    return FrameError(
        f"{what} failed in the actor: {first_line(error)}",
        frame=None if asked.segment is None else asked.segment.batch.numbers[0],
        traceback_text=plain_text(error),
    )


@contextlib.contextmanager
def travelling(segment: Segment) -> Iterator[None]:
    """Say whose parameters cannot travel, where they do not.

    Raises
    ------
    NotPicklableError
        In the place of what the pickler raised.
    """
    import ray

    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:
        # Ray's own text lists every object on the way to the culprit.
        raise NotPicklableError(
            f"The parameters of {segment.label} cannot be sent to an actor: "
            f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
            "or draw in this process with workers=1.",
            frame=segment.batch.numbers[0],
        ) from error
