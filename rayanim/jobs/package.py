"""Writes packages: the script's folder as a zip file, rayanim's own code as a folder."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import IO, Any

from rayanim.errors import PackageError
from rayanim.report import size_text
from rayanim.settings import ClusterSettings

_logger = logging.getLogger("rayanim")

LETS_OTHERS_IN = "a secret"
"""The reason of what lets others in: a package can be read by every job of its cluster."""

DEFAULTS: dict[str, tuple[str, ...]] = {
    LETS_OTHERS_IN: (
        ".ssh/",
        ".aws/",
        ".azure/",
        ".gnupg/",
        ".kube/",
        ".docker/",
        ".ray/",
        "auth_token",
        ".netrc",
        ".pypirc",
        ".git-credentials",
        ".env",
        ".env.*",
        "*.pem",
        "id_rsa*",
        "id_ecdsa*",
        "id_ed25519*",
    ),
    "what programs keep in a home folder": (".config/", ".local/"),
    "version control": (".git", ".hg/", ".svn/"),
    "a cache": (
        "__pycache__/",
        "*.py[co]",
        ".mypy_cache/",
        ".ruff_cache/",
        ".pytest_cache/",
        ".hypothesis/",
        ".ipynb_checkpoints/",
        ".cache/",
        ".DS_Store",
    ),
    "an environment": ("venv/", ".venv/", ".tox/", ".nox/", "node_modules/", "*.egg-info/"),
    "an output of rayanim": ("*.parts/", "*.part"),
    "a video": (
        "*.mp4",
        "*.m4v",
        "*.mov",
        "*.mkv",
        "*.webm",
        "*.avi",
    ),
}
"""Patterns by the reason that is given for leaving their paths behind."""

ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
"""Files and folders that only the root of a Python environment holds."""

IGNORE_FILES = (".gitignore", ".rayignore")
"""Read in every folder, the later before the earlier, as Ray reads them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns that hold below one folder."""

    base: PurePosixPath
    reason: str
    spec: Any

    @classmethod
    def of(cls, base: PurePosixPath, reason: str, patterns: Iterable[str]) -> Rules:
        """Compile gitignore patterns."""
        from pathspec import GitIgnoreSpec

        return cls(base, reason, GitIgnoreSpec.from_lines(patterns))

    def verdict(self, path: PurePosixPath, is_folder: bool) -> bool | None:
        """Whether `path` stays behind; None where no pattern says anything of it."""
        name = path.relative_to(self.base).as_posix() + ("/" if is_folder else "")
        verdict: bool | None = self.spec.check_file(name).include
        return verdict


def default_rules() -> list[Rules]:
    """Rules that hold for every folder, unless others say otherwise."""
    root = PurePosixPath()
    return [Rules.of(root, reason, patterns) for reason, patterns in DEFAULTS.items()]


def reason_to_leave(path: PurePosixPath, is_folder: bool, rules: Sequence[Rules]) -> str | None:
    """Why `path` stays behind; None where it travels."""
    for each in reversed(rules):
        verdict = each.verdict(path, is_folder)
        if verdict is not None:
            return each.reason if verdict else None
    return None


LARGE_FILE_BYTES = 10 * 2**20
"""From here on a file is named, as Ray itself does."""

FILES_NAMED = 5

MOST_FILES = 50_000
"""More are no project's own: a home folder, say, or an environment that nothing marks."""

_HEADERS_BYTES = 30 + 46 + 2 * 24
"""What a zip file needs for each file beside its content and twice its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that travels."""

    path: PurePosixPath
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A file or a whole folder that stays."""

    path: PurePosixPath
    reason: str
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What a package will hold."""

    entries: tuple[Entry, ...]
    left: tuple[LeftBehind, ...]
    size_bytes: int

    @property
    def large(self) -> tuple[Entry, ...]:
        """The files that are worth a word, the largest first."""
        return tuple(each for each in _largest(self.entries) if each.size_bytes >= LARGE_FILE_BYTES)

    def notes(self, target: PurePosixPath | None = None) -> list[str]:
        """What a person should know of it: what is large, and what of theirs stays behind."""
        notes = []
        if self.large:
            notes.append(
                f"The package of {len(self.entries)} files ({size_text(self.size_bytes)}) holds "
                f"{_listed(self.large)}. What the script does not need can stay behind: "
                "name it in .rayignore, or with --exclude."
            )
        surprising = [
            each for each in self.left if each.reason in _WORTH_A_WORD and each.path != target
        ]
        if surprising:
            notes.append(_said_of(surprising))
        return notes


_WORTH_A_WORD = (LETS_OTHERS_IN, "a video", ".gitignore")
"""Reasons that people may not have thought of."""


def plan_package(
    entries: Iterable[Entry],
    left: Iterable[LeftBehind],
    *,
    limit_bytes: int,
    folder: str,
) -> PackagePlan:
    """Decide on a package of `entries`."""
    files = tuple(sorted(entries, key=lambda each: each.path))
    size_bytes = sum(each.size_bytes + _overhead_bytes(each) for each in files)
    if size_bytes >= limit_bytes:
        raise PackageError(
            f"{folder} is too large to travel: {len(files)} files, {size_text(size_bytes)}, and "
            f"Ray takes less than {size_text(limit_bytes)}. The largest: "
            f"{_listed(_largest(files))}. Leave out what the script does not need, by a line in "
            f".rayignore or with --exclude {_largest(files)[0].path}; or put the script into a "
            "folder of its own. What it does need and is this large belongs on a disk or bucket "
            "that the cluster reads."
        )
    return PackagePlan(files, tuple(sorted(left, key=lambda each: each.path)), size_bytes)


def _overhead_bytes(entry: Entry) -> int:
    return _HEADERS_BYTES + 2 * len(str(entry.path).encode())


def _largest(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: each.size_bytes, reverse=True)[:FILES_NAMED]


def _listed(entries: Iterable[Entry]) -> str:
    return ", ".join(f"{each.path} ({size_text(each.size_bytes)})" for each in entries)


def _said_of(left: Sequence[LeftBehind]) -> str:
    named = ", ".join(
        f"{each.path}{'/' if each.is_folder else ''} ({each.reason})" for each in left[:FILES_NAMED]
    )
    more = f" and {len(left) - FILES_NAMED} more" if len(left) > FILES_NAMED else ""
    return (
        f"Not taken along: {named}{more}. What the script reads of it goes along with "
        "a line such as !name in .rayignore."
    )


_BLOCK_BYTES = 2**20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Every file's time in a package, so that the same files give the same package."""


def write_package(folder: Path, plan: PackagePlan, target: Path) -> None:
    """Write the files of `plan` into a zip file; the same files give the same bytes.

    Ray knows a package by the hash of its bytes: one that is there already is
    not sent again.
    """
    try:
        _write(folder, plan, target)
    except OSError as error:
        raise PackageError(
            f"The package cannot be written to {str(target.parent)!r} ({error.strerror}). "
            "Set TMPDIR to a folder that has room for it."
        ) from error


def _write(folder: Path, plan: PackagePlan, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        if not plan.entries:  # Ray takes no empty package
            package.writestr(_header(".empty", 0o644), b"")
        for entry in plan.entries:
            _add(package, folder / entry.path, entry)


def _add(package: zipfile.ZipFile, source: Path, entry: Entry) -> None:
    with _told(source):
        mode, reading = source.stat().st_mode & 0o777, source.open("rb")
    with reading, package.open(_header(entry.path.as_posix(), mode), "w") as writing:
        left_bytes = entry.size_bytes
        while block := _read(source, reading):
            left_bytes -= len(block)
            if left_bytes < 0:  # it must not pass Ray's limit, nor travel in part
                raise _changed(source, "it grows")
            writing.write(block)


def _read(source: Path, reading: IO[bytes]) -> bytes:
    with _told(source):
        return reading.read(_BLOCK_BYTES)


@contextlib.contextmanager
def _told(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _changed(source, str(error.strerror)) from error


def _changed(source: Path, what: str) -> PackageError:
    return PackageError(
        f"{source} cannot be read any more ({what}). "
        "Wait until nothing writes into the folder, or leave it out with --exclude."
    )


def _header(name: str, mode: int) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(name, _EARLIEST)
    header.compress_type = zipfile.ZIP_DEFLATED
    header.external_attr = mode << 16
    return header


def stage_rayanim(parent: Path) -> Path:
    """Copy this rayanim's code below `parent`, with its version and what it needs."""
    from rayanim import __version__

    source = Path(__file__).resolve().parent.parent
    copy = parent / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]"))
    (copy / "TRAVELLED_VERSION").write_text(__version__)
    (copy / "TRAVELLED_REQUIREMENTS").write_text("\n".join(own_requirements()))
    return copy


def own_requirements() -> list[str]:
    """What rayanim needs, extras left out: ``av<19,>=15.0`` and so on."""
    from importlib.metadata import requires

    travelled = Path(__file__).resolve().parent.parent / "TRAVELLED_REQUIREMENTS"
    if travelled.is_file():
        return travelled.read_text().splitlines()
    return [each for each in requires("rayanim") or () if ";" not in each]


@dataclass(slots=True)
class Listing:
    """What was found below a folder."""

    entries: list[Entry] = field(default_factory=list)
    left: list[LeftBehind] = field(default_factory=list)


def list_folder(folder: Path, excludes: Sequence[str] = ()) -> Listing:
    """List what of `folder` travels."""
    if not folder.is_dir():
        raise PackageError(f"The working folder {str(folder)!r} is not there, or no folder.")
    walk = _Walk(folder, Rules.of(PurePosixPath(), "--exclude", excludes))
    try:
        walk.enter(PurePosixPath(), default_rules())
    except OSError as error:
        raise PackageError(
            f"{error.filename} cannot be read ({error.strerror}), so that {folder} cannot "
            "travel whole. Make it readable, or leave it out: --exclude NAME."
        ) from error
    return walk.listing


class _Walk:
    """One walk through a folder, depth first."""

    def __init__(self, folder: Path, given: Rules) -> None:
        self.listing = Listing()
        self._folder = folder
        self._given = given
        self._entered: set[tuple[int, int]] = set()

    def enter(self, path: PurePosixPath, rules: list[Rules]) -> None:
        """List the folder at `path`, where `rules` hold, the strongest last."""
        status = (self._folder / path).stat()
        if (status.st_dev, status.st_ino) in self._entered:
            return  # a link that leads back
        self._entered.add((status.st_dev, status.st_ino))
        rules = [*rules, *self._rules_in(path)]
        for child in sorted(os.scandir(self._folder / path), key=lambda each: each.name):
            self._take(path / child.name, child, rules)

    def _take(self, path: PurePosixPath, child: os.DirEntry[str], rules: list[Rules]) -> None:
        self._check_count()
        is_folder = child.is_dir()
        reason = self._why_left(path, is_folder, rules)
        if reason is not None:
            self.listing.left.append(LeftBehind(path, reason, is_folder))
        elif is_folder:
            self.enter(path, rules)
        elif child.is_symlink() and not Path(child.path).exists():
            self.listing.left.append(LeftBehind(path, "a broken link"))
        elif stat.S_ISREG(child.stat().st_mode):
            _check_readable(child.path)
            self.listing.entries.append(Entry(path, child.stat().st_size))

    def _why_left(self, path: PurePosixPath, is_folder: bool, rules: list[Rules]) -> str | None:
        reason = reason_to_leave(path, is_folder, [*rules, self._given])
        if reason is None and is_folder and self._is_environment(path):
            return "an environment"
        return reason

    def _is_environment(self, path: PurePosixPath) -> bool:
        return any((self._folder / path / mark).exists() for mark in ENVIRONMENT_MARKS)

    def _rules_in(self, path: PurePosixPath) -> Iterator[Rules]:
        """The rules of a folder's own ignore files."""
        for name in IGNORE_FILES:
            file = self._folder / path / name
            if name == ".gitignore" and os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") == "1":
                continue
            if file.is_file():
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
                yield Rules.of(path, name, lines)

    def _check_count(self) -> None:
        if len(self.listing.entries) + len(self.listing.left) >= MOST_FILES:
            raise PackageError(
                f"{self._folder} holds more than {MOST_FILES:,} files, which is more than a "
                "project's own. Put the script into a folder of its own, name that folder with "
                "--working-dir, or leave folders out: --exclude NAME/."
            )


def _check_readable(file: str) -> None:
    if not os.access(file, os.R_OK):
        raise PermissionError(13, "no permission", file)


RAYS_LIMIT_BYTES = 512 * 2**20
"""The largest message that Ray passes on, and so the largest package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baggage:
    """What a caller wants to travel."""

    folder: Path | None = None
    excludes: Sequence[str] = ()
    packages: Sequence[str] = ()
    rayanim: bool = True
    runtime_env: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """A runtime environment whose packages lie ready on disk."""

    runtime_env: dict[str, Any]
    plan: PackagePlan | None


@contextlib.contextmanager
def packed(baggage: Baggage) -> Iterator[Packed]:
    """Pack `baggage`; the packages are there until the block ends.

    Ray reads them when it is initialised or a job is submitted, and not later.
    """
    with tempfile.TemporaryDirectory(prefix="rayanim-") as scratch:
        runtime_env = dict(baggage.runtime_env)
        excludes = [*baggage.excludes, *runtime_env.pop("excludes", ())]
        plan = None
        if baggage.folder is not None:
            package = Path(scratch) / "folder.zip"
            plan = _pack_folder(baggage.folder, excludes, package)
            runtime_env["working_dir"] = str(package)
        if baggage.rayanim:
            own = str(stage_rayanim(Path(scratch)))
            runtime_env["py_modules"] = [*runtime_env.get("py_modules", ()), own]
        if baggage.packages:
            runtime_env["pip"] = _requirements(baggage.packages, runtime_env.get("pip"))
        yield Packed(runtime_env, plan)


def plan_folder(folder: Path, excludes: Sequence[str] = ()) -> PackagePlan:
    """Decide what of `folder` travels, without packing it."""
    found = list_folder(folder, excludes)
    return plan_package(found.entries, found.left, limit_bytes=limit_bytes(), folder=str(folder))


def _pack_folder(folder: Path, excludes: Sequence[str], package: Path) -> PackagePlan:
    plan = plan_folder(folder, excludes)
    write_package(folder, plan, package)
    return plan


def limit_bytes() -> int:
    """Ray's limit for one package, which both sides of a connection may have moved."""
    return int(os.environ.get("RAY_max_grpc_message_size", RAYS_LIMIT_BYTES))  # noqa: SIM112


def _requirements(packages: Sequence[str], given: object) -> list[str]:
    """All requirements, those of a user's own environment first."""
    if given is not None and not isinstance(given, list):
        raise PackageError(
            f"--pip adds to a list of requirements, and the runtime environment has pip = "
            f"{given!r}. Give the packages there."
        )
    lines = [str(each) for each in given or ()]
    for package in packages:
        lines += _lines_of(Path(package)) if package.endswith(".txt") else [package]
    return lines


def _lines_of(file: Path) -> list[str]:
    try:
        text = file.read_text()
    except OSError as error:
        raise PackageError(
            f"{str(file)!r}, a file of requirements, cannot be read: {error.strerror}."
        ) from error
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the driver of a submitted job, whose environment is settled already."""


def baggage_of(settings: ClusterSettings, environment: Mapping[str, str]) -> Baggage | None:
    """What travels to the nodes; None where a submitted job has brought it there."""
    if JOB_VARIABLE in environment:
        if settings.packages:
            _logger.warning(
                "A submitted job has what it was sent with: %s will not be installed for it. "
                "Send it with `rayanim submit --pip PACKAGE`.",
                ", ".join(settings.packages),
            )
        return None
    given = settings.working_dir
    folder = Path(given) if given else of_its_own(script_folder(sys.modules["__main__"]))
    return Baggage(folder=folder, excludes=settings.exclude, packages=settings.packages)


def of_its_own(folder: Path | None) -> Path | None:
    """`folder` itself, once it is known not to be the home folder, which holds everything."""
    # A user without a home folder, as containers have them, is no error here.
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    if folder is None or folder.resolve() != home.resolve():
        return folder
    raise PackageError(
        f"The script lies in the home folder, {str(folder)!r}, and all of it would travel to the "
        "cluster, keys and passwords included. Put the script into a folder of its own, or name "
        "the folder that is to travel: --working-dir, or ClusterSettings(working_dir=...)."
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
    # A program that was installed, pytest say, is there on every node or nowhere.
    if any(folder.is_relative_to(Path(each).resolve()) for each in installed):
        return None
    return folder
