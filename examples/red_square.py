"""A red square rolls along: frames drawn by Pillow, for any time of the video.

Run it with ``rayanim run examples/red_square.py -o red_square.mp4``.
"""

import math

from PIL import Image, ImageDraw

import rayanim
from rayanim import frame_gen as fg
from rayanim.easing import smoothstep

SIDE, FLOOR, STEPS = 110, 350, 4
FINE = 3  # drawn three times as large and reduced, for smooth edges


class RollingSquare(fg.FrameGenerator):
    duration = 1  # a millisecond, so that time_ms is the share of the whole
    frame_size = (640, 480)

    def start(self):
        self.paper = Image.new("RGB", (640 * FINE, 480 * FINE), "#f6f1e7")
        ground = (0, FLOOR * FINE, 640 * FINE, 480 * FINE)
        ImageDraw.Draw(self.paper).rectangle(ground, fill="#e4dbc8")

    def generate_at_pil(self, time_ms):
        step, rest = divmod(STEPS * time_ms, 1)
        turn = math.pi / 2 * smoothstep(rest)
        # It turns about the corner that it stands on.
        foot = 320 - SIDE * STEPS / 2 + SIDE * (step + 0.5)
        corners = [(0, 0), (-SIDE, 0), (-SIDE, SIDE), (0, SIDE)]
        square = [
            (
                FINE * (foot + x * math.cos(turn) + y * math.sin(turn)),
                FINE * (FLOOR + x * math.sin(turn) - y * math.cos(turn)),
            )
            for x, y in corners
        ]
        image = self.paper.copy()
        draw = ImageDraw.Draw(image)
        left, right = min(x for x, _ in square), max(x for x, _ in square)
        draw.ellipse((left, FINE * (FLOOR - 6), right, FINE * (FLOOR + 13)), fill="#cdc1a9")
        draw.polygon(square, fill="#d7263d")
        return image.reduce(FINE)


there = fg.FluentFG(RollingSquare()).time_rescale_exact(3, "s").build()
video = fg.FluentFG(there).then(fg.FluentFG(there).reverse()).build()

if __name__ == "__main__":
    print(rayanim.produce(video, fps=30, outfile="red_square.mp4"))
