"""Encoders of graphics cards, on request: used if a trial of two frames works, else software.

That FFmpeg lists one does not mean that there is a device for it. What it makes depends on the
device and its driver, so such a video is outside the promise of the same bytes: it goes through
one encoder, in the process that writes the file.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from rayanim.errors import EncodeError
from rayanim.settings import VideoSettings
from rayanim.video.encode import reason_for, try_to_open
from rayanim.video.formats import file_encoder
from rayanim.video.spec import HARDWARE, OWN_PRESETS, Hardware, StreamSpec, Tracks

_logger = logging.getLogger("rayanim")


def in_hardware(spec: StreamSpec, settings: VideoSettings) -> StreamSpec:
    """`spec` for the device that was asked for, where one works; else as it is, which is logged."""
    wanted = (settings.codec or "").lower()
    is_auto = settings.hwaccel == "auto"
    reasons = {}
    encoders = ((device, *names) for device in HARDWARE for names in device.encoders)
    for device, encoder, software in encoders:
        if software != spec.codec or (encoder != wanted and not is_auto):
            continue
        found = _of_device(spec, settings, device, encoder)
        reason = f"it takes no {spec.pixel_format}" if found is None else why_not(found)
        if found is not None and reason is None:
            return found
        reasons[encoder] = reason
    if reasons:
        which = wanted if wanted in reasons else next(iter(reasons))
        others = f", nor do {len(reasons) - 1} others" if len(reasons) > 1 else ""
        _logger.warning(
            "%s does not work here%s: %s encodes in its place (%s).",
            which,
            others,
            spec.codec,
            reasons[which],
        )
    return spec


def why_not(spec: StreamSpec) -> str | None:
    """Why two frames cannot be encoded so; None if they can."""
    try:
        encoder = file_encoder(replace(spec, timing=None, tracks=Tracks()), None)
        try:
            encoder.encode(np.zeros((2, spec.frame_bytes), np.uint8))
            encoder.finish()
        finally:
            encoder.abort()
    except EncodeError as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        return reason_for(cause, lambda: try_to_open(spec)).rstrip(".")
    return None


def _of_device(
    spec: StreamSpec, settings: VideoSettings, device: Hardware, encoder: str
) -> StreamSpec | None:
    """`spec` for an encoder of the device; None where it does not take the pixels."""
    if spec.pixel_format != "yuv420p":
        return None
    own = settings.preset if settings.preset in OWN_PRESETS else "balanced"
    preset = device.presets[OWN_PRESETS.index(own)]
    options = {"g": dict(spec.options)["g"], device.preset_option: preset}
    crf = dict(spec.options).get("crf")
    if crf is not None:
        quality = str(round(float(crf)))
        options |= {name: text.replace("{}", quality) for name, text in device.quality}
    return replace(spec, codec=encoder, options=tuple(options.items()))
