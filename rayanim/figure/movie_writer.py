"""matplotlib's movie writers: what one would do, and one of rayanim's own."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Full, Queue
from typing import Any, ClassVar

import matplotlib as mpl
import numpy as np
from matplotlib.animation import (
    AbstractMovieWriter,
    Animation,
    FFMpegFileWriter,
    FFMpegWriter,
    HTMLWriter,
    ImageMagickFileWriter,
    ImageMagickWriter,
    MovieWriter,
    PillowWriter,
    writers,
)
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from rayanim.figure.playback import SavedFigure, SaveOptions, even_size, figure_of

WAITING_FRAMES = 4
"""Frames that wait to be encoded: 33 MB at 1920x1080."""


class RayanimWriter(MovieWriter):
    """Draws a figure incrementally, and has rayanim encode what was drawn in another thread.

    Registered with matplotlib as ``"rayanim"``.
    """

    stands_for: Any = None
    """The writer in whose place it draws and writes, which says how."""

    encode: ClassVar[Callable[[RayanimWriter, Iterator[Any]], None]]
    """Makes the video of the frames that it is given; set when the writer is registered."""

    def setup(self, fig: Any, outfile: Any, dpi: float | None = None) -> None:
        """Begin a video of `fig`."""
        self.fig, self.outfile, self.dpi = fig, outfile, fig.dpi if dpi is None else dpi
        writer = self.stands_for or self
        options = SaveOptions(
            self.dpi, whole_pairs=makes_even(writer), on_white=not keeps_alpha(writer, outfile)
        )
        self._saved = SavedFigure(fig, options)
        self._frames: Queue[Any] = Queue(WAITING_FRAMES)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="rayanim-writer", daemon=True)
        self._thread.start()

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        """Draw the figure as it is now, and add it to the video."""
        for name in ("dpi", "bbox_inches", "format"):
            if name in savefig_kwargs:
                raise TypeError(f"grab_frame got an unexpected keyword argument {name!r}")
        self._saved.set_options(savefig_kwargs)
        self._put(self._saved.draw().copy())

    def finish(self) -> None:
        """End the video; returns when it is complete."""
        try:
            self._put(None)
        finally:
            self._saved.release()
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _given(self) -> Iterator[Any]:
        while (frame := self._frames.get()) is not None:
            yield frame

    def _put(self, frame: Any) -> None:
        while self._thread.is_alive():
            with contextlib.suppress(Full):
                self._frames.put(frame, timeout=0.2)
                return
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            type(self).encode(self, self._given())
        except BaseException as error:  # raised by the next call, in the script's thread
            self._failure = error

    def _supports_transparency(self) -> bool:
        return Path(self.outfile).suffix.lower() in OWN_CODEC

    @classmethod
    def isAvailable(cls) -> bool:  # noqa: N802
        """It is, wherever rayanim is."""
        return True


OWN_CODEC = (".apng", ".avif", ".gif", ".webm", ".webp")
"""Suffixes by which matplotlib chooses the codec, and that keep transparency."""


@contextlib.contextmanager
def saving_as(writer: Any, fig: Any, outfile: Any, dpi: float | None) -> Iterator[Any]:
    """Stand in for a writer of matplotlib's whose ``grab_frame`` is called inside."""
    ours = RayanimWriter(
        fps=writer.fps, codec=writer.codec, bitrate=writer.bitrate, metadata=writer.metadata
    )
    ours.extra_args, ours.stands_for = program_options(writer), writer
    with ours.saving(fig, outfile, dpi):
        writer.fig, writer.outfile, writer.dpi = fig, outfile, ours.dpi
        writer.grab_frame = ours.grab_frame
        try:
            yield writer
        finally:
            del writer.grab_frame


@contextlib.contextmanager
def drawn_incrementally(animation: Animation, dpi: float) -> Iterator[None]:
    """Have what matplotlib saves of the animation's figure inside drawn as rayanim draws it."""
    figure = figure_of(animation)
    saved = SavedFigure(figure, SaveOptions(dpi, whole_pairs=False, on_white=False))
    savefig: Any = figure.savefig

    def quick_savefig(target: Any, **options: Any) -> None:
        colors = {name: value for name, value in options.items() if name in COLORS}
        rest = {name: value for name, value in options.items() if name not in COLORS}
        kind = rest.pop("format", None)
        if kind not in ("rgba", "raw", "png") or rest != {"dpi": dpi} or colors.get("transparent"):
            savefig(target, **options)
            return
        saved.set_options(colors)
        pixels = saved.draw()
        if kind == "png":
            imsave(target, pixels, format="png", origin="upper", dpi=dpi)
        else:
            target.write(pixels.tobytes())

    vars(figure)["savefig"] = quick_savefig
    try:
        yield
    finally:
        del vars(figure)["savefig"]
        saved.release()


class FrameGrabber(AbstractMovieWriter):
    """Hands on the pixels that matplotlib draws for a writer, while `take` asks for more."""

    def __init__(self, options: SaveOptions, take: Callable[[Any], bool]) -> None:
        super().__init__(fps=1)
        self._options = options
        self._take = take

    def setup(self, fig: Any, outfile: Any, dpi: float | None = None) -> None:
        """Resize the figure as a writer for H.264 does, where it stands for one."""
        super().setup(fig, outfile, dpi)
        if type(fig.canvas) is FigureCanvasBase:
            # A copy whose window is not there. matplotlib draws on this one.
            FigureCanvasAgg(fig)
        whole_pairs = self._options.whole_pairs
        self._size_in = even_size(fig, self.dpi) if whole_pairs else fig.get_size_inches()

    def grab_frame(self, **savefig_kwargs: Any) -> None:
        """Draw a frame."""
        memory = io.BytesIO()
        self.fig.set_size_inches(*self._size_in)
        self.fig.savefig(memory, format="rgba", dpi=self.dpi, **savefig_kwargs)
        width_px, height_px = self.frame_size
        pixels = np.frombuffer(memory.getbuffer(), np.uint8)
        if not self._take(pixels.reshape(height_px, width_px, 4)):
            raise _EnoughError

    def finish(self) -> None:
        """Nothing is written."""

    def _supports_transparency(self) -> bool:
        return not self._options.on_white


class _EnoughError(Exception):
    """No more frames are asked for."""


@contextlib.contextmanager
def grabbing(options: SaveOptions, take: Callable[[Any], bool]) -> Iterator[FrameGrabber]:
    """A `FrameGrabber`, inside which `Animation.save` is called."""
    with contextlib.suppress(_EnoughError):
        yield FrameGrabber(options, take)


COLORS = ("facecolor", "edgecolor", "transparent")


def written_by_rayanim() -> contextlib.AbstractContextManager[None]:
    """Have matplotlib choose rayanim's writer where a script names none."""
    return mpl.rc_context({"animation.writer": "rayanim"})


def register(encode: Callable[[RayanimWriter, Iterator[Any]], None]) -> None:
    """Make ``writer="rayanim"`` known to matplotlib."""
    RayanimWriter.encode = encode
    writers.register("rayanim")(RayanimWriter)


KNOWN = (
    RayanimWriter,
    FFMpegWriter,
    FFMpegFileWriter,
    ImageMagickWriter,
    ImageMagickFileWriter,
    PillowWriter,
)
"""The writers that rayanim stands in for; a subclass may do anything."""

LOSSLESS = ("rgba", "raw", "png", "tiff")
"""Formats of the files between matplotlib and FFmpeg that change no pixel."""

PILLOW_S = (".gif", ".webp", ".apng", ".png", ".tif", ".tiff")
"""Suffixes of moving pictures that Pillow writes."""


def as_writer(writer: Any, filename: str | os.PathLike[str], options: dict[str, Any]) -> Any:
    """The instance that `Animation.save` uses, with the writer's own `options` where it is a name.

    A name for which there is no program is taken at its word, except where Pillow would do.

    Raises
    ------
    ValueError
        If matplotlib knows no writer of that name.
    """
    name = mpl.rcParams["animation.writer"] if writer is None else writer
    if not isinstance(name, str):
        return name
    if name == "rayanim":
        return RayanimWriter(**options)
    try:
        kind = writers[name]
    except RuntimeError:
        kind = PillowWriter if Path(filename).suffix.lower() in PILLOW_S else FFMpegWriter
    return kind(**options)


def why_unknown(writer: Any) -> str | None:
    """Why rayanim cannot stand in for this writer; None where it can."""
    kind = type(writer)
    if kind not in KNOWN:
        return f"{kind.__name__} is not a writer that rayanim knows"
    files = getattr(writer, "frame_format", "rgba")
    if files not in LOSSLESS:
        return f"{kind.__name__} takes frames as {files}"
    return None


def is_page(writer: Any) -> bool:
    """Whether the writer makes a page of HTML: matplotlib's part, of frames that rayanim draws."""
    return type(writer) is HTMLWriter


def has_chosen_codec(writer: Any) -> bool:
    """Whether the writer's codec was chosen; matplotlib's default is not, for rayanim's own."""
    if isinstance(writer, RayanimWriter) and writer.stands_for is None:
        return bool(writer.codec != mpl.rcParamsDefault["animation.codec"])
    return hasattr(writer, "bin_path")


def makes_even(writer: Any) -> bool:
    """Whether the writer resizes a figure to an even number of pixels."""
    return isinstance(writer, MovieWriter) and writer.codec == "h264"


def keeps_alpha(writer: Any, filename: str | os.PathLike[str]) -> bool:
    """Whether matplotlib leaves the figure's transparency to this writer."""
    writer.outfile = filename
    return bool(writer._supports_transparency())


def program_options(writer: Any) -> list[str]:
    """The options for the program that the writer calls."""
    given = getattr(writer, "extra_args", None)
    if given is not None:
        return list(map(str, given))
    if isinstance(writer, FFMpegWriter | FFMpegFileWriter | RayanimWriter):
        return list(mpl.rcParams["animation.ffmpeg_args"])
    return []


def saved_dpi(animation: Animation, dpi: float | str | None) -> float:
    """The dpi that `Animation.save` takes."""
    found: Any = mpl.rcParams["savefig.dpi"] if dpi is None else dpi
    return float(figure_of(animation).dpi if found == "figure" else found)
