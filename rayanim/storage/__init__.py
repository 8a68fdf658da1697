"""Where videos and their segments are kept: paths, object stores, locks, resume.

Nothing is imported here; fsspec is imported in functions only.
"""
