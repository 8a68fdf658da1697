"""Written for pympanim: a frame generator that plays forwards and backwards."""

import os

import PIL.Image

import rayanim as pmaw
from rayanim import frame_gen as fg


class Dusk(fg.FrameGenerator):
    @property
    def duration(self):
        return 1  # 1 ms: time_ms is the progress

    @property
    def frame_size(self):
        return (80, 46)  # in pixels

    def generate_at(self, time_ms):
        return fg.img_to_bytes(self.generate_at_pil(time_ms))

    def generate_at_pil(self, time_ms):
        return PIL.Image.new("RGBA", self.frame_size, f"#{int(time_ms * 255):02x}0030")


def _fg():
    base = Dusk()

    return (
        fg.FluentFG(base)
        .time_rescale(1 / 10000)  # 10 s long
        .then(
            fg.FluentFG(base)
            .time_rescale(1 / 10000)  # another 10 s
            .reverse()
            .build()
        )
        .build()
    )


def _main():
    os.makedirs("out", exist_ok=True)

    pmaw.produce(_fg(), fps=60, dpi=100, bitrate=-1, outfile="out/video.mp4")


if __name__ == "__main__":
    _main()
