"""The `Animator`: a figure set up once per process and updated from frame to frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.errors import SettingsError
from rayanim.feed import IndexedFrameParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayanim.report import Report
    from rayanim.storage.address import Outfile

__all__ = ["Animator", "IndexedFrameParams", "get_rendered_frame_ids"]

_logger = logging.getLogger(__name__)


class Animator:
    """Base class of animations that update one figure.

    Subclasses write `setup` and `update`; their own ``__init__`` may take
    whatever they need. `setup` runs once in each process that draws, so what
    it makes need not be picklable; attributes set in ``__init__`` travel to
    the actors and must be.

    Attributes
    ----------
    fps, param_by_frame
        Taken where `make_video` or `rayanim.produce` is not given them, and by
        ``rayanim run`` of a script that calls neither.
    n_frames
        How many frames there are, where neither the call nor `param_by_frame`
        tells.
    sequential
        Set it to True where `update` builds on the frame before: appends to a
        line, or replaces a plot every third frame. Actors then run the updates
        that they skip, from a fresh `setup` and without drawing.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> class Wave(Animator):
    ...     def setup(self):
    ...         fig, ax = plt.subplots()
    ...         self.x = np.linspace(0, 4 * np.pi, 200)
    ...         (self.line,) = ax.plot(self.x, np.cos(self.x))
    ...         return fig
    ...
    ...     def update(self, frame_idx, params):
    ...         self.line.set_ydata(np.cos(self.x + params["phase"]))
    >>> phases = [{"phase": 0.1 * i} for i in range(60)]
    >>> report = Wave().make_video("wave.mp4", phases, fps=30)  # doctest: +SKIP
    """

    fps: int | float | str | Fraction = 30
    param_by_frame: Iterable[Any] | None = None
    n_frames: int | None = None
    sequential: bool = False

    def setup(self) -> Figure:
        """Make the figure, keep the artists that `update` needs, return the figure."""
        raise NotImplementedError(f"{type(self).__name__} must define setup(self) -> Figure.")

    def update(self, frame_idx: int, params: Any) -> None:
        """Change the figure so that it shows frame `frame_idx`.

        Frames come in any order and each actor sees only some of them: set
        everything that a frame shows, whatever was shown before; or set
        `sequential`.

        Parameters
        ----------
        frame_idx
            The frame's number, from 0.
        params
            Its entry in `param_by_frame`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update(self, frame_idx, params)."
        )

    def make_video(
        self,
        output_file: Outfile,
        param_by_frame: Iterable[Any] | None = None,
        fps: int | float | str | Fraction | None = None,
        n_frames: int | None = None,
        num_workers: int | str = -1,
        disable_progress_bar: bool | None = None,
        plotting_log_interval: int | None = None,
        saving_log_interval: int | None = None,
        savefig_params: dict[str, Any] | None = None,
        video_mode: str = "auto",
        video_quality: float | None = None,
        video_preset: str | None = None,
        video_extra_ffmpeg_params: list[str] | None = None,
        reuse_figure_object: bool = True,
        preload_factor: int = 8,
        *,
        codec: str | None = None,
        pixel_format: str | None = None,
        **options: Any,
    ) -> Report:
        """Render the animation to a video file.

        Parameters
        ----------
        output_file
            Where the film goes; its suffix chooses the format, .mp4 without one.
            Its folder is made.
        param_by_frame
            One entry per frame, handed to `update`. Any iterable; a generator
            is streamed. Entries that are `IndexedFrameParams` may come in any
            order. None with `n_frames` hands None to every `update`.
        fps
            Frames per second of the film.
        n_frames
            How many entries to use; None for all.
        num_workers
            The most render actors: -1 for all cores, -2 for all but one and so
            on, or a number. 1 draws in this process, and so does any number
            where the job is too short to repay Ray's start.
        disable_progress_bar
            True is silent, None shows a bar where there is a terminal or a notebook.
        plotting_log_interval, saving_log_interval
            Log a line after so many drawn, or encoded, frames.
        savefig_params
            Options of ``Figure.savefig``. ``dpi`` sets the size in pixels;
            ``bbox_inches="tight"`` measures one box, on the first frame, and
            cuts every frame by it.
        video_mode
            ``auto`` and ``cpu``: the processor encodes. ``gpu`` is refused: the
            bytes that a graphics card makes are not the same on another one.
        video_quality
            Constant rate factor: lower is better and larger.
        video_preset
            The encoder's preset.
        video_extra_ffmpeg_params
            Taken for scripts that pass an empty list; FFmpeg runs inside this
            process, so command-line arguments have nowhere to go.
        reuse_figure_object
            False calls `setup` for every frame, for comparison only.
        preload_factor
            Taken for scripts that pass it; what is in flight is bounded in
            bytes (``PerformanceSettings.in_flight_bytes``).
        codec, pixel_format
            As in `rayanim.produce`.
        **options
            Other keyword arguments of `rayanim.produce`. Its names `workers`,
            `crf`, `preset`, `progress`, `drawing_log_interval` and
            `encoding_log_interval` may take the place of those above.

        Returns
        -------
        Report
            What was made, how quickly, and the settings that were found.

        Raises
        ------
        SettingsError
            If an argument makes no sense, before any work starts.
        ScriptError
            If `setup`, `update` or the parameters fail.
        """
        from rayanim.production import produce

        _check_legacy(video_mode, video_extra_ffmpeg_params, preload_factor, reuse_figure_object)
        named = {
            "workers": ("num_workers", None if num_workers == -1 else num_workers),
            "crf": ("video_quality", video_quality),
            "preset": ("video_preset", video_preset),
            "progress": ("disable_progress_bar", _progress(disable_progress_bar)),
            "drawing_log_interval": ("plotting_log_interval", plotting_log_interval),
            "encoding_log_interval": ("saving_log_interval", saving_log_interval),
        }
        return produce(
            self,
            fps,
            outfile=output_file,
            codec=codec,
            pixel_format=pixel_format,
            param_by_frame=param_by_frame,
            n_frames=n_frames,
            savefig_params=savefig_params,
            reuse_figure_object=reuse_figure_object,
            **{"dpi": None, "workers": -1, **_under_one_name(named, options)},
        )


def _under_one_name(named: dict[str, tuple[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """`options` with what was given under the other package's names.

    Parameters
    ----------
    named
        By `produce`'s name the other one and its value, None where it was left out.
    options
        What was given under `produce`'s names.

    Raises
    ------
    SettingsError
        If one thing was given under both.
    """
    given = {name: value for name, (_, value) in named.items() if value is not None}
    for name in given:
        if options.get(name) is not None:
            other, value = named[name]
            raise SettingsError(
                f"{other}={value!r} and {name}={options[name]!r} are two names for one thing. "
                "Give one of them."
            )
    return {**options, **given}


def _progress(disable: bool | None) -> bool | None:
    """tqdm's three-valued flag in terms of ours."""
    return None if disable is None else not disable


def _check_legacy(
    video_mode: str, extra: list[str] | None, preload_factor: int, reuse_figure_object: bool
) -> None:
    if video_mode == "gpu":
        raise SettingsError(
            "video_mode='gpu': no film is encoded on a graphics card, whose bytes are not the same "
            "on another one. Use 'auto' or 'cpu', and a quicker video_preset."
        )
    if video_mode not in ("auto", "cpu"):
        raise SettingsError(f"video_mode must be 'auto' or 'cpu', got {video_mode!r}.")
    if extra:
        raise SettingsError(
            f"video_extra_ffmpeg_params={extra!r}: there is no ffmpeg command to pass them to. "
            "Use codec, crf, preset, pixel_format or bitrate."
        )
    if (
        isinstance(preload_factor, bool)
        or not isinstance(preload_factor, int)
        or preload_factor < 1
    ):
        raise SettingsError(f"preload_factor must be at least 1, got {preload_factor!r}.")
    if not isinstance(reuse_figure_object, bool):
        raise SettingsError(
            f"reuse_figure_object must be True or False, got {reuse_figure_object!r}."
        )


def get_rendered_frame_ids(
    data_fps: int | float | Fraction,
    play_speed: float | Fraction,
    rendered_fps: int | float | Fraction,
    n_data_frames: int,
) -> npt.NDArray[np.int64]:
    """Which data frames to draw so that a film plays them at a given speed.

    Film frame ``i`` shows data frame ``floor(i * stride)`` with
    ``stride = data_fps * play_speed / rendered_fps``, in exact arithmetic.

    Parameters
    ----------
    data_fps
        Data frames per second of the recording.
    play_speed
        1 is real time, 0.1 ten times slower.
    rendered_fps
        Frames per second of the film.
    n_data_frames
        Data frames in all.

    Returns
    -------
    1-D int64 array
        Indices of data frames, one per frame of the film; empty for no data.

    Raises
    ------
    SettingsError
        If a rate or the speed is not positive and finite.
    """
    stride = _exact(data_fps) * _exact(play_speed) / _exact(rendered_fps)
    if n_data_frames <= 0:
        return np.array([], dtype=np.int64)
    if stride < 1:
        _logger.warning("Each data frame is shown %.3g times.", float(1 / stride))
    count = max(1, int(n_data_frames / stride))
    ids = np.arange(count, dtype=object) * stride.numerator // stride.denominator
    return np.minimum(ids.astype(np.int64), n_data_frames - 1)


def _exact(value: int | float | Fraction) -> Fraction:
    """A positive, finite number as an exact fraction; large rates are allowed here."""
    try:
        exact = Fraction(str(value)) if isinstance(value, float) else Fraction(value)
    except (ValueError, TypeError, OverflowError):
        exact = Fraction(0)
    if exact <= 0:
        raise SettingsError(f"Rates and speeds must be numbers above 0, got {value!r}.")
    return exact
