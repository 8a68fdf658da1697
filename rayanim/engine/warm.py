"""Finds a Ray that was started before the job needed one, and attaches to it.

That is the warm Ray, which `rayanim warm` keeps (`WarmProcess`) and describes in
a file of the user's runtime folder, or the one that `rayanim run` started with
itself (`started_early`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import platform
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.engine.machine import usable_cores
from rayanim.engine.ray_process import (
    AT_START,
    HOLD_S,
    JOBS_AT_ONCE,
    RayProcess,
    RunningRay,
    locked,
    on_loopback,
)
from rayanim.engine.ray_session import LocalRay, RaySession
from rayanim.errors import FarmStartError, OutputError, RayanimError
from rayanim.storage.lock import FileLock, remove_unfinished

if TYPE_CHECKING:
    from rayanim.engine.packing import PackedSource

_logger = logging.getLogger("rayanim")

POLL_S = 0.5
"""Seconds between two looks of the warm process at who uses its Ray."""

RENEW_AFTER_S = 3.0
"""A Ray that a job has used is replaced when it was unused for so long.

Its workers went with the job's actors, and Ray starts workers in advance only
for the first job. A new Ray costs 6 s of processor time: not while jobs follow
each other closely.
"""

ANSWER_LIMIT_S = 1.0
"""A head on this machine accepts a connection at once."""

WATCH_S = 1.0
"""Seconds between two looks of a job whether the Ray that it is attached to is there."""

GONE = (
    "rayanim: error: The Ray that this video is drawn on has been killed, and with it this job. "
    "Run it again; --resume (resume=True) goes on from the segments that were finished."
)


def runtime_folder(*, make: bool = False) -> Path:
    """The folder of this user alone where the warm Ray is described; `make` makes a missing one.

    ``XDG_RUNTIME_DIR`` (XDG Base Directory Specification), or else a folder of
    mode 0700 in the temporary folder.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_dir():
        return Path(given)
    folder = Path(tempfile.gettempdir()) / f"rayanim-{os.getuid()}"
    if make:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    elif not os.path.lexists(folder):
        return folder
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise OutputError(f"{str(folder)!r} is not a folder of this user alone (mode 0700).")
    return folder


def description_path() -> Path:
    return runtime_folder() / "rayanim-warm.json"


def lock_path(folder: Path) -> Path:
    """The file that the warm process holds locked while it lives."""
    return folder / "rayanim-warm.lock"


def versions() -> dict[str, str]:
    """What has to be the same in the process of a job and in the warm Ray."""
    from importlib.metadata import version  # 20 ms, a tenth of a short video

    from rayanim import __version__

    return {
        "rayanim": __version__,
        "ray": version("ray"),
        "python": platform.python_version(),
        "environment": sys.prefix,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The warm Ray as its file describes it."""

    pid: int
    limit_s: float
    users: str
    versions: Mapping[str, str]
    ray: RunningRay

    def write(self, path: Path) -> None:
        """Put it at `path`, whole, for this user alone."""
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(self), file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise

    @classmethod
    def read(cls, path: Path) -> Description:
        """The one at `path`; `ValueError` where it is none of this user's."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor) as file:
            found = os.fstat(descriptor)
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise ValueError("its file is not of this user alone (mode 0600)")
            try:
                values = json.load(file)
                values["versions"].items()
                values["ray"]["variables"] = tuple(values["ray"]["variables"])
                return cls(**{**values, "ray": RunningRay(**values["ray"])})
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError("its file is of another version, or damaged") from error


def find() -> tuple[Description | None, str | None]:
    """The warm Ray of this user, or why the one that is described cannot be used."""
    if not hasattr(os, "getuid"):
        return None, None
    try:
        path = description_path()
        found = Description.read(path)
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, OutputError) as error:
        return None, str(error)
    if not is_locked(lock_path(path.parent)):
        with contextlib.suppress(OSError):
            path.unlink()
        return None, "it has ended without removing its file"
    for name, here in versions().items():
        if found.versions.get(name) != here:
            return None, f"its {name} is {found.versions.get(name)}, this process has {here}"
    return found, None


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file at `path`."""
    return _is_held(path, shared=True)


def is_used(users: Path) -> bool:
    """Whether a job holds the file."""
    return _is_held(users, shared=False)


def _is_held(path: Path, *, shared: bool) -> bool:
    try:
        descriptor = locked(path, shared=shared)
    except FileNotFoundError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRay:
    """A Ray that a job may attach to instead of starting one.

    `wait` returns when it has started. `hold` keeps it for a job until what it
    returns is called; None where the Ray is about to end.
    """

    name: str
    offer: RunningRay
    wait: Callable[[], RunningRay]
    hold: Callable[[], Callable[[], None] | None]
    began_s: float

    def session(self, otherwise: LocalRay, notice: Callable[[str], None]) -> RaySession:
        """Attaches to it; starts one of the job's own where that is not possible."""
        why = self.offer.misfit(otherwise.num_cpus, otherwise.store_bytes)
        release = None if why is not None else self.hold()
        if release is None:
            notice(f"{self.name} is not used: {why or 'it has just ended'}.")
            return otherwise
        return AttachedSession(self.wait, otherwise, release)

    def sent(self, packed: PackedSource) -> PackedSource:
        """`packed`, for actors that take on this process's environment first."""

        def is_sent(name: str) -> bool:
            return not (name.startswith("RAY_") or name == "MPLBACKEND" or AT_START.match(name))

        there: dict[str, str | None] = dict.fromkeys(self.offer.variables)
        environment = {name: value for name, value in (there | os.environ).items() if is_sent(name)}
        return replace(packed, environment=environment)


def joined(users: str) -> Callable[[], None] | None:
    """Mark a user of a Ray until what is returned is called; None where it is about to end.

    The system removes the mark of a job that is killed.
    """
    # The warm process holds the file for a moment whenever it looks.
    for _ in range(10):
        try:
            descriptor = locked(users, shared=True)
        except OSError:  # its Ray has ended
            return None
        if descriptor is not None:
            return partial(os.close, descriptor)
        time.sleep(0.01)
    return None


class AttachedSession(RaySession):
    """A Ray that another process has started, for one job; it goes on afterwards."""

    def __init__(
        self, wait: Callable[[], RunningRay], otherwise: LocalRay, release: Callable[[], None]
    ) -> None:
        super().__init__()
        self._wait_for_offer = wait
        self._otherwise = otherwise
        self._release: Callable[[], None] | None = release
        self._is_detaching = threading.Event()

    def stop(self) -> None:
        self._is_detaching.set()
        super().stop()
        release, self._release = self._release, None
        if release is not None:
            release()

    def _restore_environment(self) -> None:
        super()._restore_environment()
        read_token_again()

    def init(self) -> None:
        try:
            found = self._wait_for_offer()
            see_answer(found.address)
        except (FarmStartError, OSError) as error:
            if self._is_detaching.is_set():
                raise
            _logger.info("The Ray that was there is not used: %s", error)
            self._otherwise.init()
            return
        os.environ.update(
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=found.token, RAY_USAGE_STATS_ENABLED="0"
        )
        with on_loopback():
            import ray

            read_token_again()
            ray.init(
                address=found.address,
                logging_level=logging.ERROR,
                log_to_driver=_logger.isEnabledFor(logging.INFO),
            )
        watch = threading.Thread(target=self._watch, args=(found.address,), daemon=True)
        watch.start()

    def failed(self, error: BaseException | None) -> RayanimError:
        return self._otherwise.failed(error)

    def _watch(self, address: str) -> None:
        """End this process when the Ray is gone.

        Ray does so itself, after waiting for a minute, in which every call of it
        hangs, `ray.shutdown` included.
        """
        while not self._is_detaching.wait(WATCH_S):
            try:
                see_answer(address)
            except ConnectionRefusedError:
                if self._is_detaching.is_set():
                    return
                print(GONE, file=sys.stderr, flush=True)
                remove_unfinished()
                os._exit(1)
            except OSError:  # busy
                continue


def see_answer(address: str) -> None:
    """See that something listens at ``HOST:PORT``; `OSError` where nothing does."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), ANSWER_LIMIT_S).close()


def read_token_again() -> None:
    """Have Ray read from the environment what it otherwise reads once in a process."""
    try:
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
    except ImportError:  # another release, or Ray has never been loaded
        return
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


# The one that `rayanim run` has started, while no job uses it.
_early: list[RayProcess] = []


@contextlib.contextmanager
def started_early(actors: int) -> Iterator[None]:
    """Start a Ray for jobs of this process, which go on without waiting for it."""
    _early.append(RayProcess(actors))
    try:
        yield
    finally:
        drop_early()


def drop_early() -> None:
    """The Ray that was started early is not needed; nothing where a job uses it."""
    while _early:
        _early.pop().drop()


def _taken_early() -> Callable[[], None] | None:
    """Keep it for a job, which gives it back for the next one."""
    return partial(_early.append, _early.pop()) if _early else None


def ready_ray(notice: Callable[[str], None]) -> ReadyRay | None:
    """A Ray that was started for jobs to come; what cannot be used is given to `notice`."""
    if _early:
        early = _early[0]
        return ReadyRay(
            name="The Ray that started with the script",
            offer=early.offer,
            wait=early.wait,
            hold=_taken_early,
            began_s=early.began_s + HOLD_S,
        )
    found, why = find()
    if found is None:
        if why is not None:
            notice(f"The warm Ray is not used: {why}.")
        return None
    return ready_warm(found)


def ready_warm(found: Description) -> ReadyRay:
    return ReadyRay(
        name="The warm Ray",
        offer=found.ray,
        wait=lambda: found.ray,
        hold=partial(joined, found.users),
        began_s=-math.inf,
    )


class WarmProcess:
    """Keeps a warm Ray until no job has used it for `limit_s`, or until it is stopped."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        runtime_folder(make=True)
        self._path = description_path()
        self._stopping = threading.Event()
        self._ray: RayProcess
        self._users: Path

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Start it, give `report` what there is to be said, and keep it."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stopping.set())
        taken = "A warm Ray is just being started."
        with contextlib.closing(FileLock(lock_path(self._path.parent), taken)):
            try:
                self._start()
                report({})
                self._keep()
            finally:
                self._path.unlink(missing_ok=True)
                if hasattr(self, "_ray"):  # it may not have come so far
                    self._end(self._ray, self._users)

    def _start(self) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix="rayanim-warm-users-")
        os.close(descriptor)
        self._users = Path(name)
        self._ray = RayProcess(usable_cores(), jobs=JOBS_AT_ONCE, users=name)
        Description(
            pid=os.getpid(),
            limit_s=self._limit_s,
            users=name,
            versions=versions(),
            ray=self._ray.wait(),
        ).write(self._path)

    def _keep(self) -> None:
        unused_since_s, was_used = time.monotonic(), False
        while not self._stopping.wait(POLL_S) and self._ray.is_alive:
            now_s = time.monotonic()
            if is_used(self._users):
                unused_since_s, was_used = now_s, True
            elif now_s - unused_since_s > self._limit_s:
                return
            elif was_used and now_s - unused_since_s > RENEW_AFTER_S:
                was_used = False
                self._renew()

    def _renew(self) -> None:
        """Put a new Ray in the place of the one whose workers are used up."""
        before = self._ray, self._users
        try:
            self._start()
        except FarmStartError:
            self._end(self._ray, self._users)
            self._ray, self._users = before
            return
        # A job may have come to the old one meanwhile.
        threading.Thread(target=self._end, args=before).start()

    @staticmethod
    def _end(ray: RayProcess, users: Path) -> None:
        ray.end()
        users.unlink(missing_ok=True)


def main() -> None:
    """The warm process: one line on standard output when it is ready, or why it is not."""

    def report(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)
        # Who started it does not wait for more.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)

    try:
        WarmProcess(float(sys.argv[1])).run(report)
    except RayanimError as error:
        report({"error": error.message})


if __name__ == "__main__":
    main()
