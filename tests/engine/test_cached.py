"""Rendering again takes from the cache what cannot have changed, and nothing else."""

from __future__ import annotations

import builtins
import collections
import copyreg
import dataclasses
import decimal
import enum
import functools
import glob
import gzip
import importlib
import importlib.machinery
import io
import os
import pkgutil
import random
import sqlite3
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import matplotlib.style
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import ImageFont

import rayanim
from rayanim.engine import cached, plain
from rayanim.engine.packing import own_modules_by_value
from rayanim.engine.reads import OpenedFiles
from rayanim.engine.state import _digest, check_parameters, surroundings_digest, version_of
from rayanim.settings import RenderSettings
from rayanim.storage.cache import SegmentCache
from rayanim.storage.fingerprint import NoDigestError

N_FRAMES, SEGMENT = 40, 8
EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 3
PARAMS = [i / 10 for i in range(N_FRAMES)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentCache:
    """A cache of the test's own; updates count as cheap on any machine, videos as long."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cached, "CHEAP_UPDATES", 1e9)
    monkeypatch.setattr(cached, "FEWEST_FRAMES", 1)
    # A plain script's: what pytest has loaded and read is not looked at.
    script = tmp_path / "plain.py"
    script.write_text("import rayanim")
    for module in (plain, cached):
        monkeypatch.setattr(module, "own_files", lambda: {"__main__": str(script)})
    return SegmentCache()


class Level(rayanim.Animator):
    """A line at a level, drawn from the frame's parameters alone."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def setup(self) -> Figure:
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        self.ax = figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, 1), ylim=(0, 10))
        (self.line,) = self.ax.plot([0, 1], [0, 0])
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        self.line.set_ydata([self.scale * params, 10 - params])


class Sum(Level):
    """A line at the sum of the parameters so far."""

    total = 0.0

    def update(self, frame_idx: int, params: Any) -> None:
        self.total += params
        super().update(frame_idx, self.total % 10)


class Largest(Level):
    """A line at the largest parameter of the last three frames: it forgets the others."""

    def setup(self) -> Figure:
        self.last: list[float] = []
        return super().setup()

    def update(self, frame_idx: int, params: Any) -> None:
        self.last = [*self.last[-2:], params]
        super().update(frame_idx, max(self.last))


def render(thing: Any, tmp_path: Path, params: Any = PARAMS, **options: Any) -> rayanim.Report:
    usual: dict[str, Any] = {"engine": "local", "progress": False, "segment_frames": SEGMENT}
    usual["cache"] = True
    if params is not None:
        usual["param_by_frame"] = params
    return rayanim.produce(thing, 30, outfile=tmp_path / "a.mp4", **{**usual, **options})


def fresh(thing: Any, tmp_path: Path, params: Any = PARAMS, **options: Any) -> bytes:
    """The bytes of the video as it is without a cache."""
    folder = tmp_path / "fresh"
    folder.mkdir(exist_ok=True)
    render(thing, folder, params, **{**options, "cache": False})
    return (folder / "a.mp4").read_bytes()


def changed(*numbers: int, by: float = 1.0) -> list[float]:
    return [each + by * (number in numbers) for number, each in enumerate(PARAMS)]


def assert_fresh(
    thing: Any, tmp_path: Path, params: Any = PARAMS, *, found: int | None = None, **options: Any
) -> rayanim.Report:
    """Rendering again gives the bytes of a fresh video, with so many segments of the cache."""
    report = render(thing, tmp_path, params, **options)
    assert (tmp_path / "a.mp4").read_bytes() == fresh(thing, tmp_path, params, **options)
    if found is not None:
        assert report.cached_frames == found * SEGMENT
    return report


def test_a_video_that_has_not_changed_is_not_drawn_again(tmp_path: Path) -> None:
    first = render(Level(), tmp_path)
    assert first.cached_frames == 0
    report = assert_fresh(Level(), tmp_path, found=5)
    assert "all frames came from the cache." in str(report)
    assert report.audited_frames == 2
    assert report.to_dict()["cached_frames"] == 40


def test_changed_parameters_have_their_own_segments_drawn(tmp_path: Path) -> None:
    render(Level(), tmp_path)
    assert_fresh(Level(), tmp_path, changed(17, 18), found=4)


def test_frames_that_sum_up_are_drawn_from_the_change_on(tmp_path: Path) -> None:
    render(Sum(), tmp_path)
    assert_fresh(Sum(), tmp_path, changed(17), found=2)


def test_frames_that_forget_are_drawn_until_the_state_is_as_before(tmp_path: Path) -> None:
    render(Largest(), tmp_path)
    # The last of the third segment: the first three frames of the fourth know of it.
    assert_fresh(Largest(), tmp_path, changed(23), found=3)


def test_only_some_changed_frames_are_declared_to_matter(tmp_path: Path) -> None:
    render(Sum(), tmp_path, independent=True)
    report = render(Sum(), tmp_path, changed(17), independent=True)
    assert report.cached_frames == 4 * SEGMENT or report.events  # an audit may find what is wrong


def test_a_changed_value_has_all_drawn_again(tmp_path: Path) -> None:
    render(Level(), tmp_path)
    assert_fresh(Level(scale=0.5), tmp_path, found=0)
    assert_fresh(Level(), tmp_path, found=5)


def test_what_setup_reads_counts(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"

    class Read(Level):
        def setup(self) -> Figure:
            figure = super().setup()
            self.ax.plot([0, 1], [float(each) for each in data.read_text().split()])
            return figure

    data.write_text("1 2")
    render(Read(), tmp_path)
    assert_fresh(Read(), tmp_path, found=5)
    data.write_text("1 3")
    assert_fresh(Read(), tmp_path, found=0)


def test_what_setup_has_read_for_a_cached_function_counts(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"

    @functools.lru_cache
    def read() -> float:
        return float(data.read_text())

    class Read(Level):
        def setup(self) -> Figure:
            read()
            return super().setup()

        def update(self, frame_idx: int, params: Any) -> None:
            super().update(frame_idx, params + (read() if frame_idx == 20 else 0))

    data.write_text("1")
    render(Read(), tmp_path, cache=True)
    read.cache_clear()
    data.write_text("2.5")
    assert_fresh(Read(), tmp_path, found=0, cache=True)


READERS: dict[str, Callable[[Path], float]] = {
    "open": lambda path: float(open(path).read()),  # noqa: SIM115
    "pathlib": lambda path: float(path.read_text()),
    "os": lambda path: float(os.read(os.open(path, os.O_RDONLY), 9)),
    "numpy": lambda path: float(np.loadtxt(path)),
    "fromfile": lambda path: float(np.fromfile(path, sep=" ")[0]),
    "is there": lambda path: float(path.exists()),
}


bound_before = os.listdir
opened_before = os.open(__file__, os.O_RDONLY)

OPENED: dict[str, Callable[[Path], Any]] = {
    **READERS,
    "code": lambda path: path.with_suffix(".py").exists(),
    "bound before": lambda path: bound_before(path.parent),
    "compressed": lambda path: gzip.open(path).close(),
    "a command": lambda path: subprocess.run(["true"], check=True),
    "a shell": lambda path: os.system(":"),
    "a data base": lambda path: sqlite3.connect(path).close(),
    "a file that was opened before": lambda path: os.pread(opened_before, 1, 0),
    "a link": lambda path: path.is_symlink(),
    "a right": lambda path: os.access(path, os.R_OK),
    "a name": lambda path: glob.glob(str(path)),
    "a process": lambda path: os.spawnlp(os.P_WAIT, "true", "true"),
    "a variable of a terminal": lambda path: os.environ.get("".join(["TE", "RM"])),
    "data beside code": lambda path: pkgutil.get_data("tests_beside", "data.txt"),
    "no seed of numpy's": lambda path: np.random.default_rng(),
    "no seed of Python's": lambda path: random.Random(),
    "the seed again": lambda path: random.seed(),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_is_opened_is_noted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, data = OpenedFiles(), tmp_path / "data.txt"
    data.write_text("1")
    beside = types.ModuleType("tests_beside")
    beside.__file__ = str(tmp_path / "__init__.py")
    beside.__spec__ = importlib.machinery.ModuleSpec(
        "tests_beside", importlib.machinery.SourceFileLoader("tests_beside", beside.__file__)
    )
    monkeypatch.setitem(sys.modules, "tests_beside", beside)
    with opened:
        OPENED[name](data)
    assert opened.first is not None


def test_matplotlib_s_own_fonts_are_not_noted() -> None:
    opened = OpenedFiles()
    figure = Figure()
    figure.text(0.5, 0.5, "text", family="serif")
    with opened:
        figure.savefig(io.BytesIO())
    assert opened.first is None


def test_random_numbers_with_a_seed_are_not_noted() -> None:
    opened = OpenedFiles()
    with opened:
        random.seed(3)
        random.Random(3).random()
        np.random.default_rng(3).random()
    assert opened.first is None


def test_an_import_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_late.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    opened = OpenedFiles()
    with opened:
        importlib.import_module("imported_late")
    monkeypatch.delitem(sys.modules, "imported_late")
    assert opened.first is None


@pytest.mark.parametrize("name", READERS)
def test_what_update_reads_is_not_seen_so_nothing_is_kept(name: str, tmp_path: Path) -> None:
    read, data = READERS[name], tmp_path / "data.txt"

    class Reads(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            super().update(frame_idx, params + (read(data) if frame_idx == 20 else 0))

    data.write_text("1")
    render(Reads(), tmp_path)
    data.write_text("2")
    assert_fresh(Reads(), tmp_path, found=0)


def test_a_function_that_reads_when_it_is_called_first_is_not_kept(tmp_path: Path) -> None:
    data = tmp_path / "data.npy"
    known: list[Any] = []

    def frame(number: int) -> Any:
        if not known:
            known.append(np.load(data))
        return np.full((48, 64, 3), known[0] + number, np.uint8)

    np.save(data, 1)
    render(frame, tmp_path, None, n_frames=N_FRAMES)
    known.clear()
    np.save(data, 9)
    assert_fresh(frame, tmp_path, None, n_frames=N_FRAMES, found=0)


def test_code_that_uses_all_parameters_is_not_cached(tmp_path: Path) -> None:
    class AtOnce(Level):
        param_by_frame: Any = PARAMS

        def update(self, frame_idx: int, params: Any) -> None:
            super().update(frame_idx, max(self.param_by_frame) - params)

    render(AtOnce(), tmp_path, None)
    AtOnce.param_by_frame = changed(30, by=2)
    assert_fresh(AtOnce(), tmp_path, None, found=0)


def test_parameters_that_updates_change_are_not_kept(tmp_path: Path, cache: SegmentCache) -> None:
    class Adds(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            params.append(1)
            super().update(frame_idx, len(params))

    shared: list[int] = []
    render(Adds(), tmp_path, [shared if number > 20 else [] for number in range(N_FRAMES)])
    assert cache.size()[0] == 0


def test_parameters_on_the_class_are_those_of_their_segments(tmp_path: Path) -> None:
    class Own(Level):
        param_by_frame: Any = PARAMS

    render(Own(), tmp_path, None)
    Own.param_by_frame = changed(30)
    assert_fresh(Own(), tmp_path, None, found=4)


def test_matplotlib_s_settings_and_the_environment_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Coloured(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            super().update(frame_idx, params)
            if frame_idx == 20:
                self.line.set_color(os.environ.get("LINE", matplotlib.rcParams["text.color"]))

    render(Coloured(), tmp_path)
    matplotlib.rcParams["text.color"] = "red"
    assert_fresh(Coloured(), tmp_path, found=0)
    monkeypatch.setenv("LINE", "green")
    assert_fresh(Coloured(), tmp_path, found=0)
    assert_fresh(Coloured(), tmp_path, found=5)


TABLE = [1.0]


@functools.lru_cache
def looked_up(params: float) -> float:
    return TABLE[0] * params


spread: Any = np.frompyfunc(lambda params: TABLE[0] * params, 1, 1)


@pytest.mark.parametrize("function", [looked_up, lambda params: spread(params)])
def test_variables_of_functions_that_pickle_as_a_name_count(
    function: Callable[[float], float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrapped(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            super().update(frame_idx, float(function(params)))

    render(Wrapped(), tmp_path)
    monkeypatch.setitem(globals(), "TABLE", [0.5])
    looked_up.cache_clear()
    assert_fresh(Wrapped(), tmp_path, found=0)


def digest(thing: Any) -> str:
    """The fingerprint of an object."""
    with own_modules_by_value():
        return _digest(thing)


@dataclasses.dataclass
class Point:
    height: float = 1


class Kind(enum.Enum):
    LOW = 1


def test_a_data_class_has_a_fingerprint() -> None:
    assert digest(Point()) == digest(Point()) != digest(Point(2))


@pytest.mark.parametrize("kind", [Kind, collections.Counter, random.Random, np.ma.array])
def test_attributes_that_a_pickle_leaves_out_count(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = Kind.LOW if kind is Kind else kind([1, 2]) if kind is np.ma.array else kind()
    before = digest(thing)
    monkeypatch.setattr(thing, "own_height", 1, raising=False)
    assert digest(thing) != before


def test_an_array_that_is_part_of_another_is_no_copy() -> None:
    whole = np.arange(9)
    assert digest((whole, whole[2:4])) != digest((whole, whole[2:4].copy()))
    assert digest(np.arange(9)[2:4]) != digest(np.arange(2, 4))


def test_one_set_is_not_two() -> None:
    one = {1}
    assert digest((one, one)) == digest((one, one)) != digest((one, {1}))


def test_what_is_called_when_an_artist_changes_is_not_seen() -> None:
    line = Line2D([], [])
    line.stale_callback = lambda artist, stale: None  # type: ignore[assignment]
    with pytest.raises(NoDigestError, match="whenever an artist changes"):
        digest(line)


class Dotted(dict[str, float]):
    """Any name is an attribute, `__wrapped__` too."""

    __getattr__ = dict.get


def scaled(params: float, by: float) -> float:
    return params * by


def test_what_only_looks_like_a_cached_function_counts() -> None:
    assert digest(Dotted(by=1)) != digest(Dotted(by=2))
    one, two = (functools.update_wrapper(functools.partial(scaled, by=by), scaled) for by in (1, 2))
    assert digest(one) != digest(two)


def test_a_fingerprint_leaves_objects_as_they_are() -> None:
    class Lenient(collections.defaultdict[str, int]):
        def __getattr__(self, name: str) -> int:
            return self[name]

    known = Lenient(int)
    digest(known)
    assert not known


@pytest.mark.parametrize("size", [None, 4])
def test_what_a_cached_function_has_kept_counts(size: int | None, tmp_path: Path) -> None:
    data = tmp_path / "data.txt"

    @functools.lru_cache(size)
    def read() -> dict[str, str]:
        return {"height": data.read_text()}

    def digest_with(text: str) -> str:
        data.write_text(text)
        read.cache_clear()
        read()
        return digest(read)

    assert digest_with("1") == digest_with("1") != digest_with("2")


def test_a_module_that_a_function_imports_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of(tmp_path / "edited.py", "HEIGHTS = [object, 1]")
    monkeypatch.setitem(sys.modules, "edited", module)

    def height() -> Any:
        import edited  # type: ignore[import-not-found]

        return edited.HEIGHTS[1]

    before = digest(height)
    assert digest(height) == before
    module.HEIGHTS[1] = 2
    assert digest(height) != before


def test_variables_of_the_script_s_modules_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of(tmp_path / "edited.py", "height = 1")
    monkeypatch.setitem(sys.modules, "edited", module)
    before = surroundings_digest(RenderSettings())
    module.height = 2
    assert surroundings_digest(RenderSettings()) != before


PUT: dict[str, tuple[Any, Any, Any]] = {
    "a value on a library": (np, lambda: np.zeros(1), 1.5),
    "a value on a class": (Line2D, Figure(), 1.5),
    "a function on a class": (Axes, Figure(), lambda axes, height=1.5: height),
    "a property": (Line2D, Figure(), property(lambda line, height=1.5: height)),
    "an object of the script's": (Line2D, Figure(), Level(1.5)),
}
for _owner, figure, _value in PUT.values():
    if isinstance(figure, Figure):
        figure.add_subplot().plot([0, 1])


@pytest.mark.parametrize("name", PUT)
def test_what_a_script_puts_on_a_library_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, thing, value = PUT[name]
    before = digest(thing)
    assert digest(thing) == before
    monkeypatch.setattr(owner, "own_height", value, raising=False)
    assert digest(thing) != before


def test_a_function_in_the_place_of_a_library_s_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest_with(height: float) -> str:
        @functools.wraps(Axes.plot)
        def plot(axes: Any, *values: Any) -> Any:
            return axes.axhline(height)

        monkeypatch.setattr(Axes, "plot", plot)
        return digest(PUT["a value on a class"][1])

    assert digest_with(1) == digest_with(1) != digest_with(2)


def test_what_a_script_puts_among_the_builtins_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = surroundings_digest(RenderSettings())
    monkeypatch.setattr(builtins, "own_height", 1, raising=False)
    assert surroundings_digest(RenderSettings()) != before


class Slotted:
    """Its pickle has nothing of it."""

    __slots__ = ("height",)

    def __init__(self, height: float = 0) -> None:
        self.height = height

    def __reduce__(self) -> Any:
        return Slotted, ()


class Registered:
    """Its pickle has nothing of it, as someone else has it."""

    def __init__(self, height: float = 0) -> None:
        self.height = height


@pytest.mark.parametrize("kind", [Slotted, Registered])
def test_what_an_object_s_own_pickle_leaves_out_counts(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, Registered, lambda thing: (Registered, ()))
    assert digest(kind(1)) == digest(kind(1)) != digest(kind(2))


def test_what_a_figure_calls_on_an_event_counts() -> None:
    def figure_with(height: float) -> Figure:
        figure = Figure()
        called = figure.add_subplot().callbacks.connect
        called("xlim_changed", lambda axes: axes.set_ylim(0, height))
        return figure

    assert digest(figure_with(1)) == digest(figure_with(1)) != digest(figure_with(2))


def test_a_cached_property_has_a_fingerprint() -> None:
    class Lazy:
        @functools.cached_property
        def height(self) -> float:
            return 1.0

    digest(Lazy())


def test_figures_in_pyplot_count(tmp_path: Path) -> None:
    class Beside(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            beside = plt.figure("beside").axes[0].lines[0].get_ydata()[1]
            super().update(frame_idx, params + (beside if frame_idx > 20 else 0))

    for height in (1, 2):
        plt.figure("beside").clear()
        plt.figure("beside").add_subplot().plot([0, height])
        assert_fresh(Beside(), tmp_path, found=0)
    plt.close("beside")


def test_a_file_with_its_old_time_is_another_one(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("1")
    status, before = data.stat(), version_of(data)
    assert version_of(data) == before
    data.write_text("2")
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert version_of(data) != before


def test_a_font_that_is_replaced_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = tmp_path / "own.ttf"
    shipped = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    font.write_bytes(shipped.read_bytes())
    known = [*font_manager.fontManager.ttflist]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    font_manager.fontManager.addfont(font)
    before = surroundings_digest(RenderSettings())
    font.write_bytes(shipped.with_name("DejaVuSerif.ttf").read_bytes())
    assert surroundings_digest(RenderSettings()) != before


@pytest.mark.parametrize(
    "font", [lambda path: font_manager.FontProperties(fname=path), ImageFont.truetype]
)
def test_a_font_by_its_file_counts(font: Callable[[str], Any], tmp_path: Path) -> None:
    path = tmp_path / "own.ttf"
    shipped = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    path.write_bytes(shipped.read_bytes())
    before = digest(font(str(path)))
    assert digest(font(str(path))) == before
    path.write_bytes(shipped.with_name("DejaVuSerif.ttf").read_bytes())
    assert digest(font(str(path))) != before


def test_a_thread_of_the_script_s_has_nothing_cached(tmp_path: Path) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert_fresh(Level(), tmp_path, found=0)
        assert_fresh(Level(), tmp_path, found=0)
    finally:
        ended.set()
        thread.join()


def test_where_exceptions_are_caught_counts() -> None:
    def height() -> float:
        try:
            return float("1")
        except ValueError:
            return 2.0

    code = height.__code__
    assert digest(code) != digest(code.replace(co_exceptiontable=b""))


def test_what_is_nested_too_deep_has_no_fingerprint() -> None:
    limit, nested = sys.getrecursionlimit(), [0]
    for _ in range(5000):
        nested = [nested]  # type: ignore[list-item]
    sys.setrecursionlimit(20_000)
    try:
        with pytest.raises(NoDigestError):
            digest(nested)
        assert sys.getrecursionlimit() == 20_000
    finally:
        sys.setrecursionlimit(limit)


def test_what_the_process_has_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = surroundings_digest(RenderSettings())
    monkeypatch.setattr(sys, "argv", [*sys.argv, "more"])
    with_words = surroundings_digest(RenderSettings())
    monkeypatch.setitem(matplotlib.style.library, "own", matplotlib.RcParams({"font.size": 9}))
    with_style = surroundings_digest(RenderSettings())
    with decimal.localcontext(prec=5):
        with_context = surroundings_digest(RenderSettings())
        decimal.Decimal(1) / 3  # which sets a flag
        assert surroundings_digest(RenderSettings()) == with_context
    assert len({before, with_words, with_style, with_context}) == 4


def test_packages_that_are_installed_again_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "package-1.dist-info"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent)
    before = surroundings_digest(RenderSettings())
    assert surroundings_digest(RenderSettings()) == before
    os.utime(package, (1, 1))
    assert surroundings_digest(RenderSettings()) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"dpi": 50},
        {"height_px": 48},
        {"savefig_params": {"facecolor": "red"}},
        {"reuse_figure_object": False},
        {"drawing": "full"},
        {"duration": 1000},
    ],
)
def test_settings_of_drawing_count(changes: dict[str, Any]) -> None:
    assert surroundings_digest(RenderSettings(**changes)) != surroundings_digest(RenderSettings())


@pytest.mark.parametrize(
    ("name", "counts"),
    [("DISPLAY_GAIN", 1), ("RAY_COUNT", 1), ("TERM_X", 1), ("DISPLAY", 0), ("RAY_CLIENT_MODE", 0)],
)
def test_only_variables_of_a_terminal_and_of_ray_do_not_count(
    name: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = surroundings_digest(RenderSettings())
    monkeypatch.setenv(name, "17")
    assert (surroundings_digest(RenderSettings()) != before) == counts


def test_the_number_of_frames_is_an_attribute_like_others() -> None:
    one, two = Level(), Level()
    one.n_frames, two.n_frames = 40, 80
    assert digest(one) != digest(two)


def test_a_generator_with_a_seed_is_seen() -> None:
    digest(lambda params: np.random.default_rng(3).random() + params)


def height_of(params: float) -> float:
    return params


@pytest.mark.parametrize(
    "params", [[Dotted(by=1)], [height_of], [Dotted], ({"a": [height_of]},), [looked_up]]
)
def test_parameters_with_code_of_the_script_s_are_not_cached(params: Any) -> None:
    with pytest.raises(NoDigestError, match="the script's own"):
        check_parameters(params)


@pytest.mark.parametrize("params", [PARAMS, range(3), np.zeros(3), None, [{"a": (Path(), np.sin)}]])
def test_parameters_that_are_values_are_cached(params: Any) -> None:
    check_parameters(params)


def test_a_figure_that_calls_the_user_when_it_is_drawn_is_not_cached() -> None:
    figure = Figure()
    digest(figure)
    figure.canvas.mpl_connect("draw_event", height_of)
    with pytest.raises(NoDigestError, match="height_of is called"):
        digest(figure)


NOT_SEEN = {
    "the clock": "import time\ndef height(p): return p + time.time() % 1e-9",
    "in a function": "def height(p):\n import h5py\n return p",
    "in a function within": "import time\ndef height(p): return max(p, *[time.time() for _ in ()])",
    "today": "import datetime\ndef height(p): return p + 0 * datetime.date.today().day",
    "now": "import numpy as np\ndef height(p): return p + 0 * np.datetime64('now').astype(int)",
    "a random number": "import random\n"
    "def height(p): return p + 0 * random.SystemRandom().random()",
    "the process": "import os\ndef height(p): return p + 0 * os.getpid()",
    "the command's words": "import sys\ndef height(p): return p + len(sys.argv) - len(sys.argv)",
    "any variable": "def height(p): return p + eval('0')",
    "all parameters": "def height(p): return p + 0 * len(getattr(p, 'param_by_frame', ''))",
    "an artist of one's own": "from matplotlib.lines import Line2D\n"
    "class Own(Line2D): pass\n"
    "own = Own([], [])\n"
    "def height(p): return p + len(own.get_xdata())",
    "the time under another name": "import datetime\nclock = datetime.datetime.now\n"
    "def height(p): return p + 0 * clock().day",
    "the time by a text": "import numpy as np\nword = 'now'\n"
    "def height(p): return p + 0 * np.datetime64(word).astype(int)",
    "a variable of a terminal": "import os\n"
    "def height(p): return p + 0 * len(os.environ.get('COLUMNS', ''))",
    "a hash": "def height(p): return p + 0 * hash('a')",
    "a package that is not known": "import hypothesis\n"
    "def height(p): return p + 0 * len(hypothesis.__version__)",
    "a module of Python's that is not known": "import timeit\n"
    "def height(p): return p + 0 * timeit.default_timer()",
    "code that is read again": "from importlib import reload\n"
    "def height(p): return p if p else reload(reload)",
    "variables by their functions": "def height(p): return p + 0 * len(height.__globals__)",
    "an import of a package's": "def height(p):\n from . import other\n return p",
    "what pickles as a name": "class Own:\n def __reduce__(self): return 'own'\n"
    "own = Own()\nown.height = 1\ndef height(p): return p + own.height",
    "what cannot be pickled": "lock = __import__('threading').Lock()\n"
    "def height(p): return p + 0 * lock.locked()",
}


@pytest.mark.parametrize("name", NOT_SEEN)
def test_what_no_fingerprint_holds_is_not_cached(
    name: str, tmp_path: Path, cache: SegmentCache
) -> None:
    height = module_of(tmp_path / "heights.py", NOT_SEEN[name]).height

    class Seen(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            if frame_idx < 0:
                height(params)
            super().update(frame_idx, params)

    render(Seen(), tmp_path, PARAMS[:8])
    assert cache.size()[0] == 0


class Counted(Level):
    """The text beside a tick counts how often it was asked for, which no update shows."""

    def setup(self) -> Figure:
        asked: list[float] = []

        def text(value: float, at: int) -> str:
            asked.append(value)
            return str(len(asked))

        figure = super().setup()
        self.ax.set_position((0.4, 0.4, 0.6, 0.6))
        self.ax.yaxis.set_major_formatter(text)
        return figure


def test_what_drawing_leaves_behind_is_found_by_an_audit(
    tmp_path: Path, cache: SegmentCache
) -> None:
    render(Counted(), tmp_path, drawing="full")
    report = assert_fresh(Counted(), tmp_path, changed(20), drawing="full")
    assert "came from the cache, has other pixels now" in report.events[0]
    assert "All frames are drawn again." in report.events[0]
    assert report.cached_frames == 0
    assert cache.size()[0] == 0


@pytest.mark.parametrize("changes", [{"crf": 30}, {"fps": 25}, {"dpi": 50}, {"seed": 3}])
def test_other_settings_have_all_drawn(changes: dict[str, Any], tmp_path: Path) -> None:
    render(Level(), tmp_path)
    rate = changes.pop("fps", 30)
    usual: dict[str, Any] = {"engine": "local", "progress": False, "segment_frames": SEGMENT}
    video = tmp_path / "a.mp4"
    assert (
        rayanim.produce(
            Level(), rate, outfile=video, param_by_frame=PARAMS, **usual, **changes
        ).cached_frames
        == 0
    )


def test_settings_that_say_how_to_run_make_no_difference(tmp_path: Path) -> None:
    render(Level(), tmp_path, workers=1)
    assert render(Level(), tmp_path, workers=2, transport="segments").cached_frames == N_FRAMES


def test_segments_of_the_usual_length(tmp_path: Path) -> None:
    render(Level(), tmp_path, segment_frames=None)
    assert render(Level(), tmp_path, segment_frames=None).cached_frames == N_FRAMES


def test_without_the_cache_nothing_is_kept_or_found(tmp_path: Path, cache: SegmentCache) -> None:
    render(Level(), tmp_path, cache=False)
    assert cache.size()[0] == 0
    render(Level(), tmp_path)
    assert cache.size()[0] > 0
    assert render(Level(), tmp_path, cache=False).cached_frames == 0
    assert render(Level(), tmp_path, audit=1).cached_frames == 0


def test_parameters_that_come_once_are_not_cached(tmp_path: Path, cache: SegmentCache) -> None:
    render(Level(), tmp_path, (each for each in PARAMS))
    assert cache.size()[0] == 0


def test_frames_of_an_animation_a_function_and_a_list(tmp_path: Path) -> None:
    def frame(number: int) -> Any:
        return np.full((48, 64, 3), 6 * number, np.uint8)

    def animation(height: float = 1.0) -> FuncAnimation:
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        (line,) = figure.subplots().plot([0, 1], [0, height])

        def update(number: int) -> None:
            line.set_ydata([0, height * number / N_FRAMES])

        return FuncAnimation(figure, update, frames=N_FRAMES, interval=40)

    for make in (lambda: frame, lambda: [frame(each) for each in range(N_FRAMES)], animation):
        options = {"n_frames": N_FRAMES} if make() is frame else {}
        render(make(), tmp_path, None, **options)
        report = render(make(), tmp_path, None, **options)
        assert report.cached_frames == N_FRAMES
        assert (tmp_path / "a.mp4").read_bytes() == fresh(make(), tmp_path, None, **options)
    assert render(animation(0.5), tmp_path, None).cached_frames == 0


def test_what_an_animation_s_function_gets_besides_counts(tmp_path: Path) -> None:
    def animation(height: float) -> FuncAnimation:
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        (line,) = figure.subplots().plot([0, 1], [0, 1])

        def update(number: int, height: float) -> None:
            line.set_ydata([0, height if number > 20 else 1])

        return FuncAnimation(figure, update, frames=N_FRAMES, fargs=(height,), interval=40)

    render(animation(1), tmp_path, None)
    assert render(animation(1), tmp_path, None).cached_frames == N_FRAMES
    assert render(animation(0.5), tmp_path, None).cached_frames == 0


class Noisy(Level):
    """One of its frames takes a random number."""

    def update(self, frame_idx: int, params: Any) -> None:
        super().update(frame_idx, np.random.rand() if frame_idx == 20 else params)


@pytest.mark.parametrize(("video", "found"), [(Level, N_FRAMES), (Noisy, 0)])
def test_without_a_seed_only_random_numbers_that_are_taken_count(
    video: type[Level], found: int, tmp_path: Path
) -> None:
    for _ in range(2):
        # As in another process.
        np.random.seed(None)
        report = render(video(), tmp_path, seed=None, cache=True)
    assert report.cached_frames == found


def test_several_outputs_and_a_gif(tmp_path: Path) -> None:
    names = [tmp_path / "a.mp4", f"{tmp_path / 'b.gif'}:width=32"]

    def both(params: Any, **options: Any) -> tuple[rayanim.Report, list[bytes]]:
        report = rayanim.produce(
            Level(), 30, outfile=names, param_by_frame=params, engine="local", progress=False,
            segment_frames=SEGMENT, **{"cache": True, **options},
        )  # fmt: skip
        return report, [(tmp_path / name).read_bytes() for name in ("a.mp4", "b.gif")]

    both(PARAMS)
    report, found = both(PARAMS)
    assert report.cached_frames == N_FRAMES
    assert found == both(PARAMS, cache=False)[1]


def test_a_broken_segment_is_drawn_again(tmp_path: Path, cache: SegmentCache) -> None:
    render(Level(), tmp_path)
    for number, part in enumerate(sorted(cache.folder.glob("*.part"))):
        data = part.read_bytes()
        part.unlink()
        part.write_bytes(data[: len(data) // 2] if number % 2 else data[:-1] + b"?")
    assert_fresh(Level(), tmp_path, found=0)


@pytest.mark.parametrize("name", [".part", ".json"])
def test_one_broken_file_is_replaced(name: str, tmp_path: Path, cache: SegmentCache) -> None:
    # Each has one key then.
    options: dict[str, Any] = {"cache": True, "independent": True}
    render(Level(), tmp_path, **options)
    for path in sorted(cache.folder.glob(f"*{name}"))[:3]:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[: len(data) // 2] if name == ".part" else b"{}")
    assert_fresh(Level(), tmp_path, found=2, **options)
    assert render(Level(), tmp_path, **options).cached_frames == N_FRAMES


def test_a_cache_that_fails_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: SegmentCache
) -> None:
    def full(*paths: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        assert_fresh(Level(), tmp_path, found=0)
    assert cache.size()[0] == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a.mp4"))  # no folder
    assert_fresh(Level(), tmp_path, found=0)


def test_without_a_home_folder_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    assert render(Level(), tmp_path, PARAMS[:3], cache=False).cached_frames == 0
    assert render(Level(), tmp_path, PARAMS[:3], cache=True).cached_frames == 0


def test_a_module_under_another_name_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alias", module_of(tmp_path / "other.py", ""))
    digest(1)


def test_a_fingerprint_that_fails_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Any) -> str:
        raise ValueError("no")

    monkeypatch.setattr(cached, "state_digest", fail)
    render(Level(), tmp_path, PARAMS[:3], cache=True)


def test_a_disk_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    render(Level(), tmp_path)
    assert_fresh(Level(), tmp_path, found=5)


def test_segments_are_no_second_copy(tmp_path: Path, cache: SegmentCache) -> None:
    render(Level(), tmp_path, keep_parts=True)
    parts = {each.stat().st_ino for each in (tmp_path / "a.mp4.parts").glob("*.part")}
    assert {each.stat().st_ino for each in cache.folder.glob("*.part")} == parts


def test_a_job_that_fails_leaves_nothing_in_the_cache(tmp_path: Path, cache: SegmentCache) -> None:
    class Fails(Level):
        def update(self, frame_idx: int, params: Any) -> None:
            if frame_idx == 30:
                raise ValueError("no")
            super().update(frame_idx, params)

    with pytest.raises(ValueError, match="no"):
        render(Fails(), tmp_path)
    assert cache.size()[0] == 0


@pytest.mark.slow
def test_frames_drawn_on_ray_are_found_in_process_and_the_other_way_round(
    on_ray: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"engine": "ray", "workers": 2, "transport": "segments"}
    render(Sum(), tmp_path, **options)
    assert_fresh(Sum(), tmp_path, found=5)
    render(Level(), tmp_path)
    report = render(Level(), tmp_path, changed(17), **options)
    assert report.cached_frames == 4 * SEGMENT
    assert (tmp_path / "a.mp4").read_bytes() == fresh(Level(), tmp_path, changed(17))


IN_A_PROCESS = """
import numpy as np
from matplotlib.figure import Figure
import rayanim

COLORS = {"red", "green", "blue", "orange"}

class Video(rayanim.Animator):
    def __init__(self):
        self.names = frozenset(COLORS)

    def setup(self):
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        self.ax = figure.subplots()
        self.ax.legend([self.ax.plot([0, 1], [0, i], color=sorted(COLORS)[i])[0] for i in range(4)],
                       sorted(self.names))
        (self.line,) = self.ax.plot([0, 1], [0, 0])
        return figure

    def update(self, frame_idx, params):
        self.line.set_ydata([0, params])

height = float(open("height").read())
params = [i / 10 + (i == 20) * height for i in range(40)]
report = Video().make_video(
    "video.mp4", params, engine="local", segment_frames=8, progress=False, cache=True
)
print(report.cached_frames)
"""


def test_another_process_finds_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(IN_A_PROCESS)
    found = []
    # Each with another order of its sets.
    environment = {name: each for name, each in os.environ.items() if name != "PYTHONHASHSEED"}
    for height in ("1", "2"):
        (tmp_path / "height").write_text(height)
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append(int(done.stdout))
    # All before the change at least: whether updates are cheap enough, the machine decides.
    assert (found[0], found[1] >= 2 * SEGMENT) == (0, True)


PLAIN_SCRIPT = """
import json
import rayanim
from matplotlib.figure import Figure

class Video(rayanim.Animator):
    def setup(self):
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        self.ax = figure.add_axes((0, 0, 1, 1))
        (self.line,) = self.ax.plot([0, 1], [0, 10])
        return figure

    def update(self, frame_idx, params):
        self.line.set_ydata([params, {height}])

{more}
params = [1.0] * 16 + [{changed}] * 8 + [1.0] * 16
Video().make_video("a.mp4", params)
"""


def test_edits_of_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What makes the parameters counts by them, other code as a whole; and the user is told."""
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def rendered(height: float = 3, changed: float = 2, more: str = "") -> str:
        text = PLAIN_SCRIPT.format(height=height, changed=changed, more=more)
        (tmp_path / "script.py").write_text(text)
        command = [sys.executable, "-m", "rayanim", "run", "script.py"]
        options = ["--engine", "local", "--segment-frames", "8", "--cache"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return done.stdout

    assert "cache" not in rendered()
    assert "16 frames came from the cache" in rendered(changed=4)
    assert "all frames came from the cache" in rendered(changed=4, more="# A comment.")
    assert "Reused no segment: the script's code has changed" in rendered(height=4)
    line = PLAIN_SCRIPT.partition("{more}")[0].count("\n") + 1
    text = f"the script sets json.height in line {line}, which is not followed."
    assert text in rendered(more="json.height = 3")


# ---- random edits

SCRIPT = """
import numpy as np
from matplotlib.figure import Figure
import rayanim
{imports}
SHIFT = {shift}

def moved(value):
    return value + {constant} + SHIFT

class Video(rayanim.Animator):
    factor = {factor}

    def __init__(self, offset):
        self.offset = offset
        self.total = 0.0
        self.seen = []

    def setup(self):
        figure = Figure(figsize=(0.64, 0.48), dpi=100)
        self.ax = figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, 1), ylim=(0, 10))
        (self.line,) = self.ax.plot([0, 1], [0, 0])
        self.data = np.loadtxt({data!r})
        return figure

    def update(self, frame_idx, params):
        {body}
        self.line.set_ydata([moved(height) * self.factor % 10, self.offset + self.data[0]])
"""

BODIES = (
    "height = params",
    "self.total += params if params > 5 else 0; height = self.total",
    "self.seen = [*self.seen[-4:], params]; height = sum(self.seen)",
    "height = params + np.random.rand()",
    "height = params; self.ax.set_ylim(0, 10 + frame_idx // 16)",
)


def module_of(path: Path, text: str) -> Any:
    path.write_text(text)
    module = types.ModuleType("edited")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), vars(module))
    return module


@st.composite
def edited(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Some edits, one after the other."""
    kinds = {
        "params": st.tuples(st.integers(0, N_FRAMES - 1), st.sampled_from([1.0, 6.0])),
        "shift": st.integers(0, 1),
        "constant": st.integers(0, 1),
        "factor": st.sampled_from([1, 0.5]),
        "offset": st.integers(0, 1),
        "data": st.integers(0, 1),
        "body": st.sampled_from(BODIES),
    }
    names = draw(st.lists(st.sampled_from(sorted([*kinds, "params"])), min_size=1, max_size=4))
    return [(name, draw(kinds[name])) for name in names]


@given(edits=edited(), body=st.sampled_from(BODIES))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edit_shows_a_stale_frame(
    edits: list[tuple[str, Any]], body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: dict[str, Any] = {
        "imports": "", "shift": 0, "constant": 0, "factor": 1, "body": body, "offset": 0,
    }  # fmt: skip
    script["data"] = str(tmp_path / "data.txt")
    params, value = list(PARAMS), 0
    monkeypatch.setattr(np.random, "seed", np.random.seed)
    for name, to in [("", None), *edits]:
        if name == "params":
            params[to[0]] = to[1]
        elif name == "data":
            value = to
        elif name:
            script[name] = to
        Path(script["data"]).write_text(f"{value} 0")
        module = module_of(tmp_path / "edited.py", SCRIPT.format(**script))
        video = module.Video(script["offset"])
        assert_fresh(video, tmp_path, params)
