"""Replaces `Animation.save` by a version that has rayanim make the video.

A call that rayanim cannot serve goes to matplotlib, whole, and one line says why.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rayanim.animations import SavedAnimation
from rayanim.animator import FFMPEG_OPTIONS, FFMPEG_WITHOUT_EFFECT, read_ffmpeg_value
from rayanim.errors import FrameError, OutputError, SettingsError, SetupError, script_s_own
from rayanim.figure.playback import (
    animation_class,
    figure_of,
    rate_of,
    why_not_played,
    writer_of_all,
)
from rayanim.tracebacks import called_by_users

if TYPE_CHECKING:
    from matplotlib.animation import Animation

    from rayanim.report import Report

_logger = logging.getLogger(__name__)


class NotOursError(Exception):
    """Why a call is matplotlib's."""


@called_by_users
def save(
    animation: Animation,
    filename: str | os.PathLike[str],
    writer: Any = None,
    fps: float | None = None,
    dpi: float | str | None = None,
    codec: str | None = None,
    bitrate: int | None = None,
    extra_args: Sequence[str] | None = None,
    metadata: dict[str, str] | None = None,
    extra_anim: Iterable[Animation] | None = None,
    savefig_kwargs: dict[str, Any] | None = None,
    *,
    progress_callback: Callable[[int, int | None], Any] | None = None,
    **options: Any,
) -> Report | None:
    """Save an animation of matplotlib's as ``animation.save`` does, several times as fast.

    Parameters
    ----------
    animation
        A ``FuncAnimation``, an ``ArtistAnimation``, or another ``Animation``.
    filename, writer, fps, dpi, codec, bitrate, extra_args, metadata, extra_anim, savefig_kwargs
        As ``matplotlib.animation.Animation.save`` has them.
    progress_callback
        Called as matplotlib calls it; frames that actors draw are reported after all of them.
    options
        Further options of `rayanim.produce`, such as ``workers``, ``frames`` and ``crf``.

    Returns
    -------
    Report or None
        What was made; None where the call was left to matplotlib.

    Raises
    ------
    Exception
        What matplotlib raises, and what the script's own code raises, with a note on the frame.
    RayanimError
        For all else, as `rayanim.produce` does.

    Examples
    --------
    >>> animation = FuncAnimation(fig, update, frames=120)  # doctest: +SKIP
    >>> rayanim.save(animation, "wave.mp4", fps=30, workers=4)  # doctest: +SKIP
    """
    from rayanim.overrides import current
    from rayanim.render import produce

    given: dict[str, Any] = {
        "writer": writer,
        "fps": fps,
        "dpi": dpi,
        "codec": codec,
        "bitrate": bitrate,
        "extra_args": extra_args,
        "metadata": metadata,
        "extra_anim": extra_anim,
        "savefig_kwargs": savefig_kwargs,
        "progress_callback": progress_callback,
    }
    reason = None
    try:
        arguments = _arguments(animation, filename, given)
    except NotOursError as refusal:
        reason = str(refusal)
    # Not inside the handler: what matplotlib raises does not follow from our refusal.
    if reason is not None:
        if current().show is None:
            _leave_to_matplotlib(animation, filename, given, reason)
            return None
        # Shown, whatever the file would be.
        saved = SavedAnimation(animation, tuple(given["extra_anim"] or ()))
        arguments = {"frame_gen": saved, "outfile": "video.mp4", "fps": rate_of(animation)}
    try:
        # As in matplotlib, what an update sets is put back afterwards.
        with sys.modules["matplotlib"].rc_context():
            return produce(**{**arguments, **options})
    except (FrameError, SetupError) as error:
        failure, own = error, script_s_own(error)
    if own is None:
        raise failure
    own.add_note(failure.message)
    # What the command prints, if the script lets it through.
    vars(own)["rayanim_error"] = failure
    raise own


def _arguments(animation: Animation, filename: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `produce` that ask for what `Animation.save` was asked for."""
    from rayanim.figure.movie_writer import (
        as_writer,
        is_page,
        keeps_alpha,
        makes_even,
        saved_dpi,
        why_unknown,
    )

    own = ("fps", "codec", "bitrate", "extra_args", "metadata")
    options = {name: given[name] for name in own if given[name] is not None}
    if given["writer"] is not None and not isinstance(given["writer"], str) and options:
        raise RuntimeError(
            f"{', '.join(options)} cannot be given together with a writer that is made already: "
            "give them to the writer."
        )
    if "fps" not in options:
        options["fps"] = rate_of(animation)
    writer = as_writer(given["writer"], filename, options)
    if is_page(writer):
        raise NotOursError
    reason = why_not_played(animation) or why_unknown(writer)
    if reason is not None:
        raise NotOursError(reason)
    arguments = _encoding(writer, filename)
    _check_target(filename, arguments, writer.fps)
    dpi = saved_dpi(animation, given["dpi"])
    # As its `setup` does: `frame_size` is asked for afterwards.
    writer.fig, writer.dpi = figure_of(animation), dpi
    return arguments | {
        "frame_gen": SavedAnimation(
            animation,
            tuple(given["extra_anim"] or ()),
            given["progress_callback"],
            whole_pairs=makes_even(writer),
            on_white=not keeps_alpha(writer, filename),
        ),
        "outfile": filename,
        "fps": writer.fps,
        "dpi": dpi,
        "savefig_params": _savefig_params(given["savefig_kwargs"]),
    }


def _savefig_params(given: dict[str, Any] | None) -> dict[str, Any]:
    options = dict(given or {})
    if options.pop("bbox_inches", None) is not None:
        _logger.warning("bbox_inches is ignored: all frames of a video have one size.")
    for name in ("dpi", "format"):
        if name in options:
            raise TypeError(f"grab_frame got an unexpected keyword argument {name!r}")
    return options


def _encoding(writer: Any, filename: Any) -> dict[str, Any]:
    """The arguments of `produce` that a writer's codec, bitrate and options come to."""
    from rayanim.figure.movie_writer import OWN_CODEC, has_chosen_codec, program_options

    found: dict[str, Any] = {}
    if Path(filename).suffix.lower() not in OWN_CODEC and has_chosen_codec(writer):
        found["codec"] = writer.codec
    if writer.bitrate > 0:
        found["bitrate"] = writer.bitrate
    if writer.metadata:
        found["metadata"] = writer.metadata
    found |= mapped_options(program_options(writer), writer.fps)
    if "crf" in found:
        found.pop("bitrate", None)
    return found


NO_MATTER = FFMPEG_WITHOUT_EFFECT | {"-loglevel", "-hide_banner", "-an", "-y", "-layers"}
"""Options of FFmpeg and ImageMagick that change no picture."""

WITHOUT_VALUE = {"-hide_banner", "-an", "-y"}

TO_EVEN = {
    "pad=ceil(iw/2)*2:ceil(ih/2)*2": "pad",
    "scale=trunc(iw/2)*2:trunc(ih/2)*2": "scale",
    "crop=trunc(iw/2)*2:trunc(ih/2)*2": "crop",
    "scale=ceil(iw/2)*2:ceil(ih/2)*2": "scale",
}


def mapped_options(options: Sequence[str], fps: float | None) -> dict[str, Any]:
    """The arguments of `produce` that stand for options of FFmpeg, or `NotOursError`."""
    found: dict[str, Any] = {}
    waiting = list(options)
    while waiting:
        name = waiting.pop(0)
        value = "" if name in WITHOUT_VALUE or not waiting else waiting.pop(0)
        text = f"{name} {value}".strip()
        if name in NO_MATTER:
            continue
        argument = "bitrate" if name == "-b" else FFMPEG_OPTIONS.get(name)
        if argument is not None:
            try:
                found[argument] = read_ffmpeg_value(argument, value)
            except ValueError:
                raise NotOursError(f"rayanim does not understand {text!r}") from None
        elif name in ("-vf", "-filter:v") and value.strip("'\"") in TO_EVEN:
            found["odd_size"] = TO_EVEN[value.strip("'\"")]
        elif (name == "-r" and _same_number(value, fps)) or (name == "-loop" and value == "0"):
            continue
        else:
            raise NotOursError(f"rayanim has no counterpart to {text!r}")
    return found


def _same_number(value: str, fps: float | None) -> bool:
    try:
        return fps is not None and abs(float(value) - fps) < 1e-3
    except ValueError:
        return False


def _check_target(filename: Any, arguments: dict[str, Any], fps: float | None) -> None:
    """Leave to matplotlib what rayanim does not write; what the command asks for is its own."""
    from rayanim.overrides import current
    from rayanim.settings import VideoSettings, parse_rate
    from rayanim.storage.address import address_of, with_default_suffix
    from rayanim.video.codecs import check_target

    overrides = current()
    if overrides.outputs or overrides.still_number is not None or overrides.show:
        return
    try:
        names = ("codec", "crf", "preset", "bitrate", "pixel_format")
        settings = VideoSettings(**{name: arguments[name] for name in names if name in arguments})
        rate = None if fps is None or "fps" in overrides.arguments else parse_rate(fps)
        check_target(with_default_suffix(address_of(filename), ".mp4").suffix, settings, rate)
    except (OutputError, SettingsError) as error:
        raise NotOursError(str(error)) from error


def _leave_to_matplotlib(
    animation: Animation, filename: Any, given: dict[str, Any], reason: str
) -> None:
    from rayanim.overrides import current

    overrides = current()
    if not overrides.admit(animation):
        return
    if reason:
        _logger.warning("%s is left to matplotlib: %s", filename, reason.rstrip(".") + ".")
    if not overrides.dry_run:
        with _drawn_incrementally(animation, given["dpi"]):
            target = overrides.target(filename)
            # As the script wrote it, where it goes there.
            target = filename if str(target) == os.fspath(filename) else target
            matplotlib_saves(animation, target, **given)


def _drawn_incrementally(
    animation: Animation, dpi: float | str | None
) -> contextlib.AbstractContextManager[None]:
    from rayanim.figure.movie_writer import drawn_incrementally, saved_dpi

    if why_not_played(animation) is not None:
        return contextlib.nullcontext()
    return drawn_incrementally(animation, saved_dpi(animation, dpi))


# ---- in the place of matplotlib's

_is_leaving: list[Any] = []
"""The files that matplotlib writes now."""

_before: dict[str, Any] = {}
"""matplotlib's own methods while ours are in their place."""


def matplotlib_saves(animation: Animation, filename: Any, **given: Any) -> None:
    """Call matplotlib's own ``Animation.save``."""
    save_it: Callable[..., None] = _before.get("save", animation_class().save)
    _is_leaving.append(filename)
    try:
        save_it(animation, filename, **given)
    finally:
        _is_leaving.pop()


def patch() -> None:
    """Have rayanim make what is asked of ``Animation.save``, until `unpatch`.

    For notebooks, and for libraries that save animations by themselves. Also
    makes rayanim known to matplotlib as a writer.
    """
    register_writer()
    if not _before:
        writer_class = writer_of_all()
        cls = animation_class()
        _before.update({name: getattr(cls, name) for name in ("save", *PAGES)})
        _before["saving"] = writer_class.saving
        cls.save, writer_class.saving = _save, _saving
        cls.to_html5_video, cls.to_jshtml = map(_page_maker, PAGES)


def register_writer() -> None:
    """Make ``writer="rayanim"`` known to matplotlib, for as long as the process lives."""
    from rayanim.figure.movie_writer import register

    register(_encode)


def _encode(writer: Any, frames: Iterator[Any]) -> None:
    from rayanim.render import produce

    produce(
        frames,
        fps=writer.fps,
        outfile=writer.outfile,
        seed=None,
        **_encoding(writer.stands_for or writer, writer.outfile),
    )


def unpatch() -> None:
    """Put matplotlib's own ``Animation.save`` back."""
    if _before:
        writer_of_all().saving = _before.pop("saving")
        for name in ("save", *PAGES):
            setattr(animation_class(), name, _before.pop(name))


def _saving(writer: Any, fig: Any, outfile: Any, dpi: Any, *rest: Any, **options: Any) -> Any:
    """``with writer.saving(...)``: matplotlib's own where rayanim cannot stand in."""
    from rayanim.figure.movie_writer import RayanimWriter, saving_as, why_unknown
    from rayanim.overrides import current

    own = _before["saving"](writer, fig, outfile, dpi, *rest, **options)
    # `Animation.save` comes here, too, with what was left to matplotlib.
    if isinstance(writer, RayanimWriter) or _is_leaving or rest or options:
        return own
    try:
        reason = why_unknown(writer)
        if reason is not None:
            raise NotOursError(reason)
        _check_target(outfile, _encoding(writer, outfile), writer.fps)
    except NotOursError as refusal:
        _logger.warning("%s is left to matplotlib: %s", outfile, str(refusal).rstrip(".") + ".")
        current().calls += 1
        return own
    return saving_as(writer, fig, outfile, dpi)


PAGES = ("to_html5_video", "to_jshtml")
"""Methods of an animation that give HTML, by way of a file that they read at once."""


def _page_maker(name: str) -> Callable[..., Any]:
    """matplotlib's method `name`, with a video of rayanim's.

    What the command changes of the script's videos is not for that file.
    """

    @functools.wraps(_before[name])
    def make_page(animation: Animation, *arguments: Any, **options: Any) -> Any:
        from rayanim.figure.movie_writer import written_by_rayanim
        from rayanim.overrides import Overrides, current, overriding

        given = current().arguments
        how = {option: given[option] for option in HOW if option in given}
        with overriding(Overrides(arguments=how)), written_by_rayanim():
            return _before[name](animation, *arguments, **options)

    return make_page


HOW = ("address", "engine", "progress", "workers")
"""What the command says of how all is drawn."""


@called_by_users
@functools.wraps(save)
def _save(animation: Animation, filename: Any, *arguments: Any, **options: Any) -> None:
    save(animation, filename, *arguments, **options)


class Unsaved:
    """The animations that a script has made and not saved."""

    def __init__(self) -> None:
        self._made: dict[int, Animation] = {}

    def add(self, animation: Animation) -> None:
        """A new one."""
        self._made[id(animation)] = animation

    def remove(self, animation: Animation) -> None:
        """It was saved."""
        self._made.pop(id(animation), None)

    def by_figure(self) -> list[list[Animation]]:
        """Those of each figure, which are shown together."""
        found: dict[int, list[Animation]] = {}
        for each in self._made.values():
            found.setdefault(id(figure_of(each)), []).append(each)
        return list(found.values())


@contextlib.contextmanager
def patched(unsaved: Unsaved) -> Iterator[None]:
    """Patch matplotlib while a script runs, as soon as the script loads it."""
    from rayanim.overrides import current

    was_patched, overrides = bool(_before), current()
    with contextlib.ExitStack() as stack:

        def put_in_place() -> None:
            patch()
            # Whatever is not saved is kept in `unsaved` and rendered, or something has failed:
            # then the warning would only hide why. An exception keeps animations to the end.
            warnings.filterwarnings("ignore", "Animation was deleted without rendering")
            cls = animation_class()
            before_init, before_save = cls.__init__, cls.save

            def made(animation: Animation, *arguments: Any, **options: Any) -> None:
                before_init(animation, *arguments, **options)
                unsaved.add(animation)

            def saved(animation: Animation, *arguments: Any, **options: Any) -> None:
                if current() is overrides:  # else it is for a page
                    unsaved.remove(animation)
                before_save(animation, *arguments, **options)

            cls.__init__, cls.save = made, saved

            def put_back() -> None:
                cls.__init__, cls.save = before_init, before_save
                if not was_patched:
                    unpatch()

            stack.callback(put_back)

        with _when_loaded("matplotlib.animation", put_in_place):
            yield


@contextlib.contextmanager
def _when_loaded(name: str, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` once the module `name` is loaded, now or inside."""
    if name in sys.modules:
        act()
        yield
        return
    finder = _Watcher(name, act)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Watcher(MetaPathFinder, Loader):
    """Waits for one module to be loaded, which it leaves to Python."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name = name
        self._act = act
        self._loader: Any = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module that is waited for, once."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As Python does."""
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        """As Python does, and then act."""
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._act()
