"""Looks at this machine and at a cluster, and says what is not well there and what mends it.

``look`` and ``survey`` find facts, ``judge`` and ``judge_cluster`` turn them into
findings and do nothing else, ``examine`` does one after the other. Nothing is
imported here.
"""
