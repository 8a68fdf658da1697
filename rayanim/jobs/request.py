"""What a job is asked for: its name, its command line, and where on the cluster its films go."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayanim.errors import SettingsError

METADATA_KEY = "rayanim"
"""Jobs of ours have it in their metadata, with our version."""

SCRIPT_KEY = "rayanim_script"

RESUME_KEY = "rayanim_resume"
"""The command that goes on where the job was stopped."""

RESUME_VARIABLE = "RAYANIM_RESUME_COMMAND"
"""Tells the driver that command."""

LOG_FOLDER, JOB = "RAYANIM_JOB_LOGS", "RAYANIM_JOB"
"""Variables that tell a job's driver where its node's log folder is, and the job's name."""

STOP_WAIT_S = 20
"""Seconds from SIGTERM to SIGKILL for a job that is stopped: its parts are finished meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job, as Ray's Jobs API takes it.

    Attributes
    ----------
    submission_id
        Its name on the cluster.
    entrypoint
        The shell command that its driver is.
    runtime_env
        What its processes find on every node.
    metadata
        Texts by name that are kept with it.
    resources
        What the driver itself takes: keyword arguments ``entrypoint_*`` of
        ``JobSubmissionClient.submit_job``, those that were given.
    """

    submission_id: str
    entrypoint: str
    runtime_env: dict[str, Any]
    metadata: dict[str, str]
    resources: dict[str, Any] = field(default_factory=dict)


def make_submission_id(script: Path, token: str) -> str:
    """A job's name that tells people which script it runs: ``rayanim-wave-1f0c7a2b``.

    Parameters
    ----------
    script
        The script.
    token
        Random characters, so that each submission has its own.
    """
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", script.stem).strip("-")[:40] or "script"
    return f"rayanim-{stem}-{token}"


def check_submission_id(text: str) -> str:
    """`text` itself, once it is known to be a name for a job.

    Raises
    ------
    SettingsError
        If it cannot be the name of a log file.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", text):
        return text
    raise SettingsError(
        f"A submission ID has letters, digits, '-', '_' and '.', at most 101; got {text!r}."
    )


def films_folder(folder: Path, owner: str) -> str:
    """The name of the folder on the cluster where the films of a script's folder go.

    Parameters
    ----------
    folder
        The script's folder on the submitting machine, absolute.
    owner
        Whose machine that is, ``user@host``.

    Returns
    -------
    str
        The same at every submission, so that one goes on where another stopped,
        and another one for another folder or owner.
    """
    digest = hashlib.sha256(f"{owner}:{folder}".encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", folder.name).strip("-")[:40] or "films"
    return f"{stem}-{digest}"


def relative_script(script: Path, working_dir: Path) -> str:
    """The script's path below the folder that travels.

    Raises
    ------
    SettingsError
        If it lies elsewhere.
    """
    try:
        return script.resolve().relative_to(working_dir.resolve()).as_posix()
    except ValueError:
        raise SettingsError(
            f"The script {str(script)!r} does not lie in the working directory "
            f"{str(working_dir)!r}, the only folder that travels. Name one that holds it."
        ) from None


def entrypoint(films: str, words: Sequence[str]) -> str:
    """The job's shell command.

    The Python is the one that the head's Ray finds as ``python``, or that of
    the packages which were asked for. ``exec`` leaves no shell between it and
    the signal that stops the job.

    Parameters
    ----------
    films
        Name of the folder for its films.
    words
        What stands after ``rayanim run``.
    """
    return shlex.join(["exec", "python", "-m", "rayanim.jobs.driver", films, "run", *words])


def with_variables(runtime_env: Mapping[str, Any], resume_command: str) -> dict[str, Any]:
    """`runtime_env`, with the variables that the driver and its supervisor read.

    The user's own stay as they are.
    """
    variables = {
        # Ray's own 3 s are too short to finish the parts of a stopped film.
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        RESUME_VARIABLE: resume_command,
    }
    return {**runtime_env, "env_vars": variables | dict(runtime_env.get("env_vars", {}))}
