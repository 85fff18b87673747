"""Formats of picture files, one module or package each.

Every format has a ``parse``, which takes a file apart into spans that cover it and decodes its pixels, and a ``write``,
its inverse. :mod:`bfncodec.images.files` calls them and compares.
"""
