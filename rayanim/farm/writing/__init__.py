"""From segments to a file: parts, joined while others draw, or one encoder."""
