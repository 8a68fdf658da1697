"""The finished segments of a video, kept until it is whole, so that a job can be resumed.

::

    video.mp4.parts/
        manifest.json     of which video the segments are
        000000.part       a finished segment
        000007.part.5e0a91b2.tmp    being written, or left by a job that was killed
    video.mp4.parts.old/  the same, of an earlier job that was not resumed

A segment file is a line ``rayanim segment FORMAT CHECKSUM`` and a MessagePack array: index, first
frame, digest of what was drawn, digest of the manifest, and the segment: number of frames, the
stream's header, the packets as arrays of data, pts and whether it is a keyframe, what joining needs
besides, such an array of the same frames in reverse, or nothing, and, where a run has several
outputs, the segments of each as such arrays.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import msgpack

from rayanim.errors import (
    EncodeError,
    OutputError,
    PartsError,
    RedrawError,
    ResumeError,
    ScriptError,
)
from rayanim.storage.address import Address
from rayanim.storage.fingerprint import (
    DIGEST_BYTES,
    DrawnFrom,
    batch_digest,
    fingerprint,
    versions,
)
from rayanim.storage.store import Store
from rayanim.video.encode import EncodedPacket, EncodedSegment

if TYPE_CHECKING:
    from rayanim.engine.plan import Segment
    from rayanim.parameters import Batch
    from rayanim.storage.output import Target
    from rayanim.video.spec import StreamSpec

FORMAT = 4
"""Raised with every change of the two formats, so that older segments are not used."""

MANIFEST = "manifest.json"
"""The file without which segments count for nothing."""

# ---- one segment file

SEGMENT_BEGINS = b"rayanim segment "

_FIRST_LINE = re.compile(rb"rayanim segment (\d{1,9}) ([0-9a-f]{64})\n")
# Longer than any first line: the rest of a foreign file is not searched for one.
_FIRST_LINE_BYTES = 100


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What a segment file says of itself."""

    index: int
    start: int
    n_frames: int
    batch_digest: str | None
    video: str
    file_bytes: int

    @property
    def stop(self) -> int:
        """Position after its last frame."""
        return self.start + self.n_frames


def segment_to_bytes(
    index: int, start: int, batch_digest: str | None, segment: EncodedSegment, *, video: str = ""
) -> bytes:
    """The file of one segment."""
    body: bytes = msgpack.packb((index, start, batch_digest, video, *_fields_of(segment)))
    return b"%s%d %s\n%s" % (SEGMENT_BEGINS, FORMAT, _hex_digest(body).encode(), body)


def segment_from_bytes(data: bytes) -> tuple[SegmentInfo, EncodedSegment]:
    """The inverse of `segment_to_bytes`."""
    found = _FIRST_LINE.match(data, 0, _FIRST_LINE_BYTES)
    if found is None:
        raise PartsError("it is not a segment of rayanim, or was cut short")
    if int(found[1]) != FORMAT:
        raise PartsError(f"it has format {int(found[1])}, this rayanim reads format {FORMAT}")
    # A view, for it may be large.
    body = memoryview(data)[found.end() :]
    if found[2].decode() != _hex_digest(body) or found[1] != b"%d" % FORMAT:
        raise PartsError("its checksum is wrong: it was cut short or changed")
    # The checksum is right: this was written by `segment_to_bytes`.
    index, start, digest, video, *fields = msgpack.unpackb(body)
    segment = _segment_of(*fields)
    return SegmentInfo(index, start, segment.n_frames, digest, video, len(data)), segment


def _fields_of(segment: EncodedSegment) -> tuple[Any, ...]:
    packets = [(each.data, each.pts, each.is_keyframe) for each in segment.packets]
    back = None if segment.back is None else _fields_of(segment.back)
    outputs = [list(map(_fields_of, segments)) for segments in segment.outputs]
    return segment.n_frames, segment.header, packets, segment.ends, back, outputs


def _segment_of(
    n_frames: int, header: bytes, packets: list[Any], ends: bytes, back: Any, outputs: list[Any]
) -> EncodedSegment:
    """The inverse of `_fields_of`."""
    packed = tuple(EncodedPacket(*each) for each in packets)
    inner = tuple(tuple(_segment_of(*each) for each in segments) for segments in outputs)
    return EncodedSegment(n_frames, header, packed, ends, back and _segment_of(*back), inner)


def _hex_digest(data: bytes | memoryview) -> str:
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


# ---- the manifest

MANIFEST_BEGINS = b'{\n "digest": "'
"""How the file begins, by which a folder of segments is known even where it is broken."""

_WORDS = {
    "format": "the format of the segments",
    "rayanim": "rayanim's version",
    "n_frames": "the number of frames",
    "source_name": "what is drawn",
    "rate": "fps",
    "size": "the video's size",
    "source_size": "the size of what is drawn",
    "options": "the encoder's options",
    "bitrate_kbps": "bitrate",
}
_UNREADABLE = {
    "source": "the drawing code has changed",
    "first_frame": "the first frame has other pixels",
    "palette": "the palette has other colours",
    "timing": "frames last differently",
    "others": "the other outputs are not the same",
}
"""Digests: their values mean nothing to people."""

_NOT_IN_SEGMENTS = {"tracks", "segment_frames"}
"""Of the stream: what is added when segments are joined, or said elsewhere."""

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Says of which video the segments are."""

    rayanim: str
    libraries: Mapping[str, str]
    n_frames: int | None
    segment_frames: str
    stream: Mapping[str, Any]
    seed: int | None
    source: str
    values: Mapping[str, str | None]
    source_name: str
    first_frame: str
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name in ("libraries", "stream", "values"):
            object.__setattr__(self, name, _plain(getattr(self, name)))

    @property
    def digest(self) -> str:
        """Names the video in its segment files, in hexadecimal digits."""
        return _hex_digest(json.dumps(asdict(self), sort_keys=True).encode())

    def to_json(self) -> str:
        """The manifest as text that people can read and `from_json` checks."""
        return json.dumps({"digest": self.digest, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        try:
            values = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise PartsError(f"it is no JSON object, or was cut short: {error}") from None
        if values.get("format") != FORMAT:
            raise PartsError(
                f"it has format {values.get('format')!r:.80}, this rayanim reads format {FORMAT}"
            )
        values.pop("digest", None)
        try:
            found = cls(**values)
        except TypeError as error:
            raise PartsError(f"its fields are wrong: {error}") from None
        # The digest too: it is in the text.
        if text != found.to_json():
            raise PartsError("it is not as it was written: something has changed it")
        return found

    def differences(self, other: Manifest) -> list[str]:
        """What has changed from this manifest to `other`, in sentences for people."""
        return list(_differences(asdict(self), asdict(other)))

    def not_compared(self, other: Manifest) -> list[str]:
        """Names of the values that have no digest in this manifest or in `other`."""
        names = dict.fromkeys([*self.values, *other.values])
        return [name for name in names if _is_unknown(name, self.values, other.values)]


def _plain(value: Any) -> Any:
    """`value` as JSON gives it back: text keys, lists for tuples, text for fractions.

    Of equal numbers there is one form only: 500, not 500.0.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, Fraction) else value


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, was in before.items():
        if was == now[name]:
            continue
        if name == "values":
            yield from _changed_values(was, now[name])
        elif name in _UNREADABLE:
            yield _UNREADABLE[name]
        elif isinstance(was, dict):
            yield from _changed_entries(was, now[name])
        else:
            yield _sentence(name, was, now[name])


def _changed_values(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    changed = [
        name
        for name in dict.fromkeys([*before, *now])
        if not _is_unknown(name, before, now) and before.get(name) != now.get(name)
    ]
    if changed:
        others = "" if len(changed) <= _MAX_NAMED else f" and {len(changed) - _MAX_NAMED} more"
        yield f"values of the source have changed: {', '.join(changed[:_MAX_NAMED])}{others}"


def _is_unknown(name: str, *manifests: Mapping[str, str | None]) -> bool:
    return any(name in values and values[name] is None for values in manifests)


def _changed_entries(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *now]):
        was, is_now = before.get(name, "absent"), now.get(name, "absent")
        if was == is_now:
            continue
        if name == "options" and isinstance(was, list) and isinstance(is_now, list):
            yield from _changed_entries(dict(was), dict(is_now))
        elif name in _UNREADABLE:
            yield _UNREADABLE[name]
        else:
            yield _sentence(name, was, is_now)


def _sentence(name: str, was: Any, is_now: Any) -> str:
    return f"{_WORDS.get(name, name)} was {_shown(was)}, is {_shown(is_now)} now"


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    if not isinstance(value, list) or not value:
        return str(value) or "empty"
    if all(isinstance(each, list) and len(each) == 2 for each in value):
        return ", ".join(f"{name}={setting}" for name, setting in value)
    return ("x" if len(value) == 2 else ", ").join(map(str, value))


# ---- the files of one folder

_SEGMENT_NAME = re.compile(r"(\d{6,9})\.part")
_UNFINISHED = re.compile(r"(.+)\.[0-9a-f]{8}\.tmp")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BEGINNINGS = (SEGMENT_BEGINS, MANIFEST_BEGINS)


def segment_name(index: int) -> str:
    """The file of segment `index`: ``000012.part``."""
    return f"{index:06d}.part"


def index_of(name: str) -> int | None:
    """The inverse of `segment_name`; None where `name` is no segment's."""
    found = _SEGMENT_NAME.fullmatch(name)
    index = None if found is None else int(found[1])
    return index if index is not None and segment_name(index) == name else None


@dataclass(frozen=True, slots=True)
class SegmentFolder:
    """A folder of segment files, which need not exist. It pickles."""

    store: Store
    path: Address
    video: str = ""
    """The digest of the manifest."""

    def put(self, index: int, start: int, batch_digest: str | None, segment: EncodedSegment) -> int:
        """Write one segment, whole or not at all; its bytes. One that is there is replaced."""
        data = segment_to_bytes(index, start, batch_digest, segment, video=self.video)
        self._write(segment_name(index), data)
        return len(data)

    def look_up(self, index: int) -> tuple[SegmentInfo, EncodedSegment]:
        """One segment, and what its file says of itself, checked to the last byte."""
        try:
            return self._checked(index)
        except PartsError as error:
            path = str(self.path / segment_name(index))
            raise PartsError(f"The segment {path!r} cannot be used: {error.message}.") from None

    def indices(self) -> Iterator[int]:
        """The segments that have a file, whole or not."""
        try:
            names = self.store.names(self.path)
        except OSError as error:
            raise PartsError(
                f"The folder {str(self.path)!r} cannot be read: {error.strerror}. Does something "
                "else remove it?"
            ) from error
        return (index for name in names if (index := index_of(name)) is not None)

    def examined(self) -> tuple[dict[int, SegmentInfo], dict[str, str]]:
        """The whole segments by index, and why the others are rejected by file name.

        Every byte is read, of several segments at a time where the store allows it.
        """
        finished: dict[int, SegmentInfo] = {}
        rejected: dict[str, str] = {}

        def examine(index: int) -> None:
            try:
                finished[index] = self._checked(index)[0]
            except PartsError as error:
                rejected[segment_name(index)] = error.message

        for _ in self.store.each(examine, sorted(self.indices())):
            pass
        return finished, rejected

    def remove_from(self, index: int) -> None:
        """Remove the segments from `index` on."""
        self._remove([segment_name(each) for each in self.indices() if each >= index])

    def remove_unfinished(self) -> None:
        """Remove the files that a job was writing when it was killed."""
        self._remove([name for name in self._own_names() if _UNFINISHED.fullmatch(name)])

    def count(self) -> int:
        """How many segments can be used, by their names: none without a manifest."""
        if not self._is_folder() or self.store.kind(self.path / MANIFEST) is None:
            return 0
        return sum(1 for _ in self.indices())

    def exists(self) -> bool:
        return self.store.kind(self.path) is not None

    def begin(self, manifest: Manifest) -> None:
        """Make the folder, and write its manifest."""
        self.store.make_folder(self.path)
        self._write(MANIFEST, manifest.to_json().encode())

    def manifest(self) -> Manifest:
        # What cannot be decoded is no manifest, and is reported as such.
        return Manifest.from_json(self._read(MANIFEST).decode("ascii", "replace"))

    def check_resumable(self) -> None:
        path = str(self.path)
        if not self.exists():
            raise ResumeError(
                f"There is nothing to resume: no job has left its segments in {path!r}. The video "
                "is finished, or was stopped before its first segment. Leave out resume=True."
            )
        if not self._is_folder():
            raise ResumeError(
                f"{path!r} is a link or a file, not a folder of segments. Leave out resume=True."
            )
        if self.store.kind(self.path / MANIFEST) is None:
            raise ResumeError(
                f"{path!r} has no {MANIFEST}: it holds no segments to resume. Leave out "
                "resume=True."
            )

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it has segments of this video."""
        if not self.count():
            return False
        try:
            return not self.manifest().differences(manifest)
        except PartsError:
            return False

    def clear(self) -> None:
        """Remove rayanim's files, and the folder if nothing else is in it.

        The manifest goes first: if this is interrupted, what remains is not
        taken for segments to resume.
        """
        if not self.exists():
            return
        self._check_ours()
        names = self._own_names()
        self._remove([name for name in names if name == MANIFEST])
        self._remove([name for name in names if name != MANIFEST])
        self.store.remove_folder(self.path)

    def move_to(self, other: SegmentFolder) -> None:
        """Give the folder another name; what has that name is cleared."""
        self._check_ours()
        other.clear()
        try:
            self.store.move(self.path, other.path, last=MANIFEST)
        except OSError as error:
            raise OutputError(
                f"{str(self.path)!r} cannot be renamed to {str(other.path)!r}: {error.strerror}. "
                "Rename or remove one of them."
            ) from error

    def _is_folder(self) -> bool:
        return self.store.kind(self.path) == "directory"

    def _own_names(self) -> list[str]:
        """The files that are rayanim's, if this is a folder of segments."""
        return [name for name in self.store.names(self.path) if _is_own(name)]

    def _check_ours(self) -> None:
        """See that the folder is rayanim's, so that what has its files' names may be removed.

        One file in it is rayanim's beyond doubt; or all are by their names, and
        none has more than a beginning: a job was killed while it wrote the first.
        """
        if self._is_folder():
            names = sorted(self.store.names(self.path), key=lambda name: name != MANIFEST)
            own = [name for name in names if _is_own(name)]
            if any(self._beginning(name).startswith(_BEGINNINGS) for name in own):
                return
            if len(own) == len(names) and all(map(self._is_begun, own)):
                return
        raise OutputError(
            f"{str(self.path)!r} is not a folder of rayanim's segments, but stands where one "
            "must be made. Rename or remove it."
        )

    def _beginning(self, name: str) -> bytes:
        try:
            return self._read(name, len(SEGMENT_BEGINS))
        except PartsError:
            return b"?"

    def _is_begun(self, name: str) -> bool:
        beginning = self._beginning(name)
        return any(each.startswith(beginning) for each in _BEGINNINGS)

    def _checked(self, index: int) -> tuple[SegmentInfo, EncodedSegment]:
        info, segment = segment_from_bytes(self._read(segment_name(index)))
        if info.index != index:
            raise PartsError(f"it is of segment {info.index}")
        if info.video != self.video:
            raise PartsError("it is of another video")
        return info, segment

    def _read(self, name: str, limit_bytes: int | None = None) -> bytes:
        try:
            return self.store.read(self.path / name, limit_bytes)
        except OSError as error:
            raise PartsError(f"it cannot be read: {error.strerror}") from error

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        try:
            self.store.write(path, data)
        except OSError as error:
            if error.errno in _FULL:
                raise EncodeError(
                    f"The disk is full, or the file too large for it, at {str(path)!r} "
                    f"({error.strerror}). Free some space; the finished segments stay."
                ) from error
            raise EncodeError(f"Cannot write {str(path)!r}: {error.strerror}.") from error

    def _remove(self, names: Iterable[str]) -> None:
        self.store.remove(self.path / name for name in names)


def _is_own(name: str) -> bool:
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished[1] if unfinished else name
    return name == MANIFEST or index_of(name) is not None


def _stream_of(spec: StreamSpec) -> dict[str, Any]:
    """What of a stream decides about its segments, and of the run's other outputs."""
    values = {name: each for name, each in asdict(spec).items() if name not in _NOT_IN_SEGMENTS}
    return values | {"others": [_stream_of(each) for each in spec.others]}


# ---- the segments of one job


class SegmentStore:
    """The segments of one job, from its beginning to its end.

    As a context, which must enclose the renaming of the video, inside
    `Target.claimed`: left without an error the segments go, left with one they stay.
    """

    def __init__(
        self,
        target: Target,
        thing: Any,
        *,
        resume: bool = False,
        resumed_first: bool = False,
        keep: bool = False,
        how_to_resume: str = "give resume=True.",
    ) -> None:
        self._target = target
        self._thing = thing
        self._resume = resume
        # A job that resumes has not put another video's segments aside; nor has its second try,
        # which does not resume.
        self._spares_others = resume or resumed_first
        self._keep = keep
        self._how_to_resume = how_to_resume
        self._current = SegmentFolder(target.store, target.segments)
        old = target.segments.with_name(target.segments.name + ".old")
        self._old = SegmentFolder(target.store, old)
        self._used: SegmentFolder | None = None
        self._manifest: Manifest | None = None
        self.finished: dict[int, SegmentInfo] = {}
        """What an earlier job's whole segments say of themselves, by index."""
        self._keep_segments: Callable[[SegmentFolder], None] = lambda folder: None

    def __enter__(self) -> Self:
        # Before it is opened: what setup() makes is neither the user's code nor a value of it.
        self._source = fingerprint(self._thing)
        self._values = DrawnFrom(self._thing)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        used, self._used = self._used, None
        # If the claim was lost, what is there now may be another job's.
        if used is None or self._manifest is None or not self._target.is_held:
            return
        # A folder that is gone, or no more rayanim's alone, is not what the job failed of.
        with contextlib.suppress(OSError, OutputError, PartsError):
            if error is None:
                self._keep_segments(used)
                self._end(used, self._manifest)
            elif isinstance(error, RedrawError):
                used.clear()
            else:
                if not used.count():
                    used.clear()
                self._note_how_to_resume(error, self._manifest)
        if error is not None and not isinstance(error, RedrawError):
            self._values.note()

    def open(
        self,
        spec: StreamSpec,
        *,
        n_frames: int | None,
        segment_frames: str,
        seed: int | None,
        source_name: str,
        first_frame: str,
        log: Callable[[str], None],
    ) -> SegmentFolder:
        """Make or find the folder of the video's segments; `log` gets what was found."""
        from rayanim import __version__

        manifest = Manifest(
            rayanim=__version__,
            libraries=versions(),
            n_frames=n_frames,
            segment_frames=segment_frames,
            stream=_stream_of(spec),
            seed=seed,
            source=self._source,
            values=self._values.digests,
            source_name=source_name,
            first_frame=first_frame,
        )
        return self.begin(manifest, log)

    def begin(self, manifest: Manifest, log: Callable[[str], None]) -> SegmentFolder:
        """`open`, with a manifest that is made already."""
        if not self._target.is_held:
            raise OutputError(
                f"Another job writes {str(self._target.address)!r} now. Wait until it has ended, "
                "then start this one again."
            )
        begin = self._resumed if self._resume else self._created
        try:
            self._used = begin(manifest, log)
        except (OSError, PartsError) as error:
            kind, done = (ResumeError, "resumed") if self._resume else (OutputError, "made")
            if isinstance(error, PartsError):
                raise kind(error.message) from error
            raise kind(f"{str(self.path)!r} cannot be {done}: {error.strerror}.") from error
        self._manifest = manifest
        return self._used

    def pass_over(self, why: str, log: Callable[[str], None]) -> None:
        """No segments will be kept."""
        if self._resume:
            raise ResumeError(
                f"There are no segments to resume: the video goes through one encoder ({why}). "
                "Leave out resume=True."
            )
        if self._keep:
            log(f"There are no segments to keep: the video goes through one encoder ({why}).")

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self._current.path if self._used is None else self._used.path

    @property
    def code(self) -> str:
        """Fingerprint of the code behind what is rendered."""
        return self._source

    @property
    def takes_disk(self) -> bool:
        """Whether segments take room on the disk that the video is written to."""
        return self._target.store.is_on_disk

    def take_up(self, segment: Segment, batch: Batch) -> bool:
        """Whether an earlier job's file of `segment` holds the frames of `batch`."""
        info = self.finished[segment.index]
        digest = batch_digest(batch.numbers, batch.params)
        is_same = (info.start, info.stop) == (segment.start, segment.stop)
        return is_same and digest is not None and digest == info.batch_digest

    def take_up_cached(self, indices: Iterable[int], keep: Callable[[SegmentFolder], None]) -> None:
        """Take the segments of the cache that were put into the folder for an earlier job's.

        `keep` gets the folder with all segments when the video is whole.
        """
        self._keep_segments = keep
        if self._used is not None and list(indices):
            self.finished |= self._used.examined()[0]

    def end_at(self, segments: int) -> int:
        """Remove an earlier job's segments that lie behind the video's end; their frames.

        A generator of parameters may give fewer than the last time.
        """
        beyond = [self.finished.pop(index) for index in list(self.finished) if index >= segments]
        if self._used is not None:
            self._used.remove_from(segments)
        return sum(info.n_frames for info in beyond)

    def _created(self, manifest: Manifest, log: Callable[[str], None]) -> SegmentFolder:
        """A new folder; what is in its place becomes the old one, unless that has more segments.

        Whichever video they are of: this one may end before it has as many.
        """
        current, old = self._current, self._old
        is_moved = current.count() > old.count()  # of equals, the one that is there
        if is_moved:
            current.move_to(old)
        else:
            current.clear()
        if segments := old.count():
            is_same = old.is_of(manifest)
            of = "an earlier job" if is_same else "another video"
            they, them = ("It is", "it") if segments == 1 else ("They are", "them")
            found = f"{_count(segments)} of {of}"
            where = f"Moved {found} to" if is_moved else f"{found} {_are(segments)} in"
            advice = (
                f" To use {them}, stop this job and run it with --resume (resume=True)."
                if is_same
                else ""
            )
            log(f"{where} {str(old.path)!r}. {they} deleted when this video is complete.{advice}")
        created = replace(current, video=manifest.digest)
        try:
            created.begin(manifest)
        except BaseException:
            with contextlib.suppress(OSError, OutputError):
                created.clear()
            raise
        return created

    def _resumed(self, manifest: Manifest, log: Callable[[str], None]) -> SegmentFolder:
        """The folder of an earlier job, if that was of the same video."""
        used = self._best(manifest)
        found = self._checked_manifest(used, manifest)
        if used is self._old:
            log(f"Resuming from {_count(used.count())} in {str(used.path)!r}.")
        used.remove_unfinished()
        # Its own digest: of values without one, the two manifests may have other ones.
        used = replace(used, video=found.digest)
        self.finished, rejected = used.examined()
        for name, why in rejected.items():
            log(f"The segment {name} is not used: {why}. Its frames are drawn again.")
        if names := found.not_compared(manifest):
            log(
                "Values of the source could not be compared with those of the earlier job: "
                f"{', '.join(names)}. If they have changed, frames from here on differ from those "
                "before."
            )
        return used

    def _checked_manifest(self, used: SegmentFolder, manifest: Manifest) -> Manifest:
        used.check_resumable()
        try:
            found = used.manifest()
        except PartsError as error:
            raise ResumeError(
                f"{str(used.path / MANIFEST)!r} cannot be used: {error.message}. Leave out "
                "resume=True."
            ) from error
        if differences := found.differences(manifest):
            raise ResumeError(
                f"The segments in {str(used.path)!r} are of another video: "
                f"{'; '.join(differences)}. Restore that, or leave out resume=True: a new video "
                "is made, and these segments are deleted when it is complete."
            )
        return found

    def _end(self, used: SegmentFolder, manifest: Manifest) -> None:
        """The video is whole: the segments go, and those that were put aside.

        Another video's stay where this job resumed, at its first try at least.
        """
        for each in (self._current, self._old):
            if each.path == used.path:
                if not self._keep:
                    each.clear()
            elif not self._spares_others or not each.count() or each.is_of(manifest):
                with contextlib.suppress(OSError, OutputError):
                    each.clear()

    def _note_how_to_resume(self, error: BaseException, manifest: Manifest) -> None:
        kept = self._best(manifest)
        if kept.is_of(manifest):
            count = kept.count()
            note = f"{_count(count)} {_are(count)} kept in {str(kept.path)!r}."
            if isinstance(error, ScriptError):
                # The code is about to be corrected, and a command could not work after that.
                they = "It" if count == 1 else "They"
                note += f" {they} can be reused (--resume) only if the script's code is unchanged."
            else:
                note += f" To go on from there, {self._how_to_resume}"
            error.add_note(note)

    def _best(self, manifest: Manifest) -> SegmentFolder:
        """The folder of this video; of two such, or none, the one with more segments."""
        # Of equals, the first.
        both = (self._current, self._old)
        return max(both, key=lambda each: (each.is_of(manifest), each.count()))


def _count(segments: int) -> str:
    return "1 finished segment" if segments == 1 else f"{segments} finished segments"


def _are(segments: int) -> str:
    return "is" if segments == 1 else "are"
