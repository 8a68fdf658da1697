"""The driver of a submitted job, on the cluster: checks what is there, then runs the command.

``python -m rayanim.jobs.driver VIDEOS run ...``: VIDEOS is a subfolder of
the node's folder for videos; the rest is a command line of rayanim's.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

OLDEST_PYTHON = (3, 11)

RESUME_VARIABLE = "RAYANIM_RESUME_COMMAND"
EVENTS_VARIABLE = "RAYANIM_EVENT_MARK"
"""Variables that come with the job: the command that resumes it, and what marks its events."""

LOG_FOLDER, JOB = "RAYANIM_JOB_LOGS", "RAYANIM_JOB"
"""Variables that the driver sets: the folder of its node's logs, and the job's name."""

VIDEOS = "RAYANIM_VIDEOS"
"""A variable of the head's: the folder for videos whose paths are relative."""

# Modules whose names differ from their package's.
MODULES = {"pillow": "PIL"}


def missing(requirements: Iterable[str]) -> list[str]:
    """Those of `requirements` that this Python cannot import."""
    return [each for each in requirements if find_spec(_module_of(each)) is None]


def _module_of(requirement: str) -> str:
    name = re.split(r"[^\w.-]", requirement)[0]
    return MODULES.get(name.lower(), name.replace("-", "_"))


def complaint(version: tuple[int, ...], lacking: Sequence[str], python: str) -> str | None:
    """Why a cluster cannot run rayanim, and what to do; None where it can."""
    if version < OLDEST_PYTHON:
        found, oldest = (".".join(map(str, each)) for each in (version, OLDEST_PYTHON))
        return (
            f"The cluster's Python is {found} ({python}), and rayanim needs {oldest} or newer. "
            f"Start its nodes with another one; the head runs what is called python on its PATH."
        )
    if not lacking:
        return None
    quoted = " ".join(f"'{each}'" for each in lacking)
    options = " ".join(f"--pip '{each}'" for each in lacking)
    return (
        f"The cluster's Python ({python}) lacks {', '.join(map(_module_of, lacking))}. Install "
        f"what it lacks on every node (pip install {quoted}), or have it installed for this job: "
        f"{options}. If it is installed there, activate its environment before ray start: the head "
        "runs what is called python on its PATH."
    )


def videos_folder(name: str) -> Path:
    """The folder for the videos of the job's script, on this node."""
    given = os.environ.get(VIDEOS)
    for parent in (given, "~/rayanim", Path(tempfile.gettempdir()) / "rayanim"):
        folder = Path(parent or "").expanduser() / name
        try:
            if parent:
                folder.mkdir(parents=True, exist_ok=True)
                return folder
        except OSError:
            if parent == given:
                raise
    raise OSError(f"No folder for videos can be made. Set {VIDEOS} on the head node to a folder.")


class MarkedStream(io.TextIOBase):
    """A stream for events alone, each a line behind the job's own mark."""

    def __init__(self, stream: TextIO, mark: str) -> None:
        self._stream = stream
        self._mark = mark

    def write(self, text: str) -> int:
        """Write a whole line."""
        self._stream.write(self._mark + text)
        self._stream.flush()
        return len(text)


def _set_log_folder() -> None:
    """Name this job and the folder of its log, which is the file behind standard output."""
    try:
        log = Path("/proc/self/fd/1").readlink()
    except OSError:
        return
    if log.name.startswith("job-driver-"):
        os.environ[LOG_FOLDER] = str(log.parent)
        os.environ[JOB] = log.name.removeprefix("job-driver-").removesuffix(".log")


def _lacking() -> str | None:
    # Only a Python that is new enough can import it.
    from rayanim.jobs.package import own_requirements

    return complaint(OLDEST_PYTHON, missing(own_requirements()), sys.executable)


def main(arguments: Sequence[str]) -> None:
    """Run the command line, and end the process with its exit code."""
    problem = complaint(tuple(sys.version_info[:2]), [], sys.executable) or _lacking()
    if problem is not None:
        print(f"rayanim: error: {problem}", file=sys.stderr)
        sys.exit(2)
    _set_log_folder()
    name, command, *rest = arguments
    options = ["--videos-folder", str(videos_folder(name))]
    if os.environ.get(RESUME_VARIABLE):
        options += ["--resume-command", os.environ[RESUME_VARIABLE]]
    # As anybody would call it, for no module imports the command.
    sys.argv = ["rayanim", command, *options, *rest]
    runpy.run_module("rayanim", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
