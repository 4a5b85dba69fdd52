"""Reads manifest lists and manifests with PyIceberg: JSON list of {list, types} in, JSON list of what they hold out.

Partition values are texts: integers for numbers of any kind of time and for unscaled decimals, the bits of floating-point
numbers in hex, bytes in hex.
"""

import json
import struct
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, getcontext
from uuid import UUID

from pydantic import TypeAdapter
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import read_manifest_list
from pyiceberg.types import DecimalType, DoubleType, FloatType, IcebergType, UUIDType

getcontext().prec = 60
types = TypeAdapter(IcebergType)
io = PyArrowFileIO()


def show(kind, value):
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(kind, UUIDType):
        return str(value if isinstance(value, UUID) else UUID(bytes=value))
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return str(int(value.scaleb(kind.scale)))
    if isinstance(kind, (FloatType, DoubleType)):
        return struct.pack(">d", value).hex()
    return str(value)


def describe(case):
    kinds = [types.validate_python(name) for name in case["types"]]
    (manifest,) = read_manifest_list(io.new_input(case["list"]))
    entries = []
    for entry in manifest.fetch_manifest_entry(io, discard_deleted=False):
        file = entry.data_file
        entries.append(
            [
                entry.status.name.lower(),
                str(entry.snapshot_id),
                str(entry.sequence_number),
                ["data", "position-deletes", "equality-deletes"][file.content],
                file.file_format.lower(),
                file.file_path,
                file.record_count,
                [show(kind, file.partition[at]) for at, kind in enumerate(kinds)],
                {str(key): value.hex() for key, value in (file.lower_bounds or {}).items()},
                file.equality_ids,
            ]
        )
    return {
        "counts": [manifest.added_files_count, manifest.existing_files_count, manifest.deleted_files_count],
        "entries": entries,
    }


json.dump([describe(case) for case in json.load(sys.stdin)], sys.stdout)
