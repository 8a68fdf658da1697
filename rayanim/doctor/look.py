"""Takes a look at the machine that this process runs on; alike on every machine."""

from __future__ import annotations

import traceback
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rayanim.doctor.facts import Encoder, Fonts, Look
from rayanim.doctor.machine import find_machine
from rayanim.doctor.software import find_software
from rayanim.errors import RayanimError

if TYPE_CHECKING:
    from rayanim.farm.rendering.shipment import Shipment


def look_here(shipment: Shipment | None = None, *, with_encoders: bool = True) -> Look:
    """What this process sees; a package that cannot be imported leaves its part out.

    Parameters
    ----------
    shipment
        The test film as another process packed it; None draws it as this one would.
    with_encoders
        Whether each encoder, those of devices too, is tried by itself.
    """
    look = Look(find_software(), find_machine())
    if any(each.failure or each.version is None for each in look.software.packages[1:]):
        return look
    # Fonts first: the film brings the settings of the process that packed it.
    look = replace(look, fonts=_fonts(), encoders=_encoders() if with_encoders else ())
    try:
        from rayanim.doctor.specimen import draw_specimen

        return replace(look, drawn=draw_specimen(shipment))
    except RayanimError as error:
        return replace(look, failure=error.message)
    except Exception as error:  # a broken library may raise anything; it is what we look for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return replace(
            look, failure=f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        )


def _fonts() -> Fonts:
    from rayanim.drawing.fonts import take_census

    return Fonts(**asdict(take_census()))


def _encoders() -> tuple[Encoder, ...]:
    from rayanim.video.trials import try_hardware, try_software

    return tuple(
        Encoder(each.encoder, each.codec, each.is_hardware, each.failure)
        for each in (*try_software(), *try_hardware())
    )
