"""Files on disk: sources that are read, targets that appear whole or not at all."""
