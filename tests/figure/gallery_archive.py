"""matplotlib's own gallery, out of the release archive of the version that is installed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import matplotlib as mpl

GALLERIES = ("examples", "plot_types", "tutorials", "users_explain")
"""The folders whose scripts make figures."""

SAMPLE_DATA = "/lib/matplotlib/mpl-data/sample_data/"


class NoGalleryError(RuntimeError):
    """The release archive cannot be had."""


def fetch(folder: Path) -> Path:
    """Unpack the gallery of the installed matplotlib into `folder`; returns where it lies.

    The sample data that the scripts read are unpacked beside it, for a matplotlib that was
    installed without them. Nothing is downloaded where all of it is there already.

    Raises
    ------
    NoGalleryError
        Where no package index answers, or it does not have this version.
    """
    root = folder / f"matplotlib-{mpl.__version__}"
    done = root / "unpacked"
    if not done.exists():
        _unpack(_archive(), folder)
        done.touch()
    return root


def scripts_of(gallery: Path) -> list[Path]:
    """All scripts of the gallery in `gallery` or in its `galleries` folder, sorted."""
    home = gallery / "galleries" if (gallery / "galleries").is_dir() else gallery
    found = [path for name in GALLERIES for path in (home / name).rglob("*.py")]
    return sorted(found or home.rglob("*.py"))


def provide_sample_data(gallery: Path) -> None:
    """Let `get_sample_data` find the archive's files where the installed package lacks them."""
    from matplotlib import cbook

    unpacked = gallery / SAMPLE_DATA.strip("/")
    installed = cbook._get_data_path

    def data_path(*parts: str) -> Path:
        path = Path(installed(*parts))
        if not path.exists() and parts[:1] == ("sample_data",):
            return unpacked.joinpath(*parts[1:])
        return path

    if unpacked.is_dir():
        cbook._get_data_path = data_path


def _archive() -> bytes:
    """The release archive, through pip's own finder and the index that pip is set up with.

    Not `pip download --no-binary`, which would first build the package to learn its metadata.
    """
    try:
        return _download()
    except Exception as error:
        raise NoGalleryError(
            f"the release archive of matplotlib {mpl.__version__} cannot be downloaded by pip: "
            f"{type(error).__name__}: {error}"
        ) from error


def _download() -> bytes:
    from pip._internal.commands import create_command

    command: Any = create_command("download", isolated=False)
    options, _ = command.parse_args(["--retries", "1", "--timeout", "20", "matplotlib"])
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        for candidate in finder.find_all_candidates("matplotlib"):
            link = candidate.link
            if str(candidate.version) == mpl.__version__ and link.filename.endswith(".tar.gz"):
                answer = session.get(link.url_without_fragment)
                answer.raise_for_status()
                return bytes(answer.content)
    raise LookupError("no index lists it")


def _unpack(data: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        wanted = [
            member
            for member in archive.getmembers()
            if "/galleries/" in member.name or SAMPLE_DATA in member.name
        ]
        archive.extractall(folder, members=wanted, filter="data")
