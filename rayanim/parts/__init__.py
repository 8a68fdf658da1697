"""Finished segments on disk, from which a job that was ended can go on.

``folder`` holds the parts of one film beside its target, ``store`` reads and
writes them, ``part_file`` and ``manifest`` are the two formats; ``fingerprint``
and ``digest`` tell whether a film is still the same one, ``disk`` whether
there is room. Nothing is imported here.
"""
