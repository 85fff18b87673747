"""TIFF files (revision 6.0) of one page: the file without its strips or tiles, which are coded again and put back.

The *skeleton* is the file with the strips cut out. All that points to a place is known (the head, the values of tags
that lie elsewhere, the directories of EXIF, GPS and interoperability) and points to the place in the skeleton; the
tables of places and sizes of the strips are zeros there. To make the file again, strips are coded from the pixels, put
where they were cut out, and the pointers moved.

Strips that come out as they were, by coders that are all in this library, give the same file whatever else is in it:
there, unknown tags and bytes that nothing points to are welcome. Otherwise every byte must be accounted for, since
what is behind a strip may move.

:mod:`.file` is the way from a file to a picture and back; :mod:`.tags` reads directories, :mod:`.layout` cuts pixels
into strips, :mod:`.strips` codes them (with :mod:`.lzw` and :mod:`.packbits`), :mod:`.skeleton` cuts them out of the
file and puts them back, :mod:`.spans` accounts for every byte, :mod:`.regions` makes the metadata of a part.
"""
