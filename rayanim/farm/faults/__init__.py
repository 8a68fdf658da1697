"""Judges, without doing anything, what is overdue, who never opens, and which node is left out."""
