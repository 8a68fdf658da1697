"""The pictures of a script's video: drawn when asked for, kept, and drawn anew after a change.

A thread asks one process for one frame after another: first for those that somebody waits
for, then for their neighbours. Another thread looks whether the script was saved; then a
fresh process draws. The last pictures stay until the new video can be drawn.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CACHE_BYTES = 256 * 2**20
"""Pictures that are kept, as PNG: 8,000 of a line plot in 640x480."""

AHEAD_S, LEAST_AHEAD = 2.0, 12
"""So much of the video is drawn ahead of need, and at least so many frames."""

BLOCK, NEAR = 16, 4
"""Going back, so many frames are drawn in one go once one of the nearest few is missing:
each time the updates before them run anew."""

POLL_S, SETTLED_S = 0.1, 0.05
"""Seconds between two looks at the files, and those for which a changed one must stay as it is:
an editor may write it in several steps."""

END_S = 3.0
"""How long a process has to end by itself, which it does within 2 s."""

MOST_FILES = 500
"""Files that are looked at; 10,000 looks a second take a tenth of a core."""


ABOUT_FRAME = ("number", "ms", "drawing_ms", "usual", "params")
"""What the page says of a frame, beside its picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as PNG, and what the page says of it."""

    png: bytes
    about: dict[str, Any]


@dataclass(slots=True)
class PreviewedVideo:
    """What is known of the video that is shown, and its pictures.

    `numbers` are those of its frames, if they do not count from 0; `count` is None while it
    is not known. `costs_ms` are in the order in which the frames were drawn, None where it took
    longer than it would in a render.
    """

    version: int
    about: dict[str, Any]
    pictures: OrderedDict[int, Picture] = field(default_factory=OrderedDict)
    pictures_bytes: int = 0
    costs_ms: dict[int, float | None] = field(default_factory=dict)
    errors: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def goes_back(self) -> bool:
        """Whether its process can draw a frame after a later one."""
        return bool(self.about["goes_back"])

    def numbers_near(self, number: int, first: int, last: int) -> Sequence[int]:
        """The frames from the `first` to the `last` neighbour of frame `number`."""
        numbers, count = self.about["numbers"], self.about["count"]
        at = number
        if numbers is not None:
            at = numbers.index(number) if number in numbers else 0
        stop = at + last + 1 if count is None else min(at + last + 1, count)
        near = range(max(0, at + first), max(0, stop))
        return near if numbers is None else numbers[near.start : near.stop]

    def has(self, number: int) -> bool:
        """Whether there is such a frame, as far as is known."""
        numbers, count = self.about["numbers"], self.about["count"]
        if numbers is not None:
            return number in numbers
        return number >= 0 and (count is None or number < count)

    def is_done(self, number: int) -> bool:
        """Whether there is nothing to draw any more."""
        return number in self.pictures or number in self.errors

    def keep(self, number: int, picture: Picture) -> None:
        """Add a picture, in place of those that were not looked at for longest."""
        self.pictures[number] = picture
        self.pictures_bytes += len(picture.png)
        while self.pictures_bytes > CACHE_BYTES and len(self.pictures) > 1:
            self.pictures_bytes -= len(self.pictures.popitem(last=False)[1].png)

    def next_number(
        self, wanted: Iterable[int], near: int, is_backwards: bool, last: int
    ) -> int | None:
        """The frame to draw next; `last` is the one that was drawn last.

        First those that somebody waits for, then the neighbours of frame `near`.
        """
        for number in wanted:
            if self.has(number) and not self.is_done(number):
                return number
        if self.pictures_bytes > CACHE_BYTES // 2 and len(self.pictures) > 1:
            mean_bytes = self.pictures_bytes // len(self.pictures)
            most = CACHE_BYTES // 2 // mean_bytes
        else:
            most = 1 << 30
        ahead = min(max(LEAST_AHEAD, round(AHEAD_S * self.about["fps"])), most)
        if is_backwards and self.goes_back:
            block = self.numbers_near(near, -BLOCK, -1)
            if all(map(self.is_done, block[-NEAR:])) or not self.errors.keys().isdisjoint(block):
                return None
            missing = [number for number in block if number not in self.pictures]
            return min((number for number in missing if number > last), default=missing[0])
        for number in self.numbers_near(near, 0, ahead):
            if number in self.errors:
                return None  # those after it would fail, too, as a rule
            if number not in self.pictures:
                return number if number > last or self.goes_back else None
        return None


class DrawingProcess:
    """A process that draws, see `rayanim.preview.drawing`."""

    def __init__(self, command: Sequence[str]) -> None:
        self.last = -1
        """The frame that was asked for last."""
        self._popen = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def send(self, line: str | int) -> None:
        """Ask for something; if the process has ended, `receive` shows it."""
        if isinstance(line, int):
            self.last = line
        with contextlib.suppress(OSError, ValueError):
            self._popen.stdin.write(f"{line}\n".encode())  # type: ignore[union-attr]
            self._popen.stdin.flush()  # type: ignore[union-attr]

    def receive(self, *kinds: str) -> dict[str, Any] | None:
        """The next event of one of these kinds; None if the process has ended."""
        for line in self._popen.stdout or ():
            with contextlib.suppress(ValueError):
                event: dict[str, Any] = json.loads(line)
                if event.get("event") in kinds:
                    return event
        return None

    def exit_code(self) -> int:
        """How it has ended."""
        self.end()
        return self._popen.wait()

    def end(self, *, at_once: bool = False) -> None:
        """End it, and what the script has started."""
        with contextlib.suppress(OSError, ValueError):
            self._popen.stdin.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(0 if at_once else END_S)
            return
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        self._popen.wait()


class PreviewSession:
    """What the page shows of a script; for many threads."""

    def __init__(self, script: Path, command: Sequence[str]) -> None:
        self._script = script
        self._command = command
        self._changed = threading.Condition()
        self._serial = 0
        self._version = 0
        self._status = "starting"
        self._error: dict[str, Any] | None = None
        self._video: PreviewedVideo | None = None
        self._process: DrawingProcess | None = None
        self._spare: DrawingProcess | None = None
        self._is_stale = True
        self._is_closed = False
        self._wanted: Counter[int] = Counter()
        self._near = 0
        self._is_backwards = False
        self._threads = [threading.Thread(target=each) for each in (self._draw_all, self._watch)]

    def start(self) -> None:
        """Begin to draw."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all threads and processes."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._process is not None:
            self._process.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for process in (self._process, self._spare):
            if process is not None:
                process.end()

    # ---- for the page

    def picture(self, number: int, version: int) -> Picture | dict[str, Any] | None:
        """A frame, or the error that it ends in.

        None where the video is another one by now, or has no such frame.
        """
        with self._changed:
            video = self._video
            if video is None or video.version != version or not video.has(number):
                return None
            if number != self._near:
                self._is_backwards = number < self._near
                self._near = number
            self._wanted[number] += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: self._has_answer(video, number))
            finally:
                self._wanted[number] -= 1
                self._wanted += Counter()  # without those that are 0
            if number in video.pictures:
                video.pictures.move_to_end(number)
                return video.pictures[number]
            return video.errors.get(number)

    def _has_answer(self, video: PreviewedVideo, number: int) -> bool:
        is_over = self._is_closed or video is not self._video or self._status != "ready"
        return is_over or video.is_done(number) or not video.has(number)

    def news(
        self, serial: int, version: int, costs: int, limit_s: float
    ) -> tuple[int, dict[str, Any]]:
        """What has changed since: its serial number, and what the page is sent.

        Of the video of `version` the page knows the numbers, and so many `costs`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._serial != serial or self._is_closed, limit_s)
            video = self._video
            found: dict[str, Any] = {"status": self._status, "error": self._error}
            if video is not None:
                if video.version != version:
                    costs = 0
                    found["numbers"] = video.about["numbers"]
                about = ("name", "output", "fps", "background", "count")
                found |= {name: video.about[name] for name in about}
                found["version"] = video.version
                found["failing"] = list(video.errors)
                found["costs_from"] = costs
                found["costs_ms"] = [
                    [number, None if ms is None else round(ms, 2)]
                    for number, ms in list(video.costs_ms.items())[costs:]
                ]
            return self._serial, found

    def first_error(self) -> dict[str, Any]:
        """What the script has ended in, if it has, once its video is open or it has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._status != "starting")
            return self._error or {}

    @property
    def output(self) -> str | None:
        """Where the script's own render goes, as far as that is known."""
        video = self._video
        return None if video is None else str(video.about["output"])

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._is_closed

    def _set(self, **changes: Any) -> None:
        """Set attributes, and wake everybody."""
        with self._changed:
            for name, value in changes.items():
                setattr(self, f"_{name}", value)
            self._serial += 1
            self._changed.notify_all()

    # ---- drawing

    def _draw_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_closed or self._is_stale or self._next() is not None,
                )
                if self._is_closed:
                    return
                is_stale, number = self._is_stale, self._next()
                self._is_stale = False
            if is_stale:
                self._begin_anew()
            elif number is not None:
                self._draw(number)

    def _next(self) -> int | None:
        if self._video is None or self._status != "ready":
            return None
        last = -1 if self._process is None else self._process.last
        return self._video.next_number(list(self._wanted), self._near, self._is_backwards, last)

    def _begin_anew(self) -> None:
        """Draw the video of the script as it is now."""
        self._version += 1
        self._set(status="starting", wanted=Counter())
        opened = self._open_process()
        if opened is not None:
            self._near = min(self._near, (opened["count"] or self._near + 1) - 1)
            video = PreviewedVideo(self._version, opened)
            self._set(video=video, status="ready", error=None)

    def _open_process(self) -> dict[str, Any] | None:
        """Have a fresh process run the script; None, and an error for the page, if it fails."""
        old = self._process
        try:
            with self._changed:
                if self._is_closed:
                    return None
                process = self._spare or DrawingProcess(self._command)
                self._process, self._spare = process, None
        except OSError as error:
            self._set(status="failed", error=_problem(f"No process can be started: {error}."))
            return None
        if old is not None:
            threading.Thread(target=old.end).start()
        process.send("start")
        event = process.receive("opened", "error")
        if event is not None and event["event"] == "opened":
            return event
        self._process = None
        exit_code = process.exit_code()
        if not self._is_stale:
            self._set(status="failed", error=event or _ended(exit_code))
        return None

    def _draw(self, number: int) -> None:
        video, process = self._video, self._process
        if video is None:
            return
        if process is None or (number <= process.last and not video.goes_back):
            # The same script in a fresh process: all as before its first frame.
            if self._open_process() is None:
                return
            process = self._process
        if process is None:
            return
        process.send(number)
        event = process.receive("frame", "end", "error")
        if self._is_stale or self._is_closed:
            return
        if event is not None and event["event"] == "frame":
            about = {name: event[name] for name in ABOUT_FRAME}
            with self._changed:
                video.keep(number, Picture(base64.b64decode(event["png"]), about))
                video.costs_ms.setdefault(number, event["ms"] if event["usual"] else None)
        elif event is not None and event["event"] == "end":
            with self._changed:
                video.about["count"] = event["after"] + 1
        else:
            self._process = None
            error = event or _ended(process.exit_code())
            with self._changed:
                video.errors[number] = error
        self._set()
        with self._changed, contextlib.suppress(OSError):
            if self._spare is None and not self._wanted and not self._is_closed:
                self._spare = DrawingProcess(self._command)

    # ---- hot reload

    def _watch(self) -> None:
        seen = self._look()
        while not self._is_closed:
            time.sleep(POLL_S)
            now = self._look()
            path = str(self._script.resolve())
            if path in seen and path not in now and self._status != "starting":
                time.sleep(SETTLED_S)
                if path not in self._look():
                    del seen[path]
                    self._set(status="failed", error=_problem(f"{self._script} was deleted."))
            is_failed = self._status == "failed"
            # A new file may be what was missing; else it is one that was loaded by now.
            if all(seen.get(path, None if is_failed else now[path]) == now[path] for path in now):
                seen |= now
                continue
            time.sleep(SETTLED_S)
            if self._look() != now or path not in now:
                continue
            seen |= now
            with self._changed:
                is_busy = self._status == "starting" or self._next() is not None
                process, self._is_stale = self._process, True
                self._changed.notify_all()
            if process is not None and is_busy:
                # It may never answer.
                process.end(at_once=True)

    def _look(self) -> dict[str, tuple[int, int]]:
        """Time and size of the script, the modules beside it, and those that it loaded."""
        script = self._script.resolve()
        loaded = self._video.about["files"] if self._video is not None else ()
        paths = [str(script), *map(str, script.parent.glob("*.py")), *loaded]
        found = {}
        for path in list(dict.fromkeys(paths))[:MOST_FILES]:
            with contextlib.suppress(OSError):
                stat = Path(path).stat()
                found[path] = (stat.st_mtime_ns, stat.st_size)
        return found


def _ended(exit_code: int) -> dict[str, Any]:
    return _problem(f"The script's process has ended with exit code {exit_code}.")


def _problem(text: str) -> dict[str, Any]:
    return {"error": "", "text": text, "frame": None, "traceback": None}
