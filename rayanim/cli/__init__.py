"""The command `rayanim`: parses, calls what Python users call, and prints."""

from rayanim.cli.main import main

__all__ = ["main"]
