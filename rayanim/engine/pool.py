"""Holds the handles of the render actors, and turns Ray's answers into the scheduler's events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from rayanim.engine import messages
from rayanim.engine.actors import RenderActor, remote
from rayanim.engine.cluster import node_of_actor, usable_nodes
from rayanim.engine.draw import DrawnMeta
from rayanim.engine.placement import Need, actor_options
from rayanim.engine.plan import Chunk
from rayanim.engine.ray_session import FETCH_LIMIT_S, first_line, is_code_fault, plain_text
from rayanim.engine.stats import JobName
from rayanim.errors import FrameError, NotPicklableError, RayanimError

YOUNG_TRANSFER_S = 1.0
"""A transfer younger than this is polled often, an older one at each tick."""

TRANSFER_POLL_S = 0.01
"""Seconds between two polls of young transfers; one takes about half a millisecond."""

FINISH_LIMIT_S = 60.0
"""What the user's ``finish()`` may take in an actor before it is ended."""

UNRESPONSIVE_FINISH_LIMIT_S = 5.0
"""What it may take, after that, on a node that does not answer."""


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor's handle, and the calls that it has not answered."""

    number: int
    handle: Any
    node: str | None = None
    is_open: bool = False
    refs: set[Any] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that an actor has not answered yet; the last two fields are of `render` alone."""

    actor: _Actor
    method: Literal["hello", "open", "render"]
    chunk: Chunk | None = None
    payload_ref: Any = None


class RenderPool:
    """The render actors of one job."""

    def __init__(
        self, arguments: tuple[Any, ...], name: JobName, need: Need | None, *, here: str
    ) -> None:
        self._arguments = arguments
        self._name = name
        self._need = need
        self._here = here
        self._excluded: list[str] = []
        self._class = remote(RenderActor, num_cpus=1, max_restarts=0, max_task_retries=0)
        self._actors: dict[int, _Actor] = {}
        self._calls: dict[Any, _Call] = {}
        # Calls of `close`: the actor, and its node.
        self._closing: dict[Any, tuple[Any, str | None]] = {}
        self._transfers: dict[Any, messages.TransferBegan] = {}
        self._latest_transfer_s = 0.0

    # ---- what the scheduler wants done

    def ask(self, number: int) -> None:
        actor_class = self._class.options(
            **actor_options(self._need, self._excluded), name=self._name.render_actor(number)
        )
        handle = actor_class.remote(*self._arguments, f"{number} of {self._name.video}")
        actor = self._actors[number] = _Actor(number, handle)
        self._remember(handle.hello.remote(), _Call(actor, "hello"))
        self._remember(handle.open.remote(), _Call(actor, "open"))

    def submit(self, number: int, chunk: Chunk) -> None:
        actor = self._actors[number]
        # Without a name of its own: Ray keeps nine series of metrics for each name it meets.
        render = actor.handle.render.options(num_returns=2)
        with unpicklable_parameters_named(chunk):
            meta_ref, payload_ref = render.remote(chunk)
        self._remember(meta_ref, _Call(actor, "render", chunk, payload_ref))

    def release(self, number: int) -> None:
        """Let an idle actor close its source, and end."""
        actor = self._actors[number]
        self._close_source(actor)
        # Queued after `close`: the user's finish() runs first.
        actor.handle.__ray_terminate__.remote()
        self._forget(actor)

    def end(self, number: int) -> None:
        import ray

        actor = self._actors.get(number)
        if actor is not None:
            ray.kill(actor.handle)
            self._forget(actor)

    def exclude(self, node: str) -> None:
        self._excluded.append(node)

    # ---- what Ray answers

    def refs(self) -> list[Any]:
        return list(self._calls)

    def take(self, ref: Any) -> messages.Event | None:
        """What the ready `ref` means; None where it belongs to an actor that is gone."""
        import ray

        call = self._calls.pop(ref, None)
        if call is None:
            return None
        actor = call.actor
        actor.refs.discard(ref)
        try:
            answer = ray.get(ref, timeout=FETCH_LIMIT_S)
        except ray.exceptions.RayError as error:
            if is_code_fault(error):
                return self._failed(actor, call.chunk, _call_error(call.chunk, error))
            return self._died(actor, error)
        if call.method == "hello":
            actor.node = answer
            return messages.Answered(actor.number, answer)
        if call.chunk is None:
            if answer is not None:
                return self._failed(actor, None, answer)
            actor.is_open = True
            return messages.Joined(actor.number)
        return self._drawn(actor, call.chunk, call.payload_ref, answer)

    def poll_s(self, otherwise_s: float) -> float:
        """Seconds to wait for other things at most before `arrived` is asked again."""
        if not self._transfers:
            return otherwise_s
        is_young = time.perf_counter() - self._latest_transfer_s < YOUNG_TRANSFER_S
        return TRANSFER_POLL_S if is_young else otherwise_s

    def arrived(self) -> list[messages.Event]:
        """The chunks that are here now, and those that never will be."""
        import ray

        if not self._transfers:
            return []
        refs = list(self._transfers)
        # Begins to fetch what is not here, and does not wait for it.
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=True)[0]
        return [self._arrived(ref, self._transfers.pop(ref)) for ref in ready]

    # ---- the end

    def close(self, unresponsive_nodes: Collection[str] = ()) -> None:
        """Let every actor finish its source, then end them.

        Those that still draw what another has drawn meanwhile are just ended, and
        so are those that do not finish in time.
        """
        for actor in self._actors.values():
            if actor.is_open and not actor.refs:
                self._close_source(actor)
        failures = self._finish_failures(unresponsive_nodes)
        self.kill()
        for failure in failures:
            raise failure

    def kill(self) -> None:
        """End all actors at once; does not wait for any, so that frozen ones do no harm."""
        import ray

        handles = [actor.handle for actor in self._actors.values()]
        for handle in (*handles, *(handle for handle, _ in self._closing.values())):
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        self._actors.clear()
        self._calls.clear()
        self._closing.clear()
        self._transfers.clear()

    def _remember(self, ref: Any, call: _Call) -> None:
        self._calls[ref] = call
        call.actor.refs.add(ref)

    def _forget(self, actor: _Actor) -> None:
        self._actors.pop(actor.number, None)
        for ref in actor.refs:
            self._calls.pop(ref, None)

    def _close_source(self, actor: _Actor) -> None:
        self._closing[actor.handle.close.remote()] = actor.handle, actor.node

    def _finish_failures(self, unresponsive_nodes: Collection[str]) -> list[RayanimError]:
        """How the user's ``finish()`` failed in the actors that answer in time."""
        import ray

        ready: list[Any] = []
        for is_likely, limit_s in ((True, FINISH_LIMIT_S), (False, UNRESPONSIVE_FINISH_LIMIT_S)):
            by_node = ((ref, node) for ref, (_, node) in self._closing.items())
            refs = [ref for ref, node in by_node if (node not in unresponsive_nodes) == is_likely]
            if refs:
                ready += ray.wait(refs, num_returns=len(refs), timeout=limit_s)[0]
        failures: list[RayanimError] = []
        for ref in ready:
            # An actor that is gone by now has nothing to report.
            with contextlib.suppress(ray.exceptions.RayError):
                failure = ray.get(ref, timeout=FETCH_LIMIT_S)
                if failure is not None:
                    failures.append(failure)
        return failures

    def _drawn(
        self, actor: _Actor, chunk: Chunk, payload_ref: Any, meta: DrawnMeta | RayanimError
    ) -> messages.Event:
        if isinstance(meta, RayanimError):
            return self._failed(actor, chunk, meta)
        drawn = messages.TransferBegan(actor.number, chunk, meta)
        if actor.node == self._here:
            return self._arrived(payload_ref, drawn)
        self._transfers[payload_ref] = drawn
        self._latest_transfer_s = time.perf_counter()
        return drawn

    def _arrived(self, ref: Any, drawn: messages.TransferBegan) -> messages.Event:
        """With raw frames, which Ray's store holds as long as they are here; or a segment's ref."""
        import ray

        payload = ref
        if not drawn.chunk.encodes:
            try:
                payload = ray.get(ref, timeout=FETCH_LIMIT_S)
            except ray.exceptions.RayError as error:
                return messages.PayloadLost(drawn.number, drawn.chunk, first_line(error))
        return messages.Arrived(drawn.number, drawn.chunk, drawn.meta, payload)

    def _failed(self, actor: _Actor, chunk: Chunk | None, failure: RayanimError) -> messages.Event:
        usable = usable_nodes(self._need) if chunk is None else ()
        return messages.CallFailed(actor.number, chunk, failure, usable)

    def _died(self, actor: _Actor, error: Exception) -> messages.Event:
        node = actor.node or node_of_actor(actor.handle)
        usable = () if actor.is_open else usable_nodes(self._need)
        self.end(actor.number)
        return messages.Died(actor.number, node, first_line(error), usable)


def _call_error(chunk: Chunk | None, error: Exception) -> RayanimError:
    """The error for code that raised where the user's drawing did not."""
    what = "Opening the source" if chunk is None else f"Drawing {chunk.label}"
    return FrameError(
        f"{what} failed in the actor: {first_line(error)}",
        frame=None if chunk is None else chunk.batch.numbers[0],
        traceback_text=plain_text(error),
    )


@contextlib.contextmanager
def unpicklable_parameters_named(chunk: Chunk) -> Iterator[None]:
    """Say which frames' parameters cannot be pickled, where sending them fails."""
    import ray

    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:
        # Ray's own text lists every object on the way to the culprit.
        raise NotPicklableError(
            f"The parameters of {chunk.label} cannot be sent to an actor: "
            f"{error.__cause__ or error}. Leave out of param_by_frame what cannot be pickled, "
            "or draw in this process with workers=1.",
            frame=chunk.batch.numbers[0],
        ) from error
