"""What travels to a cluster: which files, what is said of the rest, and the packages themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import rayanim
from rayanim.errors import PackageError
from rayanim.jobs.package import (
    JOB_VARIABLE,
    Baggage,
    Entry,
    LeftBehind,
    PackagePlan,
    baggage_of,
    of_its_own,
    packed,
    plan_folder,
    plan_package,
    write_package,
)
from rayanim.settings import ClusterSettings


def make(folder: Path, files: dict[str, str]) -> Path:
    """Write files below `folder`."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def travelling(plan: PackagePlan) -> list[str]:
    return [str(each.path) for each in plan.entries]


def reasons(plan: PackagePlan) -> dict[str, str]:
    return {str(each.path): each.reason for each in plan.left}


def test_the_scripts_own_files_travel_and_nothing_else(tmp_path: Path) -> None:
    """Neither version control, environments, caches nor what rayanim has written goes along."""
    folder = make(
        tmp_path,
        {
            "wave.py": "",
            "data/points.csv": "",
            "shapes/__init__.py": "",
            "shapes/__pycache__/x.pyc": "",
            ".git/config": "",
            "python/pyvenv.cfg": "",
            "python/bin/python": "",
            "conda/conda-meta/history": "",
            "node_modules/left-pad/index.js": "",
            ".mypy_cache/x": "",
            "wave.mp4": "",
            "wave.mp4.parts/0": "",
            "wave.mp4.part": "",
        },
    )
    plan = plan_folder(folder)
    assert travelling(plan) == ["data/points.csv", "shapes/__init__.py", "wave.py"]
    assert reasons(plan) == {
        ".git": "version control",
        ".mypy_cache": "a cache",
        "conda": "an environment",
        "node_modules": "an environment",
        "python": "an environment",
        "shapes/__pycache__": "a cache",
        "wave.mp4": "a video",
        "wave.mp4.part": "an output of rayanim",
        "wave.mp4.parts": "an output of rayanim",
    }


def test_secrets_stay_behind_and_are_named(tmp_path: Path) -> None:
    """Every job of a cluster can read a package; one that must travel is asked for."""
    secret = [".aws/credentials", ".env", ".env.local", ".netrc", ".ssh/config", "deep/id_rsa"]
    names = ["wave.py", "key.pem", "public.pem", ".local/lib/x.py", ".config/gcloud/x", *secret]
    folder = make(tmp_path, dict.fromkeys(names, "") | {".rayignore": "!public.pem\n"})
    plan = plan_folder(folder)
    assert travelling(plan) == [".rayignore", "public.pem", "wave.py"]
    assert {name for name, why in reasons(plan).items() if why == "a secret"} == {
        ".aws", ".env", ".env.local", ".netrc", ".ssh", "deep/id_rsa", "key.pem",
    }  # fmt: skip
    [note] = plan.notes()
    assert ".env (a secret)" in note and ".local/" not in note


def test_the_home_folder_travels_only_if_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that lies in it would take all of a person's files along."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "wave.py"))
    with pytest.raises(PackageError, match="folder of its own"):
        baggage_of(ClusterSettings(), {})
    named = baggage_of(ClusterSettings(working_dir=tmp_path), {})
    assert named is not None and named.folder == tmp_path
    assert of_its_own(tmp_path / "videos") == tmp_path / "videos"


def test_ignore_files_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    """Deeper files come before those above, .rayignore before .gitignore, --exclude before all."""
    folder = make(
        tmp_path,
        {
            ".gitignore": "*.csv\n/cold/\n",
            ".rayignore": "!intro.mp4\nlarge.bin\n",
            "kept/.gitignore": "!used.csv\n",
            "kept/used.csv": "",
            "kept/cold/x": "",
            "unused.csv": "",
            "cold/x": "",
            "intro.mp4": "",
            "large.bin": "",
            "notes.txt": "",
        },
    )
    plan = plan_folder(folder, excludes=["notes.*"])
    assert [name for name in travelling(plan) if "ignore" not in name] == [
        "intro.mp4",
        "kept/cold/x",
        "kept/used.csv",
    ]
    assert reasons(plan) == {
        "cold": ".gitignore",
        "large.bin": ".rayignore",
        "notes.txt": "--exclude",
        "unused.csv": ".gitignore",
    }


def test_gitignore_may_be_passed_over_as_ray_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own variable for it counts here too."""
    folder = make(tmp_path, {".gitignore": "data.csv\n", "data.csv": ""})
    monkeypatch.setenv("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "1")
    assert "data.csv" in travelling(plan_folder(folder))


def test_links_are_followed_once(tmp_path: Path) -> None:
    """What a link leads to travels as a file; one that leads back or nowhere does no harm."""
    folder = make(tmp_path / "project", {"wave.py": ""})
    make(tmp_path / "elsewhere", {"points.csv": "1"})
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    plan = plan_folder(folder)
    assert travelling(plan) == ["data/points.csv", "wave.py"]
    assert reasons(plan) == {"broken": "a broken link"}


def test_a_package_over_rays_limit_is_refused_with_its_largest_files(tmp_path: Path) -> None:
    """A sparse file of 1 GB is found by its size alone; the message says what to do."""
    folder = make(tmp_path, {"wave.py": "", "small.csv": "1"})
    with (folder / "measured.raw").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(PackageError) as caught, packed(Baggage(folder=folder)):
        pass
    message = caught.value.message
    assert "measured.raw (1.00 GiB)" in message
    assert "--exclude measured.raw" in message
    assert "512 MiB" in message
    assert message.index("measured.raw") < message.index("small.csv")
    with packed(Baggage(folder=folder, excludes=["*.raw"])) as package:
        assert package.plan is not None
        assert travelling(package.plan) == ["small.csv", "wave.py"]


def test_the_limit_counts_what_zip_adds() -> None:
    """A plan's size is an upper bound, so that Ray never refuses what we let pass."""
    entries = [Entry(PurePosixPath(f"{number:06}.txt"), 0) for number in range(1000)]
    plan = plan_package(entries, [], limit_bytes=2**20, folder="here")
    assert plan.size_bytes > 100_000
    with pytest.raises(PackageError):
        plan_package(entries, [], limit_bytes=plan.size_bytes, folder="here")


def test_large_files_and_videos_left_behind_are_told() -> None:
    """What is large travels, but is named; so is what people may miss."""
    entries = [
        Entry(PurePosixPath("wave.py"), 100),
        Entry(PurePosixPath("a.bin"), 20 * 2**20),
        Entry(PurePosixPath("b.bin"), 30 * 2**20),
    ]
    left = [
        LeftBehind(PurePosixPath("intro.mp4"), "a video"),
        LeftBehind(PurePosixPath(".git"), "version control", is_folder=True),
        LeftBehind(PurePosixPath("data"), ".gitignore", is_folder=True),
    ]
    plan = plan_package(entries, left, limit_bytes=2**30, folder="here")
    large, missing = plan.notes()
    assert "b.bin (30.0 MiB), a.bin (20.0 MiB)" in large
    assert "data/ (.gitignore), intro.mp4 (a video)" in missing
    assert ".git/" not in missing
    assert "intro.mp4" not in plan.notes(PurePosixPath("intro.mp4"))[1]
    assert plan_package(entries[:1], [], limit_bytes=2**30, folder="here").notes() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Nothing is left out in silence."""
    folder = make(tmp_path, {"secret.txt": ""})
    (folder / "secret.txt").chmod(0)
    with pytest.raises(PackageError, match=r"secret\.txt cannot be read"):
        plan_folder(folder)


def test_a_folder_that_is_no_project_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk through somebody's home folder ends early, and says what to do."""
    monkeypatch.setattr("rayanim.jobs.package.MOST_FILES", 3)
    folder = make(tmp_path, {f"{number}.txt": "" for number in range(4)})
    with pytest.raises(PackageError, match="folder of its own"):
        plan_folder(folder)
    with pytest.raises(PackageError, match="not there"):
        plan_folder(tmp_path / "missing")


def test_the_same_files_give_the_same_package(tmp_path: Path) -> None:
    """Whatever their times: Ray sends a package that it knows only once."""
    packages = []
    for name in ("first", "second"):
        folder = make(tmp_path / name, {"wave.py": "pass", "data/points.csv": "1"})
        (folder / "wave.py").chmod(0o755)
        os.utime(folder / "wave.py", (len(packages), len(packages)))
        with packed(Baggage(folder=folder)) as package:
            packages.append(Path(package.runtime_env["working_dir"]).read_bytes())
    assert packages[0] == packages[1]


def test_a_package_holds_what_was_planned(tmp_path: Path) -> None:
    """Content and permissions arrive; an empty folder still gives a package."""
    folder = make(tmp_path / "full", {"wave.py": "x = 1", "run": "#!/bin/sh"})
    (folder / "run").chmod(0o755)
    with packed(Baggage(folder=folder)) as package:
        read = zipfile.ZipFile(package.runtime_env["working_dir"])
        assert sorted(read.namelist()) == ["run", "wave.py"]
        assert read.read("wave.py") == b"x = 1"
        assert read.getinfo("run").external_attr >> 16 == 0o755
    (tmp_path / "empty").mkdir()
    with packed(Baggage(folder=tmp_path / "empty")) as package:
        assert zipfile.ZipFile(package.runtime_env["working_dir"]).namelist() == [".empty"]


def test_rayanim_itself_travels_with_its_version(tmp_path: Path) -> None:
    """A node without it imports the driver's, which knows its version without metadata."""
    with packed(Baggage()) as package:
        [module] = package.runtime_env["py_modules"]
        assert not list(Path(module).rglob("__pycache__"))
        code = "import rayanim; print(rayanim.__version__, rayanim.__file__)"
        told = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(module).parent)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert told.stdout.split() == [rayanim.__version__, f"{module}/__init__.py"]
    assert not Path(module).exists()


def test_a_runtime_environment_of_the_users_is_added_to(tmp_path: Path) -> None:
    """Theirs stays; its excludes count for the folder, where Ray would have applied them to all."""
    folder = make(
        tmp_path, {"wave.py": "", "video/a.txt": "", "needs.txt": "scipy  # fast\n\n#x\n"}
    )
    theirs = {
        "env_vars": {"A": "1"},
        "excludes": ["/video/"],
        "pip": ["numba"],
        "py_modules": ["m"],
    }
    baggage = Baggage(
        folder=folder, packages=["pillow>=11", str(folder / "needs.txt")], runtime_env=theirs
    )
    with packed(baggage) as package:
        made = package.runtime_env
        assert made["env_vars"] == {"A": "1"}
        assert made["pip"] == ["numba", "pillow>=11", "scipy"]
        assert made["py_modules"][0] == "m"
        assert "excludes" not in made
        assert zipfile.ZipFile(made["working_dir"]).namelist() == ["needs.txt", "wave.py"]
    assert theirs["excludes"] == ["/video/"]
    with (
        pytest.raises(PackageError, match=r"lacking\.txt"),
        packed(Baggage(packages=["lacking.txt"])),
    ):
        pass


def test_a_file_that_grows_is_not_cut(tmp_path: Path) -> None:
    """Half a line of a data file would travel, and nobody be told."""
    folder = make(tmp_path / "video", {"points.csv": "1"})
    plan = plan_folder(folder)
    make(folder, {"points.csv": "1, 2"})
    with pytest.raises(PackageError, match=r"points\.csv cannot be read any more \(it grows\)"):
        write_package(folder, plan, tmp_path / "folder.zip")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_a_full_disk_for_packages_is_told_as_that(tmp_path: Path) -> None:
    """Nothing is wrong with the user's folder."""
    folder = make(tmp_path, {"points.csv": "1" * 100})
    with pytest.raises(PackageError, match="TMPDIR"):
        write_package(folder, plan_folder(folder), Path("/dev/full"))


def test_packages_that_a_job_was_not_sent_with_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """A submitted job's environment is settled; elsewhere they are installed."""
    settings = ClusterSettings(packages=("pandas",))
    assert baggage_of(settings, {JOB_VARIABLE: "{}"}) is None
    assert "pandas will not be installed" in caplog.text
    caplog.clear()
    assert baggage_of(ClusterSettings(), {JOB_VARIABLE: "{}"}) is None
    assert not caplog.records
