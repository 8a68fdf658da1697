"""The `Animator`: a figure set up once per process and updated from frame to frame."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rayanim.errors import SettingsError
from rayanim.parameters import IndexedFrameParams
from rayanim.settings import DEFAULT_FPS, is_positive, plain
from rayanim.tracebacks import called_by_users

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayanim.report import Report
    from rayanim.storage.address import Outfile

_logger = logging.getLogger(__name__)

__all__ = ["Animator", "IndexedFrameParams", "get_rendered_frame_ids"]


_NVENC_PRESETS = {f"p{number}" for number in range(1, 8)}

FFMPEG_OPTIONS = {
    "-b:v": "bitrate",
    "-c:v": "codec",
    "-codec:v": "codec",
    "-crf": "crf",
    "-pix_fmt": "pixel_format",
    "-preset": "preset",
    "-vcodec": "codec",
}
"""Options of the ``ffmpeg`` command that have a counterpart here."""

FFMPEG_WITHOUT_EFFECT = {"-movflags", "-threads", "-tune"}
"""Options that change how a video is stored or encoded, not what it shows."""


class Animator(ABC):
    """Base class of animations that update one figure.

    Subclasses write `setup` and `update`; their own ``__init__`` may take
    whatever they need. `setup` runs once in each process that draws, so what
    it makes need not be picklable; attributes set in ``__init__`` are sent to
    the actors and must be.

    Attributes
    ----------
    fps, param_by_frame
        Taken where `make_video` or `rayanim.produce` is not given them, and by
        ``rayanim run`` of a script that calls neither.
    n_frames
        How many frames there are, where neither the call nor the length of
        `param_by_frame` gives it.
    sequential, independent
        As for `rayanim.produce`; neither is needed: rayanim finds out whether
        actors may skip updates.

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

    fps: int | float | str | Fraction = DEFAULT_FPS
    param_by_frame: Iterable[Any] | None = None
    n_frames: int | None = None
    sequential: bool = False
    independent: bool = False

    # Both may be called through super(); neither does anything.

    @abstractmethod
    def setup(self) -> Figure:
        """Make the figure, keep the artists that `update` needs, return the figure."""

    @abstractmethod
    def update(self, frame_idx: int, params: Any) -> None:
        """Change the figure so that it shows frame `frame_idx`.

        It may build on the frames before, as in a loop that draws one after
        the other. Where it costs much time, let it set all that the frame shows,
        whatever was shown before: then actors need not run it for frames that others
        draw.

        Parameters
        ----------
        frame_idx
            The frame's number, from 0.
        params
            Its entry in `param_by_frame`.
        """

    @called_by_users
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
            Where the video goes; its suffix chooses the format, .mp4 without one.
            Its folder is made.
        param_by_frame
            One entry per frame, handed to `update`. Any iterable; a generator
            is streamed. A pandas DataFrame gives its rows, as ``df.iloc[i]``.
            Entries that are `IndexedFrameParams` may come in any order. None
            with `n_frames` hands None to every `update`.
        fps
            Frames per second of the video.
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
            ``auto``, ``cpu`` or ``gpu``: the processor encodes in every case,
            because a graphics card would make other bytes than the next one.
        video_quality
            Constant rate factor: lower is better and larger.
        video_preset
            The encoder's preset.
        video_extra_ffmpeg_params
            Options of the ``ffmpeg`` command: ``-crf``, ``-preset``,
            ``-pix_fmt``, ``-c:v`` and ``-b:v`` stand for the arguments that
            they are named after; ``-tune``, ``-movflags`` and ``-threads``
            have no effect; others are refused.
        reuse_figure_object
            False calls `setup` for every frame, for comparison only.
        preload_factor
            Has no effect: frames in memory are bounded in bytes
            (``PerformanceSettings.in_flight_bytes``).
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
        from rayanim.render import produce

        video_preset = _check_video_mode(video_mode, video_preset)
        given = {"codec": codec, "pixel_format": pixel_format, **options}
        options = _read_ffmpeg_options(video_extra_ffmpeg_params)
        options.update({name: value for name, value in given.items() if value is not None})
        named = {
            "workers": ("num_workers", None if num_workers == -1 else num_workers),
            "crf": ("video_quality", video_quality),
            "preset": ("video_preset", video_preset),
            "progress": ("disable_progress_bar", disable_progress_bar),
            "drawing_log_interval": ("plotting_log_interval", plotting_log_interval),
            "encoding_log_interval": ("saving_log_interval", saving_log_interval),
        }
        arguments = {"dpi": None, "workers": -1, **_under_one_name(named, options)}
        if disable_progress_bar is not None:  # as tqdm's disable
            arguments["progress"] = not disable_progress_bar
        return produce(
            self,
            fps,
            outfile=output_file,
            param_by_frame=param_by_frame,
            n_frames=n_frames,
            savefig_params=savefig_params,
            reuse_figure_object=bool(reuse_figure_object),
            **arguments,
        )


def _under_one_name(named: dict[str, tuple[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """`options` and what was given under the other package's names; both at once is an error."""
    given = {name: value for name, (_, value) in named.items() if value is not None}
    for name in given:
        if options.get(name) is not None:
            other, value = named[name]
            raise SettingsError(
                f"{other}={value!r} and {name}={options[name]!r} are two names for one thing. "
                "Give one of them."
            )
    return {**options, **given}


def _check_video_mode(video_mode: str, preset: str | None) -> str | None:
    """The preset to use; a graphics card's own mean nothing to the processor's encoder."""
    if video_mode not in ("auto", "cpu", "gpu"):
        raise SettingsError(f"video_mode must be 'auto', 'cpu' or 'gpu', got {video_mode!r}.")
    if video_mode == "gpu":
        _logger.warning(
            "video_mode='gpu': rayanim encodes on the processor, so that the file has the same "
            "bytes on every machine. A quicker video_preset, such as 'veryfast', helps."
        )
    return None if video_mode != "cpu" and preset in _NVENC_PRESETS else preset


def _read_ffmpeg_options(extra: list[str] | None) -> dict[str, Any]:
    """The arguments of `produce` that stand for options of the ``ffmpeg`` command."""
    options: dict[str, Any] = {}
    words = iter(map(str, extra or ()))
    for word in words:
        value = next(words, None)
        name = FFMPEG_OPTIONS.get(word)
        if value is None or (name is None and word not in FFMPEG_WITHOUT_EFFECT):
            raise SettingsError(
                f"video_extra_ffmpeg_params={extra!r}: rayanim runs no ffmpeg command and has "
                f"nothing for {word!r}. Use codec, crf, preset, pixel_format or bitrate."
            )
        if name is None:
            _logger.warning("video_extra_ffmpeg_params: %s %s has no effect.", word, value)
            continue
        try:
            options[name] = read_ffmpeg_value(name, value)
        except ValueError:
            raise SettingsError(
                f"video_extra_ffmpeg_params: {word} must be a number, got {value!r}."
            ) from None
    return options


def read_ffmpeg_value(name: str, value: str) -> Any:
    """What the argument `name` of `produce` is for an option of FFmpeg; or `ValueError`."""
    if name not in ("crf", "bitrate"):
        return value
    number = re.fullmatch(r"(\d+\.?\d*|\.\d+)([kKM]?)", value)
    if number is None or (name == "crf" and number[2]):
        raise ValueError(value)
    found = float(number[1])
    if name == "crf" or number[2] in ("k", "K"):
        return found
    # FFmpeg's bit rates are in bits per second, ours in kilobits.
    return found * 1000 if number[2] else found / 1000


def get_rendered_frame_ids(
    data_fps: int | float | Fraction,
    play_speed: float | Fraction,
    rendered_fps: int | float | Fraction,
    n_data_frames: int,
) -> npt.NDArray[np.int64]:
    """Which data frames to draw so that a video plays them at a given speed.

    Frame ``i`` of the video shows data frame ``floor(i * stride)`` with
    ``stride = data_fps / (rendered_fps / play_speed)``. A float is taken for
    the number that it is: with ``play_speed=1 / 3`` three frames of the video
    show one data frame.

    Parameters
    ----------
    data_fps
        Data frames per second of the recording.
    play_speed
        1 is real time, 0.1 ten times slower.
    rendered_fps
        Frames per second of the video.
    n_data_frames
        Data frames in all.

    Returns
    -------
    1-D int64 array
        Indices of data frames, one per frame of the video; empty for no data.

    Raises
    ------
    SettingsError
        If a rate or the speed is not positive and finite.
    """
    for value in (data_fps, play_speed, rendered_fps):
        if not is_positive(value):
            raise SettingsError(f"Rates and speeds must be numbers above 0, got {value!r}.")
    # Fractions stay exact; a float speed makes all that follows a float, correctly rounded.
    stride = Fraction(plain(data_fps)) / (Fraction(plain(rendered_fps)) / plain(play_speed))
    if n_data_frames <= 0:
        return np.array([], dtype=np.int64)
    if stride < 1:
        _logger.warning("Each data frame is shown %.3g times.", float(1 / stride))
    count = max(1, int(n_data_frames / stride))
    ids: npt.NDArray[np.int64] = np.floor(np.arange(count) * float(stride)).astype(np.int64)
    return np.minimum(ids, np.int64(n_data_frames - 1))
