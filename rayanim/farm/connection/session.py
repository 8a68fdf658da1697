"""Starts a Ray of our own, quietly, and leaves everything as it was found.

A Ray that the caller has initialised is used and left running.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from rayanim.errors import FarmStartError, RayanimError
from rayanim.farm.connection.quiet import (
    environment_for_ray,
    kept_excepthook,
    kept_interpreter,
    kept_logging,
)

_logger = logging.getLogger("rayanim")

START_LIMIT_S = 120.0
"""Ray starts in about 3 s; after this it is taken for stuck."""

STOP_PATIENCE_S = 8.0
"""The longest that Ctrl-C waits for a Ray that is still starting."""

ALSO_SET = frozenset({"PYTHONBREAKPOINT"})
"""Variables beside its own that `ray.init` sets and leaves."""


class Beginning(Protocol):
    """How a process comes to have Ray."""

    @property
    def limit_s(self) -> float:
        """Seconds after which it is taken for stuck."""
        ...

    def init(self) -> None:
        """Call ``ray.init``; its own logging is kept out of the caller's."""
        ...

    def failed(self, error: BaseException | None) -> RayanimError:
        """What to raise where it failed; None where it took too long."""
        ...


@dataclass(frozen=True, slots=True)
class LocalRay:
    """A Ray of our own on this machine.

    Attributes
    ----------
    num_cpus
        Render actors that may run at once.
    store_bytes
        Size of the object store.
    """

    num_cpus: int
    store_bytes: int

    @property
    def limit_s(self) -> float:
        """Seconds after which it is taken for stuck."""
        return START_LIMIT_S

    def init(self) -> None:
        """Start it."""
        with environment_for_ray():
            import ray

            ray.init(
                address="local",
                num_cpus=self.num_cpus,
                include_dashboard=False,
                object_store_memory=self.store_bytes,
                logging_level=logging.ERROR,
                # Ray's own remarks and what actors print: for those who look for it.
                log_to_driver=_logger.isEnabledFor(logging.INFO),
                # The store's allocator walks through fresh pages while freed
                # objects wait for a batch; freeing at once halves a put's cost.
                _system_config={"free_objects_period_milliseconds": 0},
            )

    def failed(self, error: BaseException | None) -> RayanimError:
        """What to do instead: draw in this process."""
        what = f" within {START_LIMIT_S:.0f} s"
        if error is not None:
            what = f": {type(error).__name__}: {error}"
        return FarmStartError(
            f"Ray did not start{what}. Draw in this process instead with workers=1."
        )


class RaySession:
    """Ray for one job.

    Parameters
    ----------
    beginning
        How it comes: a Ray of our own, or a connection to a cluster.
    """

    def __init__(self, beginning: Beginning) -> None:
        self._beginning = beginning
        self._ours = False
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._over = threading.Event()
        self._abandoned = False
        # Either `stop` sees that Ray has come, or its thread that it is not wanted.
        self._handover = threading.Lock()
        self._thread: threading.Thread | None = None
        self._environment: dict[str, str] | None = None
        self._on_sigterm: Any = None
        self.start_s = 0.0

    def start(self) -> None:
        """Begin to start Ray; returns at once, and does nothing where it was begun."""
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
        """Whether Ray is there, or has failed to come."""
        return self._started.is_set()

    def wait(self) -> None:
        """Wait until Ray is there.

        Raises
        ------
        RayanimError
            If it failed to come.
        """
        if not self._started.wait(self._beginning.limit_s):
            raise self._beginning.failed(None)
        if self._failure is not None:
            raise self._beginning.failed(self._failure) from self._failure
        self._restore_sigterm()

    def stop(self) -> None:
        """Shut down a Ray of our own and restore the environment.

        A Ray that is still starting is waited for, `STOP_PATIENCE_S` at most,
        because a Ray whose driver just ends leaves two processes for a minute.
        After that its thread shuts it down when it has come.
        """
        if not self._ours:
            return
        self._ours = False
        self._started.wait(STOP_PATIENCE_S)
        with self._handover:
            self._abandoned = not self.ready
        if not self._abandoned:
            self._shut_down()

    def _shut_down(self) -> None:
        # A Ray that could not be imported is not there, and would fail to be once more.
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
        began = time.perf_counter()
        try:
            self._init()
        except BaseException as error:  # handed to the thread that waits, whatever it is
            self._failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            self.start_s = time.perf_counter() - began
            with self._handover:
                self._started.set()
            if self._abandoned:
                self._shut_down()
        self._over.wait()

    def _init(self) -> None:
        with kept_logging(), kept_interpreter():
            # In a notebook importing Ray remarks on a missing package at level INFO.
            logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
            self._beginning.init()

    def _restore_sigterm(self) -> None:
        """Undo Ray's own handler, which ends the process without any cleaning up."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if self._ours and in_main_thread and self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _restore_environment(self) -> None:
        """Take away the variables that `ray.init` leaves behind."""
        before = self._environment or {}
        touched = [name for name in os.environ if name.startswith("RAY_") or name in ALSO_SET]
        for name in touched:
            if name not in before:
                del os.environ[name]
            else:
                os.environ[name] = before[name]


def free_ray_cpus(otherwise: int) -> int:
    """CPUs that nobody holds in the Ray that the caller has initialised.

    Parameters
    ----------
    otherwise
        The answer where there is none: a Ray of our own has as many as are asked for.
    """
    if not ray_is_running():
        return otherwise
    import ray

    return int(ray.available_resources().get("CPU", 0))


def ray_is_running() -> bool:
    """Whether the caller has initialised Ray; never imports it to find out."""
    # Another thread may be importing Ray at this moment: then it does not run yet.
    is_initialized = getattr(sys.modules.get("ray"), "is_initialized", None)
    return is_initialized is not None and bool(is_initialized())
