"""The ``bfncodec`` command."""
