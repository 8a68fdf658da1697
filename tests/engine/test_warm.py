"""A Ray that was started before: who finds it, who uses it, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from samples import sampled

import rayanim
from rayanim.engine import warm
from rayanim.engine.ray_process import RunningRay, read_at_start
from rayanim.engine.ray_session import LocalRay
from rayanim.engine.warm import Description, find, ready_warm, runtime_folder, versions
from rayanim.errors import OutputError
from rayanim.storage.lock import FileLock

TESTS = Path(__file__).parent.parent
OWN = LocalRay(2, 2**20)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own; a short one, for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="rayanim-", dir="/tmp") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        yield Path(name)


def described(folder: Path, **changes: Any) -> Description:
    """A warm Ray that nobody has started, described in `folder`."""
    offer = RunningRay(
        address="127.0.0.1:1",
        token="0" * 64,
        actors=2,
        store_bytes=2**29,
        at_start=read_at_start(),
        variables=tuple(os.environ),
    )
    users = folder / "users"
    users.touch(mode=0o600)
    found = Description(pid=1, limit_s=60.0, users=str(users), versions=versions(), ray=offer)
    found = replace(found, **changes)
    found.write(folder / "rayanim-warm.json")
    return found


# ---- finding it


def test_the_description_is_found_whole_and_for_this_user_alone(folder: Path) -> None:
    written = described(folder)
    path = folder / "rayanim-warm.json"
    assert path.stat().st_mode & 0o777 == 0o600
    lock = FileLock(folder / "rayanim-warm.lock", "taken")
    assert find() == (written, None)
    lock.close()


def test_none_is_found_where_there_is_none(folder: Path) -> None:
    assert find() == (None, None)


def test_a_stale_description_is_named_once_and_removed(folder: Path) -> None:
    """Its process was killed: the lock that it held is free."""
    described(folder)
    assert find() == (None, "it has ended without removing its file")
    assert find() == (None, None)


@pytest.mark.parametrize("name", versions())
def test_another_version_or_environment_is_named(folder: Path, name: str) -> None:
    described(folder, versions={**versions(), name: "another"})
    lock = FileLock(folder / "rayanim-warm.lock", "taken")
    found, why = find()
    assert found is None and why is not None and why.startswith(f"its {name} is another")
    lock.close()


def test_what_is_no_description_of_this_user_is_refused(folder: Path) -> None:
    """Damaged, of another release, readable for others, or a link to somewhere else."""
    path = folder / "rayanim-warm.json"
    for text in ("", "{", "[]", '{"ray": {}}'):
        path.write_text(text)
        path.chmod(0o600)
        assert find() == (None, "its file is of another version, or damaged")
    described(folder)
    path.chmod(0o644)
    assert find() == (None, "its file is not of this user alone (mode 0600)")
    path.rename(folder / "moved")
    path.symlink_to(folder / "moved")
    assert find()[0] is None


def test_without_a_runtime_folder_one_of_mode_0700_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert find() == (None, None) and not list(tmp_path.iterdir())
    made = runtime_folder(make=True)
    assert made.parent == tmp_path and made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    with pytest.raises(OutputError, match="not a folder of this user alone"):
        runtime_folder()


# ---- whether a job can use it


@pytest.mark.parametrize(
    "job, why",
    [
        (LocalRay(3, 1), "it has room for 2 actors a job, and 3 are allowed"),
        (LocalRay(2, 2**30), "its object store is too small"),
    ],
)
def test_a_job_that_needs_more_starts_its_own(folder: Path, job: LocalRay, why: str) -> None:
    said: list[str] = []
    found = described(folder)
    ready = ready_warm(found)
    assert type(ready.session(job, said.append)) is LocalRay
    assert len(said) == 1 and why in said[0]


def test_what_is_read_once_at_start_must_be_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its workers have loaded matplotlib and NumPy: what those read then cannot be changed."""
    ray = described(folder).ray
    monkeypatch.setenv("OF_THE_SCRIPT", "1")
    monkeypatch.chdir(tmp_path)
    assert ray.misfit(2, 1) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ray.misfit(2, 1) == "it was started with another OMP_NUM_THREADS"
    monkeypatch.delenv("OMP_NUM_THREADS")
    (tmp_path / "matplotlibrc").touch()
    assert ray.misfit(2, 1) == "it was started with another matplotlibrc"


def test_a_ray_that_is_about_to_end_takes_no_job(folder: Path) -> None:
    """Its file of users is gone, or held for good; otherwise a job holds it until it ends."""
    said: list[str] = []
    found = described(folder)
    ready = ready_warm(found)
    first, second = (ready.session(OWN, said.append) for _ in range(2))
    users = Path(found.users)
    first.stop()
    assert warm.is_used(users)
    second.stop()
    assert not warm.is_used(users) and not said
    users.unlink()
    assert type(ready.session(OWN, said.append)) is LocalRay
    assert said == ["The warm Ray is not used: it has just ended."]


def test_actors_take_on_the_environment_of_the_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of the job's are set, those that only the warm process had are removed."""
    from rayanim.engine.packing import PackedSource

    monkeypatch.setenv("OF_WARM", "1")
    found = described(folder)
    monkeypatch.delenv("OF_WARM")
    monkeypatch.setenv("OF_THE_SCRIPT", "1")
    ready = ready_warm(found)
    sent = ready.sent(PackedSource(b"", (), "."))
    code = "import json, os, sys; from rayanim.engine.packing import set_environment; "
    code += "set_environment(json.loads(sys.argv[1])); print(sorted(os.environ))"
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(sent.environment)],
        env={"OF_WARM": "1", "RAY_kept": "1", "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'OF_THE_SCRIPT'" in run.stdout and "'RAY_kept'" in run.stdout
    assert "OF_WARM" not in run.stdout


# ---- with Ray


def command(*arguments: str, code: str = "") -> list[str]:
    return [sys.executable, "-c", f"{code}\nfrom rayanim.cli import main; main()", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=200)


def processes(folder: Path) -> list[psutil.Process]:
    """All that were started under the test's runtime folder, this process left out."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.environ().get("XDG_RUNTIME_DIR") == str(folder) and each.pid != os.getpid():
                found.append(each)
        except psutil.Error:
            continue
    return found


def assert_nothing_left(
    folder: Path, *, limit_s: float = 30.0, files: tuple[str, ...] = ()
) -> None:
    until_s = time.monotonic() + limit_s
    while (left := processes(folder)) and time.monotonic() < until_s:
        time.sleep(0.2)
    assert [each.cmdline() for each in left] == []
    assert sorted(each.name for each in folder.iterdir()) == sorted(files)


SCRIPT = """
import json, os, sys, time
from pathlib import Path
import psutil
import rayanim
from numbered import FPS, Numbered, in_actor, read_numbers

os.environ["OF_THE_SCRIPT"] = "1"
HERE = os.getpid()

class Video(Numbered):
    def generate_at(self, time_ms):
        if in_actor():
            assert "OF_THE_SCRIPT" in os.environ and "OF_WARM" not in os.environ
            assert "matplotlib.pyplot" in sys.modules or len(sys.argv) > 4
        return super().generate_at(time_ms)

def own_ray():
    return [each.name() for each in psutil.Process().children(recursive=True)]

seen = set()
def look(done, total):
    seen.update(own_ray())
    if done > 20:  # the first frames are drawn before the job attaches
        Path(name + ".began").touch()

name, n_frames, delay_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
report = rayanim.produce(
    Video(n_frames, delay_s=delay_s), FPS, outfile=name, engine="ray", workers=2, progress=look
)
assert read_numbers(name) == list(range(n_frames))
print(json.dumps([report.engine, sorted(seen), list(report.events)]))
"""


@pytest.fixture
def in_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a script that makes a video on Ray."""
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(TESTS), str(Path(rayanim.__file__).parents[1])])
    monkeypatch.setenv("PYTHONPATH", path)

    def start(
        name: str, n_frames: int = 12, delay_s: float = 0.0, *others: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "script.py", name, str(n_frames), str(delay_s), *others],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def result(process: subprocess.Popen[str]) -> list[Any]:
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    found: list[Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_jobs_share_a_warm_ray_and_finish_on_it_when_it_is_stopped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process_of_its_own: Any
) -> None:
    """No job starts a Ray; the second `rayanim warm` says that there is one; --stop ends it."""
    with monkeypatch.context() as patch:
        patch.setenv("OF_WARM", "1")
        first = run("warm")
    assert first.returncode == 0 and "Ray is ready" in first.stdout, first.stderr
    assert "runs already" in run("warm").stdout
    jobs = [in_process_of_its_own(name, 200, 0.05) for name in ("a.mp4", "b.mp4")]
    began = [tmp_path / f"{name}.mp4.began" for name in "ab"]
    while not all(each.exists() for each in began) and all(each.poll() is None for each in jobs):
        time.sleep(0.1)
    assert "ends with the one that uses it" in run("warm", "--stop").stdout
    for job in jobs:
        engine, own, events = result(job)
        assert (engine, own) == ("ray", []) and not any("warm" in each for each in events)
    assert_nothing_left(folder)
    assert run("warm", "--stop").stdout == "There is no warm Ray.\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_warm_process_that_is_killed_leaves_no_process(
    folder: Path, in_process_of_its_own: Any
) -> None:
    """The next job says so, and starts a Ray of its own."""
    assert run("warm").returncode == 0
    os.kill(Description.read(folder / "rayanim-warm.json").pid, signal.SIGKILL)
    left = ("rayanim-warm.json", "rayanim-warm.lock")
    assert_nothing_left(folder, files=left)
    engine, own, events = result(in_process_of_its_own("a.mp4", 12, 0.0, "no warm Ray"))
    assert engine == "ray" and "gcs_server" in own
    assert events == ["The warm Ray is not used: it has ended without removing its file."]
    assert_nothing_left(folder, files=left[1:])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ray_that_is_killed_ends_the_warm_process_and_the_job(
    folder: Path, tmp_path: Path, in_process_of_its_own: Any
) -> None:
    """Two agents of Ray, which would stay for a minute, are ended, too; the job says what to do."""
    assert run("warm").returncode == 0
    job = in_process_of_its_own("a.mp4", 2000, 0.05)
    while not (tmp_path / "a.mp4.began").exists() and job.poll() is None:
        time.sleep(0.1)
    (ray,) = [each for each in processes(folder) if "rayanim.engine.ray_process" in each.cmdline()]
    ray.kill()
    errors = job.communicate(timeout=50)[1]
    assert job.returncode == 1 and errors.splitlines()[-1] == warm.GONE
    assert sorted(each.name for each in tmp_path.glob("a.mp4*")) == ["a.mp4.began", "a.mp4.parts"]
    assert_nothing_left(folder)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_two_that_are_started_at_once_one_runs_and_ends_when_unused(folder: Path) -> None:
    both = [
        subprocess.Popen(command("warm", "--for", "1s"), stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    told = ["".join(each.communicate(timeout=200)) for each in both]
    assert sum("Ray is ready" in each for each in told) == 1, told
    assert_nothing_left(folder)


def test_a_runtime_folder_that_takes_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    told = run("warm")
    assert told.returncode == 1 and "'/proc' is not writable" in told.stderr


# ---- with the script


def test_a_ray_that_a_job_uses_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may turn out after all that it does not pay: the next job of the script may use it."""

    class Process:
        offer = RunningRay(
            address="",
            token="",
            actors=2,
            store_bytes=2**29,
            at_start=read_at_start(),
            variables=(),
        )
        began_s = 0.0
        wait = None
        is_dropped = False

        def __init__(self, actors: int) -> None:
            processes.append(self)

        def drop(self) -> None:
            self.is_dropped = True

    processes: list[Process] = []
    monkeypatch.setattr(warm, "RayProcess", Process)
    said: list[str] = []
    with warm.started_early(2):
        ready = warm.ready_ray(said.append)
        assert ready is not None
        session = ready.session(OWN, said.append)
        warm.drop_early()
        assert type(session) is warm.AttachedSession and not processes[0].is_dropped
        session.stop()
        warm.drop_early()
        assert processes[0].is_dropped
        assert type(ready.session(OWN, said.append)) is LocalRay
    assert said == ["The Ray that started with the script is not used: it has just ended."]


FOUR_CORES = "import rayanim.engine.machine as machine; machine.usable_cores = lambda **_: 4"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", sampled(["ray", "auto"], ["auto"]))
def test_ray_starts_with_the_script_and_is_used_or_dropped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """In a process of its own, of which nothing is left; what is short is drawn without it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "script.py").write_text(
        "import psutil, rayanim\n"
        "from numbered import FPS, Numbered\n"
        "began = {'-m rayanim.engine.ray_process' in ' '.join(each.cmdline())\n"
        "         for each in psutil.Process().children()}\n"
        f"report = rayanim.produce(Numbered(24), FPS, outfile='a.mp4', engine={engine!r})\n"
        "names = {each.name() for each in psutil.Process().children()}\n"
        "print(began, report.engine, 'gcs_server' in names)\n"
    )
    told = subprocess.run(
        command("run", "script.py", code=FOUR_CORES),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    expected = "ray" if engine == "ray" else "local"
    assert f"{{True}} {expected} False\n" in told.stdout, told.stdout + told.stderr
    assert_nothing_left(folder)


@pytest.mark.parametrize("options", [("--engine", "local"), ("-j", "1"), ("--dry-run",)])
def test_ray_does_not_start_with_a_script_that_stays_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The command line says so."""
    began: list[int] = []
    monkeypatch.setattr("rayanim.engine.machine.usable_cores", lambda **_: 4)
    monkeypatch.setattr(warm, "RayProcess", began.append)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(
        "import rayanim\nfrom numbered import Numbered\n"
        "rayanim.produce(Numbered(2), 30, outfile='a.mp4', engine='local')\n"
    )
    from rayanim.cli import main

    assert main(["run", "script.py", *options], standalone_mode=False) == 0
    assert began == []
