"""Easings: functions from the share of the time that has passed to the share of the way done.

Any callable that takes a number from 0 to 1 and returns a number is an easing, so
all of `pytweening <https://pypi.org/project/pytweening/>`_ works. A *proper*
easing gives 0 at 0 and 1 at 1.
"""

from __future__ import annotations

from typing import Any

from rayanim.errors import SettingsError


class Easing:
    """A base for easings that are classes. Functions need none."""

    def __call__(self, num: float, /, *args: Any, **kwargs: Any) -> float:
        """Share of the way that is done after the share `num` of the time.

        Parameters
        ----------
        num
            From 0 to 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, num).")


def freeze(n: float, at: float = 0) -> float:
    """Stand still: always `at`, whatever `n`. Not a proper easing."""
    return float(at)


def squeeze(n: float, amt: float = 0.2) -> float:
    """Wait, move evenly, wait: 0 up to `amt`, 1 from ``1 - amt``, a straight line between.

    Parameters
    ----------
    n
        Share of the time, 0 to 1.
    amt
        Share of the time to wait at each end, 0 to 1. From 0.5 on no time is left
        to move: the value jumps from 0 to 1 at `amt`.

    Raises
    ------
    SettingsError
        If `amt` is not from 0 to 1.

    Examples
    --------
    >>> squeeze(0.2), squeeze(0.5), squeeze(0.9)
    (0.0, 0.5, 1.0)
    """
    if not 0 <= amt <= 1:
        raise SettingsError(f"amt, the share of the time to wait, must be 0 to 1, got {amt!r}.")
    if n < amt:
        return 0.0
    if n >= 1 - amt:
        return 1.0
    return (n - amt) / (1 - 2 * amt)


def doublespeed(n: float) -> float:
    """Move evenly at twice the speed, then stay at the end for the second half."""
    return min(2.0 * n, 1.0)


def smoothstep(n: float) -> float:
    """Start and end with speed 0: ``3 n**2 - 2 n**3``.

    The cubic Hermite polynomial between 0 and 1 with first derivatives 0, as
    in the shading languages' function of that name
    (https://en.wikipedia.org/wiki/Smoothstep).

    Examples
    --------
    >>> smoothstep(0), smoothstep(0.5), smoothstep(1)
    (0.0, 0.5, 1.0)
    """
    return n * n * (3.0 - 2.0 * n)


def smootheststep(n: float) -> float:
    """Start and end with first, second and third derivative 0.

    ``35 n**4 - 84 n**5 + 70 n**6 - 20 n**7``, the polynomial of least degree
    with that property (https://en.wikipedia.org/wiki/Smoothstep#Generalization, the
    case N = 3).

    Examples
    --------
    >>> smootheststep(0), smootheststep(0.5), smootheststep(1)
    (0.0, 0.5, 1.0)
    """
    return n**4 * (35.0 + n * (-84.0 + n * (70.0 - 20.0 * n)))
