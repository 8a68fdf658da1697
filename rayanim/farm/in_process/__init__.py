"""Draws and encodes in this process, without Ray."""
