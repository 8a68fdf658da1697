"""A figure's pixels: the only room that draws with matplotlib."""
