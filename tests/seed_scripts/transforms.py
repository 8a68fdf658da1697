"""Written for pympanim: the transforms used as classes, settings, and settings used again."""

import logging

import PIL.Image
import PIL.ImageDraw

import rayanim as pmaw
from rayanim import easing
from rayanim import frame_gen as fg


class Clock(fg.FrameGenerator):
    def __init__(self, size, colour):
        self.size = size
        self.colour = colour
        self.face = None

    @property
    def duration(self):
        return 600

    @property
    def frame_size(self):
        return (self.size, self.size)

    def start(self):
        self.face = PIL.Image.new("RGBA", self.frame_size, self.colour)

    def generate_at_pil(self, time_ms):
        image = self.face.copy()
        angle = 360 * time_ms / self.duration
        box = (4, 4, self.size - 5, self.size - 5)
        PIL.ImageDraw.Draw(image).pieslice(box, 0, angle, fill="black")
        return image

    def finish(self):
        self.face = None


def build():
    large = fg.TimeDilateFrameGenerator(Clock(64, "#ffcc00"), easing.squeeze, {"amt": 0.1})
    small = fg.RescaleFrameGenerator(Clock(64, "#00ccff80"), (24, 24))
    faster = fg.TimeRescaleFrameGenerator(fg.OverlayFrameGenerator(large, small, (36, 4)), 2)
    middle = fg.CroppedFrameGenerator(fg.TimeReverseFrameGenerator(large), 200, 600)
    ending = fg.TimeRescaleExactDurationFrameGenerator(large, 300)
    fluent = (
        fg.FluentFG(Clock(64, "#cc00ff"))
        .crop(0, 0.3, "s")
        .rescale(32, 32)
        .rescale(64, 64)
        .apply(fg.TimeReverseFrameGenerator)
        .time_rescale_exact(0.2, "s")
        .build()
    )
    return fg.SequenceFrameGenerator([faster, middle, ending, fluent])


def main():
    settings = pmaw.PerformanceSettings(num_workers=2, frame_batch_amount=4)
    logger = logging.getLogger("clock")
    found = pmaw.produce(build(), 30, 100, -1, "clock.mp4", settings, 5.0, logger)
    pmaw.produce(
        build(), fps=30, dpi=100, bitrate=-1, outfile="clock_again.mp4", settings=found.settings
    )


if __name__ == "__main__":
    main()
