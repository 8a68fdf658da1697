"""From pixels to packets to a file; the only package that imports PyAV.

``codecs`` makes a `spec.StreamSpec` from the settings, ``convert`` turns RGBA into
the encoder's pixel format, ``encode`` encodes, ``join`` joins encoded segments. ``formats``
chooses encoder and joiner, ``outputs`` has several, ``timing`` and ``tracks`` give frames their
times, and the file its sound and subtitles.
Nothing is imported here, so that importing a module of it does not load PyAV.
"""
