"""What can be compressed: bytes, text, arrays, pictures and folders, and the parts of them that can be had alone."""
