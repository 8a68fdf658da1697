"""Pixels to packets to containers: the only room that imports PyAV.

``spec`` holds what decides a video's bytes, ``codecs`` chooses and checks it,
``convert`` turns drawn pixels into the encoder's, ``encoder`` writes the file.
Nothing is imported here, so that naming a part of the room does not load PyAV.
"""
