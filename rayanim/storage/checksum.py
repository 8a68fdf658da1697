"""Compares a file with what a store says of an object, by the digests that stores know."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

PIECE_BYTES = 50 * 2**20
"""In which s3fs uploads; the ETag of such an upload is made of the pieces' digests."""

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileDigests:
    """MD5 digests of a file in the forms that stores give.

    Attributes
    ----------
    size_bytes
        The file's.
    whole
        Of all of it.
    in_pieces
        An ETag as S3 makes it of an upload in pieces of `PIECE_BYTES`.
    """

    size_bytes: int
    whole: bytes
    in_pieces: str

    @property
    def forms(self) -> set[str]:
        """What a store may call the file."""
        return {self.whole.hex(), base64.b64encode(self.whole).decode(), self.in_pieces}


def digests_of(content: Path | Iterable[bytes]) -> FileDigests:
    """The digests of a file, or of bytes that come in blocks; read once, a block at a time."""
    # MD5 tells transmission errors here, and is what stores have.
    whole, piece, pieces = md5(usedforsecurity=False), md5(usedforsecurity=False), []
    size_bytes = 0
    for block in _blocks(content) if isinstance(content, Path) else content:
        whole.update(block)
        for part in _cut(block, PIECE_BYTES - size_bytes % PIECE_BYTES):
            piece.update(part)
            size_bytes += len(part)
            if size_bytes % PIECE_BYTES == 0:
                pieces.append(piece.digest())
                piece = md5(usedforsecurity=False)
    if size_bytes % PIECE_BYTES:
        pieces.append(piece.digest())
    joined = md5(b"".join(pieces), usedforsecurity=False).hexdigest()
    return FileDigests(size_bytes, whole.digest(), f"{joined}-{len(pieces)}")


def is_one_of(info: Mapping[str, Any], digests: FileDigests) -> bool:
    """Whether a store's description of an object names one of `digests`.

    False says nothing: an encrypted object's ETag is no digest of its content.
    """
    told = (info.get(name) for name in ("ETag", "etag", "md5Hash", "content_md5"))
    return any(isinstance(each, str) and each.strip('"') in digests.forms for each in told)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _cut(block: bytes, first_bytes: int) -> Iterator[bytes]:
    """`block` in two where a piece ends within it; it is no longer than a piece."""
    yield block[:first_bytes]
    if len(block) > first_bytes:
        yield block[first_bytes:]
