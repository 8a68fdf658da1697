"""Finds segments of a job in the cache, audits them, and keeps those that it draws.

A segment's key stands for all that decides about its frames: what `--resume` compares, a
fingerprint of the source as it was opened, the parameters of the frames, and what came before
them. That is nothing where frames are declared not to depend on each other; the state of source and
figure after the updates before them where those are cheap, and have a fingerprint; and otherwise
the parameters of all frames before.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rayanim.engine.audit import AUDIT_TIME, FrameMark
from rayanim.engine.draw import close_source, open_source
from rayanim.engine.packing import PackedSource, copied, own_files
from rayanim.engine.plain import why_script_is_not_plain
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.reads import OpenedFiles
from rayanim.engine.state import (
    check_parameters,
    figures_in_pyplot,
    random_digest,
    state_digest,
    surroundings_parts,
    version_of,
)
from rayanim.errors import PartsError, RayanimError, RedrawError
from rayanim.parameters import Batch, copy_of
from rayanim.randomness import seed_for
from rayanim.storage.cache import SegmentCache, short_digests
from rayanim.storage.fingerprint import FramesDigest, NoDigestError, batch_digest
from rayanim.storage.segments import SegmentFolder, segment_name

if TYPE_CHECKING:
    from rayanim.engine.draw import DrawnMeta
    from rayanim.engine.job import Job
    from rayanim.engine.local import InProcess
    from rayanim.sources import Source

_logger = logging.getLogger("rayanim")

LISTED = (list, tuple, range, np.ndarray, type(None))
"""Kinds of parameters that may be looked at twice: what others make as they are asked may cost."""

AUDITED_FRAMES = 2
"""Frames of cached segments that are drawn again wherever they are, beside those next to a gap."""

FEWEST_FRAMES = 1000
"""Below, the updates are not run in advance: a short video is drawn as soon as that is done."""

CHEAP_UPDATES, MOST_OPEN_S = 0.01, 1.0
"""They are where an update takes this share of the first draw at most, which takes ten times what
the others do, and setting up so many seconds."""

TRIED_UPDATES = 20
"""Before so many updates nothing is said of what they take: the first ones take longer."""


@dataclass(slots=True)
class CachedSegment:
    """A segment that may be in the cache: each of its keys says that it is the same."""

    batch: Batch
    what: tuple[Any, ...]
    keys: list[str] = field(default_factory=list)
    taken_by: str | None = None
    """The key that the cache has it by."""
    next_state: str | None = None
    """The fingerprint after its updates, where that is known."""


class UpdatesInAdvance:
    """Runs the updates of a copy of the source, without drawing, for its state between segments."""

    def __init__(
        self,
        chunks: list[Chunk],
        inside: InProcess,
        pristine: PackedSource,
        job: Job,
        opened: OpenedFiles,
    ) -> None:
        self._chunks = chunks
        self._seed = job.settings.seed
        self._opened = opened
        self._enough_s = CHEAP_UPDATES * inside.first_draw_s
        self._geometry = inside.geometry
        self._pristine = pristine
        self._places = contextlib.ExitStack()
        self._source: Source | None = None
        self._others: list[int] = []
        self._at = self._done = 0
        self._spent_s = 0.0
        self._is_over = False

    def state(self, index: int) -> str | None:
        """The fingerprint before segment `index`, a later one than those asked for before.

        None where that takes too long, or where there is none.
        """
        if self._is_over:
            return None
        self._is_over = True
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                source = self._source or self._begun()
                for chunk in self._chunks[self._at : index]:
                    # What setup reads is in the fingerprint.
                    with self._opened:
                        goes_on = self._run(source, chunk.batch)
                    if not goes_on:
                        return None
                self._at = index
            found = state_digest(source, self._others)
        except Exception as error:  # the script's own; where a frame is drawn, it is reported
            _logger.info("No fingerprint after frames that are not drawn: %s.", error)
            return None
        self._is_over = False
        return found

    def close(self) -> None:
        """Let the copy go."""
        with contextlib.suppress(RayanimError):
            self._places.close()

    def _begun(self) -> Source:
        # The fingerprint of the source that is drawn has them.
        self._others = figures_in_pyplot()
        source = self._source = self._places.enter_context(copied(self._pristine))
        open_source(source, self._seed, self._geometry)
        self._places.callback(close_source, source)
        return source

    def _run(self, source: Source, batch: Batch) -> bool:
        """Run the updates of some frames; whether to go on."""
        for number, params in batch.frames():
            began_s = time.perf_counter()
            seed_for(self._seed, number)
            # What `update` changes of its parameters is not the job's.
            source.advance(number, copy_of(params))
            self._done += 1
            self._spent_s += time.perf_counter() - began_s
            is_slow = self._spent_s > self._enough_s * max(self._done, TRIED_UPDATES)
            if is_slow or self._opened.first is not None:
                return False
        return True


class CachedSegments:
    """The segments of one job that the cache has, and those that it gets."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._random_state: str | None = None
        self._has_actors = False
        # What stands for the source as it was opened, and for the video. Without a seed there are
        # two, the first one with the state of the random numbers.
        self._bases: list[str] = []
        self._videos: list[str] = []
        self._why_not = why_not_cached(job)
        self._cache: SegmentCache | None = None
        if self._why_not is None:
            self._open_cache()
        # By index.
        self._segments: dict[int, CachedSegment] = {}
        # By number, of frames that were drawn or found.
        self._marks: dict[int, str] = {}
        self._to_audit: list[tuple[FrameMark, Batch]] = []
        self._opened_elsewhere: str | None = None
        self.opened = OpenedFiles(is_on=self.is_active)
        """What the script's code has opened in this process while it drew."""
        # Where a path leads, and to whom it belongs, is in what setup makes of it.
        self.opened_by_setup = OpenedFiles(is_on=self.is_active, not_reported=["stat"])
        """What it has opened before: it may look there again without opening it."""
        self._parts: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self.why_missed = ""
        """Why no segment was found, as far as that is known."""

    def _open_cache(self) -> None:
        try:
            self._cache = SegmentCache()
        except RuntimeError as error:  # no home folder is known
            self._give_up(str(error))
            return
        if not self._cache.is_usable:
            self._give_up(f"{str(self._cache.folder)!r} cannot be written to")

    @property
    def is_active(self) -> bool:
        """Whether segments may be found, and kept."""
        return self._why_not is None

    @property
    def why_unused(self) -> str:
        """Why no segment came from the cache, where the user should know."""
        self._check_opened()
        is_of_the_script = self._cache is not None and self._cache.is_usable
        return (self._why_not or self.why_missed) if is_of_the_script else ""

    @property
    def needs_copy(self) -> bool:
        """Whether a copy of the source may run updates in advance."""
        settings = self._job.settings
        # The states of source and figure hold no random numbers.
        is_seeded = settings.seed is not None
        n_frames = 0 if self._job.params is None else self._job.feed.n_frames or 0
        is_worth_it = n_frames >= FEWEST_FRAMES
        return self.is_active and is_worth_it and is_seeded and not settings.independent

    def begin(self, source: Source) -> None:
        """The source is open, and has drawn nothing."""
        if self.is_active:
            try:
                why = why_script_is_not_plain()
                if why is not None:
                    raise NoDigestError(f"{why}, which is not followed")
                check_parameters(self._job.params)
                self._modules = own_files()
                here = surroundings_parts(self._job.settings)
                # Where setup has looked without opening it, is in what it has made of it.
                read = {name: str(version_of(name)) for name in self.opened_by_setup.names}
                state = state_digest(source)
                self._parts = {**read, **here, "a value that the script draws from": state}
                self._bases = [str(sorted(self._parts.items()))]
                if self._job.settings.seed is None:
                    self._random_state = random_digest()
                    self._bases.insert(0, f"{self._bases[0]} {self._random_state}")
            except NoDigestError as error:
                self._give_up(str(error))
            except Exception as error:  # the user's own objects may raise anything
                self._give_up(f"{type(error).__name__}: {error}")

    def _give_up(self, why: str) -> None:
        self._why_not = why
        _logger.info("Segments are not cached: %s.", why)

    def _check_opened(self) -> None:
        opened = self.opened.first or self._opened_elsewhere
        if self.is_active and opened is not None:
            self._give_up(f"the script's code opens files while it draws ({opened:.200})")
        if self.is_active and self._modules and own_files() != self._modules:
            self._give_up("the script's code imports modules while it draws")

    # ---- finding

    def find(
        self, inside: InProcess, longest: int, folder: SegmentFolder, pristine: PackedSource | None
    ) -> list[int]:
        """Put what the cache has of the video's segments into `folder`; their indices."""
        try:
            return self._found(inside, longest, folder, pristine)
        except Exception as error:  # a mistake of the script's shows where frames are drawn
            self._give_up(f"{type(error).__name__}: {error}")
            return []

    def _found(
        self, inside: InProcess, longest: int, folder: SegmentFolder, pristine: PackedSource | None
    ) -> list[int]:
        self._check_opened()
        feed = self._job.feed.again() if self.is_active else None
        if feed is None:
            return []
        self._videos = [_short_digest(folder.video, base) for base in self._bases]
        code = self._job.segment_store.code
        self._parts = short_digests(
            {
                "the script's code": code,
                **self._parts,
                "a setting of the video, or its first frame,": folder.video,
            }
        )
        plan = SegmentPlan(feed, longest)
        chunks = list(iter(lambda: plan.take(None), None))
        for chunk in chunks:
            digest = digest_of(chunk.batch)
            if digest is not None:
                what = (chunk.segment_index, chunk.start, digest)
                self._segments[chunk.segment_index] = CachedSegment(chunk.batch, what)
        found = set()
        with contextlib.ExitStack() as stack:
            updates: UpdatesInAdvance | None = None
            is_worth_it = chunks[-1].stop >= FEWEST_FRAMES and inside.open_s <= MOST_OPEN_S
            if is_worth_it and self.needs_copy and pristine is not None:
                updates = UpdatesInAdvance(chunks, inside, pristine, self._job, self.opened)
                stack.callback(updates.close)
            states: list[str | None] = [""]
            for index, before in enumerate(self._parameters(chunks)):
                segment = self._segments.get(index)
                is_found = self._is_found(segment, "parameters", before, folder)
                if not is_found and updates is not None:
                    states[index] = states[index] or updates.state(index)
                    is_found = self._is_found(segment, "state", states[index], folder)
                if is_found:
                    found.add(index)
                # What follows from a segment and what was before it, an earlier job has found.
                states.append(segment.next_state if segment is not None and is_found else None)
        for index, segment in self._segments.items():
            segment.next_state = states[index + 1]
        self._choose_audits(found, chunks, inside)
        if not found:
            self._explain()
        return sorted(found)

    def _explain(self) -> None:
        """Find what differs from the last time that a video of this name was rendered."""
        last = None if self._cache is None else self._cache.last(self._name)
        if last is None:
            return
        changed = [name for name, digest in self._parts.items() if last.get(name) != digest]
        changed += [name for name in last if name not in self._parts]
        if changed:
            here = f"{Path.cwd()}{os.sep}"
            others = f", and {len(changed) - 1} more" if changed[1:] else ""
            self.why_missed = f"{changed[0].removeprefix(here)} has changed{others}"

    @property
    def _name(self) -> str:
        """What stands for the video, whatever it is drawn from."""
        return _short_digest(str(self._job.segment_store.path), self._job.source.name)

    def _is_found(
        self, segment: CachedSegment | None, kind: str, before: str | None, folder: SegmentFolder
    ) -> bool:
        """Whether the cache has a segment, by what stands for all before it; and take it."""
        if segment is None or before is None or self._cache is None:
            return False
        keys = [video + _short_digest(*segment.what, kind, before) for video in self._videos]
        segment.keys += keys
        return any(self._is_taken(segment, key, folder, self._cache) for key in keys)

    def _is_taken(
        self, segment: CachedSegment, key: str, folder: SegmentFolder, cache: SegmentCache
    ) -> bool:
        """Whether the cache has a segment by that key; and take it."""
        known = cache.about(key)
        if known is None:
            return False
        marks = {int(number): digest for number, digest in known["marks"].items()}
        index = segment.what[0]
        path = Path(str(folder.path / segment_name(index)))
        if marks.keys().isdisjoint(segment.batch.numbers) or not cache.take(key, path):
            return False
        try:
            folder.look_up(index)
        except PartsError:
            # It is drawn again, and replaced.
            path.unlink()
            return False
        segment.taken_by = key
        self._marks |= marks
        segment.next_state = known["next_state"]
        return True

    def _parameters(self, chunks: list[Chunk]) -> Iterator[str | None]:
        """Digests of the parameters of all frames before each segment, where they may count."""
        before = FramesDigest()
        for chunk in chunks:
            yield before.text()
            if not self._job.settings.independent:
                before.add(chunk.batch.numbers, chunk.batch.params)

    # ---- auditing

    def _choose_audits(self, found: set[int], chunks: list[Chunk], inside: InProcess) -> None:
        """Some frames, at random, and those beside segments that are drawn.

        There shows what drawing leaves behind, and no fingerprint holds.
        """
        first = chunks[0].batch.numbers[0]
        noted = {index: self._noted_in(self._segments[index].batch) for index in found}
        numbers = {max(noted[index]) for index in found if index + 1 in self._drawn(found, chunks)}
        numbers |= {min(noted[index]) for index in found if index - 1 in self._drawn(found, chunks)}
        # For one alone all updates before it run.
        n_frames, advance_s = chunks[-1].stop, self._job.source.advance_s or inside.first_draw_s
        reached = AUDIT_TIME * n_frames * inside.first_draw_s / max(advance_s, 1e-9)
        others = sorted(set().union(*noted.values()) - numbers - {first})
        if not self._job.settings.independent:
            others = [number for number in others if number - first <= reached]
        # Not by the script's own generator.
        numbers.update(random.SystemRandom().sample(others, min(AUDITED_FRAMES, len(others))))
        nothing = np.empty(0, np.uint32)
        for index in sorted(found):
            batch = self._segments[index].batch
            for at, number in enumerate(batch.numbers):
                # The first one was drawn already, and compared.
                if number in numbers and number != first:
                    digest = bytes.fromhex(noted[index][number])
                    mark = FrameMark(number, digest, nothing, nothing)
                    self._to_audit.append((mark, batch[at : at + 1]))

    @staticmethod
    def _drawn(found: set[int], chunks: list[Chunk]) -> set[int]:
        return {chunk.segment_index for chunk in chunks} - found

    def _noted_in(self, batch: Batch) -> dict[int, str]:
        return {number: self._marks[number] for number in batch.numbers if number in self._marks}

    def take_marked(self, stop: int | None = None) -> Iterator[tuple[FrameMark, Batch]]:
        """The frames before frame `stop` that are to be drawn again, as they were; each once."""
        while self._to_audit and (stop is None or self._to_audit[0][0].number < stop):
            yield self._to_audit.pop(0)

    def check(self, here: FrameMark, before: FrameMark) -> None:
        """Raise `RedrawError` if a frame looks different from what the cache has."""
        if not here.same_as(before):
            raise RedrawError(
                f"Frame {here.number}, which came from the cache, has other pixels now. What the "
                "cache has of this video is deleted"
            )

    def drop(self) -> None:
        """Forget what the cache has of this video."""
        if self._cache is not None:
            for video in self._videos:
                self._cache.drop(video)

    # ---- keeping

    def note(self, noted: Mapping[int, bytes]) -> None:
        """Digests of some frames that were drawn."""
        self._marks |= {number: digest.hex() for number, digest in noted.items()}

    def drawn(self, meta: DrawnMeta) -> None:
        """An actor has drawn frames."""
        self._has_actors = True
        self._opened_elsewhere = self._opened_elsewhere or meta.opened
        self.note(meta.noted)

    def keep(self, folder: SegmentFolder) -> None:
        """The video is whole: keep its segments."""
        self._check_opened()
        if not self.is_active or self._cache is None:
            return
        if any(segment.what[2] != digest_of(segment.batch) for segment in self._segments.values()):
            # One frame's may be another's, too.
            self._give_up("the script's code changes its parameters")
            return
        try:
            # Where no random number was taken, it makes no difference which ones would have come.
            is_random = self._has_actors or random_digest() != self._random_state
            video = self._videos[0 if is_random else -1] if self._videos else ""
            for index, segment in self._segments.items():
                marks = self._noted_in(segment.batch)
                path = Path(str(folder.path / segment_name(index)))
                about = {"marks": marks, "next_state": segment.next_state}
                for key in segment.keys if marks and path.is_file() else ():
                    if key != segment.taken_by and key.startswith(video):
                        self._cache.keep(key, path, about)
            self._cache.keep_last(self._name, self._parts)
            self._cache.shrink()
        except Exception as error:  # the video is whole without it
            _logger.warning("The cache %r cannot be written: %s.", str(self._cache.folder), error)


def digest_of(batch: Batch) -> str | None:
    """Digest of some frames' numbers and parameters."""
    return batch_digest(batch.numbers, batch.params)


def _short_digest(*values: Any) -> str:
    return blake2b(repr(values).encode(), digest_size=16).hexdigest()


def why_not_cached(job: Job) -> str | None:
    """Why no segment of a job is looked for or kept; None where there may be some."""
    settings = job.settings
    if not settings.cache:
        return "cache=False"
    if settings.resume:
        return "the job goes on from an earlier one"
    if settings.audit is not None:
        # All is to be drawn and audited, or nothing may be audited.
        return "the share of audits was given"
    if job.feed.is_selection:
        return "only some frames were asked for"
    if job.source.stays is not None:
        return job.source.stays
    if type(job.params) not in LISTED:
        return "the parameters are not in a list"
    if not job.segment_store.takes_disk:
        return "the segments are not on a disk"
    return None
