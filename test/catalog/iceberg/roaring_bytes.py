"""Prints what pyroaring and PyIceberg make of positions and of our Puffin files.

Usage: roaring_bytes.py encode < positions, one line of numbers a bitmap -> one line of hex a bitmap
       roaring_bytes.py decode FILES                                     -> each file's positions by data file, as JSON
"""

import json
import sys

from pyroaring import BitMap

if sys.argv[1] == "encode":
    for line in sys.stdin:
        bitmap = BitMap(int(text) for text in line.split())
        bitmap.run_optimize()
        print(bitmap.serialize().hex())
else:
    from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
    from pyiceberg.table.puffin import PuffinFile

    for path in sys.argv[2:]:
        with open(path, "rb") as file:
            vectors = deletion_vectors_from_puffin_file(PuffinFile(file.read()))
        print(json.dumps({vector.referenced_data_file: vector.to_vector().to_pylist() for vector in vectors}))
