"""Spreads segments over actors, and puts what comes back in order."""
