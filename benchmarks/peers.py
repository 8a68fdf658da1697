"""Makes the environment of the packages that rayanim is measured against."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

PEERS = ("parallel-matplotlib-animation==0.1.4", "pympanim==0.1.1")

SAME_AS_HERE = ("matplotlib", "numpy", "pillow")
"""Packages that draw: the peers get the versions that rayanim is run with."""


def default_folder() -> Path:
    """Where the peers live unless told otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rayanim-benchmarks"


def ready(folder: Path) -> tuple[Path, Path]:
    """Make the environment in `folder` where it is not there yet.

    Returns
    -------
    tuple of Path
        The interpreter, and a folder that holds a program called ffmpeg.
    """
    python = folder / "venv" / "bin" / "python"
    done = folder / "installed.txt"
    wanted = _requirements()
    if not done.is_file() or done.read_text(encoding="utf-8").split() != wanted:
        print(f"Installing the peers into {folder}; this happens once.", file=sys.stderr)
        _install(folder / "venv", python, wanted)
        done.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    return python, _ffmpeg(folder / "bin", python)


def _requirements() -> list[str]:
    return [*PEERS, "imageio-ffmpeg", *(f"{name}=={version(name)}" for name in SAME_AS_HERE)]


def _install(environment: Path, python: Path, wanted: list[str]) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    venv.create(environment, with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)


def _ffmpeg(folder: Path, python: Path) -> Path:
    """A folder in which imageio-ffmpeg's program is called ffmpeg."""
    link = folder / "ffmpeg"
    if not link.exists():
        code = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
        found = subprocess.run(
            [str(python), "-c", code], check=True, capture_output=True, text=True
        )
        folder.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(found.stdout.strip())
    return folder
