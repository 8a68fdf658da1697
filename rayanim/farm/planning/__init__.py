"""Cuts a film into segments, and says which is drawn and written next."""
