"""The manifest: everything that must agree before the parts of an earlier job may be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Self

from rayanim.errors import PartsError
from rayanim.parts.part_file import DIGEST_BYTES, FORMAT

BEGINS = b'{\n "digest": "'
"""How the file begins, by which a folder of parts is known even where it is broken."""

_WORDS = {
    "format": "the format of the parts",
    "rayanim": "rayanim's version",
    "n_frames": "the number of frames",
    "segment_frames": "how the film is cut into segments",
    "seed": "the seed",
    "sequential": "sequential",
    "source_name": "what is drawn",
    "rate": "the frame rate",
    "size": "the film's size",
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
    """Says of which film the parts are.

    Attributes
    ----------
    rayanim
        ``rayanim.__version__``.
    libraries
        Names and versions of what decides bytes, see
        `rayanim.parts.libraries.versions`.
    n_frames
        Frames of the film, None where only the end of its parameters tells.
    segment_frames
        How the film is cut, in words of the plan's own.
    stream
        The fields of the `StreamSpec`. Tuples and fractions are kept as JSON
        has them: lists, and text such as ``"30000/1001"``.
    seed, sequential
        As asked for.
    source
        Fingerprint of the drawing code, see `rayanim.parts.fingerprint`.
    values
        Digests of the values that it draws from, by name, None where one
        cannot be told; see `rayanim.parts.values`.
    source_name
        What the user calls it.
    first_frame
        Digest of the first frame as the encoder gets it.
    format
        Of the parts and of this file.
    """

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
        """Names the film in its parts, in hexadecimal digits."""
        return _digest(asdict(self))

    def to_json(self) -> str:
        """The manifest as text that people can read and `from_json` checks."""
        values = asdict(self)
        return json.dumps({"digest": _digest(values), **values}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises
        ------
        PartsError
            If `text` was cut short or changed, or has another format.
        """
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


def _digest(values: dict[str, Any]) -> str:
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
