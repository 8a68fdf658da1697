"""Decides what a script that connects to a cluster by itself takes along."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from rayanim.cluster import ClusterSettings
from rayanim.travel.environment import Baggage

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the driver of a submitted job, whose environment is settled already."""


def baggage_of(settings: ClusterSettings, environment: Mapping[str, str]) -> Baggage | None:
    """What travels to the nodes; None where a submitted job has brought it there.

    Parameters
    ----------
    settings
        What the caller asks for.
    environment
        This process's variables.
    """
    if JOB_VARIABLE in environment:
        return None
    given = settings.working_dir
    folder = script_folder(sys.modules["__main__"]) if given is None else Path(given)
    return Baggage(folder=folder, excludes=settings.exclude, packages=settings.packages)


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
