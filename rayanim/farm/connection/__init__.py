"""Connects this process to a Ray: one of its own, or a cluster."""
