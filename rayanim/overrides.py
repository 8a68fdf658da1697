"""What the command changes in the calls that a script makes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rayanim.animations import SavedAnimation
from rayanim.errors import SettingsError
from rayanim.events import Listener
from rayanim.planning import PlannedVideo, read_outputs
from rayanim.report import Report
from rayanim.settings import OF_ONE_CODEC, Selection, parse_rate, without_rivals
from rayanim.storage.address import Address, Outfile, Output
from rayanim.storage.video_folder import is_image_pattern, shown, with_number
from rayanim.video.spec import without_effect

_logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Overrides:
    """What the command changes of the script's calls, and how many of them were carried out.

    `arguments` take the place of the script's, by name. With `show` a video is shown, and
    not rendered. `watch` gets the events of all jobs.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    default_output: Address | None = None
    folder: Path | None = None
    videos: Path | None = None
    quality_fps: int | None = None
    still_number: int | None = None
    dry_run: bool = False
    show: Callable[[PlannedVideo], Report] | None = None
    wanted: Callable[[Any], bool] | None = None
    watch: Listener | None = None
    on_report: Callable[[Report], None] | None = None
    on_comparison: Callable[[str], None] | None = None
    how_to_resume: str = "give resume=True."
    whole_tracebacks: bool = False
    calls: int = 0
    _unnamed: int = 0

    def admit(self, thing: Any) -> bool:
        """Count a call that would render `thing`, and say whether it is carried out."""
        if self.wanted is not None and not self.wanted(thing):
            return False
        self.calls += 1
        if self.calls > 1 and self.outputs:
            raise SettingsError(
                f"The script renders more than one video: -o {self.outputs[0]} went to the first. "
                "Leave -o out, or choose one by its NAME after the script."
            )
        return True

    def applied(self, script: dict[str, Any]) -> dict[str, Any]:
        """The script's arguments with the command's in their place."""
        without: set[str] = set()
        if self.arguments.get("codec", script["codec"]) != script["codec"]:
            without.update(OF_ONE_CODEC, ["bitrate"])
        if len(self.outputs) == 1 and script["outfile"]:
            # What was chosen for another kind of file means nothing to this one.
            suffixes = {each.address.suffix.lower() for each in script["outfile"]}
            suffix = self.outputs[0].address.suffix
            if suffixes != {suffix.lower()}:
                without.update(without_effect(suffix))
        changes = without_rivals(self.arguments, without)
        if "dpi" in changes and isinstance(script["savefig_params"], dict):
            changes["savefig_params"] = {**script["savefig_params"], "dpi": changes["dpi"]}
        if "fps" not in changes:
            changes["fps"] = self._rate(script)
        changes["outfile"] = self._outputs_of_call(script["outfile"])
        if not self.outputs and not script["outfile"]:
            self._unnamed += 1
        if self.still_number is not None:
            changes["frames"] = self._frames_of_still(script, self.still_number)
            if changes["outfile"] and not self.outputs:
                address = changes["outfile"][0].address
                if is_image_pattern(address.name) and script["outfile"]:
                    address = with_number(address, self.still_number)
                else:
                    address = address.with_suffix(".png")
                changes["outfile"] = (Output(address),)
        return script | changes

    def target(self, outfile: Outfile | None) -> Address | None:
        """The first output of a call that names `outfile`."""
        outputs = self._outputs_of_call(read_outputs(outfile))
        return outputs[0].address if outputs else None

    def _outputs_of_call(self, named: tuple[Output, ...]) -> tuple[Output, ...]:
        """The outputs of a call that names these."""
        default = self._default_outputs()
        outputs = self.outputs or named or default
        if self.videos is not None:
            return tuple(self._below_videos(each, self.videos) for each in outputs)
        if outputs is named or self.folder is None or self.folder == Path.cwd():
            return outputs  # as they were written, for messages
        return tuple(replace(each, address=self.folder / each.address) for each in outputs)

    def _default_outputs(self) -> tuple[Output, ...]:
        """Of a video without a name; after ``wave.mp4`` the next one is ``wave-2.mp4``."""
        default = self.default_output
        if default is None:
            return ()
        if self._unnamed:
            default = default.with_name(f"{default.stem}-{self._unnamed + 1}{default.suffix}")
        return (Output(default),)

    @staticmethod
    def _below_videos(output: Output, videos: Path) -> Output:
        """`output` in the folder for videos; an absolute path and a URL stay what they are."""
        if not isinstance(output.address, Path):
            return output
        target = videos / output.address
        target.parent.mkdir(parents=True, exist_ok=True)
        return replace(output, address=target)

    def _rate(self, script: dict[str, Any]) -> Any:
        """The script's rate, or that of the quality where frames can be drawn at any time."""
        from rayanim.sources import is_frame_list, is_frame_stream

        fps, thing = script["fps"], script["frame_gen"]
        if self.quality_fps is None:
            return fps
        is_animation = isinstance(thing, SavedAnimation)
        one_by_one = is_animation or is_frame_list(thing) or is_frame_stream(thing)
        if script["param_by_frame"] is None and script["n_frames"] is None and not one_by_one:
            return self.quality_fps
        # Frames that are given one by one would only play at another speed.
        if parse_rate(fps) != self.quality_fps:
            _logger.warning(
                "What gives its frames one by one, such as a list, a generator or an Animator's "
                "parameters, keeps its own rate, here %s fps. Change it with --fps.",
                fps,
            )
        return fps

    @staticmethod
    def _frames_of_still(script: dict[str, Any], number: int) -> str:
        """Frame `number`; with a tight box, which the first frame settles, from the first on."""
        frames, savefig_params = script["frames"], script["savefig_params"]
        first = number
        if isinstance(savefig_params, dict) and savefig_params.get("bbox_inches") == "tight":
            first = 0 if frames is None else Selection.parse(frames).ranges[0][0]
        # All from the first one: its own number need not be 0, see `IndexedFrameParams`.
        return f"{min(first, number)}-{max(first, number)}"


# Of the process, not of a context: the script's threads are under the command too.
_in_force: list[Overrides] = []


def current() -> Overrides:
    """The overrides in force; empty ones outside of the command line."""
    return _in_force[-1] if _in_force else Overrides()


@contextlib.contextmanager
def overriding(overrides: Overrides) -> Iterator[Overrides]:
    """Put `overrides` in force for the calls made inside."""
    _in_force.append(overrides)
    try:
        yield overrides
    finally:
        _in_force.remove(overrides)


@dataclass(slots=True, kw_only=True, repr=False)
class PassedOver(Report):
    """The report of a call that was not carried out."""

    def summary(self) -> str:
        """One line."""
        name = f"{shown(self.output)}: " if self.output.name else ""
        return f"{name}not rendered, because another video was asked for."

    __str__ = summary


def passed_over(arguments: dict[str, Any]) -> PassedOver:
    """What a call gets that was not carried out, because another video was asked for by name."""
    return PassedOver(
        output=arguments["outfile"][0].address if arguments["outfile"] else Path(),
        frames=0,
        elapsed_s=0.0,
        size=(0, 0),
        rate=parse_rate(arguments["fps"]),
        codec="none",
        pixel_format="none",
        file_bytes=0,
        rendered=False,
    )
