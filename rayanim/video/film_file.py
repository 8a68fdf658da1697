"""The file that a film is written to: it comes out whole, or it is removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av

from rayanim.video.lifecycle import FAILURES, explained
from rayanim.video.spec import StreamSpec
from rayanim.video.stream import open_file


class FilmFile:
    """A container with one video stream, and the stream's encoder, opened.

    Attributes
    ----------
    name
        The file's, for messages.
    stream
        Where packets belong; its encoder may be used or left alone. It is gone
        once the file is closed: PyAV frees an encoder, and ends its threads,
        when nothing refers to it any more.

    Raises
    ------
    EncodeError
        If the file cannot be opened, or FFmpeg refuses the specification.
    """

    def __init__(self, spec: StreamSpec, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path).absolute()
        self.name = "a trial in memory" if self._path is None else repr(str(self._path))
        is_new = self._path is not None and not self._path.exists()
        try:
            self._container, self.stream = open_file(spec, self._path)
        except FAILURES as error:
            if is_new:
                self._remove()
            raise explained(error, spec, self.name, 0) from error

    def mux(self, packet: av.Packet[Any]) -> None:
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
        del self._container, self.stream
        return self._path.stat().st_size if self._path else 0

    def give_up(self) -> None:
        """Remove the file, and close it if that has not been tried."""
        # Removed first: the end of an mp4 file rewrites it to put the index in
        # front, and gives up at once if the file has no name any more.
        self._remove()
        if not hasattr(self, "_container"):
            return
        try:
            self._container.close()
        except FAILURES:
            # What the end of a removed file lacks is of no matter.
            pass
        finally:
            del self._container, self.stream

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
