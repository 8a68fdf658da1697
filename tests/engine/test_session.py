"""A Ray of our own comes and goes without a trace; the caller's own stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent.parent

PRELUDE = """
import faulthandler, json, logging, os, resource, signal, sys, threading, time
import psutil
import rayanim
from numbered import FPS, Numbered, read_numbers

class Later(logging.Handler):
    pass

class Talking(Numbered):
    def generate_at(self, time_ms):
        from numbered import in_actor
        if in_actor():
            print("an actor draws", flush=True)
        return super().generate_at(time_ms)

def video(name, source=None, **options):
    source = source or Numbered(40)
    options = {"engine": "ray", "workers": 1, "progress": False, **options}
    report = rayanim.produce(source, FPS, outfile=name, **options)
    assert report.engine == options["engine"]
    assert read_numbers(name) == list(range(source.n_frames))

def children():
    psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    return [child.name() for child in psutil.Process().children(recursive=True)]

def state():
    ray = sys.modules.get("ray")
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "handlers": [repr(handler) for handler in root.handlers],
        "level": root.level,
        "signals": {each.name: str(signal.getsignal(each)) for each in signal.valid_signals()
                    if hasattr(each, "name")},
        "folder": os.getcwd(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "hooks": [repr(sys.excepthook), repr(threading.excepthook)],
        "ray": ray is not None and ray.is_initialized(),
    }
"""


def fresh_python(code: str, folder: Path, **environment: str) -> Any:
    """A fresh Python that has run `code` in `folder`."""
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS), "RAY_TMPDIR": "/tmp", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run


def run_python(code: str, folder: Path, **environment: str) -> Any:
    """What a fresh Python prints as JSON after running `code` in `folder`, and on stderr."""
    run = fresh_python(code, folder, **environment)
    return json.loads(run.stdout.splitlines()[-1]), run.stderr


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two videos of one process leave: a whole one, with Ray's import, and a stopped one.

    Before the second the script has a hook and a filter of its own and shows
    its faults.
    """
    folder = tmp_path_factory.mktemp("videos")
    code = """
import warnings

def on_term(number, frame):
    pass

def hook(kind, error, trace):
    pass

def interrupt(done, total):
    if done > 5:
        raise KeyboardInterrupt

def interpreter():
    return {
        "path": list(sys.path),
        "filters": [str(each) for each in warnings.filters],
        "faults": faulthandler.is_enabled(),
    }

def differences(before):
    now = {**state(), **interpreter()}
    return [(name, before[name], now[name]) for name in now if before[name] != now[name]]

video("local.mp4", Numbered(4), engine="local")
imported = "ray" in sys.modules
signal.signal(signal.SIGTERM, on_term)
logging.getLogger().addHandler(Later())
os.environ["RAY_worker_niceness"] = "3"
before = {**state(), **interpreter()}
video("whole.mp4", Talking(40, delay_s=0.02))
whole = differences(before), children()
sys.excepthook = hook
warnings.simplefilter("error", BytesWarning)
faulthandler.enable()
before = {**state(), **interpreter()}
try:
    video("half.mp4", progress=interrupt)
except KeyboardInterrupt:
    half = differences(before), children()
found = {"imported": imported, "whole": whole, "half": half, "files": sorted(os.listdir())}
print(json.dumps(found))
"""
    run = fresh_python(code, folder)
    said, last = run.stdout.splitlines()[:-1], run.stdout.splitlines()[-1]
    return {**json.loads(last), "said": [*said, *run.stderr.splitlines()]}


@pytest.mark.slow
@pytest.mark.parametrize("video", ["whole", "half"])
def test_a_video_leaves_everything_as_it_was(trace: dict[str, Any], video: str) -> None:
    """Environment, loggers, signal handlers, folder, threads, hooks, filters, path; no process.

    A `faulthandler` that the script has enabled stays; one that it has not is off again.
    """
    assert trace[video] == [[], []]
    assert trace["files"] == ["local.mp4", "whole.mp4"]


@pytest.mark.slow
def test_ray_is_not_imported_for_a_video_of_this_process(trace: dict[str, Any]) -> None:
    """What engine="local" draws needs none of it."""
    assert not trace["imported"]


@pytest.mark.slow
def test_videos_are_quiet(trace: dict[str, Any]) -> None:
    """Nothing of Ray's is printed, nor what its actors print, but with -v."""
    assert trace["said"] == []


@pytest.mark.slow
def test_what_actors_print_is_shown_to_those_who_look(tmp_path: Path) -> None:
    """From a logger at INFO on, as `rayanim run -v` has it. A container's user has no home."""
    code = """
logging.getLogger("rayanim").setLevel("INFO")
video("a.mp4", Talking(40, delay_s=0.05))
print(json.dumps(children()))
"""
    run = fresh_python(code, tmp_path, HOME="/dev/null", MPLCONFIGDIR=str(tmp_path))
    assert "an actor draws" in run.stdout + run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == []


@pytest.mark.slow
def test_the_caller_s_ray_is_used_and_left_running(tmp_path: Path) -> None:
    """Its actors are ours for a while; its resources are all free again afterwards."""
    code = """
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
address = ray.get_runtime_context().gcs_address
video("a.mp4", workers=2)
video("b.mp4", workers=2)
assert ray.is_initialized()
assert ray.get_runtime_context().gcs_address == address
deadline = time.monotonic() + 20
while ray.available_resources().get("CPU") != 2 and time.monotonic() < deadline:
    time.sleep(0.1)
free = ray.available_resources()["CPU"]
ray.shutdown()
print(json.dumps(free))
"""
    assert run_python(code, tmp_path)[0] == 2


def test_a_broken_installation_of_ray_is_one_clear_error(tmp_path: Path) -> None:
    """It says what failed and what to do; environment and threads are as they were."""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("raise ImportError('no _raylet here')")
    code = """
sys.path.insert(0, os.getcwd())
environment, threads = dict(os.environ), threading.active_count()
try:
    video("a.mp4")
except rayanim.FarmStartError as error:
    message = error.message
deadline = time.monotonic() + 10
while threading.active_count() > threads and time.monotonic() < deadline:
    time.sleep(0.05)
same = dict(os.environ) == environment, threading.active_count() == threads
print(json.dumps([message, *same, os.listdir()]))
"""
    (message, *same, left), _ = run_python(code, tmp_path)
    assert "ImportError: no _raylet here" in message
    assert "workers=1" in message
    assert same == [True, True]
    assert left == ["ray"]
