"""Finds out what this machine, or the container around the process, has to work with."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rayanim.animator import Animator
from rayanim.doctor.facts import DrawnFacts, Encoder, Fonts, Installed, Look, MachineFacts, Software
from rayanim.engine.draw import (
    EncodedFrames,
    SegmentRenderer,
    Shipment,
    close_source,
    measure_source,
    open_source,
    pack,
    unpack,
)
from rayanim.engine.machine import ROOT, cgroup_memory_bytes, free_memory_bytes, usable_cores
from rayanim.engine.plan import Segment
from rayanim.errors import EncodeError, RayanimError, SettingsError
from rayanim.figure.style import LEFT_ALONE
from rayanim.parameters import Batch
from rayanim.randomness import kept_randomness
from rayanim.settings import VideoSettings
from rayanim.sources import AnimatorSource, Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rayanim.video.encode import EncodedSegment

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 # where Ray keeps its objects on Linux


def find_machine(*, root: Path = ROOT, shared_memory: Path = SHARED_MEMORY) -> MachineFacts:
    """The machine as it is now."""
    import psutil

    temp_folder, home = ray_temp_folder(), _home()
    disk = shutil.disk_usage(_existing(temp_folder))
    return MachineFacts(
        host=socket.gethostname(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(root=root),
        memory_bytes=int(psutil.virtual_memory().total),
        free_memory_bytes=free_memory_bytes(root=root),
        group_memory_bytes=cgroup_memory_bytes(root=root),
        shared_memory_bytes=_size_bytes(shared_memory),
        temp_folder=str(temp_folder),
        temp_bytes=disk.total,
        temp_free_bytes=disk.free,
        temp_is_writable=is_writable(_existing(temp_folder)),
        home="" if home is None else str(home),
        home_is_writable=home is not None and is_writable(home),
        omp_threads=os.environ.get("OMP_NUM_THREADS", ""),
    )


def ray_temp_folder() -> Path:
    """Where Ray makes its folder ``ray``: ``RAY_TMPDIR``, else the system's."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())


def is_writable(folder: Path) -> bool:
    """Whether a file can be written into `folder`; one is, as permissions do not tell all."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rayanim-"):
            return True
    except OSError:
        return False


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no such user, as in containers with a made-up one
        return None


def _size_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return None


MODULES = {"pillow": "PIL"}
"""Names of modules by package, where they differ."""

NOT_LOADED = frozenset({"ray"})
"""Loaded only once it is known how the cluster authenticates: Ray reads that when it is loaded."""

CLUSTER_MODULE = "aiohttp_cors"
"""A module that only ``ray[default]`` brings."""


def find_software() -> Software:
    """What is installed in this process's environment."""
    return Software(
        python=platform.python_version(),
        packages=(Installed("rayanim", "", _version("rayanim")), *_needed()),
        has_cluster_extra=importlib.util.find_spec(CLUSTER_MODULE) is not None,
        libraries={"machine": platform.machine(), **_libraries()},
    )


def _needed() -> Iterator[Installed]:
    from packaging.requirements import Requirement

    for text in _requirements():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = _version(requirement.name)
            yield Installed(
                requirement.name,
                str(requirement.specifier),
                found,
                found is None or requirement.specifier.contains(found, prereleases=True),
                None if found is None else _failure(requirement.name),
            )


def _requirements() -> list[str]:
    try:
        return sorted(requires("rayanim") or ())
    except PackageNotFoundError:  # a copy of the source that is not installed
        return []


def _failure(name: str) -> str | None:
    if name in NOT_LOADED:
        return None
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # a broken extension may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _libraries() -> dict[str, str]:
    try:
        from rayanim.video.spec import library_versions

        return library_versions()
    except Exception:  # told by the package that cannot be imported
        return {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def look_here(shipment: Shipment | None = None, *, with_encoders: bool = True) -> Look:
    """What this process sees; a package that cannot be imported leaves its part out."""
    look = Look(find_software(), find_machine())
    if any(each.failure or each.version is None for each in look.software.packages[1:]):
        return look
    # Fonts first: the video brings the settings of the process that packed it.
    look = replace(look, fonts=_fonts(), encoders=_encoders() if with_encoders else ())
    try:
        return replace(look, drawn=draw_specimen(shipment))
    except RayanimError as error:
        return replace(look, failure=error.message)
    except Exception as error:  # a broken library may raise anything; it is what we look for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return replace(
            look, failure=f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        )


def _fonts() -> Fonts:

    return Fonts(**asdict(take_census()))


def _encoders() -> tuple[Encoder, ...]:
    from rayanim.doctor.encoder_trials import try_hardware, try_software

    return tuple(
        Encoder(each.encoder, each.codec, each.is_hardware, each.failure)
        for each in (*try_software(), *try_hardware())
    )


FRAMES = 4
"""The first one is drawn in full, the others in parts; all go through motion search."""

SEED = 0
ROWS, COLUMNS = 2, 3
PANELS = ("text", "formulas", "markers", "lines", "images", "surfaces")
"""What each panel shows, row by row."""


class Specimen(Animator):
    """A figure of 600x400 pixels with one panel for each way to draw."""

    def setup(self) -> Figure:
        """Draw what stays, and keep what moves."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), dpi=100)
        axes = [figure.add_axes(_rectangle(index)) for index in range(len(PANELS))]
        _draw_text(axes[0])
        _draw_formulas(axes[1])
        self._markers = _draw_markers(axes[2])
        self._line = _draw_lines(axes[3])
        self._image = _draw_images(axes[4])
        _draw_surfaces(axes[5])
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        """Move the line, the markers and the picture."""
        self._line.set_ydata(np.sin(_angles() + frame_idx))
        self._markers.set_ydata(np.cos(_angles()[::20] + frame_idx))
        self._image.set_data(_picture(frame_idx))


def packed_specimen() -> Shipment:
    """The test video as a video is packed for actors: with this process's matplotlib settings."""
    import matplotlib.pyplot  # noqa: F401 # what a script that draws has loaded

    return pack(AnimatorSource(Specimen(), {}))


def draw_specimen(shipment: Shipment | None = None) -> DrawnFacts:
    """Draw the test video in this process and encode it with each encoder that there is."""
    source = AnimatorSource(Specimen(), {}) if shipment is None else unpack(shipment)
    with kept_randomness():
        open_source(source, SEED, None)
        try:
            return _drawn(source)
        finally:
            close_source(source)


def _drawn(source: Any) -> DrawnFacts:
    from rayanim.video.codecs import make_spec
    from rayanim.video.spec import CODECS

    size = measure_source(source, SEED, 0, 0).size
    segment = Segment(0, 0, FRAMES, Batch(range(FRAMES), None))
    segments, failures = {}, {}
    for codec in CODECS:
        try:
            spec = make_spec(".mkv", VideoSettings(codec=codec.encoder), size, Fraction(30))
            encoded, _ = SegmentRenderer(source, spec, SEED).collect(segment, EncodedFrames(spec))
            segments[codec.encoder] = _digest(_pieces(encoded))
        except (SettingsError, EncodeError) as error:
            failures[codec.encoder] = error.message
    pictures = [source.draw(number, None).copy() for number in range(FRAMES)]
    return DrawnFacts(
        panels=_panel_digests(pictures),
        frames=_digest(picture.tobytes() for picture in pictures),
        segments=segments,
        failures=failures,
    )


def _pieces(encoded: EncodedSegment) -> Iterator[bytes]:
    yield encoded.header
    for packet in encoded.packets:
        yield packet.data


def _panel_digests(pictures: list[Pixels]) -> dict[str, str]:
    cells = {name: _cell(index, pictures[0].shape) for index, name in enumerate(PANELS)}
    return {
        name: _digest(picture[rows, columns].tobytes() for picture in pictures)
        for name, (rows, columns) in cells.items()
    }


def _cell(index: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of pixels that belong to panel `index`."""
    row, column = divmod(index, COLUMNS)
    height, width = shape[0] // ROWS, shape[1] // COLUMNS
    return (
        slice(row * height, (row + 1) * height),
        slice(column * width, (column + 1) * width),
    )


def _digest(pieces: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _rectangle(index: int) -> tuple[float, float, float, float]:
    """Where the axes of panel `index` stand: left, bottom, width, height in shares."""
    row, column = divmod(index, COLUMNS)
    return (column + 0.1) / COLUMNS, (ROWS - row - 0.9) / ROWS, 0.8 / COLUMNS, 0.8 / ROWS


def _angles() -> Any:
    return np.linspace(0, 4 * np.pi, 200)


def _picture(shift: int) -> Any:
    rows, columns = np.mgrid[0:20, 0:30]
    return np.sin(rows / 3 + shift) * np.cos(columns / 4)


def _draw_text(axes: Axes) -> None:
    axes.axis("off")
    families = (None, "sans-serif", "serif", "monospace")
    for row, family in enumerate(families):
        text = f"{family or 'Default'} Hamburg 0123 äöüß"
        axes.text(0, 0.85 - row / 4, text, family=family, fontsize=8 + row)


def _draw_formulas(axes: Axes) -> None:
    axes.axis("off")
    for row, text in enumerate((r"$\int_0^\infty e^{-x^2}dx$", r"$\sqrt{\alpha}\,\frac{a}{b}$")):
        axes.text(0, 0.7 - row / 2, text, fontsize=14)


def _draw_markers(axes: Axes) -> Any:
    axes.axis("off")
    axes.set(xlim=(-1, 14), ylim=(-2, 4))
    for column, marker in enumerate("osv^D*+x"):
        axes.plot(column * 1.6, 3, marker, markersize=5 + column / 2)
    return axes.plot(_angles()[::20], np.cos(_angles()[::20]), "o", alpha=0.6)[0]


def _draw_lines(axes: Axes) -> Any:
    axes.axis("off")
    axes.set(xlim=(0, 13), ylim=(-1.2, 1.2))
    for index, style in enumerate(("--", ":", "-.")):
        axes.plot([0, 13], [-1, index / 2], style, linewidth=0.7 + index)
    return axes.plot(_angles(), np.sin(_angles()), linewidth=1.3)[0]


def _draw_images(axes: Axes) -> Any:
    axes.axis("off")
    return axes.imshow(
        _picture(0), vmin=-1, vmax=1, cmap="viridis", interpolation="bilinear", aspect="auto"
    )


def _draw_surfaces(axes: Axes) -> None:
    axes.axis("off")
    axes.contourf(_picture(0), levels=7, cmap="magma", alpha=0.8)
    axes.bar([5, 15, 25], [8, 12, 16], width=4, hatch="//", edgecolor="black", alpha=0.5)


@dataclass(frozen=True, slots=True)
class FontCensus:
    """The fonts of this process."""

    families: frozenset[str]
    family: tuple[str, ...]
    default_file: str
    default_digest: str
    default_is_fallback: bool
    cache_folder: str
    cache_is_temporary: bool
    settings_file: str
    settings: dict[str, str]


def take_census() -> FontCensus:
    """Look through matplotlib's fonts and settings; imports matplotlib."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties, fontManager

    found, is_fallback = _default_font()
    family = FontProperties().get_family()
    cache_folder = mpl.get_cachedir()
    return FontCensus(
        families=frozenset(entry.name for entry in fontManager.ttflist),
        family=tuple(family),
        default_file=Path(found).name,
        default_digest=hashlib.blake2b(Path(found).read_bytes(), digest_size=16).hexdigest(),
        default_is_fallback=is_fallback,
        cache_folder=cache_folder,
        cache_is_temporary=_is_temporary(Path(cache_folder)),
        settings_file=mpl.matplotlib_fname(),
        settings=_changed_settings(),
    )


def _default_font() -> tuple[str, bool]:
    """The file of the default font, and whether it only stands in for the ones asked for."""
    from matplotlib.font_manager import FontProperties, findfont

    properties = FontProperties()
    try:
        return str(findfont(properties, fallback_to_default=False)), False
    except ValueError:
        return str(findfont(properties)), True


def _is_temporary(folder: Path) -> bool:
    """Whether matplotlib made `folder` because the usual one cannot be written."""
    # Its name is what matplotlib gives to `tempfile.mkdtemp`.
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("matplotlib-")


def _changed_settings() -> dict[str, str]:
    import matplotlib as mpl

    defaults = mpl.rcParamsDefault
    return {
        str(name): str(mpl.rcParams[name])
        for name in sorted(mpl.rcParams)
        if name not in LEFT_ALONE and mpl.rcParams[name] != defaults[name]
    }
