"""Packages what a cluster needs to run a script: the script's folder, and rayanim's own code.

Which files are sent follows Ray's rules, read by Ray's own functions: what
``.gitignore``, ``.rayignore`` and the excludes name stays here, links are
followed, and 512 MiB is the limit. The folder is put into a zip file here
because Ray would apply the excludes to rayanim's code as well, and so that its
size is known before anything is sent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

from rayanim.errors import PackageError
from rayanim.progress.base import size_text
from rayanim.settings import ClusterSettings

_logger = logging.getLogger("rayanim")

PRIVATE = "a secret"
SECRETS = (
    ".ssh", ".aws", ".azure", ".gnupg", ".kube", ".docker", ".ray", "auth_token", ".netrc",
    ".pgpass", ".my.cnf", ".pypirc", ".npmrc", ".boto", ".s3cfg", ".git-credentials", ".htpasswd",
    ".vault-token", ".env", ".env.*", ".envrc", "secrets.toml", "credentials.json",
    "application_default_credentials.json", "client_secret*.json", "kubeconfig",
    "service-account*.json", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "*.tfstate",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
)  # fmt: skip
"""Every job of a cluster can read a package, so these stay here."""

SETTINGS = (".config", ".local")
"""Folders of programs' settings, with credentials among them."""

VIDEO = "a video"
GITIGNORED = "named in .gitignore"
LEFT_OUT: dict[str, tuple[str, ...]] = {
    PRIVATE: SECRETS,
    "settings of programs": SETTINGS,
    "version control": (".git", ".hg", ".svn"),
    "a cache": (
        "__pycache__", "*.py[co]", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
        ".ipynb_checkpoints", ".cache", ".DS_Store",
    ),
    "an environment": ("venv", ".venv", ".tox", ".nox", "node_modules", "*.egg-info"),
    "an output of rayanim": ("*.parts", "*.part"),
    VIDEO: ("*.mp4", "*.m4v", "*.mov", "*.mkv", "*.webm", "*.avi", "*.m3u8", "*.m4s"),
}  # fmt: skip
"""Patterns, as in ``.gitignore``, of what is left out, by the reason."""

ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
"""Only the root of a Python environment holds one of these."""

RAYS_LIMIT_BYTES = 512 * 2**20
"""The largest message that Ray sends, and so the largest package."""

MOST_FILES = 50_000
"""A folder of more is not looked through to its end."""

LARGE_FILE_BYTES = 10 * 2**20
"""Files from this size on are named, as Ray does."""

FILES_NAMED = 5

NO_GITIGNORE = "RAY_RUNTIME_ENV_IGNORE_GITIGNORE"
"""Ray's variable: 1 sends what ``.gitignore`` names, too."""

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it in the driver of a submitted job, which has its packages already."""


@dataclass(frozen=True, slots=True)
class Package:
    """A runtime environment, and the files of the folder that it sends.

    ``files`` has their sizes in bytes, and ``left`` why others are not sent,
    both by their paths below the folder.
    """

    runtime_env: dict[str, Any]
    files: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(self.files.values())

    def notes(self, output: str | None = None) -> list[str]:
        """What a person should know of it; `output` is the video that is to be made."""
        notes = []
        large = {path: size for path, size in self.files.items() if size >= LARGE_FILE_BYTES}
        if large:
            notes.append(
                f"The package of {len(self.files)} files ({size_text(self.size_bytes)}) holds "
                f"{_largest(large)}. Leave out what the script does not need: name it in "
                ".rayignore, or with --exclude."
            )
        left = sorted((path, why) for path, why in self.left.items() if path != output)
        named = [f"{path} ({why})" for path, why in left if why in (PRIVATE, VIDEO)]
        if named:
            notes.append(f"Not sent: {_first(named)}. To include a file, add !NAME to .rayignore.")
        ignored = [path for path, why in left if why == GITIGNORED]
        if ignored:
            notes.append(
                f"Not sent, because .gitignore names them: {_first(ignored)}. To send what "
                f".gitignore names, set {NO_GITIGNORE}=1."
            )
        return notes


@contextlib.contextmanager
def packed(
    folder: Path | None,
    *,
    excludes: Sequence[str] = (),
    packages: Sequence[str] = (),
    runtime_env: Mapping[str, Any] | None = None,
) -> Iterator[Package]:
    """Package `folder` and rayanim into `runtime_env`; its files are there until the block ends.

    Ray reads them when it is initialised or a job is submitted, and not later.
    """
    made = dict(runtime_env or {})
    excludes = [*excludes, *made.pop("excludes", ())]
    if packages:
        made["pip"] = _requirements(packages, made.get("pip"))
    files: dict[str, int] = {}
    left: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="rayanim-") as scratch:
        if folder is not None:
            files, left = list_files(folder, excludes)
            check_size(folder, files)
            made["working_dir"] = str(Path(scratch) / "folder.zip")
            write_zip(folder, files, Path(made["working_dir"]))
        made["py_modules"] = [*made.get("py_modules", ()), str(_copy_of_rayanim(Path(scratch)))]
        yield Package(made, files, left)


@contextlib.contextmanager
def packed_for(settings: ClusterSettings, environment: Mapping[str, str]) -> Iterator[Package]:
    """Package the folder of the script that runs; nothing where a submitted job has sent it."""
    if JOB_VARIABLE in environment:
        if settings.packages:
            _logger.warning(
                "The packages of a submitted job are those that it was sent with: %s will not be "
                "installed. Send the job with `rayanim submit --pip PACKAGE`.",
                ", ".join(settings.packages),
            )
        yield Package({})
        return
    named = Path(settings.working_dir) if settings.working_dir else None
    folder = folder_to_send(named, script_folder(sys.modules["__main__"]))
    with packed(folder, excludes=settings.exclude, packages=settings.packages) as package:
        yield package


def folder_to_send(named: Path | None, scripts: Path | None) -> Path | None:
    """The folder that was named, else the script's; never one that holds the home folder.

    The home folder itself must be named.
    """
    folder = named or scripts
    if folder is None or not _home().is_relative_to(folder.resolve()):
        return folder
    if named is not None and named.resolve() == _home():
        return folder
    remedy = (
        "Put the script into a folder of its own, or name the folder to send: --working-dir, or "
        "ClusterSettings(working_dir=...)."
        if named is None
        else "Name the folder below it that the script needs."
    )
    raise PackageError(
        f"{str(folder.resolve())!r} is or holds the home folder, and all of it would be sent to "
        f"the cluster, keys and passwords included. {remedy}"
    )


def script_folder(main: ModuleType) -> Path | None:
    """The folder of the script that runs as `main`; None where it is no file of the user's.

    A notebook and a prompt have none: what they import lies in the working folder.
    """
    file = getattr(main, "__file__", None)
    if file is None:
        return Path.cwd()
    folder = Path(file).resolve().parent
    installed = (sysconfig.get_path(name) for name in ("purelib", "platlib", "scripts"))
    # A program that was installed, such as pytest, is there on every node or nowhere.
    if any(folder.is_relative_to(Path(each).resolve()) for each in installed):
        return None
    return folder


def _home() -> Path:
    try:
        return Path.home().resolve()
    except RuntimeError:  # no such user, as in some containers
        return Path("/")


Ignores = Callable[[Path], bool]


def list_files(folder: Path, excludes: Sequence[str] = ()) -> tuple[dict[str, int], dict[str, str]]:
    """The sizes of the files in `folder` that are sent, and why others are not, by path.

    Excludes and the folder's own ``.rayignore`` may send with ``!`` what is left out by default.
    """
    from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

    if not folder.is_dir():
        raise PackageError(f"The folder {str(folder)!r} does not exist, or is no folder.")
    folder = folder.resolve()
    files: dict[str, int] = {}
    left: dict[str, str] = {}
    with_gitignore = os.environ.get(NO_GITIGNORE) != "1"
    silent = logging.Logger("silent", logging.CRITICAL)
    size_bytes = 0

    def enter(path: Path, by_ray: list[Ignores], by_any: list[Ignores]) -> None:
        nonlocal size_bytes
        if len(files) > MOST_FILES or size_bytes >= _limit_bytes():
            check_size(folder, files)
        children = list(path.iterdir())
        if path != folder and any(child.name in ENVIRONMENT_MARKS for child in children):
            left[path.relative_to(folder).as_posix()] = "an environment"
            return
        by_ray = by_ray + get_excludes_from_ignore_files(path, False, silent)
        by_any = by_any + get_excludes_from_ignore_files(path, with_gitignore, silent)
        for child in children:
            if any(ignores(child) for ignores in by_ray):
                continue
            name, reason = child.relative_to(folder).as_posix(), why(child)
            if any(ignores(child) for ignores in by_any) and reason in (None, PRIVATE, VIDEO):
                reason = GITIGNORED
            if reason is not None:
                left[name] = reason
            elif child.is_dir():
                enter(child, by_ray, by_any)
            elif child.is_file():
                _check_name(name)
                files[name] = child.stat().st_size
                size_bytes += files[name]

    try:
        why = _reasons(folder, excludes)
        enter(folder, [], [])
    except OSError as error:
        raise PackageError(
            f"{error.filename} cannot be read ({error.strerror}). Make it readable, or leave it "
            "out: --exclude NAME."
        ) from error
    except PackageError:
        raise
    except (ValueError, IndexError) as error:  # Ray's parser of patterns raises both
        raise PackageError(
            f"A pattern in --exclude, or in a .gitignore or .rayignore of {folder}, cannot be "
            f"read: {error}"
        ) from error
    return files, left


def _first(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - FILES_NAMED} more" if len(names) > FILES_NAMED else ""
    return f"{', '.join(names[:FILES_NAMED])}{more}"


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise PackageError(
            f"The file {path!r} cannot be sent: its name is not UTF-8. Rename it, or leave out "
            "its folder with --exclude."
        ) from None


def _reasons(folder: Path, excludes: Sequence[str]) -> Callable[[Path], str | None]:
    """A function that says why a path is left out, None if it is sent."""
    from ray._private.runtime_env.packaging import _get_excludes

    rayignore = folder / ".rayignore"
    own = rayignore.read_text(errors="replace").splitlines() if rayignore.is_file() else []
    patterns = [pattern for patterns in LEFT_OUT.values() for pattern in patterns]
    names: list[str] = []
    for pattern in (each.strip() for each in (*own, *excludes)):
        if pattern.startswith("!"):
            bare = pattern.rstrip("/")
            patterns += [bare, f"{bare}/"]  # to Ray, a folder and what is in it
            names.append(bare[1:].rpartition("/")[2])
        else:
            patterns.append(pattern)
    # !data and !*.json send all that they match, except for secrets: those must be named.
    names = [each for each in names if each in SECRETS or not set("*?[\\") & set(each)]
    is_excluded = _get_excludes(folder, patterns)
    by_reason = {reason: _get_excludes(folder, each) for reason, each in LEFT_OUT.items()}

    def why(path: Path) -> str | None:
        if is_excluded(path):
            return next((each for each, matches in by_reason.items() if matches(path)), "excluded")
        if _is_secret(path.name) and not any(fnmatchcase(path.name, each) for each in names):
            return PRIVATE
        if path.is_symlink():
            real = _real(path)
            parts = real.relative_to(folder).parts if real.is_relative_to(folder) else real.parts
            if any(_is_secret(each) or each in SETTINGS for each in parts):
                return PRIVATE
            if any(_real(each).is_relative_to(real) for each in (*path.parents, _home())):
                return "a link to a folder above"
        return None

    return why


def _is_secret(name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in SECRETS)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, without an error for loops


def _limit_bytes() -> int:
    return int(os.environ.get("RAY_max_grpc_message_size", RAYS_LIMIT_BYTES))  # noqa: SIM112


def check_size(folder: Path, files: Mapping[str, int]) -> None:
    """Refuse more than Ray takes, or too many; name the largest files or the largest folder."""
    size_bytes, limit_bytes = sum(files.values()), _limit_bytes()
    if size_bytes < limit_bytes:
        _check_count(folder, files)
        return
    raise PackageError(
        f"{folder} is too large to be sent: at least {len(files)} files, {size_text(size_bytes)}, "
        f"and Ray takes less than {size_text(limit_bytes)}. The largest: {_largest(files)}"
        f"{_most(files, files)}. Leave out what the script does not need, by a line in .rayignore "
        f"or with --exclude {max(files, key=files.__getitem__)}; or put the script into a folder "
        "of its own. What it needs and is this large belongs on a disk or bucket that the cluster "
        "reads."
    )


def _check_count(folder: Path, files: Mapping[str, int]) -> None:
    if len(files) > MOST_FILES:
        raise PackageError(
            f"{folder} holds more than {MOST_FILES} files{_most(files, dict.fromkeys(files, 1))}. "
            "Leave out what the script does not need, by a line in .rayignore or with --exclude; "
            "or put the script into a folder of its own."
        )


def _most(files: Mapping[str, int], weights: Mapping[str, int]) -> str:
    """The folder in which most of `files` lie, by `weights`; empty where there is none."""
    parents: dict[str, list[str]] = {}
    for path in files:
        if "/" in path:
            parents.setdefault(path.partition("/")[0], []).append(path)
    if not parents:
        return ""
    name = max(parents, key=lambda each: sum(weights[path] for path in parents[each]))
    within = parents[name]
    size = size_text(sum(files[path] for path in within))
    return f"; the largest folder: {name}/ ({len(within)} files, {size})"


def _largest(files: Mapping[str, int]) -> str:
    largest = sorted(files.items(), key=lambda each: each[1], reverse=True)[:FILES_NAMED]
    return ", ".join(f"{path} ({size_text(size)})" for path, size in largest)


def write_zip(folder: Path, files: Mapping[str, int], target: Path) -> None:
    """Write files of `folder` into a zip file; the same files give the same bytes.

    Ray names a package by the hash of its bytes, and sends it once.
    """
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
            for path in sorted(files):
                with (folder / path).open("rb") as source:
                    header = zipfile.ZipInfo(path)  # its time is always that of 1980
                    header.compress_type = zipfile.ZIP_DEFLATED
                    header.external_attr = (os.fstat(source.fileno()).st_mode & 0o777) << 16
                    with package.open(header, "w") as sink:
                        shutil.copyfileobj(source, sink)
            if not files:  # Ray takes no empty package
                package.writestr(zipfile.ZipInfo(".empty"), b"")
    except OSError as error:
        raise PackageError(
            f"{error.filename} cannot be read any more ({error.strerror}). Wait until nothing "
            "writes into the folder, or leave it out with --exclude."
            if error.filename
            else f"The package cannot be written to {str(target.parent)!r} ({error.strerror}). Set "
            "TMPDIR to a folder on a disk that has room for it."
        ) from error


def _copy_of_rayanim(parent: Path) -> Path:
    """This rayanim's code in a folder below `parent`, with its requirements."""
    source = Path(__file__).resolve().parent.parent
    copy = parent / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]"))
    (copy / "PACKAGED_REQUIREMENTS").write_text("\n".join(own_requirements()))
    return copy


def own_requirements() -> list[str]:
    """What rayanim needs, extras left out: ``av<19,>=15.0`` and so on."""
    from importlib.metadata import requires

    packaged = Path(__file__).resolve().parent.parent / "PACKAGED_REQUIREMENTS"
    if packaged.is_file():
        return packaged.read_text().splitlines()
    return [each for each in requires("rayanim") or () if ";" not in each]


def _requirements(packages: Sequence[str], given: object) -> list[str]:
    """All requirements, those of the user's runtime environment first."""
    if given is not None and not isinstance(given, list):
        raise PackageError(
            f"--pip adds to a list of requirements, and the runtime environment has pip = "
            f"{given!r}. Give the packages there."
        )
    lines = [str(each) for each in given or ()]
    for package in packages:
        if not package.endswith(".txt"):
            lines.append(package)
            continue
        try:
            read = Path(package).read_text().splitlines()
        except OSError as error:
            raise PackageError(
                f"{package!r}, a file of requirements, cannot be read: {error.strerror}."
            ) from error
        stripped = (line.partition(" #")[0].strip() for line in read)
        lines += [line for line in stripped if line and not line.startswith("#")]
    return lines
