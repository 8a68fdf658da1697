"""The driver's end of the encoder actor: hands it references, never pixels."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayanim.engine.actors import Acknowledgement, EncoderActor, FileOpened, remote
from rayanim.engine.machine import Witness
from rayanim.engine.plan import Segment
from rayanim.engine.pool import Fetched
from rayanim.engine.ray_session import first_line, is_code_fault, is_lost_argument
from rayanim.engine.stats import JobName
from rayanim.engine.writing import Writing
from rayanim.errors import EncodeError, EncoderLostError, FarmStartError, RayanimError

SILENCE_LIMIT_S = 900.0
"""A segment of 64 frames at 4 frames a minute: slower than any preset at 2160p."""

SILENCE_FACTOR = 30.0
"""How many times longer than any before a segment may take the encoder."""

LOOK_S = 1.0
"""How often a video that is being finished is looked at."""

MAX_RESTARTS = 3
"""Encoder actors that may be lost where what they wrote is not."""

END_LIMIT_S = 10.0
"""A process that was killed ends at once, unless its disk does not answer."""

START_LIMIT_S = 60.0
"""A worker process starts in about half a second."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A segment that the encoder has not acknowledged yet.

    Its payload is kept here: were it dropped, Ray might free it before the
    encoder reads it.
    """

    segment: Segment
    payload: Fetched
    when_encoded: Callable[[Segment], None]
    batch_digest: str | None = None


class EncoderLink:
    """The encoder actor of one job; there is none until `start`."""

    def __init__(self, writing: Writing, name: JobName) -> None:
        self._writing = writing
        self._name = name
        self._numbers = 0
        self._handed: dict[Any, Handed] = {}
        # Of all parts that are there, for an actor in the place of this one: 3 MB for
        # the 40,000 segments of ten million frames.
        self._found: set[int] = set()
        self._restarts = 0
        # How often each was in the hands of an actor that was lost: one may end them all.
        self._losses: Counter[int] = Counter()
        self._witness: Witness | None = None
        self._slowest_s: float | None = None
        self._handle: Any = None

    def start(self) -> None:
        """Start the actor, and have it open its file."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor_class = remote(EncoderActor, num_cpus=0, max_restarts=0, max_task_retries=0)
        self._numbers += 1
        placed = actor_class.options(
            scheduling_strategy=here,
            name=self._name.encoder_actor(self._numbers),
            max_concurrency=self._writing.width,
        )
        self._handle = placed.remote(self._writing, f"of {self._name.video}")
        try:
            opened: FileOpened = ray.get(self._handle.open.remote(), timeout=START_LIMIT_S)
            if opened.failure is not None:
                raise opened.failure
        except ray.exceptions.RayError as error:
            self.kill()
            raise FarmStartError(
                f"The encoder actor did not start: {first_line(error)}. Try workers=1."
            ) from error
        except BaseException:
            self.kill()
            raise
        self._witness = Witness(opened.pid)
        self._heard_s = time.perf_counter()

    def revive(self) -> bool:
        """Start another actor in the place of one that is lost; False where that cannot mend it.

        What was written must outlast it. What it had not acknowledged is
        handed over again.
        """
        self._losses.update(each.segment.index for each in self._handed.values())
        most_losses = max(
            (self._losses[each.segment.index] for each in self._handed.values()), default=0
        )
        if not self._writing.survives or max(self._restarts + 1, most_losses) > MAX_RESTARTS:
            return False
        self._restarts += 1
        self.kill()
        handed, self._handed = self._handed, {}
        self.start()
        self._handle.found.remote(tuple(self._found))
        for each in handed.values():
            self._hand(each)
        return True

    def refs(self) -> list[Any]:
        """What to wait for."""
        return list(self._handed)

    def found(self, indices: Iterable[int]) -> None:
        """Tell it of segments whose parts it did not put: it may join them to the video."""
        news = tuple(indices)
        if news:
            self._found.update(news)
            self._handle.found.remote(news)

    def put(
        self,
        segment: Segment,
        payload: Fetched,
        when_encoded: Callable[[Segment], None],
        batch_digest: str | None = None,
    ) -> None:
        """Hand over a segment; raw frames in the order of the video."""
        if not self._handed:
            self._heard_s = time.perf_counter()
        self._hand(Handed(segment, payload, when_encoded, batch_digest))

    def _hand(self, handed: Handed) -> None:
        segment = handed.segment
        place = segment.place(handed.batch_digest)
        ref = self._handle.encode.remote(place, handed.payload.ref)
        self._handed[ref] = handed

    def take(self, ref: Any) -> tuple[Segment, Acknowledgement | None] | None:
        """What the ready `ref` acknowledges; None where it is not the encoder's.

        None in the place of the acknowledgement says that what was drawn was
        lost on the way, and is to be drawn again.
        """
        import ray

        handed = self._handed.get(ref)
        if handed is None:
            return None
        try:
            answer: Acknowledgement = ray.get(ref)
        except ray.exceptions.RayError as error:
            if self._writing.survives and is_lost_argument(error):
                del self._handed[ref]
                return handed.segment, None
            raise _failed(error) from error
        del self._handed[ref]
        self._restarts = 0
        del self._losses[handed.segment.index]
        if answer.failure is not None:
            raise answer.failure
        self._heard_s = time.perf_counter()
        if self._writing.survives:
            self._found.add(handed.segment.index)
        self._slowest_s = max(self._slowest_s or 0.0, answer.encode_s)
        handed.when_encoded(handed.segment)
        return handed.segment, answer

    def finish(self, n_frames: int) -> int:
        """Close the file of so many frames; its size in bytes."""
        import ray

        ref = self._handle.finish.remote(n_frames)
        video = _Growth(self._writing.path)
        answer = None
        while answer is None:
            try:
                answer = ray.get(ref, timeout=LOOK_S)
            except ray.exceptions.GetTimeoutError:
                # Nobody can say how long a disk takes for the rest of a long video.
                silence_s = video.stands_still_s()
                if silence_s > SILENCE_LIMIT_S:
                    raise _silent(silence_s) from None
            except ray.exceptions.RayError as error:
                raise _failed(error) from error
        if answer.failure is not None:
            raise answer.failure
        return int(answer.file_bytes)

    def silence_s(self) -> float:
        """Seconds for which an answer has been due."""
        silence_s = time.perf_counter() - self._heard_s if self._handed else 0.0
        if silence_s > self._limit_s():
            raise _silent(silence_s)
        return silence_s

    def _limit_s(self) -> float:
        if self._slowest_s is None:
            return SILENCE_LIMIT_S
        return min(SILENCE_LIMIT_S, max(self._writing.patience_s, SILENCE_FACTOR * self._slowest_s))

    def settle(self, limit_s: float) -> None:
        """Wait for what was handed over, where it outlasts the actor."""
        import ray

        if self._handed and self._writing.survives:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(list(self._handed), num_returns=len(self._handed), timeout=limit_s)

    def kill(self) -> None:
        """End the actor; what it wrote stays for the caller to remove.

        Its process is of this machine. It is waited for, or it might still
        write to a file that another one has begun anew, or that was removed.
        """
        import ray

        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(handle)
        witness, self._witness = self._witness, None
        if witness is not None:
            witness.see_the_end(END_LIMIT_S)


class _Growth:
    """Tells for how long nobody has written to a file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._changed_s = time.perf_counter()

    def stands_still_s(self) -> float:
        """Seconds since it was first seen as it is now, or since the first look."""
        try:
            told = self._path.stat()
            now = told.st_size, told.st_mtime_ns
        except OSError:
            now = None
        if now != self._seen:
            self._seen, self._changed_s = now, time.perf_counter()
        return time.perf_counter() - self._changed_s


def _failed(error: Exception) -> RayanimError:
    """What an answer that did not come says: code that failed would fail in another actor, too."""
    if is_code_fault(error):
        return EncodeError(f"Writing the video failed in the encoder actor ({first_line(error)}).")
    return EncoderLostError(
        f"The encoder actor died ({first_line(error)}). If memory ran out, use fewer workers "
        "or a smaller in_flight_bytes."
    )


def _silent(silence_s: float) -> EncoderLostError:
    return EncoderLostError(
        f"The encoder actor has not answered for {silence_s:.0f} s. Is its process stopped, or "
        "its disk gone?"
    )
