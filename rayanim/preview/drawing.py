"""The process that draws: it runs the script, and draws the frames that it is asked for.

Requests are lines on its standard input: ``start``, then numbers of frames. It answers
with lines of JSON. When its input ends, because the server has ended, so does it; so does
the process of a render that the server has started.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import os
import pprint
import queue
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

if TYPE_CHECKING:
    from rayanim.planning import PlannedVideo
    from rayanim.sources import Pixels

END_S = 2.0
"""How long the script has to end by itself."""

RENDER_END_S = 30.0
"""So long a render may take to end: Ray, and what is being written."""

PARAMS_CHARS = 1000
"""Of a frame's parameters so much is shown."""

Emit = Callable[[str, dict[str, Any]], None]


class Requests:
    """What the server asks for."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(own_input(),), daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        for line in stream:
            self._lines.put(line.decode().strip())
        self._lines.put("")
        # In the middle of a frame, or where the script does not let itself be ended.
        end_after(END_S)

    def wait_for_start(self) -> None:
        """Wait until the script is to be run."""
        if self._lines.get() != "start":
            sys.exit(0)

    def numbers(self) -> Iterator[int]:
        """The frames that are asked for, until the server has ended."""
        while line := self._lines.get():
            yield int(line)


def own_input() -> BinaryIO:
    """The standard input, in whose place the script gets another one, which is empty."""
    stream = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return stream


def end_with_input() -> None:
    """From now on, stop this process as a signal does when its standard input ends."""
    stream = own_input()

    def wait_for_end() -> None:
        stream.read()
        end_after(RENDER_END_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_end, daemon=True).start()


def end_after(limit_s: float) -> None:
    """End this process if it has not ended by itself until then."""
    ending = threading.Timer(limit_s, end_process_and_children)
    ending.daemon = True
    ending.start()


def end_process_and_children() -> None:
    """End this process, and those that the script has started, at once."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


PRELOADED = (
    "matplotlib.pyplot",
    "PIL.PngImagePlugin",
    "rayanim.engine.draw",
    "rayanim.engine.packing",
    "rayanim.still",
    "rayanim.video.codecs",
)
"""What nearly every script needs: imported while nobody waits for it."""


def preload() -> None:
    """Import it, with the backend that a script without a window has."""
    os.environ.setdefault("MPLBACKEND", "agg")
    for name in PRELOADED:
        importlib.import_module(name)


def draw_on_request(plan: PlannedVideo, requests: Requests, emit: Emit) -> NoReturn:
    """Draw frames of a script's video until the server has ended, and then end the script."""
    from rayanim.figure.draw_stats import WARM_UP, DrawMonitor
    from rayanim.still import FrameDrawer

    monitor = DrawMonitor()
    with contextlib.closing(FrameDrawer(plan, in_any_order=True)) as drawer:
        emit("opened", _about(plan, drawer.numbers, drawer.goes_back))
        last, in_order = -1, 0
        for number in requests.numbers():
            if not drawer.has(number):
                emit("end", {"after": drawer.latest})
                continue
            with monitor.open(), monitor.frame(number) as draws:
                pixels = drawer.draw(number)
            # The first ones are drawn in full, and load fonts, for example.
            in_order = in_order + 1 if number == last + 1 else 0
            values = {
                "number": number,
                "usual": in_order > WARM_UP and not draws.comparisons,
                "ms": 1000 * draws.seconds,
                "drawing_ms": 1000 * draws.drawing_s,
                "params": _shown(drawer.params_of(number)),
                "png": base64.b64encode(_png(pixels)).decode(),
            }
            emit("frame", values)
            last = number
    # Not as an error that the script's own code would catch.
    raise SystemExit(0)


def _about(plan: PlannedVideo, numbers: Any, goes_back: bool) -> dict[str, Any]:
    count = plan.feed.n_frames if numbers is None else len(numbers)
    is_range = numbers is None or list(numbers) == list(range(len(numbers)))
    return {
        "name": plan.source.name,
        "output": str(plan.target.address),
        "fps": float(plan.settings.fps),
        "background": plan.settings.background_rgb(),
        "count": count,
        "numbers": None if is_range else list(numbers),
        "goes_back": goes_back,
        "files": loaded_files(),
    }


def loaded_files() -> list[str]:
    """The files of the modules that are neither Python's own nor installed."""
    installed = {str(Path(path).resolve()) for path in sysconfig.get_paths().values()}
    own = str(Path(__file__).resolve().parents[1])
    found = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    paths = {str(Path(file).resolve()) for file in found if file and file.endswith(".py")}
    return sorted(path for path in paths if not path.startswith((*installed, own)))


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    # More would take longer than drawing, for a picture that goes no further than this machine.
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _shown(params: Any) -> str | None:
    """A frame's parameters as text."""
    # A frame of a generator is its own parameter.
    is_frame = hasattr(params, "savefig") or hasattr(params, "getbands")
    if params is None or is_frame or getattr(params, "ndim", 0) > 1:
        return None
    try:
        text = pprint.pformat(params, width=60, compact=True, sort_dicts=False)
    except Exception:  # whatever the user's __repr__ raises
        return None
    return text if len(text) <= PARAMS_CHARS else f"{text[:PARAMS_CHARS]} …"
