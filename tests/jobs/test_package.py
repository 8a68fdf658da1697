"""What is sent to a cluster: which files, what is said of the rest, and the packages themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import rayanim
from rayanim.errors import PackageError
from rayanim.jobs import package
from rayanim.jobs.package import (
    JOB_VARIABLE,
    SECRETS,
    Package,
    check_size,
    folder_to_send,
    list_files,
    packed,
    packed_for,
    write_zip,
)
from rayanim.settings import ClusterSettings


def make(folder: Path, files: dict[str, str]) -> Path:
    """Write files below `folder`."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def sent(folder: Path, *excludes: str) -> list[str]:
    """Paths in the zip file that is sent, less the ignore files."""
    with packed(folder, excludes=excludes) as package:
        names = zipfile.ZipFile(package.runtime_env["working_dir"]).namelist()
    return [name for name in names if "ignore" not in name]


def test_the_scripts_own_files_are_sent_and_nothing_else(tmp_path: Path) -> None:
    """Neither version control, environments, caches nor what rayanim has written."""
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
    assert sent(folder) == ["data/points.csv", "shapes/__init__.py", "wave.py"]
    _, left = list_files(folder)
    assert left == {
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


def test_secrets_are_not_sent_and_are_named(tmp_path: Path) -> None:
    """Every job of a cluster can read a package; one that must be sent is asked for."""
    secret = [".aws/credentials", ".env", ".env.local", ".netrc", ".ssh/config", "deep/id_rsa"]
    names = ["wave.py", "key.pem", "public.pem", ".local/lib/x.py", ".config/gcloud/x", *secret]
    folder = make(tmp_path, dict.fromkeys(names, "") | {".rayignore": "!public.pem\n"})
    assert sent(folder) == ["public.pem", "wave.py"]
    files, left = list_files(folder)
    assert {name for name, why in left.items() if why == "a secret"} == {
        ".aws", ".env", ".env.local", ".netrc", ".ssh", "deep/id_rsa", "key.pem",
    }  # fmt: skip
    [note] = Package({}, files, left).notes()
    assert ".env (a secret)" in note and "programs" not in note


@pytest.mark.parametrize("pattern", SECRETS)
def test_each_kind_of_secret_stays_here(pattern: str, tmp_path: Path) -> None:
    """As a file and as a folder, and however deep it lies."""
    name = pattern.replace("*", "x")
    paths = [f"a/{name}", f"b/c/{name}/token", f"d/{name.upper()}"]
    make(tmp_path, dict.fromkeys(["wave.py", *paths], ""))
    assert sent(tmp_path) == ["wave.py"]


def test_no_other_pattern_sends_a_secret(tmp_path: Path) -> None:
    """Only one that names it, and none in a deeper ignore file."""
    names = ["a/.env", "a/key.pem", "a/wave.py"]
    folder = make(tmp_path, dict.fromkeys(names, "") | {"a/.rayignore": "!key.pem\n!.env\n"})
    for pattern in ("!a/", "!a", "!*", "!a/**", "!*.*", "!b/.env"):
        assert sent(folder, pattern) == ["a/wave.py"], pattern
    assert sent(folder, "!a/.env") == ["a/.env", "a/wave.py"]
    names = [".netrc", "credentials.json", "id_rsa", "deep/auth_token", ".env.local"]
    make(folder, dict.fromkeys(names, ""))
    for pattern in ("!*.json", "!*[a-z]*", "!?env", "!id_*", "!deep/*_token", "!.e*", "!\\id_rsa"):
        assert sent(folder, pattern) == ["a/wave.py"], pattern
    assert sent(folder, "!.env.*", "!id_rsa") == [".env.local", "a/wave.py", "id_rsa"]
    make(folder, {"keys/.aws/config": ""})
    assert sent(folder, "!.aws") == ["a/wave.py", "keys/.aws/config"]


def test_no_link_leads_to_secrets_or_to_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the link is called; links to other folders are followed."""
    home = make(tmp_path / "me", {".ssh/config": "", ".env": "", "letters.txt": "", "data/a": ""})
    make(home, {".config/gcloud/x": "", ".local/share/y/z": "", "kubeconfig": ""})
    monkeypatch.setenv("HOME", str(home))
    folder = make(tmp_path / "project", {"wave.py": ""})
    targets = {"keys": home / ".ssh", "settings": home / ".env", "mine": home, "all": tmp_path}
    targets["gcloud"], targets["share"] = home / ".config" / "gcloud", home / ".local/share/y"
    targets["cluster"] = home / "kubeconfig"
    for name, target in {**targets, "data": home / "data"}.items():
        (folder / name).symlink_to(target)
    assert sent(folder) == ["data/a", "wave.py"]
    _, left = list_files(folder)
    assert set(left) == set(targets)
    secrets = {name for name, why in left.items() if why == "a secret"}
    assert secrets == {"keys", "settings", "gcloud", "share", "cluster"}


def test_links_within_a_folder_of_programs_settings_are_followed(tmp_path: Path) -> None:
    """Where a folder lies says nothing of what is in it."""
    folder = make(tmp_path / ".local" / "share" / "notes", {"wave.py": "", "data/a": ""})
    (folder / "points").symlink_to(folder / "data" / "a")
    assert sent(folder) == ["data/a", "points", "wave.py"]


def test_the_home_folder_is_sent_only_if_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that lies in it would send all of a person's files; secrets are never sent."""
    make(tmp_path, {"wave.py": "", ".ssh/id_rsa": "", ".bashrc": ""})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "wave.py"), raising=False
    )
    with pytest.raises(PackageError, match="folder of its own"), packed_for(ClusterSettings(), {}):
        pass
    with packed_for(ClusterSettings(working_dir=tmp_path), {}) as named:
        assert set(named.files) == {"wave.py", ".bashrc"}
    below = tmp_path / "videos"
    assert folder_to_send(below, None) == folder_to_send(None, below) == below


def test_a_folder_above_the_home_folder_is_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named or not, and be it the root of the disk or a link."""
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path / "home", tmp_path, tmp_path / "link", Path("/")):
        for named, scripts in ((folder, None), (None, folder)):
            with pytest.raises(PackageError, match="holds the home folder") as caught:
                folder_to_send(named, scripts)
            assert ("--working-dir" in caught.value.message) == (named is None)


def test_a_later_pattern_counts_more(tmp_path: Path) -> None:
    """What is sent by ``!`` may be left out again, as in an ignore file."""
    folder = make(tmp_path, {"a/b.mp4": "", "a/c.mp4": "", "wave.py": ""})
    assert sent(folder, "!a", "c.mp4") == ["a/b.mp4", "wave.py"]
    assert sent(folder, "c.mp4", "!a") == ["a/b.mp4", "a/c.mp4", "wave.py"]


def test_ignore_files_mean_what_they_mean_to_ray(tmp_path: Path) -> None:
    """What any of them names stays here; the excludes come beside them."""
    folder = make(
        tmp_path,
        {
            ".gitignore": "*.csv\n/cold/\n",
            ".rayignore": "!intro.mp4\nlarge.bin\n",
            "kept/.gitignore": "*.log\n!data.txt\n",
            "kept/unused.csv": "",
            "kept/data.txt": "",
            "kept/a.log": "",
            "kept/cold/x": "",
            "b.log": "",
            "cold/x": "",
            "intro.mp4": "",
            "large.bin": "",
            "notes.txt": "",
        },
    )
    assert sent(folder, "notes.*") == ["b.log", "intro.mp4", "kept/cold/x", "kept/data.txt"]


def test_the_same_files_are_sent_as_ray_itself_would_send(tmp_path: Path) -> None:
    """Ray's own packager, with the same patterns, makes a zip file of the same paths."""
    from ray._private.runtime_env.packaging import create_package

    names = ["a/b.txt", "a/c.csv", "a/d/e.bin", "f.log", "g/h.txt", "wave.py"]
    folder = make(
        tmp_path / "project",
        dict.fromkeys(names, "x")
        | {".gitignore": "*.log\n", "a/.rayignore": "/d/*\n!e.bin\n", "a/.gitignore": "/c.csv\n"},
    )
    excludes = ["g/", "!f.log"]
    create_package(str(folder), tmp_path / "rays.zip", include_gitignore=True, excludes=excludes)
    rays = zipfile.ZipFile(tmp_path / "rays.zip").namelist()
    ours, _ = list_files(folder, excludes)
    assert set(ours) == {name for name in rays if not name.endswith("/")}


def test_gitignore_may_be_ignored_as_ray_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own variable for it counts here too."""
    folder = make(tmp_path, {".gitignore": "data.csv\n", "data.csv": ""})
    assert sent(folder) == []
    monkeypatch.setenv("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "1")
    assert sent(folder) == ["data.csv"]


def test_what_gitignore_names_is_named_before_it_is_missed(tmp_path: Path) -> None:
    """The first of it, and how much more; not caches, and not what .rayignore was told."""
    names = ["data/a.csv", *(f"{number}.csv" for number in range(9)), "big.bin", "wave.py"]
    ignored = {".gitignore": "*.csv\n/data/\n__pycache__/\n*.bin\n", ".rayignore": "big.bin\n"}
    folder = make(tmp_path, dict.fromkeys([*names, "__pycache__/x.pyc"], "") | ignored)
    files, left = list_files(folder)
    assert sorted(files) == [".gitignore", ".rayignore", "wave.py"]
    assert Package({}, files, left).notes() == [
        "Not sent, because .gitignore names them: 0.csv, 1.csv, 2.csv, 3.csv, 4.csv and 5 more. "
        "To send what .gitignore names, set RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1."
    ]


def test_links_are_followed_once(tmp_path: Path) -> None:
    """What a link leads to is sent as a file; one that leads back or nowhere does no harm."""
    folder = make(tmp_path / "project", {"wave.py": ""})
    make(tmp_path / "elsewhere", {"points.csv": "1"})
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "loop").symlink_to(folder)
    (folder / "wave").symlink_to(folder / "wave.py")
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    assert sent(folder) == ["data/points.csv", "wave", "wave.py"]
    assert sent(folder / ".." / "project") == ["data/points.csv", "wave", "wave.py"]


def test_a_package_over_rays_limit_is_refused_with_its_largest_files(tmp_path: Path) -> None:
    """A sparse file of 1 GB is found by its size alone; the message says what to do."""
    folder = make(tmp_path, {"wave.py": "", "small.csv": "1"})
    with (folder / "measured.raw").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(PackageError) as caught, packed(folder):
        pass
    message = caught.value.message
    assert "measured.raw (1.00 GiB)" in message
    assert "--exclude measured.raw" in message
    assert "512 MiB" in message
    assert message.index("measured.raw") < message.index("small.csv")
    assert sent(folder, "*.raw") == ["small.csv", "wave.py"]


@pytest.mark.parametrize("limit", ["files", "bytes"])
def test_a_walk_over_a_disk_ends_early(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the folder that holds most of what was found, however much there is besides."""
    folder = make(tmp_path, {f"data/{name}/{each}.txt": "12" for name in "abcd" for each in "123"})
    make(folder, {"data/wave.py": ""})
    seen = list[Path]()

    def iterdir(path: Path) -> Iterator[Path]:
        seen.append(path)
        return iter([path / name for name in sorted(os.listdir(path))])

    monkeypatch.setattr(Path, "iterdir", iterdir)
    if limit == "files":
        monkeypatch.setattr(package, "MOST_FILES", 5)
    else:
        monkeypatch.setenv("RAY_max_grpc_message_size", "11")
    with pytest.raises(PackageError, match=r"the largest folder: data/ \(6 files, 12 bytes\)"):
        list_files(folder)
    assert [each.name for each in seen] == [folder.name, "data", "a", "b"]


def test_too_many_files_in_one_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be sent are sent."""
    folder = make(tmp_path, dict.fromkeys("abcd", ""))
    monkeypatch.setattr(package, "MOST_FILES", 4)
    assert sent(folder) == list("abcd")
    (folder / "e").touch()
    with pytest.raises(PackageError, match=r"holds more than 4 files\. Leave out"):
        sent(folder)


def test_the_limit_may_be_moved_as_ray_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable that moves it on the cluster."""
    check_size(Path(), {"a": 2**20})
    monkeypatch.setenv("RAY_max_grpc_message_size", str(2**20))
    with pytest.raises(PackageError, match=r"a \(1\.00 MiB\)"):
        check_size(Path(), {"a": 2**20})


def test_large_files_and_videos_that_are_not_sent_are_named() -> None:
    """What is large is sent, but named; so is what people may miss."""
    files = {"wave.py": 100, "a.bin": 20 * 2**20, "b.bin": 30 * 2**20}
    left = {"intro.mp4": "a video", ".git": "version control"}
    large, missing = Package({}, files, left).notes()
    assert "b.bin (30.0 MiB), a.bin (20.0 MiB)" in large
    assert "intro.mp4 (a video)" in missing and "add !NAME to .rayignore" in missing
    assert ".git" not in missing
    assert Package({}, {}, left).notes("intro.mp4") == []
    assert Package({}, {"wave.py": 100}).notes() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
@pytest.mark.parametrize("name", ["data.txt", "data"])
def test_what_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    """Nothing is left out in silence."""
    folder = make(tmp_path, {"data.txt": "", "data/a.txt": ""})
    (folder / name).chmod(0)
    try:
        with pytest.raises(PackageError, match=rf"{name} cannot be read"), packed(folder):
            pass
    finally:
        (folder / name).chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_what_is_left_out_need_not_be_readable(tmp_path: Path) -> None:
    """Such as a database's folder that belongs to another user."""
    folder = make(tmp_path, {"wave.py": "", "db/a": "", "data/b": "", ".gitignore": "/data\n"})
    try:
        for name in ("db", "data"):
            (folder / name).chmod(0)
        assert sent(folder, "db") == ["wave.py"]
    finally:
        for name in ("db", "data"):
            (folder / name).chmod(0o700)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """As a file in its place is."""
    (tmp_path / "wave.py").touch()
    for folder in (tmp_path / "missing", tmp_path / "wave.py"):
        with pytest.raises(PackageError, match="does not exist, or is no folder"):
            list_files(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_file_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """As text that every terminal can show; left out, it does no harm."""
    folder = make(tmp_path, {"wave.py": ""})
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.csv")).touch()
    with pytest.raises(PackageError, match=r"^The file 'caf\\udce9\.csv' cannot be sent") as caught:
        sent(folder)
    assert caught.value.message.isascii()
    assert sent(folder, "*.csv") == ["wave.py"]


def test_a_pattern_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """Before anything is sent, as a mistake of the caller's."""
    with pytest.raises(PackageError, match="cannot be read"):
        list_files(make(tmp_path, {"wave.py": ""}), ["!"])


def test_the_same_files_give_the_same_package(tmp_path: Path) -> None:
    """Whatever their times: Ray sends a package that it knows only once."""
    packages = []
    for name in ("first", "second"):
        folder = make(tmp_path / name, {"wave.py": "pass", "data/points.csv": "1"})
        (folder / "wave.py").chmod(0o755)
        os.utime(folder / "wave.py", (len(packages), len(packages)))
        with packed(folder) as package:
            packages.append(Path(package.runtime_env["working_dir"]).read_bytes())
    assert packages[0] == packages[1]


def test_a_package_holds_the_files_as_they_are(tmp_path: Path) -> None:
    """Content and permissions arrive; an empty folder still gives a package."""
    folder = make(tmp_path / "full", {"wave.py": "x = 1", "run": "#!/bin/sh"})
    (folder / "run").chmod(0o755)
    with packed(folder) as package:
        read = zipfile.ZipFile(package.runtime_env["working_dir"])
        assert package.files == {"run": 9, "wave.py": 5} and package.size_bytes == 14
        assert read.read("wave.py") == b"x = 1"
        assert read.getinfo("run").external_attr >> 16 == 0o755
    assert not Path(package.runtime_env["working_dir"]).exists()
    (tmp_path / "empty").mkdir()
    assert sent(tmp_path / "empty") == [".empty"]


def test_rayanim_itself_is_sent_with_its_version(tmp_path: Path) -> None:
    """A node without it imports the driver's, which knows its version without metadata."""
    with packed(None, excludes=["*.py"]) as package:  # excludes are for the folder alone
        [module] = package.runtime_env["py_modules"]
        assert not list(Path(module).rglob("__pycache__"))
        code = "import rayanim; print(rayanim.__version__, rayanim.__file__)"
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(module).parent)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert ended.stdout.split() == [rayanim.__version__, f"{module}/__init__.py"]
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
    packages = ["pillow>=11", str(folder / "needs.txt")]
    with packed(folder, packages=packages, runtime_env=theirs) as package:
        made = package.runtime_env
        assert made["env_vars"] == {"A": "1"}
        assert made["pip"] == ["numba", "pillow>=11", "scipy"]
        assert made["py_modules"][0] == "m"
        assert "excludes" not in made
        assert zipfile.ZipFile(made["working_dir"]).namelist() == ["needs.txt", "wave.py"]
    assert theirs["excludes"] == ["/video/"] and theirs["pip"] == ["numba"]
    with pytest.raises(PackageError, match=r"lacking\.txt"), packed(None, packages=["lacking.txt"]):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_a_full_disk_for_packages_is_named(tmp_path: Path) -> None:
    """Nothing is wrong with the user's folder."""
    folder = make(tmp_path, {"points.csv": "1" * 100})
    with pytest.raises(PackageError, match="TMPDIR"):
        write_zip(folder, {"points.csv": 100}, Path("/dev/full"))


def test_packages_that_a_job_was_not_sent_with_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A submitted job's environment is settled; elsewhere they are installed."""
    with packed_for(ClusterSettings(packages=("pandas",)), {JOB_VARIABLE: "{}"}) as package:
        assert package == Package({})
    assert "pandas will not be installed" in caplog.text
    caplog.clear()
    with packed_for(ClusterSettings(), {JOB_VARIABLE: "{}"}):
        assert not caplog.records
