"""Finished segments as files that a browser plays: joined as the video is, and encoded no more."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayanim.errors import RayanimError
from rayanim.video.formats import joiner_of
from rayanim.video.spec import STILL, StreamSpec, Tracks

if TYPE_CHECKING:
    from rayanim.video.encode import EncodedSegment

CONTAINERS_OF = {
    "libx264": "mp4",
    "libx265": "mp4",
    "libsvtav1": "mp4",
    "libaom-av1": "mp4",
    "libvpx-vp9": "webm",
    "gif": "gif",
    "libwebp": "webp",
    "libwebp_anim": "webp",
    "apng": "apng",
}
"""The container in which browsers play what an encoder makes. Not all play H.265: they say so."""


@dataclass(frozen=True, slots=True)
class Playing:
    """How segments of one of a job's outputs become files: `spec` is the output's own."""

    output: int
    spec: StreamSpec
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def container(self) -> str:
        """What the files are."""
        return CONTAINERS_OF[self.spec.codec]

    @property
    def kind(self) -> str:
        """``video`` or ``image``."""
        return "video" if self.container in ("mp4", "webm") else "image"

    def file_of(
        self, read_segment: Callable[[int], EncodedSegment], index: int
    ) -> tuple[bytes, str] | None:
        """Segment `index` as a file, and its kind of content; None where it cannot be read."""
        # Alone it has no sound, and frames that are held would be held in each.
        alone: dict[str, Any] = {
            "timing": None,
            "tracks": Tracks(),
            "metadata": (),
            "container": self.container,
        }
        spec = replace(self.spec, **alone)
        # However many ask: each opens an encoder, which has the file's header.
        with self._one_at_a_time, tempfile.TemporaryDirectory(prefix="rayanim-page-") as folder:
            path = Path(folder, "segment")
            try:
                segment = read_segment(index)
                joiner = joiner_of(spec, path)
                try:
                    for each in segment.outputs[self.output] if segment.outputs else (segment,):
                        joiner.add(each)
                    joiner.finish()
                finally:
                    joiner.abort()
                return path.read_bytes(), f"{self.kind}/{self.container}"
            except (RayanimError, OSError):  # the job has ended, or draws all anew
                return None


def playing_of(spec: StreamSpec) -> tuple[Playing | None, str]:
    """How the first output that browsers can play is played; else why none is."""
    videos = [(at, each) for at, each in enumerate(spec.outputs) if each.container != STILL]
    for at, each in videos:
        if each.codec in CONTAINERS_OF:
            return Playing(at, each), ""
    codecs = ", ".join(dict.fromkeys(each.codec for _, each in videos))
    return None, f"Browsers play no {codecs} segments: there is only the report to see."
