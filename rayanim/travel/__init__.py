"""What travels to a Ray cluster: the script's folder, rayanim itself, packages on request."""

from rayanim.travel.environment import Baggage, Packed, packed
from rayanim.travel.plan import Entry, LeftBehind, PackagePlan

__all__ = ["Baggage", "Entry", "LeftBehind", "PackagePlan", "Packed", "packed"]
