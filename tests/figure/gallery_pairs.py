"""Draws one figure twice from the same memory, in full and incrementally, and compares.

The process that made the figure draws nothing itself: it forks one process that draws every
frame in full and then another that draws the same frames with the canvas under test.
"""

from __future__ import annotations

import json
import random
import time
import traceback
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gallery_axes  # noqa: F401  (fills the table of changes)
import gallery_whole  # noqa: F401
import numpy as np
from gallery_changes import CHANGES, NothingThereError, Pick, name_of_any
from gallery_processes import in_child
from matplotlib.figure import Figure
from PIL import Image

from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas

BUDGET_S = 6.0
"""Once the full draws of a figure took so much CPU time, its remaining frames are left out."""

TRIES = 8
"""Changes that are tried in a row until one finds something in the figure to change."""


@dataclass(frozen=True)
class Plan:
    """What is drawn: the same plan gives the same frames in every process.

    Attributes
    ----------
    seed
        Text that all random choices come from; it names the script and the figure.
    frames
        How many frames are drawn.
    guard
        Whether the canvas compares its own frames, as in production.
    always_try
        Whether the canvas draws incrementally even where that hardly pays.
    left_out
        Changes that are not made, as (frame, number) pairs.
    """

    seed: str
    frames: int
    guard: bool
    always_try: bool
    left_out: frozenset[tuple[int, int]] = frozenset()


@dataclass
class Frame:
    """What came of one frame in one process."""

    changes: list[str]
    error: str = ""
    warned: list[str] = field(default_factory=list)
    why_full: str | None = None
    wrong: str = ""
    noticed: str = ""


@dataclass
class Result:
    """What came of one figure.

    Attributes
    ----------
    failures
        Each as (kind, frame, text).
    left_out
        Why the figure does not count, or nothing.
    ends
        The exception in a full draw that the series of frames ends with, or nothing.
    changes
        What was changed before each frame.
    """

    figure: int
    frames: int = 0
    incremental: int = 0
    in_full: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    left_out: str = ""
    ends: str = ""
    changes: list[list[str]] = field(default_factory=list)


class CanvasUnderTest(IncrementalCanvas):
    """A canvas that compares some of its frames as in production, whatever the time."""

    before: np.ndarray | None = None

    def _has_time(self) -> bool:
        return True

    def _judge(self, renderer: Any, *args: Any) -> Any:
        # A difference leaves the full draw in the renderer.
        self.before = renderer.pixels.copy()
        return super()._judge(renderer, *args)


def canvas_under_test(figure: Figure, plan: Plan) -> CanvasUnderTest:
    """The canvas that must give the pixels of a full draw."""
    canvas = CanvasUnderTest(figure)
    canvas.compares_first = plan.guard
    canvas.always_try = plan.always_try
    return canvas


def noticed_by_guard(canvas: CanvasUnderTest, full: np.ndarray) -> str:
    """What a comparison found in the frame drawn last: "right", "false", or nothing."""
    before, canvas.before = canvas.before, None
    if canvas.difference is None or before is None:
        return ""
    return "false" if np.array_equal(before, full) else "right"


class Changes:
    """Makes the random changes of a plan in one process."""

    def __init__(self, plan: Plan, figure: Figure, animations: list[Any]) -> None:
        self.plan = plan
        self.pick = Pick(figure, animations)

    def make(self, frame: int) -> list[str]:
        """Make the changes before `frame`; returns them as text."""
        chance = random.Random(f"{self.plan.seed} {frame}")
        random.seed(chance.random())
        np.random.seed(chance.randrange(2**32))
        counts = [0, 0, 1, 1, 1, 2, 2, 3, 4] if frame > 2 else [0, 0, 1]
        count = chance.choice(counts) if frame else 0
        numbers = [each for each in range(count) if (frame, each) not in self.plan.left_out]
        return [self._one(f"{self.plan.seed} {frame} {number}") for number in numbers]

    def _one(self, seed: str) -> str:
        self.pick.random.seed(seed)
        for _ in range(TRIES):
            name = name_of_any(self.pick.random)
            try:
                detail = CHANGES[name](self.pick)
            except NothingThereError:
                continue
            except Exception as error:
                # What matplotlib refuses, it must refuse in both processes.
                detail = f"refused: {type(error).__name__}"
            return f"{name} ({detail})" if detail else name
        return "nothing found to change"


def draw_in_full(plan: Plan, figure: Figure, animations: list[Any], folder: Path) -> None:
    """Draw all frames with a plain canvas; what came of them goes into `folder`."""
    changes = Changes(plan, figure, animations)
    canvas = VideoCanvas(figure)
    started_s = time.process_time()
    with (folder / "full.jsonl").open("w", buffering=1) as log:
        for number in range(plan.frames):
            frame = Frame(changes.make(number))
            _draw(canvas, frame, compare=False)
            if not frame.error:
                np.save(folder / f"full-{number}.npy", np.asarray(canvas.buffer_rgba()))
            log.write(json.dumps(asdict(frame)) + "\n")
            if frame.error or time.process_time() - started_s > BUDGET_S:
                break


def draw_under_test(
    plan: Plan, figure: Figure, animations: list[Any], folder: Path, full: list[Frame]
) -> None:
    """Draw the frames of `full` with the canvas under test and compare each with its pixels."""
    changes = Changes(plan, figure, animations)
    canvas = canvas_under_test(figure, plan)
    with (folder / "test.jsonl").open("w", buffering=1) as log:
        for number, expected in enumerate(full):
            log.write(json.dumps({"at": number}) + "\n")
            frame = Frame(changes.make(number))
            _draw(canvas, frame, compare=plan.guard and number % 3 == 0)
            frame.why_full = canvas.why_full
            if not frame.error and not expected.error:
                _compare(np.load(folder / f"full-{number}.npy"), canvas, frame, folder, number)
            log.write(json.dumps(asdict(frame)) + "\n")
            if frame.error or expected.error:
                break


def _draw(canvas: VideoCanvas, frame: Frame, *, compare: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            canvas.draw_frame(compare=compare)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            frame.error = f"{type(error).__name__}: {error} ({Path(where.filename).name})"
    texts = {f"{each.category.__name__}: {each.message}" for each in caught}
    # What a comparison found is read from the canvas.
    frame.warned = sorted(text for text in texts if "than a full draw" not in text)


def _compare(
    full: np.ndarray, canvas: CanvasUnderTest, frame: Frame, folder: Path, number: int
) -> None:
    drawn = np.array(canvas.pixels)
    frame.noticed = noticed_by_guard(canvas, full)
    if np.array_equal(full, drawn):
        return
    np.save(folder / f"test-{number}.npy", drawn)
    if full.shape != drawn.shape:
        frame.wrong = f"shape {drawn.shape} in place of {full.shape}"
        return
    rows, columns = np.nonzero((full != drawn).any(axis=2))
    frame.wrong = (
        f"{len(rows)} pixels, x {columns.min()}-{columns.max()}, y {rows.min()}-{rows.max()}"
    )


def compare_figure(
    plan: Plan,
    number: int,
    figure: Figure,
    animations: list[Any],
    folder: Path,
    *,
    repeat: bool = True,
) -> Result:
    """Draw `figure` in full and under test, and compare.

    With `repeat`, a figure that fails is drawn in full once more, and left out if its full
    draws differ from each other.
    """
    result = Result(number)
    ended = in_child(lambda: draw_in_full(plan, figure, animations, folder))
    full = read_frames(folder / "full.jsonl")
    if ended:
        result.left_out = f"full draws {ended}"
        return result
    if full[0].error:
        result.left_out = "a full draw raises at once: " + full[0].error[:60]
        return result
    ended = in_child(lambda: draw_under_test(plan, figure, animations, folder, full))
    test = read_frames(folder / "test.jsonl")
    result.frames = len(test)
    result.ends = full[-1].error.partition(":")[0]
    result.changes = [each.changes for each in full]
    result.incremental = sum(each.why_full is None for each in test)
    result.in_full.update(each.why_full for each in test if each.why_full is not None)
    for place, (one, other) in enumerate(zip(full, test, strict=False)):
        result.failures += [(kind, place, text) for kind, text in _failures(one, other)]
    if ended:
        kind = "hang" if "longer" in ended else "crash"
        result.failures.append((kind, len(test), f"the canvas under test {ended}"))
    if result.failures and repeat and not _repeatable(plan, figure, animations, folder, full):
        result.left_out, result.failures = "not repeatable in full", []
    return result


def _failures(full: Frame, test: Frame) -> list[tuple[str, str]]:
    made = "; ".join(full.changes) or "no change"
    found = []
    if full.changes != test.changes:
        found.append(("other state", f"{made} | but under test: {'; '.join(test.changes)}"))
    if test.error and not full.error:
        found.append(("exception", f"{test.error} | {made}"))
    if full.error and not test.error:
        found.append(("no exception", f"{full.error} | {made}"))
    if test.wrong:
        way = "incremental" if test.why_full is None else "drawn in full"
        found.append(("wrong pixels", f"{test.wrong} | {way} | {made}"))
    if test.noticed:
        kind = "false alarm" if test.noticed == "false" else "caught by the guard"
        found.append((kind, made))
    new = sorted(set(test.warned) - set(full.warned))
    if new and not test.error:
        found.append(("warning", f"{new[0]} | {made}"))
    return found


def _repeatable(
    plan: Plan, figure: Figure, animations: list[Any], folder: Path, full: list[Frame]
) -> bool:
    """Whether a second series of full draws gives the frames of the first one."""
    again = folder / "again"
    again.mkdir(exist_ok=True)
    in_child(lambda: draw_in_full(plan, figure, animations, again))
    frames = read_frames(again / "full.jsonl")
    for number, (one, other) in enumerate(zip(full, frames, strict=False)):
        if one.changes != other.changes or one.error != other.error:
            return False
        name = f"full-{number}.npy"
        if not one.error and not np.array_equal(np.load(folder / name), np.load(again / name)):
            return False
    return True


def fewest_changes(
    plan: Plan, result: Result, figure: Figure, animations: list[Any], folder: Path
) -> str:
    """Leave out changes as long as the first failure's kind remains; returns which are needed."""
    kind, last, _ = result.failures[0]
    plan = replace(plan, frames=last + 1)
    made = [
        (frame, number)
        for frame, changes in reversed([*enumerate(result.changes[: last + 1])])
        for number in range(len(changes))
    ]
    needed = result.changes[: last + 1]
    for left_out in [made, *([each] for each in made)]:
        fewer = replace(plan, left_out=plan.left_out.union(left_out))
        if fewer.left_out == plan.left_out:
            continue
        found = compare_figure(fewer, result.figure, figure, animations, folder, repeat=False)
        if kind in {each[0] for each in found.failures}:
            plan, needed = fewer, found.changes
    texts = [f"{frame}: {', '.join(each)}" for frame, each in enumerate(needed) if each]
    return "; ".join(texts) or "none: frames differ without any change"


def read_frames(path: Path) -> list[Frame]:
    """The frames that a process has written, so far as it came."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Frame(**record) for record in map(json.loads, lines) if "changes" in record]


def save_pictures(folder: Path, target: Path, name: str, numbers: list[int]) -> None:
    """Write the frames `numbers` as PNG files, in full and as drawn under test."""
    target.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for side in ("full", "test"):
            source = folder / f"{side}-{number}.npy"
            if source.exists():
                Image.fromarray(np.load(source)).save(target / f"{name}-{number}-{side}.png")
