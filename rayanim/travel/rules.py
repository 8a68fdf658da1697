"""Which paths of a folder stay behind: gitignore patterns of ours, of ignore files, and as given.

The patterns have git's own meaning (gitignore(5)): the last one that matches
decides, files in deeper folders before those above them, and ``!pattern``
takes a path along again. What is given in the call comes before all files, and
the defaults after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

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
    "a film": (
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
    """Patterns that hold below one folder.

    Attributes
    ----------
    base
        The folder, relative to the one that travels.
    reason
        Why a path that they match stays behind.
    spec
        A `pathspec.GitIgnoreSpec`.
    """

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
    """Why `path` stays behind; None where it travels.

    Parameters
    ----------
    path
        Relative to the folder that travels.
    is_folder
        Whether it is one; what it holds goes with it.
    rules
        All rules that hold where it lies, the strongest last.
    """
    for each in reversed(rules):
        verdict = each.verdict(path, is_folder)
        if verdict is not None:
            return each.reason if verdict else None
    return None
