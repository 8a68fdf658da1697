"""Simulates a farm of up to 10,000 actors with the engine's own plan, dispatch and policy."""
