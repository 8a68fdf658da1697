"""`rayanim preview`: the pictures, who gets them, and what a change of the script does to them."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import io
import json
import math
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
import pytest
from animation_patterns import PATTERNS
from browser import browser
from devtools import Page
from devtools import page as a_page
from page_news import get, news_of
from PIL import Image
from samples import sampled

import rayanim
from rayanim.cli import main
from rayanim.cli.preview_command import drawing_command, rendering_command
from rayanim.engine import snapshots
from rayanim.errors import FrameError, OutputError
from rayanim.overrides import Overrides, overriding
from rayanim.preview.server import PreviewServer
from rayanim.preview.session import CACHE_BYTES, Picture, PreviewedVideo
from rayanim.still import FrameDrawer

MODULES = os.pathsep.join([os.path.dirname(__file__), str(Path(rayanim.__file__).parents[1])])
LIMIT_S = 60.0

STATEFUL = """
import matplotlib.pyplot as plt
import rayanim
from helper import COLOR
class Grows(rayanim.Animator):
    param_by_frame = [{"step": i % 3} for i in range(40)]
    def setup(self):
        self.heights = []
        fig, self.ax = plt.subplots(figsize=(2, 1.5))
        (self.line,) = self.ax.plot([], color=COLOR)
        self.ax.set(xlim=(0, 40), ylim=(0, 3))
        return fig
    def update(self, frame_idx, params):
        self.heights.append(params["step"])
        self.line.set_data(range(len(self.heights)), self.heights)
"""


# ---- any order, the same frames


def rendered(make: Any, folder: Path) -> list[np.ndarray]:
    """All frames of a video, as a job in one process renders them."""
    make(str(folder / "frames" / "%04d.png"))
    return [np.array(Image.open(path)) for path in sorted((folder / "frames").iterdir())]


def drawn_in_order(make: Any, order: list[int]) -> dict[int, np.ndarray]:
    """Frames of a video as a preview draws them, as far as its source goes back."""
    found: dict[int, np.ndarray] = {}

    def show(plan: Any) -> Any:
        with contextlib.closing(FrameDrawer(plan, in_any_order=True)) as drawer:
            last = -1
            for number in order:
                if drawer.goes_back or number > last:
                    assert drawer.has(number)
                    frame = drawer.draw(number).copy()
                    np.testing.assert_array_equal(found.setdefault(number, frame), frame)
                    last = number
        return SimpleNamespace(rendered=False)

    with overriding(Overrides(show=show)):
        make("video.mp4")
    return found


ORDER = [3, 1, 2, 5, 0, 4, 4, 1]


class Slow(rayanim.Animator):
    """Updates take most of the time: with `adds` each frame depends on those before."""

    def __init__(self, *, adds: bool) -> None:
        self.adds = adds

    def setup(self):
        from matplotlib.figure import Figure

        self.sum = 0
        fig = Figure(figsize=(1, 1))
        self.bar = fig.subplots().bar([0], [0])[0]
        return fig

    def update(self, frame_idx, params):
        UPDATED.append(frame_idx)
        time.sleep(0.06)
        self.sum += frame_idx
        self.bar.set_height(0.01 * (self.sum if self.adds else frame_idx))


UPDATED: list[int] = []


@pytest.mark.parametrize("adds", [False, True])
def test_costly_updates_are_left_out_where_frames_do_without(adds, tmp_path, monkeypatch):
    """Else each of them runs, also those before a frame that is gone back to."""
    monkeypatch.chdir(tmp_path)

    def show(plan: Any) -> Any:
        drawer = FrameDrawer(plan, in_any_order=True)
        for number in (8, 16, 12):
            assert drawer.has(number)
            UPDATED.clear()
            drawer.draw(number)
        wanted = list(range(13)) if adds else [12]
        assert UPDATED == wanted  # noqa: SIM300
        return SimpleNamespace(rendered=False)

    with overriding(Overrides(show=show)):
        UPDATED.clear()  # going back restores it
        Slow(adds=adds).make_video("video.mp4", range(18), fps=10)


class Sums(rayanim.Animator):
    """Each frame is what those before add up to."""

    def setup(self):
        import matplotlib.pyplot as plt

        self.sum = 0
        fig, ax = plt.subplots(figsize=(2, 1.5))
        self.bar = ax.bar([0], [0])[0]
        ax.set_ylim(0, 20)
        return fig

    def update(self, frame_idx, params):
        self.sum += params
        self.bar.set_height(self.sum + np.random.random())


def sums(params: Any) -> Any:
    return lambda outfile: Sums().make_video(
        outfile, params(), fps=10, engine="local", progress=False
    )


def stripes(number: int) -> np.ndarray:
    return np.full((6, 8, 3), 40 * number, np.uint8)


def a_generator(outfile: str) -> None:
    rayanim.produce((stripes(i) for i in range(6)), outfile=outfile, engine="local")


SOURCES = {
    "animator": sums(lambda: [1, 2, 3, 2, 1, 4]),
    "animator in sequence": lambda outfile: Sums().make_video(
        outfile, [1, 2, 3, 2, 1, 4], sequential=True, engine="local", progress=False
    ),
    "parameters that come once": sums(lambda: iter([1, 2, 3, 2, 1, 4])),
    "function": lambda outfile: rayanim.produce(
        stripes, n_frames=6, outfile=outfile, engine="local", progress=False
    ),
    "list": lambda outfile: rayanim.produce(
        [stripes(i) for i in range(6)], outfile=outfile, engine="local", progress=False
    ),
    "generator": a_generator,
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_frame_is_the_one_that_is_rendered(name, tmp_path, monkeypatch):
    """In any order where frames can be had again; else those ahead."""
    monkeypatch.chdir(tmp_path)
    wanted = rendered(SOURCES[name], tmp_path)
    found = drawn_in_order(SOURCES[name], ORDER)
    once = name in ("parameters that come once", "generator")
    assert sorted(found) == ([3, 5] if once else list(range(6)))
    for number, frame in found.items():
        np.testing.assert_array_equal(frame[..., :3], wanted[number][..., :3])


@pytest.fixture
def at_every_second(monkeypatch):
    """Snapshots are taken at every second frame; the numbers of those that were used."""
    monkeypatch.setattr(snapshots, "EVERY_S", 0.0)
    monkeypatch.setattr(snapshots, "LARGEST_SHARE", math.inf)
    used: list[int] = []
    restored = snapshots.Snapshots.restored

    def noting(self: Any, number: int) -> Any:
        used.append(number)
        return restored(self, number)

    monkeypatch.setattr(snapshots.Snapshots, "restored", noting)
    return used


QUICK = (
    "closure_sets_data",
    "global_random_numbers",
)


@pytest.mark.parametrize("name", sampled(sorted(PATTERNS), QUICK))
def test_any_frame_of_an_unchanged_animation_is_the_one_that_is_saved(name, tmp_path, monkeypatch):
    """Each is in the state that the frames before it leave."""
    monkeypatch.chdir(tmp_path)

    def save(outfile: str) -> None:
        random.seed(1)
        np.random.seed(1)
        rayanim.produce(PATTERNS[name](), outfile=outfile, engine="local", progress=False)

    wanted = rendered(save, tmp_path)
    order = [number for number in ORDER if number < len(wanted)]
    for number, frame in drawn_in_order(save, order).items():
        np.testing.assert_array_equal(frame[..., :3], wanted[number][..., :3])


# ---- snapshots


CALLS = SimpleNamespace(updated=[])


class Counted(Sums):
    """Notes its updates where no snapshot holds them."""

    def update(self, frame_idx, params):
        CALLS.updated.append(frame_idx)
        super().update(frame_idx, params)


MARK = object()


class ByIdentity(Sums):
    """Knows by an object that a copy of it has not."""

    def setup(self):
        self.mark = MARK
        return super().setup()

    def update(self, frame_idx, params):
        self.sum += params if self.mark is MARK else 0
        self.bar.set_height(self.sum)


class LeavesOut(Sums):
    """Says itself what a pickle of it holds."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "seen"}

    def update(self, frame_idx, params):
        self.seen = [*getattr(self, "seen", []), params]
        self.bar.set_height(sum(self.seen))


class WithColourBar(rayanim.Animator):
    """Its colour bar follows the image, and a text the limits: what matplotlib's pickles drop."""

    def setup(self):
        import matplotlib.pyplot as plt

        self.sum = 0
        fig, ax = plt.subplots(figsize=(2, 1.5))
        self.image = ax.imshow(np.eye(4))
        fig.colorbar(self.image)
        self.text = fig.text(0, 0, "")
        self.ax = ax
        ax.callbacks.connect("xlim_changed", self.follow)
        return fig

    def follow(self, ax):
        self.text.set_text(str(self.sum))

    def update(self, frame_idx, params):
        self.sum += params
        self.image.set_data(np.eye(4) * self.sum)
        self.image.set_clim(0, self.sum)
        self.ax.set_xlim(-1, self.sum)


class WithPyplot(Sums):
    """In its last frame it uses pyplot's current figure."""

    def update(self, frame_idx, params):
        import matplotlib.pyplot as plt

        super().update(frame_idx, params)
        if frame_idx == 5:
            plt.title("the end")


class Bars:
    """State in the variables that a function closes over."""

    def __call__(self, number: int) -> Any:
        import matplotlib.pyplot as plt

        if number == 0:
            self.fig, ax = plt.subplots(figsize=(2, 1.5))
            self.bar, self.sum = ax.bar([0], [0])[0], 0
            ax.set_ylim(0, 20)
        self.sum += number
        self.bar.set_height(self.sum + random.random())
        return self.fig


def made_by(kind: type[rayanim.Animator], **options: Any) -> Any:
    return lambda outfile: kind().make_video(
        outfile, [1, 2, 3, 2, 1, 4], fps=10, engine="local", progress=False, **options
    )


def an_animation(name: str) -> Any:
    def save(outfile: str) -> None:
        random.seed(1)
        np.random.seed(1)
        rayanim.produce(PATTERNS[name](), outfile=outfile, engine="local", progress=False)

    return save


WITH_SNAPSHOTS = {
    "animator": made_by(Sums, sequential=True),
    "callbacks": made_by(WithColourBar),
    "pyplot": made_by(WithPyplot, dpi=60),
    "box": made_by(Sums, savefig_params={"bbox_inches": "tight"}),
    "function": lambda outfile: rayanim.produce(
        Bars(), n_frames=6, outfile=outfile, engine="local", progress=False
    ),
    **{name: an_animation(name) for name in ("global_random_numbers", "pyplot_s_own_functions")},
}


@pytest.mark.parametrize("name", WITH_SNAPSHOTS)
def test_snapshots_give_the_frames_that_are_rendered(name, at_every_second, tmp_path, monkeypatch):
    """Back, and on to a later one."""
    monkeypatch.chdir(tmp_path)
    wanted = rendered(WITH_SNAPSHOTS[name], tmp_path)
    for number, frame in drawn_in_order(WITH_SNAPSHOTS[name], [5, 3, 1, 5]).items():
        np.testing.assert_array_equal(frame[..., :3], wanted[number][..., :3])
    assert at_every_second == [2, 4]  # before frame 1 it begins again


@pytest.mark.parametrize(("kind", "tried"), [(ByIdentity, [2]), (LeavesOut, [])])
def test_where_a_snapshot_would_draw_another_frame_all_updates_run(
    kind, tried, at_every_second, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    wanted = rendered(made_by(kind), tmp_path)
    for number, frame in drawn_in_order(made_by(kind), [5, 3, 4, 2]).items():
        np.testing.assert_array_equal(frame[..., :3], wanted[number][..., :3])
    assert at_every_second == tried


def test_going_back_runs_the_updates_since_the_snapshot_before(
    at_every_second, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    def show(plan: Any) -> Any:
        with contextlib.closing(FrameDrawer(plan, in_any_order=True)) as drawer:
            for number, updated in [(30, range(31)), (20, [19, 20]), (29, [27, 28, 29])]:
                assert drawer.has(number)
                CALLS.updated.clear()
                drawer.draw(number)
                assert CALLS.updated == list(updated)
        return SimpleNamespace(rendered=False)

    with overriding(Overrides(show=show)):
        Counted().make_video("video.mp4", [0.1] * 40, fps=10)
    assert at_every_second == [19, 27]


@pytest.mark.parametrize("most", ["MOST", "MOST_BYTES"])
def test_there_are_so_many_snapshots_at_most(most, at_every_second, monkeypatch):
    """All over the video, at distances that grow with it."""
    monkeypatch.setattr(snapshots, "EVERY_S", 1.0)
    monkeypatch.setattr(snapshots, most, 8)
    monkeypatch.setattr(snapshots, "state_digest", lambda source: "")
    monkeypatch.setattr(snapshots, "pack", lambda *_: SimpleNamespace(pickled=b"1"))
    kept, source = snapshots.Snapshots(None), cast("Any", None)
    for number in range(1, 1001):
        if kept.takes(source, number):
            kept.remember(number, stripes(0))
        kept.spend(1.0)
        if number % 100 == 0:
            found = [kept.latest(each) or 0 for each in range(1, number + 1)]
            assert len(set(found)) <= 9
            assert max(each - at for each, at in enumerate(found, 1)) <= number // 2


class Fails(Sums):
    """Its third update raises."""

    def update(self, frame_idx, params):
        super().update(frame_idx, 1 / (frame_idx - 2))


def an_animation_that_fails(outfile: str) -> None:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

    fig = Figure(figsize=(2, 1.5))
    update = functools.partial(divide, fig.text(0, 0, ""))
    animation = FuncAnimation(fig, update, frames=6)
    rayanim.produce(animation, outfile=outfile, engine="local", progress=False)


def divide(text: Any, frame: int) -> None:
    text.set_text(str(1 / (frame - 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda outfile: Fails().make_video(outfile, range(6), engine="local"),
        lambda outfile: Fails().make_video(outfile, iter(range(6)), engine="local"),
        an_animation_that_fails,
    ],
)
def test_the_frame_whose_update_raises_is_named(make, tmp_path, monkeypatch):
    """Also where it runs before the update of the frame that was asked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FrameError, match=r"frame 2 of .* raised ZeroDivisionError") as raised:
        drawn_in_order(make, [1, 4])
    assert raised.value.frame == 2
    assert "ZeroDivisionError" in raised.value.traceback_text


# ---- what is drawn next, and kept


def video_of(count: int | None, *, numbers: Any = None, goes_back: bool = True) -> PreviewedVideo:
    about = {"count": count, "numbers": numbers, "goes_back": goes_back, "fps": 30.0}
    return PreviewedVideo(1, about)


def draw(video: PreviewedVideo, *wanted: int, near: int, back: bool = False, n: int) -> list[int]:
    """The frames that are drawn one after another, at most `n`."""
    drawn: list[int] = []
    while len(drawn) < n:
        number = video.next_number(wanted, near, back, drawn[-1] if drawn else -1)
        if number is None:
            break
        video.keep(number, Picture(b"png", {}))
        drawn.append(number)
    return drawn


def test_what_somebody_waits_for_comes_first_and_then_what_follows():
    """And no more than two seconds ahead."""
    assert draw(video_of(1000), 7, 500, near=500, n=999) == [7, *range(500, 561)]
    assert draw(video_of(10), near=8, n=99) == [8, 9]
    assert draw(video_of(2, numbers=[10, 20]), 20, 15, near=20, n=9) == [20]


def test_backwards_a_block_of_frames_is_drawn_in_their_order():
    """Each time it goes back all updates run anew: so once for many frames."""
    assert draw(video_of(100), 50, near=50, back=True, n=99) == [50, *range(34, 50)]


def test_what_comes_once_is_drawn_ahead_only():
    """Going back takes a fresh process: only for those that are asked for."""
    video = video_of(None, goes_back=False)
    assert draw(video, 50, near=50, back=True, n=99) == [50, *range(51, 111)]


def test_a_frame_that_fails_is_not_drawn_again():
    video = video_of(100)
    video.errors[3] = {}
    assert draw(video, 3, near=0, n=99) == [0, 1, 2]
    assert draw(video, near=8, back=True, n=99) == []


def test_pictures_are_kept_within_a_bound():
    """The ones that were not asked for longest go; half of the room is for those ahead."""
    video = video_of(1000)
    large = Picture(bytes(CACHE_BYTES // 10), {})
    for number in range(12):
        video.keep(number, large)
    assert list(video.pictures) == list(range(2, 12))
    assert video.pictures_bytes <= CACHE_BYTES
    assert video.next_number([], 11, False, 11) == 12
    assert video.next_number([], 5, False, 11) is None


# ---- over HTTP


class Client:
    """What a page would ask a server, and what it is sent."""

    def __init__(self, server: PreviewServer) -> None:
        self.server = server
        self.port = server.server_port
        self.news: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def frame(self, number: int, version: int) -> tuple[int, Any, bytes]:
        return self.get(f"/{self.server.token}/frame/{number}?v={version}")

    def pixels(self, number: int, version: int) -> np.ndarray:
        status, _, body = self.frame(number, version)
        assert status == 200, body
        return np.array(Image.open(io.BytesIO(body)))

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        with contextlib.suppress(OSError):
            connection.request("GET", f"/{self.server.token}/news")
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    self.news.put(json.loads(line[6:]))

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        """The next news with these values."""
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            news = self.news.get(timeout=LIMIT_S)
            if all(news.get(name) == value for name, value in wanted.items()):
                return news
        raise AssertionError(f"no news with {wanted}")


@contextlib.contextmanager
def served(script: Path) -> Iterator[Client]:

    def render_command(words: Any) -> list[str]:
        given = [str(script), "--watch", "--no-open", "--json", "--engine=local", *words]
        return rendering_command(given, [])

    command = drawing_command([str(script)], [])
    with PreviewServer(script, command, 0, render_command) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Client(server)
        finally:
            server.shutdown()


@pytest.fixture(autouse=True)
def modules_of_tests(monkeypatch):
    """For the processes that draw."""
    monkeypatch.setenv("PYTHONPATH", MODULES)


def write(folder: Path, text: str = STATEFUL, color: str = "red") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "helper.py").write_text(f"COLOR = {color!r}\n")
    (folder / "script.py").write_text(text)
    return folder / "script.py"


def still(script: Path, number: int) -> np.ndarray:
    """The frame by `rayanim still`, in a process of its own."""
    code = "from rayanim.cli import main; main()"
    out = script.with_name(f"still{number}.png")
    command = [sys.executable, "-c", code, "still", str(script), "--frame", str(number)]
    subprocess.run([*command, "-o", str(out), "--quiet"], check=True, timeout=LIMIT_S)
    return np.array(Image.open(out))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_frames_out_of_order_errors_and_changes(tmp_path):
    """One script from its start over a mistake to its end."""
    script = write(tmp_path)
    with served(script) as client:
        news = client.wait_for(status="ready", version=1)
        assert (news["name"], news["count"], news["fps"]) == ("Grows", 40, 30.0)
        frames = {number: client.pixels(number, 1) for number in (30, 7, 8, 31, 6)}
        np.testing.assert_array_equal(frames[7], still(script, 7))
        about = json.loads(client.frame(7, 1)[1]["X-Frame"])
        assert about["number"] == 7 and about["params"] == "{'step': 1}"
        assert client.frame(40, 1)[0] == client.frame(7, 0)[0] == 409

        # A module beside it is saved: the same frame, in another colour.
        write(tmp_path, color="blue")
        client.wait_for(status="ready", version=2)
        blue = client.pixels(30, 2)
        np.testing.assert_array_equal(blue, still(script, 30))
        assert (blue != frames[30]).any()

        # A mistake in the syntax: what was drawn is still there, and no more.
        script.write_text(STATEFUL.replace("return fig", "return fig)"))
        error = client.wait_for(status="failed", version=2)["error"]
        assert "SyntaxError: unmatched ')'" in error["traceback"]
        np.testing.assert_array_equal(client.pixels(30, 2), blue)
        assert client.frame(1, 2)[0] == 409

        # One in a frame: it is that frame's alone.
        script.write_text(STATEFUL.replace("self.line.set", "1 / (frame_idx - 5); self.line.set"))
        client.wait_for(status="ready", version=4)
        status, _, body = client.frame(5, 4)
        error = json.loads(body)
        assert (status, error["frame"]) == (422, 5)
        assert "ZeroDivisionError" in error["traceback"]
        assert client.pixels(4, 4).any()

        # It loops without end, and is mended.
        script.write_text("while True: pass")
        client.wait_for(status="starting", version=4)
        write(tmp_path)
        news = client.wait_for(status="ready", version=6)
        assert news["error"] is None
        np.testing.assert_array_equal(client.pixels(30, 6), frames[30])
    assert descendants() == []


def descendants() -> list[psutil.Process]:
    """Processes of this one that draw for a page."""
    mine = psutil.Process().children(recursive=True)
    found = [each for each in mine if "--draws-for-page" in cmdline(each)]
    return psutil.wait_procs(found, timeout=10)[1]


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


GENERATOR = """
import numpy as np, os, rayanim
def frames():
    for i in range(9):
        print("frame", i)
        yield np.full((8, 8, 3), 20 * i, np.uint8)
input_is_empty = not os.read(0, 1)
assert input_is_empty
rayanim.produce(frames(), fps=20, outfile="video.mp4")
"""


@pytest.mark.slow
def test_frames_that_come_once_are_drawn_again_by_a_fresh_process(tmp_path):
    """How many there are is known at their end; what the script prints is no answer."""
    with served(write(tmp_path, GENERATOR)) as client:
        assert client.wait_for(status="ready")["count"] is None
        assert client.frame(500, 1)[0] == 409
        client.wait_for(count=9)
        for number in (5, 2, 8, 0):
            assert client.pixels(number, 1)[0, 0, 0] == 20 * number
        assert client.frame(9, 1)[0] == 409


@pytest.mark.slow
def test_a_script_without_a_video_says_so(tmp_path):
    with served(write(tmp_path, "import sys; sys.exit(3)")) as client:
        assert "ended with exit code 3" in client.wait_for(status="failed")["error"]["text"]
        (tmp_path / "script.py").write_text("print('nothing')")
        client.wait_for(status="starting")
        assert "makes no animation" in client.wait_for(status="failed")["error"]["text"]
        # A module is missing, and comes.
        (tmp_path / "script.py").write_text("from later import *")
        client.wait_for(status="starting")
        assert "No module" in client.wait_for(status="failed")["error"]["text"]
        (tmp_path / "later.py").write_text(GENERATOR)
        client.wait_for(status="ready")
        # It is moved away, and back.
        (tmp_path / "script.py").rename(tmp_path / "away")
        assert "deleted" in client.wait_for(status="failed")["error"]["text"]
        (tmp_path / "away").rename(tmp_path / "script.py")
        client.wait_for(status="ready")


@pytest.fixture(scope="module")
def closed_to_others(tmp_path_factory):
    """A server whose script never gets to its video."""
    script = tmp_path_factory.mktemp("waits") / "script.py"
    script.write_text("import time\ntime.sleep(1000)")
    with served(script) as client:
        yield client


def test_who_knows_the_token_gets_the_page(closed_to_others):
    client = closed_to_others
    for host in ("127.0.0.1", f"localhost:{client.port}"):
        status, headers, body = client.get(f"/{client.server.token}/?frame=3", Host=host)
        assert status == 200 and b"script.py" in body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/news", "/wrong/frame/0?v=1", "/%C3%A9/"])
def test_a_wrong_token_gets_nothing(closed_to_others, path):
    status, headers, body = closed_to_others.get(path)
    assert (status, body, headers["Content-Type"]) == (403, b"", None)


def test_the_address_for_the_browser_leads_there_once(closed_to_others):
    """Others may see it: it stands on the command line of what opens it."""
    client = closed_to_others
    path = client.server.make_ticket_url().partition(str(client.port))[2]
    assert client.get(path, Host="evil.example")[0] == 403
    status, headers, body = client.get(path)
    assert (status, headers["Location"], body) == (303, f"/{client.server.token}/", b"")
    assert client.get(path)[0] == 403


def test_an_address_that_is_none_gets_nothing(closed_to_others):
    with socket.create_connection(("127.0.0.1", closed_to_others.port), timeout=20) as connection:
        connection.sendall(b"GET http://[bad/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_host_s_name_gets_nothing(closed_to_others, host):
    """As a page of another site that has its name lead here would ask."""
    status, headers, body = closed_to_others.get(f"/{closed_to_others.server.token}/", Host=host)
    assert (status, body, headers["Content-Type"]) == (403, b"", None)


def test_nothing_else_is_there(closed_to_others):
    client = closed_to_others
    token = client.server.token
    assert client.get(f"/{token}/../../etc/passwd")[::2] == (404, b"")
    assert client.get(f"/{token}/", method="POST")[::2] == (501, b"")
    assert client.get(f"/{token}/frame/-1")[0] == 404
    assert client.get(f"/{token}/frame/1?v={'9' * 5000}")[0] == 409
    assert client.server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named(closed_to_others, tmp_path):
    port = closed_to_others.port
    with pytest.raises(OutputError, match=f"Port {port} .* cannot be used"):
        PreviewServer(tmp_path / "script.py", [], port)
    taken = ["preview", str(write(tmp_path)), "--no-open", "--port", str(port)]
    assert main.main(taken, standalone_mode=False) == 2


@pytest.mark.slow
def test_two_scripts_at_once(tmp_path):
    """Each has its own page, token and process."""
    one, two = write(tmp_path / "one"), write(tmp_path / "two", color="blue")
    with served(one) as first, served(two) as second:
        assert first.server.token != second.server.token
        first.wait_for(status="ready")
        second.wait_for(status="ready")
        assert (first.pixels(9, 1) != second.pixels(9, 1)).any()
        foreign = f"/{first.server.token}/frame/9?v=1"
        assert second.get(foreign)[0] == 403


# ---- the command

CHILDREN = STATEFUL + "\nimport subprocess\nsubprocess.Popen(['sleep', '600'])\n"


def test_a_render_begins_from_the_page(tmp_path, monkeypatch):
    """Of some frames, in another format; it has a page of its own, and ends with the preview."""
    monkeypatch.chdir(tmp_path)
    with served(write(tmp_path)) as client:
        here = client.server.url
        assert get(f"{here}render?frames=1-x", "POST")[0] == 400
        assert get(f"{here[:-5]}/render", "POST")[::2] == (403, b"")
        assert get(f"{here}other", "POST")[::2] == (501, b"")
        url = json.loads(get(f"{here}render?frames=3-9&suffix=.webm", "POST")[2])["url"]
        received = news_of(url)
        news = next(each for each in received if each["state"] == "finished")
        assert "script.webm: 7 frames of 200x150" in news["report"]
        # What is rendered already makes room for another one.
        again, deadline_s = url, time.monotonic() + LIMIT_S
        while again == url:
            assert time.monotonic() < deadline_s
            again = json.loads(get(f"{here}render?suffix=.webm", "POST")[2])["url"]
        rendering = [each for each in psutil.Process().children() if "--watch" in cmdline(each)]
        assert rendering
    assert not [each for each in rendering if each.is_running()]


WAITS = "import sys; sys.stdin.read()"
RENDERS = """
import json
print(json.dumps({"event": "watch", "url": "http://there/", "is_over": False}), flush=True)
"""


def test_while_a_render_goes_on_no_other_one_begins(tmp_path):
    """Who asks for other frames, or another format, gets its address as that of another one."""

    def render_command(words: Any) -> list[str]:
        return [sys.executable, "-c", RENDERS + WAITS, *words]

    waits = [sys.executable, "-c", WAITS]
    with PreviewServer(write(tmp_path), waits, 0, render_command) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for query, status in [("frames=3-9", 200), ("frames=3-9", 200), ("", 409)]:
            found = get(f"{server.url}render?{query}", "POST")
            assert (found[0], json.loads(found[2])["url"]) == (status, "http://there/")
        server.shutdown()


def test_a_render_that_begins_while_the_preview_ends_ends_with_it(tmp_path):
    """Before it has named its page; later none begins."""
    begun = []

    def render_command(words: Any) -> list[str]:
        begun.append(words)
        return [sys.executable, "-c", WAITS]

    waits = [sys.executable, "-c", WAITS]
    with PreviewServer(write(tmp_path), waits, 0, render_command) as server:
        found: queue.Queue[tuple[str | None, bool]] = queue.Queue()
        threading.Thread(target=lambda: found.put(server.render("", "", ""))).start()
        for _ in range(int(LIMIT_S / 0.01)):
            if server._render is not None:
                break
            time.sleep(0.01)
    assert found.get(timeout=LIMIT_S) == (None, True)
    assert server.render("", "", "") == (None, True)
    assert len(begun) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGKILL], [signal.SIGKILL]))
def test_no_process_is_left(tmp_path, number):
    """Neither after Ctrl-C nor where the server itself dies; not even one that is busy."""
    script = write(
        tmp_path,
        STATEFUL.replace(
            "self.heights.append", "frame_idx > 5 and hang()\n        self.heights.append"
        )
        + "\ndef hang():\n    while True: pass\n",
    )
    code = "from rayanim.cli import main; main()"
    command = [sys.executable, "-c", code, "preview", str(script), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+/)$", process.stdout.readline().strip())
    assert url is not None
    deadline_s = time.monotonic() + LIMIT_S
    connection = http.client.HTTPConnection("127.0.0.1", int(url[1]), timeout=LIMIT_S)
    connection.request("GET", f"{url[2]}news")
    for line in connection.getresponse():
        if b'"ready"' in line and b"[5, " in line:
            break
        assert time.monotonic() < deadline_s
    # A render that was started there ends, too.
    assert json.loads(get(f"{url[0]}render", "POST")[2])["url"]
    drawing = [each for each in psutil.Process(process.pid).children() if cmdline(each)]
    assert any("--watch" in cmdline(each) for each in drawing)
    process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    assert psutil.wait_procs(drawing, timeout=20)[1] == []
    assert process.returncode == (0 if number == signal.SIGINT else -9)


def test_mistakes_of_the_command_line(tmp_path, capsys):
    def call(*arguments: str) -> int:
        return main.main(["preview", *arguments], standalone_mode=False)

    assert call(str(tmp_path / "none.py")) == 2
    assert "There is no script" in capsys.readouterr().err
    assert call(str(write(tmp_path)), "--port", "70000") == 2
    assert call(str(write(tmp_path)), "-q", "l", "--dpi", "50") == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_wrong_name_ends_it_at_its_start(tmp_path, capfd):
    """As it ends `rayanim run`; later, somebody may be about to write it."""
    arguments = ["preview", str(write(tmp_path)), "Shrinks", "--no-open"]
    assert main.main(arguments, standalone_mode=False) == 2
    assert capfd.readouterr().err.count("has no video called 'Shrinks'") == 1


# ---- the page

CANVAS = """
(() => {
  const canvas = document.getElementById("picture");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const bytes = Array.from(data, (each) => String.fromCharCode(each)).join("");
  return [canvas.width, canvas.height, btoa(bytes)];
})()
"""


RECORD = """
window.shownFrames = [];
new MutationObserver(() => window.shownFrames.push(document.body.dataset.shown))
  .observe(document.body, {attributeFilter: ["data-shown"]});
"""


def seen(page: Page) -> np.ndarray:
    """The pixels that the page shows."""
    width, height, data = page.value(CANVAS)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def wait_for_frame(page: Page, number: int, version: int) -> None:
    page.wait_for(f"document.body.dataset.shown === '{version}:{number}'")


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="there is no Chromium on the PATH")
@pytest.mark.timeout(240)
def test_a_browser_shows_any_frame_and_follows_the_script(tmp_path, monkeypatch):
    """Keys, scrubbing, playing; a saved change, a mistake and its end; then it is rendered."""
    monkeypatch.chdir(tmp_path)
    script = write(tmp_path)
    with served(script) as client, a_page() as page:
        page.open(f"{client.server.url}?frame=99")
        page.wait_for("location.search === '?frame=39'")
        page.open(f"{client.server.url}?frame=30")
        wait_for_frame(page, 30, 1)
        thirty = seen(page)
        scrub = "const e = document.getElementById('scrub'); e.value = 7; e.oninput({target: e})"
        page.value(f"(() => {{ {scrub} }})()")
        wait_for_frame(page, 7, 1)
        np.testing.assert_array_equal(seen(page), still(script, 7))
        assert (seen(page) != thirty).any()
        page.wait_for("location.search === '?frame=7'")
        for key, number in [("ArrowRight", 8), ("ArrowLeft", 7), ("Home", 0), ("End", 39)]:
            page.press(key)
            wait_for_frame(page, number, 1)

        # It plays to its end, and between two points again and again.
        page.press("Home")
        wait_for_frame(page, 0, 1)
        page.press(" ")
        wait_for_frame(page, 39, 1)
        page.wait_for("document.getElementById('play').ariaLabel === 'Play'")
        page.wait_for("location.search === '?frame=39'")
        assert page.value("document.getElementById('count').textContent") == "(0 to 39)"
        page.value(RECORD)
        page.press("o")
        page.press("ArrowLeft")
        page.press("i")
        page.press("r")
        page.press("l")
        page.wait_for("window.shownFrames.join().includes('1:38,1:39,1:38,1:39')")
        page.press("k")
        assert "step" in page.value("document.getElementById('params').innerText")
        assert page.value("costs.size") == 40

        # The script is saved; then with a mistake, which is shown over the last picture.
        page.press("x")
        page.press("Home")
        wait_for_frame(page, 0, 1)
        red = seen(page)
        write(tmp_path, STATEFUL.replace("figsize=(2,", "figsize=(2.5,"))
        wait_for_frame(page, 0, 2)
        wide = seen(page)
        assert wide.shape != red.shape
        np.testing.assert_array_equal(wide, still(script, 0))
        script.write_text("def f(:")
        page.wait_for("!document.getElementById('error').hidden")
        assert "SyntaxError" in page.value("document.getElementById('error').innerText")
        np.testing.assert_array_equal(seen(page), wide)
        write(tmp_path)
        wait_for_frame(page, 0, 4)
        np.testing.assert_array_equal(seen(page), red)
        assert page.value("document.getElementById('error').hidden")

        # Then the first frame fails: nothing is left of what the others took.
        costs = "document.getElementById('costs').textContent"
        page.press(" ")
        page.wait_for(f"{costs}.startsWith('Half of')")
        page.press("Home")
        wait_for_frame(page, 0, 4)
        write(tmp_path, STATEFUL.replace("self.heights.app", "1 / frame_idx; self.heights.app"))
        wait_for_frame(page, 0, 5)
        assert page.value(costs) == "No frames were drawn in order yet."
        assert page.value("document.getElementById('status').textContent") == "error"

        # From the in to the out point, in a page in this one's place.
        write(tmp_path)
        wait_for_frame(page, 0, 6)
        for key in ("ArrowRight", "ArrowRight", "i", "ArrowRight", "ArrowRight", "o"):
            page.press(key)
        page.value("document.getElementById('render').click()")
        assert page.value("document.getElementById('range').value") == "2-4"
        # Not where another one goes on.
        with pytest.MonkeyPatch.context() as other:
            other.setattr(client.server, "render", lambda *_: ("http://there/", False))
            page.value("document.getElementById('start').click()")
            page.wait_for("document.querySelector('#choice-error a')?.href === 'http://there/'")
        page.value("document.getElementById('start').click()")
        page.wait_for("typeof segments === 'object' && news.state === 'finished'")
        assert "3 frames of 200x150" in page.value("news.report")
