"""The folder of a video's parts: made, found again after a crash, and taken away at the end.

::

    video.mp4.parts/
        manifest.json     of which video the parts are
        lock              held by the job that uses the folder; on a disk only
        000000.part       one finished segment each, see `rayanim.storage.segments`
        000007.part.5e0a91b2.tmp    being written, or left by a job that was killed
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rayanim.errors import (
    HistoryError,
    OutputError,
    PartsError,
    RedrawError,
    ResumeError,
    ScriptError,
)
from rayanim.storage.address import Address
from rayanim.storage.fingerprint import DIGEST_BYTES, batch_digest
from rayanim.storage.store import LOCK, MANIFEST, Folder, Lock
from rayanim.video.encode import EncodedPacket, EncodedSegment

if TYPE_CHECKING:
    from rayanim.engine.plan import Segment
    from rayanim.storage.fingerprint import DrawnFrom
    from rayanim.video.spec import StreamSpec

FORMAT = 1
"""Raised with every change of the two formats, so that older parts are not taken up."""


SEGMENT_BEGINS = b"rayanim part "
"""How each part begins, of any format."""

_FIRST_LINE = re.compile(rb"rayanim part (\d{1,9}) ([0-9a-f]{64})")
# Longer than any first line: the rest of a foreign file is not searched for one.
_FIRST_LINE_BYTES = 100
_KEYS = {"batch", "video", "frames", "header", "index", "packets", "start"}


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What a part tells of itself."""

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


def part_to_bytes(
    index: int, start: int, batch_digest: str | None, segment: EncodedSegment, *, video: str = ""
) -> bytes:
    """The part of one segment."""
    packets = segment.packets
    described = {
        "batch": batch_digest,
        "video": video,
        "frames": segment.n_frames,
        "header": len(segment.header),
        "index": index,
        "packets": [[len(each.data), each.pts, int(each.is_keyframe)] for each in packets],
        "start": start,
    }
    line = json.dumps(described, separators=(",", ":")).encode() + b"\n"
    body = [line, segment.header, *(each.data for each in packets)]
    return b"".join([b"rayanim part %d %s\n" % (FORMAT, _body_digest(*body)), *body])


def part_from_bytes(data: bytes) -> tuple[PartInfo, EncodedSegment]:
    """The inverse of `part_to_bytes`."""
    body = _checked_body(data)
    # The digest is right: what follows was written so, or made by hand.
    end = data.find(b"\n", len(data) - len(body))
    if end < 0:
        raise PartsError("it has no second line")
    content = memoryview(data)[end + 1 :]
    described = _described(data[len(data) - len(body) : end])
    sizes = [described["header"], *(packet[0] for packet in described["packets"])]
    if sum(sizes) != len(content):
        raise PartsError(f"its packets have {sum(sizes)} bytes, but {len(content)} are there")
    info = PartInfo(
        described["index"],
        described["start"],
        described["frames"],
        described["batch"],
        described["video"],
        len(data),
    )
    return info, _segment(described, content)


def _checked_body(data: bytes) -> memoryview:
    """What follows the first line, if it is what was written; a view, for it may be large."""
    end = data.find(b"\n", 0, _FIRST_LINE_BYTES)
    found = _FIRST_LINE.fullmatch(data[:end]) if end >= 0 else None
    if found is None:
        raise PartsError("it does not begin as a part does: cut short, or not rayanim's")
    if found[1] != b"%d" % FORMAT:
        raise PartsError(f"it has format {int(found[1])}, this rayanim reads format {FORMAT}")
    body = memoryview(data)[end + 1 :]
    if found[2] != _body_digest(body):
        raise PartsError("its checksum is wrong: it was cut short or changed")
    return body


def _body_digest(*pieces: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest().encode()


def _described(line: bytes) -> dict[str, Any]:
    """The second line, every type in it as it is written."""
    try:
        described = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PartsError(f"its second line is no JSON: {error}") from None
    if not isinstance(described, dict) or described.keys() != _KEYS:
        raise PartsError(f"its second line must have {', '.join(sorted(_KEYS))}")
    counts = [described[name] for name in ("frames", "header", "index", "start")]
    is_right = (
        all(_is_count(count) for count in counts)
        and isinstance(described["video"], str)
        and isinstance(described["batch"], str | None)
        and isinstance(described["packets"], list)
        and all(_is_packet(packet) for packet in described["packets"])
    )
    if not is_right:
        raise PartsError("its second line has values of the wrong kind")
    return described


def _is_packet(packet: Any) -> bool:
    if not isinstance(packet, list) or len(packet) != 3:
        return False
    size, pts, is_keyframe = packet
    return (
        _is_count(size) and type(pts) is int and type(is_keyframe) is int and is_keyframe in (0, 1)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _segment(described: dict[str, Any], content: memoryview) -> EncodedSegment:
    at = described["header"]
    header, packets = bytes(content[:at]), []
    for size, pts, is_keyframe in described["packets"]:
        packets.append(EncodedPacket(bytes(content[at : at + size]), pts, bool(is_keyframe)))
        at += size
    return EncodedSegment(described["frames"], header, tuple(packets))


MANIFEST_BEGINS = b'{\n "digest": "'
"""How the file begins, by which a folder of parts is known even where it is broken."""

_WORDS = {
    "format": "the format of the parts",
    "rayanim": "rayanim's version",
    "n_frames": "the number of frames",
    "segment_frames": "how the video is cut into segments",
    "seed": "the seed",
    "sequential": "sequential",
    "source_name": "what is drawn",
    "rate": "the frame rate",
    "size": "the video's size",
    "source_size": "the size of what is drawn",
    "pixel_format": "the pixel format",
    "options": "what the encoder is told",
    "bitrate_kbps": "the bit rate in kbit/s",
    "odd_size": "what becomes of odd sizes",
    "background": "the background",
}
_UNREADABLE = {
    "source": "the drawing code has changed",
    "first_frame": "the first frame has other pixels",
}
"""Digests: that they differ says all, their values say nothing."""

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Says of which video the parts are."""

    rayanim: str
    libraries: Mapping[str, str]
    n_frames: int | None
    segment_frames: str
    stream: Mapping[str, Any]
    seed: int | None
    sequential: bool
    source: str
    values: Mapping[str, str | None]
    source_name: str
    first_frame: str
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "libraries", plain(self.libraries))
        object.__setattr__(self, "stream", plain(self.stream))
        object.__setattr__(self, "values", plain(self.values))

    @property
    def digest(self) -> str:
        """Names the video in its parts, in hexadecimal digits."""
        return _manifest_digest(asdict(self))

    def to_json(self) -> str:
        """The manifest as text that people can read and `from_json` checks."""
        values = asdict(self)
        return json.dumps({"digest": _manifest_digest(values), **values}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        values = _parsed(text)
        values.pop("digest", None)
        _check_format(values)
        _check_fields(values)
        found = cls(**values)
        # The digest too: it is in the text.
        if text != found.to_json():
            raise PartsError("it is not as it was written: something has changed it")
        return found

    def differences(self, other: Manifest) -> list[str]:
        """What has changed from this manifest to `other`, in sentences for people."""
        return list(_differences(asdict(self), asdict(other)))

    def not_compared(self, other: Manifest) -> list[str]:
        """Names of the values that cannot be told in this manifest or in `other`."""
        names = dict.fromkeys([*self.values, *other.values])
        return [name for name in names if _is_untold(name, self.values, other.values)]


def plain(value: Any) -> Any:
    """`value` as JSON gives it back: text keys, lists for tuples, text for fractions.

    Of equal numbers there is one form only: 500, not 500.0.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, Fraction) else value


def _manifest_digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PartsError(f"it is no JSON, or was cut short: {error}") from None
    if not isinstance(values, dict):
        raise PartsError("it is no JSON object")
    return values


def _check_format(values: dict[str, Any]) -> None:
    found = values.get("format")
    if type(found) is not int:
        raise PartsError(f"its format must be a whole number, got {found!r:.80}")
    if found != FORMAT:
        raise PartsError(f"it has format {found}, this rayanim reads format {FORMAT}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]+", value) is not None


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_whole_or_none(value: Any) -> bool:
    return value is None or _is_whole(value)


def _is_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_digests(value: Any) -> bool:
    return isinstance(value, dict) and all(each is None or _is_hex(each) for each in value.values())


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rayanim": (_is_text, "text"),
    "libraries": (_is_versions, "an object of texts"),
    "n_frames": (_is_whole_or_none, "a whole number or null"),
    "segment_frames": (_is_text, "text"),
    "stream": (lambda value: isinstance(value, dict), "an object"),
    "seed": (_is_whole_or_none, "a whole number or null"),
    "sequential": (lambda value: isinstance(value, bool), "true or false"),
    "source": (_is_hex, "hexadecimal digits"),
    "values": (_is_digests, "an object of hexadecimal digits or nulls"),
    "source_name": (_is_text, "text"),
    "first_frame": (_is_hex, "hexadecimal digits"),
    "format": (_is_whole, "a whole number"),
}


def _check_fields(values: dict[str, Any]) -> None:
    """See that the fields are those of a manifest, each of its kind."""
    names = {each.name for each in fields(Manifest)}
    if wrong := sorted(names ^ values.keys()):
        raise PartsError(f"it must have {', '.join(sorted(names))}; look at {', '.join(wrong)}")
    for name, (is_right, kind) in _KINDS.items():
        if not is_right(values[name]):
            raise PartsError(f"its {name} must be {kind}, got {values[name]!r:.80}")


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, was in before.items():
        if was == now[name]:
            continue
        if name == "values":
            yield from _changed_values(was, now[name])
        elif name in _UNREADABLE:
            yield _UNREADABLE[name]
        elif isinstance(was, dict):
            yield from _entries(was, now[name])
        else:
            yield _sentence(name, was, now[name])


def _changed_values(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    changed = [
        name
        for name in dict.fromkeys([*before, *now])
        if not _is_untold(name, before, now) and before.get(name) != now.get(name)
    ]
    if changed:
        others = "" if len(changed) <= _MAX_NAMED else f" and {len(changed) - _MAX_NAMED} more"
        yield f"values of the source have changed: {', '.join(changed[:_MAX_NAMED])}{others}"


def _is_untold(name: str, *manifests: Mapping[str, str | None]) -> bool:
    return any(name in values and values[name] is None for values in manifests)


def _entries(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Differences in what a dictionary holds."""
    for name in dict.fromkeys([*before, *now]):
        was, is_now = before.get(name, "absent"), now.get(name, "absent")
        if was == is_now:
            continue
        if name == "options" and isinstance(was, list) and isinstance(is_now, list):
            yield from _entries(dict(was), dict(is_now))
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


ResultT = TypeVar("ResultT")

_PART = re.compile(r"(\d{6,9})\.part")


def part_name(index: int) -> str:
    """The file of segment `index`: ``000012.part``."""
    return f"{index:06d}.part"


def index_of(name: str) -> int | None:
    """The inverse of `part_name`; None where `name` is no part's."""
    found = _PART.fullmatch(name)
    index = None if found is None else int(found[1])
    return index if index is not None and part_name(index) == name else None


@dataclass(frozen=True, slots=True)
class PartStore:
    """The parts of one video."""

    folder: Folder
    video: str

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self.folder.path

    @property
    def width(self) -> int:
        """How many parts are worth writing at once."""
        return self.folder.width

    @property
    def patience_s(self) -> float:
        """Seconds that writing a part may take before something is wrong."""
        return self.folder.patience_s

    def put(self, index: int, start: int, batch_digest: str | None, segment: EncodedSegment) -> int:
        """Write the part of one segment, whole or not at all; one that is there is replaced."""
        data = part_to_bytes(index, start, batch_digest, segment, video=self.video)
        self.folder.write(part_name(index), data)
        return len(data)

    def load(self, index: int) -> EncodedSegment:
        """The segment of one part, checked as if it had never been looked at."""
        return self.look_up(index)[1]

    def look_up(self, index: int) -> tuple[PartInfo, EncodedSegment]:
        """The segment of one part and what that tells of itself, checked as `load` does."""
        path = self.path / part_name(index)
        try:
            return self._checked(index)
        except PartsError as error:
            raise PartsError(f"The part {str(path)!r} cannot be used: {error.message}.") from None

    def each(self, call: Callable[[int], ResultT], indices: Iterable[int]) -> Iterator[ResultT]:
        """What `call` gives for each segment, in order, up to `width` of them ahead of time."""
        return self.folder.each(call, indices)

    def remove_from(self, index: int) -> None:
        """Take away the parts of segment `index` and of all that follow."""
        self.folder.remove([part_name(each) for each in self.indices() if each >= index])

    def examined(self) -> tuple[dict[int, PartInfo], dict[str, str]]:
        """What the whole parts tell of themselves by index, and why others are rejected by name.

        Every byte is read, of up to `width` parts at a time.
        """
        finished: dict[int, PartInfo] = {}
        rejected: dict[str, str] = {}
        indices = sorted(self.indices())
        for index, told in zip(indices, self.folder.each(self._examined, indices), strict=True):
            if isinstance(told, PartInfo):
                finished[index] = told
            else:
                rejected[part_name(index)] = told
        return finished, rejected

    def _examined(self, index: int) -> PartInfo | str:
        try:
            return self._checked(index)[0]
        except PartsError as error:
            return error.message

    def indices(self) -> Iterator[int]:
        """The segments that have a part, whole or not, going by its name."""
        try:
            names = self.folder.names()
        except OSError as error:
            raise PartsError(
                f"The folder {str(self.path)!r} cannot be read: {error.strerror}. Does something "
                "else remove it?"
            ) from error
        return (index for name in names if (index := index_of(name)) is not None)

    def _checked(self, index: int) -> tuple[PartInfo, EncodedSegment]:
        info, segment = part_from_bytes(self.folder.read(part_name(index)))
        if info.index != index:
            raise PartsError(f"it is of segment {info.index}")
        if info.video != self.video:
            raise PartsError("it is of another video")
        return info, segment


_UNFINISHED = re.compile(r"(.+)\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class SetAside:
    """Parts of an earlier job that a new one did not take up."""

    folder: Folder
    segments: int
    is_same_video: bool = False

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self.folder.path


def aside_of(folder: Folder) -> Folder:
    """Where the parts in `folder` are put: ``video.mp4.parts.old``."""
    return folder.beside(".old")


def set_aside(folder: Folder) -> SetAside | None:
    """Make room for a new folder in the place of `folder`.

    Finished parts that are there are put aside. Where more are aside already,
    those stay, and these go.
    """
    try:
        if not folder.exists():
            return None
        if not _is_made_here(folder):
            raise OutputError(
                f"{str(folder.path)!r} is not a folder of rayanim's parts, but stands where one "
                "must be made. Rename or remove it."
            )
        with contextlib.closing(folder.lock()) as lock:
            return _moved(folder, lock)
    except (OSError, PartsError) as error:
        raise OutputError(f"{str(folder.path)!r} cannot be put aside: {_why(error)}.") from error


def put_back(aside: SetAside, folder: Folder) -> None:
    """Give parts that were put aside their name back, if nothing has it."""
    with contextlib.suppress(OSError):
        if not folder.exists():
            aside.folder.move_to(folder)


def remove_folder(folder: Folder) -> None:
    """Take away a folder of parts that no job uses; what is not rayanim's stays."""
    if _is_made_here(folder):
        with contextlib.closing(folder.lock()) as lock:
            remove_ours(folder, lock)
    if folder.exists():
        raise OutputError(
            f"{str(folder.path)!r} is in the way and holds what is not rayanim's. Rename or "
            "remove it."
        )


def remove_ours(folder: Folder, lock: Lock) -> None:
    """Remove rayanim's files, and the folder if nothing else is in it.

    The manifest goes first: if this is interrupted, what remains is not taken
    for parts to go on from. The lock goes last.
    """
    names = [name for name in folder.names() if _is_ours(name)]
    folder.remove(sorted(names, key=lambda name: (name == LOCK, name != MANIFEST)))
    if not folder.discard():
        lock.close()
        folder.discard()


def remove_unfinished(folder: Folder) -> None:
    """Remove the files that a job was writing when it was killed."""
    with contextlib.suppress(OSError):
        names = folder.names()
        folder.remove([name for name in names if _is_ours(name) and _UNFINISHED.fullmatch(name)])


def count_usable(folder: Folder) -> int:
    """How many parts a folder has, going by their names; 0 where it has no manifest.

    Parts without one can never be used: a job was ended while removing them.
    """
    if not folder.has(MANIFEST) or not folder.is_plain():
        return 0
    with contextlib.suppress(PartsError):
        return sum(1 for _ in PartStore(folder, "").indices())
    return 0


def _is_ours(name: str) -> bool:
    """Whether a file of this name is rayanim's, if it lies in a folder of parts."""
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished[1] if unfinished else name
    return name in (MANIFEST, LOCK) or index_of(name) is not None


def _is_made_here(folder: Folder) -> bool:
    """Whether a folder is one of ours, so that what has our files' names in it may be removed.

    It has our manifest, or our empty lock where a job ended before writing or
    while removing that; or nothing but parts, which an encoder that outlived its
    job may have left; or nothing at all.
    """
    if not folder.is_plain():
        return False
    if folder.was_locked_by_us():
        return True
    with contextlib.suppress(PartsError):
        return folder.read(MANIFEST).startswith(MANIFEST_BEGINS)
    return all(_is_ours(name) and _is_part(folder, name) for name in folder.names())


def _is_part(folder: Folder, name: str) -> bool:
    """Whether a file begins as a part does; also one that is being written."""
    try:
        begins = folder.read(name, len(SEGMENT_BEGINS))
    except PartsError:
        return False
    return begins == SEGMENT_BEGINS or not begins


def _moved(folder: Folder, lock: Lock) -> SetAside | None:
    old = aside_of(folder)
    segments, there = count_usable(folder), count_usable(old)
    if segments and segments >= there:
        if old.exists():
            remove_folder(old)
    else:
        remove_ours(folder, lock)
        if not folder.exists():
            return SetAside(old, there) if segments else None
        if old.exists():
            raise OutputError(
                f"{str(folder.path)!r} holds what is not rayanim's, and {str(old.path)!r} is there "
                "already. Rename or remove one of them."
            )
    folder.move_to(old)
    return SetAside(old, segments)


def _why(error: OSError | PartsError) -> str:
    return getattr(error, "strerror", None) or str(error)


class PartsFolder:
    """The parts of one video, used by one job at a time.

    Made by `create` or `resume`; ended by `remove` when the video is whole, by
    `close` when it is not. As a context it closes.
    """

    def __init__(self, store: PartStore, lock: Lock, set_aside: SetAside | None = None) -> None:
        self.store = store
        self.set_aside = set_aside
        self.rejected: dict[str, str] = {}
        """Why parts that `finished` found are not used, by file name."""
        self.not_compared: list[str] = []
        """Values of the source of which `resume` cannot say whether they have changed."""
        self.chosen: str | None = None
        """Why `resume` went on from parts that were put aside, where it did."""
        self._lock = lock
        # Of the same video, with nothing in it that is needed once that is whole.
        self._needless: list[Folder] = []

    @classmethod
    def create(cls, place: Folder, manifest: Manifest) -> Self:
        """A new and empty folder in `place`; finished parts of an earlier job are kept beside it.

        They are renamed to ``video.mp4.parts.old``, where they take the place of
        fewer parts; of fewer than are there, nothing is kept. If this job ends
        with fewer still, `close` gives them their name back.
        """
        aside = set_aside(place)
        old = aside_of(place)
        try:
            if aside is None and _is_same_video(old, manifest):
                aside = SetAside(old, count_usable(old))
            if aside is not None:
                aside = replace(aside, is_same_video=_is_same_video(aside.folder, manifest))
            place.make()
        except OSError as error:
            raise OutputError(f"{str(place.path)!r} cannot be made: {error.strerror}.") from error
        try:
            lock = place.lock()
        except OutputError:
            place.discard()
            raise
        folder = cls(PartStore(place, manifest.digest), lock, aside)
        try:
            place.write(MANIFEST, manifest.to_json().encode())
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def resume(cls, place: Folder, manifest: Manifest) -> Self:
        """The folder that an earlier job of the same video left in `place`.

        Where one was put aside that has more parts of it, that one, which takes
        the other's place unless this is of another video.
        """
        try:
            return cls._resumed(place, manifest)
        except OSError as error:
            raise ResumeError(
                f"The parts in {str(place.path)!r} cannot be gone on from: "
                f"{error.strerror or error}."
            ) from error

    @classmethod
    def _resumed(cls, place: Folder, manifest: Manifest) -> Self:
        used, chosen = _best(place, manifest)
        _check_resumable(used)
        lock = used.lock()
        try:
            found = _same_video(used, manifest)
            remove_unfinished(used)
        except BaseException:
            lock.close()
            raise
        # Its own digest: of values that cannot be told, the two manifests may have other ones.
        folder = cls(PartStore(used, found.digest), lock)
        folder.not_compared = found.not_compared(manifest)
        folder.chosen = chosen
        if used is place and _is_same_video(aside_of(place), manifest):
            folder._needless.append(aside_of(place))
        return folder

    @property
    def path(self) -> Address:
        """Where it is, for people."""
        return self.store.path

    def finished(self) -> dict[int, PartInfo]:
        """The parts that are whole and of this video, by index; every byte of them is read.

        The others are in `rejected`; `PartStore.put` replaces them.
        """
        found, self.rejected = self.store.examined()
        return found

    def count(self) -> int:
        """How many parts there are, going by their names."""
        return sum(1 for _ in self.store.indices())

    @property
    def gives_way(self) -> bool:
        """Whether `close` puts back what `create` put aside: there are more parts in that.

        Another video's take the place of none.
        """
        if self.set_aside is None:
            return False
        count = 0
        # A folder that something else removed has none.
        with contextlib.suppress(PartsError):
            count = self.count()
        return count < (self.set_aside.segments if self.set_aside.is_same_video else 1)

    def remove(self) -> None:
        """Take away what is rayanim's; the folder goes too if nothing else is in it."""
        if not self._lock.is_held:
            return
        try:
            with contextlib.suppress(OSError):
                remove_ours(self.store.folder, self._lock)
        finally:
            self._lock.close()

    def forget_set_aside(self) -> None:
        """Take away other parts that the video, now whole, was not made from.

        Those that `create` put aside, and those of the same video that `resume`
        found beside its own. What is not rayanim's stays.
        """
        if self.set_aside is not None:
            self._needless.append(self.set_aside.folder)
            self.set_aside = None
        while self._needless:
            with contextlib.suppress(OSError, OutputError):
                remove_folder(self._needless.pop())

    def close(self) -> None:
        """Let another job have the folder; without a finished part it goes.

        So it does if more parts were put aside, which then take its place.
        """
        if not self._lock.is_held:
            # What is there now may be another job's.
            return
        try:
            aside = self.set_aside if self.gives_way else None
            with contextlib.suppress(OSError, PartsError):
                if aside is not None or not self.count():
                    remove_ours(self.store.folder, self._lock)
            if aside is not None:
                put_back(aside, self.store.folder)
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _best(folder: Folder, manifest: Manifest) -> tuple[Folder, str | None]:
    """The folder of the same video with the most parts, and why it is not `folder` where it is not.

    Where none is of the same video, the one to tell of.
    """
    old = aside_of(folder)
    if not _is_same_video(old, manifest):
        is_only = old.exists() and not folder.exists()
        return (old if is_only else folder), None
    is_same, segments = _is_same_video(folder, manifest), count_usable(old)
    if is_same and count_usable(folder) >= segments:
        return folder, None
    if is_same or not count_usable(folder):
        # Fewer, of the same video: all that is lost is a little time.
        with contextlib.suppress(OutputError):
            remove_folder(folder)
    reason = (
        f"{segments} finished segments that were put aside in {str(old.path)!r} are gone on from"
    )
    if folder.exists():
        why = "holds what is not rayanim's" if is_same else "is not of this video"
        return old, f"{reason}; {str(folder.path)!r} {why}, and stays."
    old.move_to(folder)
    return folder, f"{reason}, and have their name back: {str(folder.path)!r}."


def _is_same_video(folder: Folder, manifest: Manifest) -> bool:
    """Whether a folder has parts of this video."""
    if not count_usable(folder):
        return False
    try:
        return not _read_manifest(folder).differences(manifest)
    except PartsError:
        return False


def _read_manifest(folder: Folder) -> Manifest:
    # What cannot be decoded is no manifest, and is told as such.
    return Manifest.from_json(folder.read(MANIFEST).decode("ascii", "replace"))


def _check_resumable(folder: Folder) -> None:
    path = str(folder.path)
    if not folder.exists():
        raise ResumeError(
            f"There is nothing to go on from: no folder {path!r}. Render without resuming."
        )
    if not folder.is_plain():
        raise ResumeError(f"{path!r} is a link or a file, and no folder of parts.")
    if not folder.has(MANIFEST):
        raise ResumeError(
            f"{path!r} has no {MANIFEST}: it holds no parts to go on from. Render without resuming."
        )


def _same_video(folder: Folder, manifest: Manifest) -> Manifest:
    """The manifest that is there, if it is of the same video."""
    try:
        found = _read_manifest(folder)
    except PartsError as error:
        raise ResumeError(
            f"{str(folder.path / MANIFEST)!r} cannot be used: {error.message}. Render without "
            "resuming."
        ) from error
    differences = found.differences(manifest)
    if differences:
        raise ResumeError(
            f"The parts in {str(folder.path)!r} are of another video: {'; '.join(differences)}. "
            "Undo that, or render without resuming: they are then kept as "
            f"{aside_of(folder).path.name!r}."
        )
    return found


class Keeper:
    """The parts of one video, from the job's beginning to its end.

    As a context, which must enclose the renaming of the video: left without an
    error the parts go, left with one they stay.
    """

    def __init__(
        self,
        place: Folder,
        thing: Any,
        *,
        resume: bool = False,
        keep: bool = False,
        how_to_resume: str = "give resume=True.",
    ) -> None:
        self._place = place
        self._thing = thing
        self._resume = resume
        self._keep = keep
        self._how_to_resume = how_to_resume
        self._source = ""
        self._values: DrawnFrom | None = None
        self._folder: PartsFolder | None = None
        self._finished: dict[int, PartInfo] = {}
        self._tell: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        from rayanim.storage.fingerprint import DrawnFrom, fingerprint

        # Before it is opened: what setup() makes is neither the user's code nor a value of it.
        self._source = fingerprint(self._thing)
        self._values = DrawnFrom(self._thing)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            if isinstance(error, RedrawError):
                folder.remove()
                return
            if error is not None:
                self._leave(folder, error)
                if self._values is not None:
                    self._values.note()
                return
            folder.forget_set_aside()
            if not self._keep:
                folder.remove()
        finally:
            # Whatever interrupts this: a notebook lives on, and must find the folder unlocked.
            folder.close()

    def open(
        self,
        spec: StreamSpec,
        *,
        n_frames: int | None,
        segment_frames: str,
        seed: int | None,
        sequential: bool,
        source_name: str,
        first_frame: str,
        tell: Callable[[str], None],
    ) -> PartStore:
        """Make or find the folder of the video's parts."""
        from rayanim import __version__
        from rayanim.storage.fingerprint import versions

        manifest = Manifest(
            rayanim=__version__,
            libraries=versions(),
            n_frames=n_frames,
            segment_frames=segment_frames,
            stream=asdict(spec),
            seed=seed,
            sequential=sequential,
            source=self._source,
            values={} if self._values is None else self._values.digests,
            source_name=source_name,
            first_frame=first_frame,
        )
        self._tell = tell
        if self._resume:
            self._folder = PartsFolder.resume(self._place, manifest)
            self._look_through(self._folder)
        else:
            self._folder = PartsFolder.create(self._place, manifest)
            self._tell_of_set_aside(self._folder)
        return self._folder.store

    def pass_over(self, why: str, tell: Callable[[str], None]) -> None:
        """No segments will be kept."""
        if self._resume:
            raise ResumeError(
                f"There are no segments to go on from: the video goes through one encoder ({why}). "
                "Render it without resuming."
            )
        if self._keep:
            tell(f"There are no parts to keep: the video goes through one encoder ({why}).")

    @property
    def path(self) -> Address:
        """The folder's, for people."""
        return self._place.path

    @property
    def takes_disk(self) -> bool:
        """Whether parts take room on the disk that the video is written to."""
        return self._place.is_on_disk

    @property
    def resumed_frames(self) -> int:
        """Frames in whole parts of an earlier job."""
        return sum(info.n_frames for info in self._finished.values())

    @property
    def resumed_bytes(self) -> int:
        """Bytes of those parts."""
        return sum(info.file_bytes for info in self._finished.values())

    def take_up(self, segment: Segment) -> bool | None:
        """Whether an earlier job's part is that of `segment`; None where there is none."""
        info = self._finished.get(segment.index)
        if info is None:
            return None
        digest = batch_digest(segment.batch.numbers, segment.batch.params)
        is_same = (info.start, info.stop) == (segment.start, segment.stop)
        return is_same and digest is not None and digest == info.batch_digest

    def info_of(self, segment: Segment) -> PartInfo:
        """What an earlier job's part of `segment` tells of itself, where there is one."""
        return self._finished[segment.index]

    def end_at(self, segments: int) -> int:
        """Take away the parts of an earlier job that lie behind the video's end; their frames.

        A generator of parameters may give fewer than the last time.
        """
        beyond = [self._finished.pop(index) for index in list(self._finished) if index >= segments]
        if self._folder is not None:
            self._folder.store.remove_from(segments)
        return sum(info.n_frames for info in beyond)

    def _look_through(self, folder: PartsFolder) -> None:
        if folder.chosen is not None:
            self._say(folder.chosen)
        self._finished = folder.finished()
        for name, why in folder.rejected.items():
            self._say(f"The part {name} is not used: {why}. Its frames are drawn again.")
        if folder.not_compared:
            self._say(
                "Values of the source could not be compared with those of the earlier job: "
                f"{', '.join(folder.not_compared)}. If they have changed, so do frames in the "
                "midst of the video."
            )

    def _tell_of_set_aside(self, folder: PartsFolder) -> None:
        aside = folder.set_aside
        if aside is None:
            return
        whose = "an earlier job" if aside.is_same_video else "another video"
        advice = (
            " Resuming would go on from them: end this job, and resume. Whichever job has more "
            "keeps them."
            if aside.is_same_video
            else ""
        )
        self._say(
            f"{_count(aside.segments)} of {whose} {_are(aside.segments)} put aside in "
            f"{str(aside.path)!r} until this video is whole.{advice}"
        )

    def _leave(self, folder: PartsFolder, error: BaseException) -> None:
        count, whose, path = 0, "", folder.path
        # A folder that is gone is not what the job failed of.
        with contextlib.suppress(PartsError):
            count = folder.count()
        if folder.gives_way and folder.set_aside is not None:
            count = folder.set_aside.segments
            same = folder.set_aside.is_same_video
            whose = " of an earlier job, more than of this one," if same else " of another video"
        if count and not whose.endswith("video"):
            error.add_note(
                f"{_count(count)}{whose} {_are(count)} kept in {str(path)!r}."
                f"{_condition(error)} To go on from there, {self._how_to_resume}"
            )

    def _say(self, text: str) -> None:
        if self._tell is not None:
            self._tell(text)


def _count(segments: int) -> str:
    return "1 finished segment" if segments == 1 else f"{segments} finished segments"


def _are(segments: int) -> str:
    return "is" if segments == 1 else "are"


def _condition(error: BaseException) -> str:
    """What else has to be so when a job is resumed."""
    if isinstance(error, HistoryError):
        return (
            " If the frames are right as they are, also give on_history='warn' (--on-history warn)."
        )
    is_scripts = isinstance(error, ScriptError)
    return " They count while the script's code stays as it is." if is_scripts else ""
