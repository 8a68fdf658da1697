"""Decides what a script that connects to a cluster by itself takes along."""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from rayanim.cluster import ClusterSettings
from rayanim.errors import PackageError
from rayanim.travel.environment import Baggage

_logger = logging.getLogger("rayanim")

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

    Raises
    ------
    PackageError
        If the script lies in the home folder itself, and no other was named.
    """
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
    """`folder` itself, once it is known not to be the home folder, which holds all of a person's.

    Raises
    ------
    PackageError
        If it is.
    """
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
