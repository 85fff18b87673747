"""Pictures: pixels with their metadata, picture files, and what codes pixels without a model."""
