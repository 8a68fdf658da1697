"""Performance settings by position, changed, kept as JSON, and taken up by the next video."""

import json

import numpy as np
import PIL.Image

import rayanim as pmaw
from rayanim import frame_gen as fg


class Bar(fg.FrameGenerator):
    @property
    def duration(self):
        return 1000

    @property
    def frame_size(self):
        return (40, 30)

    def generate_at(self, time_ms):
        return fg.img_to_bytes(self.generate_at_pil(time_ms))

    def generate_at_pil(self, time_ms):
        img = PIL.Image.new("RGBA", self.frame_size, "white")
        img.paste((200, 30, 30, 255), (0, 10, int(time_ms / 25), 20))
        return img


def _fg():
    quick = fg.TimeRescaleFrameGenerator(Bar(), 1.0)
    quick.playback_rate = 2.0
    return fg.FluentFG(quick).then(fg.FluentFG(Bar()).reverse().build()).build()


def _main():
    settings = pmaw.PerformanceSettings(None, np.int64(1), 4, 15.0, 0.0)
    settings.max_workers = 2
    found = pmaw.produce(_fg(), 20, 100, -1, "bar.mp4", settings)
    with open("settings.json", "w") as file:
        json.dump(found.__dict__, file)
    with open("settings.json") as file:
        again = pmaw.PerformanceSettings(**json.load(file))
    found.num_workers = 2
    assert again.num_workers is None or again.num_workers > 0
    pmaw.produce(_fg(), 20, 100, -1, "bar_again.mp4", again)


if __name__ == "__main__":
    _main()
