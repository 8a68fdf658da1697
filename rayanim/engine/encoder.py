"""Starts the encoder actor, hands it references to encoded segments, and restarts it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.engine.actors import Acknowledgement, EncoderActor, remote
from rayanim.engine.chunks import Drawn
from rayanim.engine.machine import process_of, wait_for_exit
from rayanim.engine.plan import Chunk
from rayanim.engine.ray_session import first_line, is_code_fault, is_lost_argument
from rayanim.engine.stats import JobName
from rayanim.engine.writing import SegmentWriter
from rayanim.errors import EncodeError, EncoderLostError, FarmStartError, RayanimError

if TYPE_CHECKING:
    import psutil

ENCODE_LIMIT_S = 900.0
"""A segment of 64 frames at 4 frames a minute: slower than any preset at 2160p."""

SLOWER_FACTOR = 30.0
"""How many times longer than any before a segment may take the encoder."""

FINISH_POLL_S = 1.0
"""Seconds between two looks at a file that is being finished."""

MAX_RESTARTS = 3
"""Encoder actors that may be lost where what they wrote is not."""

EXIT_LIMIT_S = 10.0
"""A process that was killed ends at once, unless its disk does not answer."""

START_LIMIT_S = 60.0
"""A worker process starts in about half a second."""


class EncoderLink:
    """The encoder actor of one job; there is none until `start`."""

    def __init__(self, writer: SegmentWriter, name: JobName) -> None:
        self._writer = writer
        self._name = name
        self._numbers = 0
        # Not acknowledged yet: were a payload dropped, Ray might free it before it is read.
        self._handed: dict[Any, Drawn[Any]] = {}
        # All segments that have files, for an actor in the place of this one: 3 MB for
        # the 40,000 segments of ten million frames.
        self._found: set[int] = set()
        self._restarts = 0
        # How often each segment was with an actor that was lost: one may end them all.
        self._losses: Counter[int] = Counter()
        self._process: psutil.Process | None = None
        self._slowest_s: float | None = None
        self._handle: Any = None

    def start(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor_class = remote(EncoderActor, num_cpus=0, max_restarts=0, max_task_retries=0)
        self._numbers += 1
        placed = actor_class.options(
            scheduling_strategy=here,
            name=self._name.encoder_actor(self._numbers),
            max_concurrency=self._writer.width,
        )
        self._handle = placed.remote(self._writer, f"of {self._name.video}")
        try:
            opened = ray.get(self._handle.open.remote(), timeout=START_LIMIT_S)
            if isinstance(opened, RayanimError):
                raise opened
        except ray.exceptions.RayError as error:
            self.kill()
            raise FarmStartError(
                f"The encoder actor did not start: {first_line(error)}. Try workers=1."
            ) from error
        except BaseException:
            self.kill()
            raise
        self._process = process_of(opened)
        self._answered_s = time.perf_counter()

    def restart(self) -> bool:
        """Start another actor in the place of one that is lost; False where that cannot help.

        What was written outlasts it. What it had not acknowledged is handed over
        again.
        """
        self._losses.update(each.chunk.index for each in self._handed.values())
        most_losses = max(
            (self._losses[each.chunk.index] for each in self._handed.values()), default=0
        )
        if max(self._restarts + 1, most_losses) > MAX_RESTARTS:
            return False
        self._restarts += 1
        self.kill()
        handed, self._handed = self._handed, {}
        self.start()
        self._handle.found.remote(tuple(self._found))
        for each in handed.values():
            self._hand_over(each)
        return True

    def refs(self) -> list[Any]:
        return list(self._handed)

    def found(self, indices: Iterable[int]) -> None:
        """Report segment files that it did not write: it may join them to the video."""
        new = tuple(indices)
        if new:
            self._found.update(new)
            self._handle.found.remote(new)

    def put(self, drawn: Drawn[Any]) -> None:
        """Hand over a segment, by its reference."""
        if not self._handed:
            self._answered_s = time.perf_counter()
        self._hand_over(drawn)

    def take(self, ref: Any) -> tuple[Chunk, Acknowledgement | None] | None:
        """What the ready `ref` acknowledges; None where it is not the encoder's.

        None in the place of the acknowledgement means that what was drawn was
        lost on the way, and is to be drawn again.
        """
        import ray

        handed = self._handed.get(ref)
        if handed is None:
            return None
        try:
            answer: Acknowledgement | RayanimError = ray.get(ref)
        except ray.exceptions.RayError as error:
            if is_lost_argument(error):
                del self._handed[ref]
                return handed.chunk, None
            raise _failure_of(error) from error
        del self._handed[ref]
        self._restarts = 0
        del self._losses[handed.chunk.index]
        if isinstance(answer, RayanimError):
            raise answer
        self._answered_s = time.perf_counter()
        self._found.add(handed.chunk.segment.index)
        self._slowest_s = max(self._slowest_s or 0.0, answer.encode_s)
        return handed.chunk, answer

    def finish(self, n_frames: int) -> int:
        """Close the file of so many frames; its size in bytes."""
        import ray

        ref = self._handle.finish.remote(n_frames)
        paths = self._writer.paths
        seen, changed_s = _sizes_and_times(paths), time.perf_counter()
        answer: int | RayanimError | None = None
        while answer is None:
            try:
                answer = ray.get(ref, timeout=FINISH_POLL_S)
            except ray.exceptions.GetTimeoutError:
                # A disk may take any time for the rest of a long video: its file has to change.
                now, now_s = _sizes_and_times(paths), time.perf_counter()
                if now != seen:
                    seen, changed_s = now, now_s
                elif now_s - changed_s > ENCODE_LIMIT_S:
                    raise _no_answer(now_s - changed_s) from None
            except ray.exceptions.RayError as error:
                raise _failure_of(error) from error
        if isinstance(answer, RayanimError):
            raise answer
        return answer

    def waiting_s(self) -> float:
        """Seconds for which an answer has been due; raises where that is too long."""
        waiting_s = time.perf_counter() - self._answered_s if self._handed else 0.0
        if waiting_s > self._limit_s():
            raise _no_answer(waiting_s)
        return waiting_s

    def settle(self, limit_s: float) -> None:
        """Wait for what was handed over: it outlasts the actor."""
        import ray

        if self._handed:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(list(self._handed), num_returns=len(self._handed), timeout=limit_s)

    def kill(self) -> None:
        """End the actor; what it wrote stays for the caller to remove.

        Its process is on this machine. It is waited for, or it might still
        write to a file that another one has begun anew, or that was removed.
        """
        import ray

        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        process, self._process = self._process, None
        if process is not None:
            wait_for_exit(process, EXIT_LIMIT_S)

    def _hand_over(self, drawn: Drawn[Any]) -> None:
        chunk = drawn.chunk
        segment = replace(chunk.segment, stop=chunk.stop, batch_digest=drawn.batch_digest)
        self._handed[self._handle.encode.remote(segment, drawn.payload)] = drawn

    def _limit_s(self) -> float:
        if self._slowest_s is None:
            return ENCODE_LIMIT_S
        return min(ENCODE_LIMIT_S, max(self._writer.patience_s, SLOWER_FACTOR * self._slowest_s))


def _sizes_and_times(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """By which a change of the files is seen; nothing of those that are not there."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_size, stat.st_mtime_ns))
    return found


def _failure_of(error: Exception) -> RayanimError:
    """The error for an answer that did not come; code that failed would fail again."""
    if is_code_fault(error):
        return EncodeError(f"Writing the video failed in the encoder actor ({first_line(error)}).")
    return EncoderLostError(
        f"The encoder actor died ({first_line(error)}). If memory ran out, use fewer workers "
        "or a smaller in_flight_bytes."
    )


def _no_answer(waiting_s: float) -> EncoderLostError:
    return EncoderLostError(
        f"The encoder actor has not answered for {waiting_s:.0f} s. Is its process stopped, or "
        "its disk gone?"
    )
