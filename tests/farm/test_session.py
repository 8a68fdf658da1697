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

def film(name, **options):
    report = rayanim.produce(
        Numbered(40),
        FPS,
        outfile=name,
        **{"engine": "ray", "workers": 1, "progress": False, **options},
    )
    assert report.engine == "ray" and read_numbers(name) == list(range(40))

def children():
    psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    return [child.name() for child in psutil.Process().children(recursive=True)]

def state():
    import ray
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
        "ray": ray.is_initialized(),
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


def test_everything_is_left_as_it_was_by_a_whole_film_and_a_stopped_one(tmp_path: Path) -> None:
    """Environment, loggers, signal handlers, folder, threads; no process, twice in one process."""
    code = """
def on_term(number, frame):
    pass

signal.signal(signal.SIGTERM, on_term)
logging.getLogger().addHandler(Later())
os.environ["RAY_worker_niceness"] = "3"
before = state()

def differences():
    now = state()
    return [(name, before[name], now[name]) for name in now if before[name] != now[name]]

def interrupt(done, total):
    if done > 5:
        raise KeyboardInterrupt

film("whole.mp4")
found = [differences(), children()]
try:
    film("half.mp4", progress=interrupt)
except KeyboardInterrupt:
    found += [differences(), children(), sorted(os.listdir())]
print(json.dumps(found))
"""
    found, stderr = run_python(code, tmp_path)
    assert found == [[], [], [], [], ["half.mp4.parts", "whole.mp4"]]
    assert stderr == ""


def test_the_caller_s_ray_is_used_and_left_running(tmp_path: Path) -> None:
    """Its actors are ours for a while; its resources are all free again afterwards."""
    code = """
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
address = ray.get_runtime_context().gcs_address
film("a.mp4", workers=2)
film("b.mp4", workers=2)
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


def test_the_interpreter_is_left_as_it_was(tmp_path: Path) -> None:
    """Search path, warning filters, exception hook and faulthandler, film after film."""
    code = """
import warnings

def hook(kind, error, trace):
    pass

def interpreter():
    return [
        list(sys.path),
        [str(each) for each in warnings.filters],
        faulthandler.is_enabled(),
        repr(sys.excepthook),
    ]

found = []
rayanim.produce(Numbered(4), FPS, outfile="first.mp4", engine="local", progress=False)
assert "ray" not in sys.modules
before = interpreter()
film("second.mp4")
found.append(interpreter() == before)
sys.excepthook = hook
warnings.simplefilter("error", BytesWarning)
before = interpreter()
film("third.mp4")
found.append(interpreter() == before)
print(json.dumps(found))
"""
    assert run_python(code, tmp_path)[0] == [True, True]


def test_faults_go_on_to_be_shown_where_they_were(tmp_path: Path) -> None:
    """A `faulthandler` that the script has enabled stays."""
    code = 'faulthandler.enable()\nfilm("a.mp4")\nprint(json.dumps(faulthandler.is_enabled()))'
    assert run_python(code, tmp_path)[0] is True


def test_a_broken_installation_of_ray_is_one_clear_error(tmp_path: Path) -> None:
    """It says what failed and what to do; environment and threads are as they were."""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("raise ImportError('no _raylet here')")
    code = """
sys.path.insert(0, os.getcwd())
environment, threads = dict(os.environ), threading.active_count()
try:
    film("a.mp4")
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


@pytest.mark.parametrize(("level", "shown"), [("INFO", True), ("WARNING", False)])
def test_what_actors_print_is_shown_to_those_who_look(
    tmp_path: Path, level: str, shown: bool
) -> None:
    """From a logger at INFO on, as `rayanim run -v` has it; else films stay quiet."""
    code = f"""
class Talking(Numbered):
    def generate_at(self, time_ms):
        from numbered import in_actor
        if in_actor():
            print("an actor draws", flush=True)
        return super().generate_at(time_ms)

logging.getLogger("rayanim").setLevel("{level}")
rayanim.produce(
    Talking(40, delay_s=0.05), FPS, outfile="a.mp4", engine="ray", workers=1, progress=False
)
print(json.dumps(None))
"""
    run = fresh_python(code, tmp_path)
    assert ("an actor draws" in run.stdout + run.stderr) == shown


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    """A container's user often has none."""
    code = 'film("a.mp4")\nprint(json.dumps(children()))'
    assert run_python(code, tmp_path, HOME="/dev/null", MPLCONFIGDIR=str(tmp_path))[0] == []
