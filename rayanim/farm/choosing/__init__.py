"""Decides, again and again, whether a film is drawn in this process or on Ray."""
