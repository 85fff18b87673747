"""Content that can be compressed: bytes, text, arrays, pictures, folders, and parts of them that can be had alone."""
