"""How many render actors there should be, and what there is room and money for: pure arithmetic."""
