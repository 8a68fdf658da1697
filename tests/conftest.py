"""What all tests share: a Ray for those that need one, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile

import matplotlib
import psutil
import pytest
from hypothesis import settings

from rayanim.engine.ray_session import environment_for_ray

os.environ.setdefault("MPLBACKEND", "agg")

# Tests do not use a warm Ray that happens to run.
_runtime_folder = tempfile.TemporaryDirectory(prefix="rayanim-")
os.environ["XDG_RUNTIME_DIR"] = _runtime_folder.name

# Nor does a test find, or leave, segments in the user's cache: where it would be is no folder.
# Tests of the cache have one each, see tests/engine/test_cached.py. matplotlib keeps its own.
os.environ["MPLCONFIGDIR"] = matplotlib.get_cachedir()
os.environ["XDG_CACHE_HOME"] = "/dev/null"

# Each of the many processes that tests start imports some thousand modules. Where nothing
# keeps them compiled, compiling them anew takes several times as long as all else does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell has its background jobs ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a change and not chance turns a test red;
# HYPOTHESIS_PROFILE=search looks for others.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items):
    """A process has one Ray at a time: tests on a cluster come before the session's own starts."""
    items.sort(key=lambda item: "shared_cluster" not in item.fixturenames)


@pytest.fixture(scope="session")
def shared_ray():
    """A Ray of the session's own, with room for four actors on any machine."""
    ray = pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="rayanim-", dir="/tmp") as folder:
        os.environ["RAY_TMPDIR"] = folder
        with _environment_of_actors():
            _start(ray)
        yield ray
        ray.shutdown()
        del os.environ["RAY_TMPDIR"]


@contextlib.contextmanager
def _environment_of_actors():
    """What they inherit while Ray starts: they unpickle test modules by reference.

    A runtime environment would say it too, but then Ray begins every worker
    twice, importing itself each time, and none of those begun in advance fits.
    """
    with pytest.MonkeyPatch.context() as patch, environment_for_ray():
        patch.setenv("PYTHONPATH", os.path.dirname(__file__), prepend=os.pathsep)
        yield


def _start(ray):
    """Start it; once more where the machine was too busy for the 30 s that Ray allows itself."""
    for is_last in (False, True):
        try:
            ray.init(
                address="local",
                num_cpus=4,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=200 * 2**20,
            )
            return
        except Exception:
            ray.shutdown()
            if is_last:
                raise


@pytest.fixture
def on_ray(shared_ray):
    """The session's Ray; proves that the test left no actor in it."""
    before = _actors()
    yield shared_ray
    for process in psutil.wait_procs(_actors() - before, timeout=10)[1]:
        pytest.fail(f"an actor was left: {process.name()} {process.pid}")


@pytest.fixture
def whole_segments(monkeypatch):
    """Actors draw and encode whole segments, whatever that costs: so there is an encoder actor."""
    from rayanim.engine.chunks import ChunkSizes

    def next_length(sizes, plan):
        return None if plan.is_between else sizes.usual

    monkeypatch.setattr(ChunkSizes, "next_length", next_length)


def _actors() -> set[psutil.Process]:
    mine = psutil.Process().children(recursive=True)
    return {each for each in mine if _name(each).startswith(("ray::Render", "ray::Encode"))}


def _name(process: psutil.Process) -> str:
    """Its name; nothing for one that has just ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture(autouse=True)
def own_matplotlib():
    """Each test finds matplotlib's settings and pyplot's figures as the first one did."""
    with matplotlib.rc_context():
        yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
