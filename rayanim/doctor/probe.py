"""Finds out what this machine has: software, resources, fonts, and how it draws a test video."""

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
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rayanim.animator import Animator
from rayanim.doctor.facts import (
    DrawnFacts,
    Encoder,
    Fonts,
    Installed,
    MachineFacts,
    Probe,
    Software,
)
from rayanim.engine.machine import ROOT, cgroup_memory_bytes, free_memory_bytes, usable_cores
from rayanim.errors import EncodeError, RayanimError, SettingsError
from rayanim.figure.style import LEFT_ALONE
from rayanim.jobs.driver import MODULES
from rayanim.settings import RenderSettings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rayanim.engine.packing import PackedSource
    from rayanim.video.spec import Codec

# What draws and encodes is imported in functions: a package that it needs may be broken here.

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 # where Ray keeps its objects on Linux


def probe_here(packed_source: PackedSource | None = None) -> Probe:
    """Probe this process; what needs a package that cannot be imported is left out."""
    probe = Probe(find_software(), find_machine())
    if any(each.failure or each.version is None for each in probe.software.packages[1:]):
        return probe
    # Fonts first: the video brings the settings of the process that packed it.
    probe = replace(probe, fonts=find_fonts())
    try:
        drawn = draw_test_video(packed_source)
    except RayanimError as error:
        return replace(probe, failure=error.message)
    except Exception as error:  # a broken library may raise anything; it is what we look for
        where = traceback.extract_tb(error.__traceback__)[-1]
        failure = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        return replace(probe, failure=failure)
    return replace(probe, drawn=drawn, encoders=_encoders(drawn))


def find_machine(*, root: Path = ROOT, shared_memory: Path = SHARED_MEMORY) -> MachineFacts:
    """The machine as it is now."""
    import psutil

    # Where Ray makes its folder; the nearest folder above counts if it is not there yet.
    temp_folder, home = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()), _home()
    there = next(each for each in (temp_folder, *temp_folder.absolute().parents) if each.is_dir())
    disk = shutil.disk_usage(there)
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
        temp_is_writable=is_writable(there),
        home="" if home is None else str(home),
        home_is_writable=home is not None and is_writable(home),
        omp_threads=os.environ.get("OMP_NUM_THREADS", ""),
    )


def is_writable(folder: Path) -> bool:
    """Whether a file can be written into `folder`; one is, for permissions do not say all."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rayanim-"):
            return True
    except OSError:
        return False


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no such user, as in some containers
        return None


def _size_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return None


NOT_LOADED = frozenset({"ray"})
"""Loaded only once it is known how the cluster authenticates: Ray reads that when it is loaded."""

CLUSTER_MODULE = "aiohttp_cors"
"""A module that only ``ray[default]`` brings."""


def find_software() -> Software:
    """What is installed in this process's environment."""
    libraries = {"machine": platform.machine()}
    try:
        from rayanim.video.spec import library_versions

        libraries |= library_versions()
    except Exception:  # noqa: S110 # the finding on that package says it
        pass
    return Software(
        python=platform.python_version(),
        packages=(Installed("rayanim", "", _version("rayanim")), *_needed()),
        has_cluster_extra=importlib.util.find_spec(CLUSTER_MODULE) is not None,
        libraries=libraries,
    )


def _needed() -> Iterator[Installed]:
    from packaging.requirements import Requirement

    try:
        requirements = sorted(requires("rayanim") or ())
    except PackageNotFoundError:  # a copy of the source that is not installed
        return
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name, wanted, found = (
                requirement.name,
                requirement.specifier,
                _version(requirement.name),
            )
            fits = found is None or wanted.contains(found, prereleases=True)
            failure = None if found is None or name in NOT_LOADED else _import_failure(name)
            yield Installed(name, str(wanted), found, fits, failure)


def _import_failure(name: str) -> str | None:
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # a broken extension may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def find_fonts() -> Fonts:
    """matplotlib's fonts and settings in this process."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    properties, is_fallback = FontProperties(), False
    try:
        found = findfont(properties, fallback_to_default=False)
    except ValueError:
        found, is_fallback = findfont(properties), True
    cache = Path(mpl.get_cachedir())
    settings, defaults = mpl.rcParams, mpl.rcParamsDefault
    changed = [name for name in settings if name not in LEFT_ALONE]
    return Fonts(
        families=tuple(sorted({entry.name for entry in fontManager.ttflist})),
        family=tuple(properties.get_family()),
        default_file=Path(found).name,
        default_digest=_digest([Path(found).read_bytes()]),
        default_is_fallback=is_fallback,
        # matplotlib names it so, with `tempfile.mkdtemp`, if the usual one cannot be written.
        cache_is_temporary=cache.parent == Path(tempfile.gettempdir())
        and cache.name.startswith("matplotlib-"),
        settings_file=mpl.matplotlib_fname(),
        settings={
            str(name): str(settings[name])
            for name in sorted(changed)
            if settings[name] != defaults[name]
        },
    )


FRAMES = 4
"""The first one is drawn in full, the others incrementally; all go through motion search."""

SEED = 0
ROWS, COLUMNS = 2, 3
PANELS = ("text", "formulas", "markers", "lines", "images", "surfaces")
"""What each panel shows, row by row."""


class TestVideo(Animator):
    """A figure of 600x400 pixels with one panel for each way to draw."""

    __test__ = False  # no test case of pytest's

    def setup(self) -> Figure:
        """Draw what stays, and keep what moves."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), dpi=100)
        axes = []
        for index in range(len(PANELS)):
            row, column = divmod(index, COLUMNS)
            left, bottom = (column + 0.1) / COLUMNS, (ROWS - row - 0.9) / ROWS
            axes.append(figure.add_axes((left, bottom, 0.8 / COLUMNS, 0.8 / ROWS)))
            axes[-1].axis("off")
        _draw_texts(axes[0], axes[1])
        self._markers, self._line = _draw_lines(axes[2], axes[3])
        self._image = _draw_images(axes[4], axes[5])
        return figure

    def update(self, frame_idx: int, params: Any) -> None:
        """Move the line, the markers and the picture."""
        self._line.set_ydata(np.sin(_angles() + frame_idx))
        self._markers.set_ydata(np.cos(_angles()[::20] + frame_idx))
        self._image.set_data(_picture(frame_idx))


def _angles() -> Any:
    return np.linspace(0, 4 * np.pi, 200)


def _picture(shift: int) -> Any:
    rows, columns = np.mgrid[0:20, 0:30]
    return np.sin(rows / 3 + shift) * np.cos(columns / 4)


def _draw_texts(texts: Axes, formulas: Axes) -> None:
    for row, family in enumerate((None, "sans-serif", "serif", "monospace")):
        text = f"{family or 'Default'} Hamburg 0123 äöüß"
        texts.text(0, 0.85 - row / 4, text, family=family, fontsize=8 + row)
    for row, text in enumerate((r"$\int_0^\infty e^{-x^2}dx$", r"$\sqrt{\alpha}\,\frac{a}{b}$")):
        formulas.text(0, 0.7 - row / 2, text, fontsize=14)


def _draw_lines(markers: Axes, lines: Axes) -> tuple[Any, Any]:
    markers.set(xlim=(-1, 14), ylim=(-2, 4))
    for column, marker in enumerate("osv^D*+x"):
        markers.plot(column * 1.6, 3, marker, markersize=5 + column / 2)
    lines.set(xlim=(0, 13), ylim=(-1.2, 1.2))
    for index, style in enumerate(("--", ":", "-.")):
        lines.plot([0, 13], [-1, index / 2], style, linewidth=0.7 + index)
    (moving,) = markers.plot(_angles()[::20], np.cos(_angles()[::20]), "o", alpha=0.6)
    (line,) = lines.plot(_angles(), np.sin(_angles()), linewidth=1.3)
    return moving, line


def _draw_images(images: Axes, surfaces: Axes) -> Any:
    surfaces.contourf(_picture(0), levels=7, cmap="magma", alpha=0.8)
    surfaces.bar([5, 15, 25], [8, 12, 16], width=4, hatch="//", edgecolor="black", alpha=0.5)
    style: Any = {"cmap": "viridis", "interpolation": "bilinear", "aspect": "auto"}
    return images.imshow(_picture(0), vmin=-1, vmax=1, **style)


AS_IT_IS = RenderSettings(dpi=None)
"""The figure keeps its own size."""


def pack_test_video() -> PackedSource:
    """The test video as a video is packed for actors: with this process's matplotlib settings."""
    import matplotlib.pyplot  # noqa: F401 # what a script that draws has loaded

    from rayanim.engine.packing import pack
    from rayanim.sources import AnimatorSource

    return pack(AnimatorSource(TestVideo(), AS_IT_IS))


def draw_test_video(packed_source: PackedSource | None = None) -> DrawnFacts:
    """Draw the test video in this process, and encode it with each encoder of rayanim's."""
    from rayanim.engine.draw import ChunkRenderer, close_source, measure_source, open_source
    from rayanim.engine.packing import unpack
    from rayanim.engine.plan import Chunk
    from rayanim.parameters import Batch
    from rayanim.randomness import kept_randomness
    from rayanim.settings import VideoSettings
    from rayanim.sources import AnimatorSource
    from rayanim.video.codecs import make_spec

    source = (
        AnimatorSource(TestVideo(), AS_IT_IS) if packed_source is None else unpack(packed_source)
    )
    segment = Chunk(0, 0, FRAMES, Batch(range(FRAMES), None))
    segments, failures = {}, {}
    with kept_randomness():
        open_source(source, SEED, None)
        try:
            size = measure_source(source, SEED, 0, 0).size
            for name in (codec.encoder for codec in _codecs()):
                try:
                    spec = make_spec(".mkv", VideoSettings(codec=name), size, Fraction(30))
                    encoded, _ = ChunkRenderer(source, spec, AS_IT_IS).encode(segment)
                except (SettingsError, EncodeError) as error:
                    failures[name] = error.message
                else:
                    packets = (packet.data for packet in encoded.packets)
                    segments[name] = _digest([encoded.header, *packets])
            pictures = [source.draw(number, None).copy() for number in range(FRAMES)]
        finally:
            close_source(source)
    height, width = pictures[0].shape[0] // ROWS, pictures[0].shape[1] // COLUMNS
    panels = {}
    for index, name in enumerate(PANELS):
        top, left = index // COLUMNS * height, index % COLUMNS * width
        cells = (picture[top : top + height, left : left + width] for picture in pictures)
        panels[name] = _digest(cell.tobytes() for cell in cells)
    frames = _digest(picture.tobytes() for picture in pictures)
    return DrawnFacts(panels, frames, segments, failures)


def _codecs() -> list[Codec]:
    """Those of videos that can be tried in one container."""
    from rayanim.video.spec import CODECS, CONTAINERS

    (container,) = (each for each in CONTAINERS if each.suffix == ".mkv")
    return [codec for codec in CODECS if codec.encoder in container.codecs]


def _encoders(drawn: DrawnFacts) -> tuple[Encoder, ...]:
    names = ((codec.encoder, codec.aliases[0]) for codec in _codecs())
    return tuple(Encoder(name, codec, drawn.failures.get(name)) for name, codec in names)


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
