"""A Ray in a process of its own, for jobs of other processes to attach to.

Two things start one: `rayanim warm`, for the jobs of half an hour, and
`rayanim run`, for the script that is being imported meanwhile. Ray's processes
end with the thread that started them (PR_SET_PDEATHSIG). Here that is the main
thread of a process of its own, which ends when its standard input is closed. So
nothing outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from rayanim.engine.ray_session import START_LIMIT_S, environment_for_ray, start_ray
from rayanim.errors import FarmStartError

STORE_BYTES = 512 * 2**20
"""Its object store: what a job needs by default (half as much again as 256 MiB), and some."""

JOBS_AT_ONCE = 4
"""Jobs for which such a Ray has CPUs; each may have an actor on every core."""

PRELOADED = "matplotlib.pyplot,av,numpy"
"""What its workers import before a job has come: nine tenths of an actor's start."""

AT_START = re.compile(
    r"(PYTHON(?!BREAKPOINT)|LD_|DYLD_|LC_|LANG|HOME$|XDG_C|MPL(?!BACKEND)|MATPLOTLIBRC|OMP_|MKL_)"
    r"|.*_NUM_THREADS$"
)
"""Variables that Python, matplotlib or NumPy read once, when they are loaded."""

HOLD_S = 1.5
"""After Ray is loaded, it starts when a job asks for it, or so long after the process began.

A line plot's first frames were drawn after 1.4 s of processor time (`rayanim
run`, busy machine), and short videos have then turned out to be short. Dropped
until then, the process costs 0.2 to 0.7 s of processor time; dropped while Ray
starts, 8 s with two workers. The script's process spends 1 ms on either.
"""

IN_USE_POLL_S = 0.2
"""Seconds between two looks whether a job still uses a Ray that is to end."""

END_LIMIT_S = 20.0
"""What an unused Ray may take to end; 1.4 s on a quiet machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRay:
    """A Ray of this machine that another process has started for jobs of this user.

    `address` is empty while it starts, `at_start` is what `read_at_start` gave
    there, and `variables` names all variables that it was started with: actors
    get the job's own instead.
    """

    address: str
    token: str
    actors: int
    store_bytes: int
    at_start: Mapping[str, str]
    variables: tuple[str, ...]

    def misfit(self, actors: int, store_bytes: int) -> str | None:
        """Why a job of this process cannot use it; None where it can."""
        if actors > self.actors:
            return f"it has room for {self.actors} actors a job, and {actors} are allowed"
        if store_bytes > self.store_bytes:
            return f"its object store is too small for in_flight_bytes={store_bytes * 2 // 3}"
        here = read_at_start()
        names = sorted({*self.at_start, *here})
        changed = [name for name in names if self.at_start.get(name) != here.get(name)]
        if changed:
            return f"it was started with another {', '.join(changed)}"
        return None


def read_at_start() -> dict[str, str]:
    """What is read once when a worker of Ray starts: variables, and a folder's matplotlibrc."""
    found = {name: value for name, value in os.environ.items() if AT_START.match(name)}
    style = Path("matplotlibrc")
    if style.is_file():
        found["matplotlibrc"] = str(style.absolute())
    return found


class RayProcess:
    """Starts such a process, and ends it."""

    def __init__(self, actors: int, *, jobs: int = 1, users: str = "") -> None:
        self.began_s = time.monotonic()
        self.offer = RunningRay(
            address="",
            token=secrets.token_hex(32),
            actors=actors,
            store_bytes=STORE_BYTES,
            at_start=read_at_start(),
            variables=tuple(os.environ),
        )
        self._descendants: list[psutil.Process] = []
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", __name__, str(actors * jobs), users],
            env={**os.environ, "RAY_AUTH_TOKEN": self.offer.token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the whole group.
            start_new_session=True,
        )
        self._waiting = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> RunningRay:
        """Wait until Ray has started; raises where it has not."""
        with self._waiting:
            if not self.offer.address:
                self._ask()
                answer = self._first_line()
                if "address" not in answer:
                    raise FarmStartError(answer.get("error") or "It ended while it started.")
                self.offer = replace(self.offer, address=answer["address"])
                with contextlib.suppress(psutil.Error):
                    self._descendants = psutil.Process(self.pid).children(recursive=True)
            return self.offer

    def drop(self) -> None:
        """Let it end, without waiting: at once while it loads Ray, else in a few seconds."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def end(self) -> None:
        """Let it end, and wait: for the jobs that use it, then for so many seconds.

        Where it was killed, two agents of Ray would stay for a minute.
        """
        self.drop()
        self._process.wait()
        _, left = psutil.wait_procs(self._descendants, timeout=2.0)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=END_LIMIT_S)

    def _ask(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended, or was dropped
            if self._process.stdin is not None:
                self._process.stdin.write(b"\n")
                self._process.stdin.flush()

    def _first_line(self) -> dict[str, Any]:
        stream = self._process.stdout
        if stream is None or stream.closed:
            return {}
        if not select.select([stream], [], [], START_LIMIT_S)[0]:
            return {"error": f"it did not start within {START_LIMIT_S:.0f} s"}
        try:
            answer: dict[str, Any] = json.loads(stream.readline())
        except ValueError:
            return {}
        return answer


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """Have Ray listen and look on 127.0.0.1 alone, as it does by itself on macOS and Windows.

    Its documented switch for those, which its processes inherit; a Ray that
    was loaded before has read it.
    """
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    before = os.environ.get(name)
    os.environ[name] = "0"
    from ray._private import ray_constants

    was, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def main() -> None:
    """Start a Ray, report its address, and shut it down when standard input has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    num_cpus, users, parent = int(sys.argv[1]), sys.argv[2], os.getppid()
    # What others print must not come between.
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    orders = Orders()
    threading.Thread(target=orders.read, daemon=True).start()
    try:
        address = _start(num_cpus, orders)
    except Exception as error:  # reported by who has started this process
        answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    else:
        answer = {"address": address}
    with contextlib.suppress(OSError), report:
        report.write(json.dumps(answer) + "\n")
    import ray

    try:
        # The process that started this one may have forked others, which keep the pipe open.
        while "address" in answer and orders.is_wanted and os.getppid() == parent:
            time.sleep(IN_USE_POLL_S)
        with unused(users):
            ray.shutdown()
    finally:
        ray.shutdown()


class Orders:
    """What standard input says: a line, that Ray is to start; its end, that it is not wanted."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._asked = threading.Event()
        self._is_starting = False
        self.is_wanted = True

    def read(self) -> None:
        while os.read(0, 1024):
            self._asked.set()
        if not self._is_starting:
            os._exit(0)  # there is no process of Ray's yet
        self.is_wanted = False

    def wait_for_start(self) -> None:
        self._asked.wait(max(0.0, self._began_s + HOLD_S - time.monotonic()))
        self._is_starting = True


def _start(num_cpus: int, orders: Orders) -> str:
    os.environ.update(RAY_AUTH_MODE="token", RAY_preload_python_modules=PRELOADED, MPLBACKEND="agg")
    # Ray sets it in a worker that has a task: too late for a NumPy that is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with environment_for_ray(), on_loopback():
        import ray

        orders.wait_for_start()
        start_ray(num_cpus, STORE_BYTES, log_to_driver=False, _node_ip_address="127.0.0.1")
    return str(ray.get_runtime_context().gcs_address)


@contextlib.contextmanager
def unused(users: str) -> Iterator[None]:
    """Wait until no job holds the file `users`; none comes while the block runs. Then remove it."""
    with contextlib.ExitStack() as stack:
        if users:
            with contextlib.suppress(FileNotFoundError):
                while (descriptor := locked(users, shared=False)) is None:
                    time.sleep(IN_USE_POLL_S)
                stack.callback(os.close, descriptor)
                Path(users).unlink()
        yield


def locked(path: str | Path, *, shared: bool) -> int | None:
    """A descriptor of the file, which is locked until that is closed; None where others hold it."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


if __name__ == "__main__":
    main()
