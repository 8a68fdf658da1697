"""Checks of this machine and of a cluster's nodes.

``probe`` and ``nodes`` find facts; ``checks`` turns them into findings and does
nothing else. Nothing is imported here.
"""
