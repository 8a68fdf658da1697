"""Spreads the drawing of a video over processes, and joins what comes back in order."""
