"""The file that a film is written to: it comes out whole, or it is removed."""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.video.stream import VideoStream

from rayanim.video.lifecycle import FAILURES, Lifecycle, explained
from rayanim.video.spec import StreamSpec
from rayanim.video.stream import open_file


class FilmFile:
    """A container with one video stream, and the stream's encoder, opened.

    Attributes
    ----------
    life
        Open, failed or closed; a failure removes the file.
    stream
        Where packets belong; its encoder may be used or left alone.

    Raises
    ------
    EncodeError
        If the file cannot be opened, or FFmpeg refuses the specification.
    """

    stream: VideoStream

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path).absolute()
        name = "a trial in memory" if self._path is None else repr(str(self._path))
        self.life = Lifecycle(spec, name, self._give_up)
        is_new = self._path is not None and not self._path.exists()
        try:
            self._container, self.stream = open_file(spec, self._path)
        except FAILURES as error:
            if is_new:
                self._remove()
            raise explained(error, spec, name, 0) from error

    def mux(self, packet: av.Packet) -> None:
        """Write a packet; the container decides when."""
        self._container.mux(packet)

    def close(self) -> int:
        """Write the file's end.

        Returns
        -------
        int
            The file's size in bytes; 0 in memory.
        """
        self._container.close()
        size_bytes = self._path.stat().st_size if self._path else 0
        self.life.close()
        return size_bytes

    def _give_up(self) -> None:
        # Removed first: the end of an mp4 file rewrites it to put the index in
        # front, and gives up at once if the file has no name any more.
        self._remove()
        try:
            self._container.close()
        except FAILURES:
            # What the end of a removed file lacks is of no matter.
            return

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
