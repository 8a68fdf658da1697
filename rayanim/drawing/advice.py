"""Tells the user what makes frames slow that drawing less cannot mend."""

from __future__ import annotations

from collections.abc import Iterator

from rayanim.drawing.account import Account, Note, Spent

ENOUGH_FRAMES = 30
"""Frames that must have been timed before anything is said."""

CODE_SHARE = 0.6
CODE_MS = 5.0
"""The script's own code is told of above this share of a frame and this much of it."""

LAYOUT_SHARE = 0.1
LAYOUT_MS = 1.0
"""The same for layouts."""

NEARLY_ALWAYS = 0.9
"""What runs in this share of the frames runs in every one, but for a few."""

TIGHT_LAYOUT = "tight_layout()"
"""Stands for layouts that the script runs itself, in the place of an engine's name."""


def advice_of(account: Account) -> Iterator[Note]:
    """What to tell after the frames of `account`; pure."""
    if account.timed.frames < ENOUGH_FRAMES:
        return
    yield from _on_code(account.timed, account.drawing_s)
    for name, spent in account.layouts.items():
        yield from _on_layout(name, spent, account.timed)


def _on_code(timed: Spent, drawing_s: float) -> Iterator[Note]:
    code_s = timed.seconds - drawing_s
    code_ms = 1000 * code_s / timed.frames
    if code_s > CODE_SHARE * timed.seconds and code_ms > CODE_MS:
        yield Note(
            "code",
            "The script's own code (update(), as a rule) takes "
            f"{_ms(code_s, timed)} of the {_ms(timed.seconds, timed)} ms of a frame: the drawing "
            "is not what is slow. Compute in setup() what does not depend on the frame.",
        )


def _on_layout(name: str, spent: Spent, timed: Spent) -> Iterator[Note]:
    always = spent.frames >= NEARLY_ALWAYS * timed.frames
    costly = spent.seconds > LAYOUT_SHARE * timed.seconds
    if always and costly and 1000 * spent.seconds > LAYOUT_MS * timed.frames:
        yield Note(
            f"layout {name}",
            f"{_layout_text(name)} runs in every frame and takes {_ms(spent.seconds, timed)} of "
            f"its {_ms(timed.seconds, timed)} ms. {_remedy(name)}",
        )


def _layout_text(name: str) -> str:
    return TIGHT_LAYOUT if name == TIGHT_LAYOUT else f"The {name} layout engine"


def _remedy(name: str) -> str:
    if name == TIGHT_LAYOUT:
        return "Call it once, at the end of setup()."
    return (
        "If the axes may stay where they are, end setup() with "
        "fig.draw_without_rendering(); fig.set_layout_engine('none')."
    )


def _ms(seconds: float, timed: Spent) -> str:
    """Milliseconds per frame, whole from 10 on."""
    value = 1000 * seconds / timed.frames
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
