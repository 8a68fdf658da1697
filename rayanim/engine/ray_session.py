"""Starts Ray for one job, quietly, and leaves everything as it was found.

A Ray that the caller has initialised is used and left running.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayanim.errors import FarmError, FarmStartError, RayanimError

_logger = logging.getLogger("rayanim")

START_LIMIT_S = 120.0
"""Ray starts in about 3 s; after this it is taken for stuck."""

STOP_PATIENCE_S = 8.0
"""The longest that Ctrl-C waits for a Ray that is still starting."""


class RaySession(ABC):
    """Ray for one job."""

    limit_s = START_LIMIT_S
    """Seconds after which a start is taken for stuck."""

    def __init__(self) -> None:
        self._ours = False
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._over = threading.Event()
        self._abandoned = False
        # Either `stop` sees that Ray has started, or its thread that it is not wanted.
        self._stopping = threading.Lock()
        self._thread: threading.Thread | None = None
        self._environment: dict[str, str] | None = None
        self._on_sigterm: Any = None

    @abstractmethod
    def init(self) -> None:
        """Call ``ray.init``; its logging is kept out of the caller's."""

    @abstractmethod
    def failed(self, error: BaseException | None) -> RayanimError:
        """What to raise where `init` raised `error`, or took too long (None)."""

    def start(self) -> None:
        """Begin to start Ray; returns at once, and does nothing the second time."""
        if self._thread is not None:
            return
        if ray_is_running():
            self._started.set()
            return
        self._ours = True
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        self._environment = dict(os.environ)
        # Ray's processes end with the *thread* that made them (PR_SET_PDEATHSIG),
        # so this one stays until `stop`.
        self._thread = threading.Thread(target=self._hold, name="rayanim-ray", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether Ray has started, or has failed to."""
        return self._started.is_set()

    def wait(self) -> None:
        if not self._started.wait(self.limit_s):
            raise self.failed(None)
        if self._failure is not None:
            raise self.failed(self._failure) from self._failure
        self._restore_sigterm()

    def stop(self) -> None:
        """Shut down a Ray of our own and restore the environment.

        A Ray that is still starting is waited for, `STOP_PATIENCE_S` at most,
        because a Ray whose driver just ends leaves two processes for a minute.
        After that its thread shuts it down when it has started.
        """
        if not self._ours:
            return
        self._ours = False
        self._started.wait(STOP_PATIENCE_S)
        with self._stopping:
            self._abandoned = not self.ready
        if not self._abandoned:
            self._shut_down()

    def _shut_down(self) -> None:
        # If importing Ray failed, there is nothing to shut down.
        ray = sys.modules.get("ray")
        try:
            if ray is not None:
                with kept_excepthook():
                    ray.shutdown()
        finally:
            # Only now may the thread end: Ray's processes would be killed with it,
            # and two of them, orphaned by that, would stay for a minute.
            self._over.set()
            self._restore_environment()

    def _hold(self) -> None:
        try:
            with kept_interpreter():
                # In a notebook, importing Ray logs a missing package at level INFO.
                logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
                self.init()
        except BaseException as error:  # handed to the thread that waits, whatever it is
            self._failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._stopping:
                self._started.set()
            if self._abandoned:
                self._shut_down()
        self._over.wait()

    def _restore_sigterm(self) -> None:
        """Undo Ray's own handler, which ends the process without cleaning up."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if self._ours and in_main_thread and self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _restore_environment(self) -> None:
        """Remove the variables that `ray.init` leaves behind."""
        before = self._environment or {}
        touched = [name for name in os.environ if name.startswith(("RAY_", "PYTHONBREAKPOINT"))]
        for name in touched:
            if name not in before:
                del os.environ[name]
            else:
                os.environ[name] = before[name]


class LocalRay(RaySession):
    """A Ray of our own on this machine."""

    def __init__(self, num_cpus: int, store_bytes: int) -> None:
        super().__init__()
        self.num_cpus = num_cpus
        self.store_bytes = store_bytes

    def init(self) -> None:
        with environment_for_ray():
            # Ray's own messages and what actors print: only under `-v`.
            is_verbose = _logger.isEnabledFor(logging.INFO)
            start_ray(self.num_cpus, self.store_bytes, log_to_driver=is_verbose)

    def failed(self, error: BaseException | None) -> RayanimError:
        """What to do instead: draw in this process."""
        what = f" within {START_LIMIT_S:.0f} s"
        if error is not None:
            what = f": {type(error).__name__}: {error}"
        return FarmStartError(
            f"Ray did not start{what}. Draw in this process instead with workers=1."
        )


def start_ray(num_cpus: int, store_bytes: int, **options: Any) -> None:
    """Start a Ray of our own on this machine."""
    import ray

    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        object_store_memory=store_bytes,
        logging_level=logging.ERROR,
        # The store's allocator walks through fresh pages while freed objects wait
        # for a batch; freeing at once halves a put's cost.
        _system_config={"free_objects_period_milliseconds": 0},
        **options,
    )


def free_ray_cpus(otherwise: int) -> int:
    """Free CPUs of the Ray that the caller has initialised."""
    if not ray_is_running():
        return otherwise
    import ray

    return int(ray.available_resources().get("CPU", 0))


def ray_is_running() -> bool:
    """Whether the caller has initialised Ray; never imports it to find out."""
    # Another thread may be importing Ray at this moment: then it does not run yet.
    is_initialized = getattr(sys.modules.get("ray"), "is_initialized", None)
    return is_initialized is not None and bool(is_initialized())


QUIET_ENVIRONMENT = {
    # Workers at nice 15, Ray's default, would let any other program go first.
    "RAY_worker_niceness": "0",
    # Saves about a second of the start; nothing reads the metrics of a local job.
    "RAY_enable_metrics_collection": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it Ray warns about CUDA_VISIBLE_DEVICES, which no actor here reads.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def environment_for_ray() -> Iterator[None]:
    """Variables that only Ray's processes are to see, set while they start."""
    mine = {name: value for name, value in QUIET_ENVIRONMENT.items() if name not in os.environ}
    if not _home_is_writable():
        # Ray 2.60 writes a token into the home folder, and fails where it cannot.
        mine.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def _home_is_writable() -> bool:
    try:
        folder = Path.home() / ".ray"
    except RuntimeError:
        return False
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


@contextlib.contextmanager
def kept_interpreter() -> Iterator[None]:
    """Undo what importing Ray and `ray.init` set in this interpreter.

    That is the root logger, a hook for exceptions, filters for warnings of its own and of
    what it imports, `faulthandler`, and a folder of packages before all others on the
    search path. Nothing else is restored: the script's thread may change the path and the
    filters at the same time.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    search_path, filters = list(sys.path), list(warnings.filters)
    modules = set(sys.modules)
    faults_shown = faulthandler.is_enabled()
    try:
        with kept_excepthook():
            yield
    finally:
        for entry in [each for each in sys.path if each not in search_path]:
            if Path(entry).parent.name == "ray":
                sys.path.remove(entry)
        for added in [each for each in warnings.filters if each not in filters]:
            if added[2].__module__ not in modules:
                warnings.filters.remove(added)  # type: ignore[attr-defined]
        if not faults_shown:
            faulthandler.disable()
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def kept_excepthook() -> Iterator[None]:
    hook = sys.excepthook
    try:
        yield
    finally:
        sys.excepthook = hook


FETCH_LIMIT_S = 10.0
"""For ``ray.get()`` of a result that ``ray.wait()`` reported ready."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def is_code_fault(error: Exception) -> bool:
    """Whether code raised in an actor that lives on, rather than an actor or object being gone.

    Ray wraps the loss of an argument, and an object store or a disk that is
    full, into the same class as an exception of the called code; such an error
    is an instance of both.
    """
    from ray import exceptions

    machine_faults = (
        exceptions.ObjectLostError,
        exceptions.RayActorError,
        exceptions.ObjectStoreFullError,
        exceptions.OutOfDiskError,
        exceptions.OutOfMemoryError,
    )
    return isinstance(error, exceptions.RayTaskError) and not isinstance(error, machine_faults)


@contextlib.contextmanager
def ray_errors_explained() -> Iterator[None]:
    """Turn an unexpected error of Ray itself into one clear message."""
    try:
        yield
    except Exception as error:
        # By its name: Ray may not be installed.
        if type(error).__module__.partition(".")[0] != "ray":
            raise
        raise FarmError(
            f"Ray failed ({first_line(error)}). Where its object store or its disk is full, "
            "fewer workers or a smaller in_flight_bytes help."
        ) from error


def is_lost_argument(error: Exception) -> bool:
    """Whether an object that a call was given is gone, rather than the actor called."""
    from ray.exceptions import ObjectLostError, RayActorError

    return isinstance(error, ObjectLostError) and not isinstance(error, RayActorError)


def first_line(error: Exception) -> str:
    """The one line of an exception that a person needs."""
    if isinstance(error, RayanimError):
        return error.message
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return f"{type(cause).__name__}: {cause}"
    lines = [line.strip() for line in plain_text(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def plain_text(error: Exception) -> str:
    """Ray's text of an error, without the colours of a terminal."""
    return _COLOURS.sub("", str(error))


def node_label(node: str) -> str:
    """A node for messages: the start of its id, and its address."""
    import ray

    addresses = {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes()}
    return f"{node[:8]} ({addresses.get(node, 'gone')})"


TOKEN_LIMIT_S = 30.0
"""Loading Ray takes a second, the answer a fraction; a head that is gone takes 10 s."""

WANTS_TOKEN = 3
ASK = f"""
import sys
import ray
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient
try:
    GcsClient(address=canonicalize_bootstrap_address(sys.argv[1])).get_all_node_info(timeout=10)
except ray.exceptions.AuthenticationError:
    sys.exit({WANTS_TOKEN})
"""
"""Read in Ray 2.55 to 2.60; where another release has other names, no token is sent."""


def wants_token(address: str) -> bool:
    """Whether the cluster at `address` refuses a process without a token.

    Ray has no documented way to ask, and a process can use one mode only: so
    another process tries it without a token.
    """
    try:
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-c", ASK, address],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TOKEN_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False  # connecting will report what is wrong
    return run.returncode == WANTS_TOKEN
