"""A figure's pixels: the only package that draws with matplotlib."""
