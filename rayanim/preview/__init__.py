"""`rayanim preview`: a page on this machine that shows any frame of a script's video."""
