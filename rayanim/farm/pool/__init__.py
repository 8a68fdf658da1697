"""The render actors as the driver sees them: asked for, given segments, heard."""
