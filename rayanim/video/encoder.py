"""Encodes packed frames, in order, into one file."""

from __future__ import annotations

import os

import av

from rayanim.video.film_file import FilmFile
from rayanim.video.lifecycle import Lifecycle, check_count, check_payload
from rayanim.video.packing import Bytes
from rayanim.video.spec import StreamSpec
from rayanim.video.stream import frame_of

# libx265 learns how far decoding runs ahead of showing from its third frame.
# Packets of shorter films carry decoding times from memory it never wrote; as
# one or two frames hold no B-frame, they are decoded in the order of showing.
_X265_DELAY_FRAMES = 3


class VideoEncoder:
    """Writes one film: `encode` frames, then `finish` or `abort`.

    Memory is bounded by what the codec holds back to look ahead; with libx264 a
    process levels off at 600 MB for 1920x1080. The first failure closes and
    removes the file, and every later call raises it again.

    Parameters
    ----------
    spec
        Everything that decides the file's bytes except the pixels.
    path
        The file to write; its suffix says nothing here. None writes to memory,
        to try a specification.

    Raises
    ------
    EncodeError
        If the file cannot be opened, or FFmpeg refuses the specification.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._spec = spec
        self._file = FilmFile(spec, path)
        self._life = Lifecycle(spec, self._file.name)
        self._packets = 0

    def encode(self, payload: Bytes) -> None:
        """Encode frames; they follow those of the call before.

        Parameters
        ----------
        payload
            ``(n, frame_bytes) uint8``, C-contiguous; it may be read-only. Its
            memory is not needed after the call.

        Raises
        ------
        EncodeError
            If the disk is full, or FFmpeg refuses a frame.
        """
        self._life.check_open()
        check_payload(payload, self._spec)
        with self._life.step(self._file.give_up):
            for packed in payload:
                self._mux(frame_of(packed, self._spec, self._life.frames))
                self._life.frames += 1

    def finish(self) -> int:
        """Encode what is held back, and close the file.

        Returns
        -------
        int
            The file's size in bytes.

        Raises
        ------
        EncodeError
            If the disk is full, FFmpeg fails, or there was no frame.
        """
        self._life.check_open()
        with self._life.step(self._file.give_up):
            self._mux(None)
            check_count(self._life.frames, self._packets)
            size_bytes = self._file.close()
        self._life.end()
        return size_bytes

    def abort(self) -> None:
        """Close without finishing and remove the file; nothing if it is closed already."""
        if self._life.end():
            self._file.give_up()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._file.stream.encode(frame):
            if frame is None and self._is_short_x265():
                packet.dts = packet.pts
            self._file.mux(packet)
            self._packets += 1

    def _is_short_x265(self) -> bool:
        return self._spec.codec == "libx265" and self._life.frames < _X265_DELAY_FRAMES
