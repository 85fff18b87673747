"""Content to coded segments and back: where to cut, and which coder for each segment."""
