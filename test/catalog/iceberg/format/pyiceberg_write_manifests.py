"""Writes manifests with PyIceberg: JSON {folder, cases, texts} in, JSON {lists, snappy} out.

A case is a table's metadata with a format version of 1 or 2, a codec of Avro files, and files with their partition values:
texts, integers for numbers of any kind of time and for unscaled decimals, bytes in hex. `snappy` holds the texts packed.
"""

import json
import sys

import pyarrow as pa
from pydantic import TypeAdapter
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.typedef import Record
from pyiceberg_values import parse

io = PyArrowFileIO()
request = json.load(sys.stdin)


def write(number, case):
    metadata = TableMetadataUtil.parse_raw(case["metadata"])
    spec, schema, version = metadata.spec(), metadata.schema(), case["version"]
    kinds = [field.field_type for field in spec.partition_type(schema).fields]
    output = io.new_output(f"{request['folder']}/theirs-{number}-m.avro")
    with write_manifest(version, spec, schema, output, 5, case["codec"]) as writer:
        for file in case["files"]:
            writer.add_entry(
                ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED,
                    snapshot_id=5,
                    data_file=DataFile.from_args(
                        content=DataFileContent.DATA,
                        file_path=file["location"],
                        file_format=FileFormat.PARQUET,
                        partition=Record(*[parse(kind, text) for kind, text in zip(kinds, file["partition"])]),
                        record_count=file["recordCount"],
                        file_size_in_bytes=file["sizeBytes"],
                        lower_bounds={int(key): bytes.fromhex(value) for key, value in file["lowerBounds"].items()},
                        split_offsets=[4],
                        sort_order_id=0,
                    ),
                )
            )
    manifest = writer.to_manifest_file()
    location = f"{request['folder']}/theirs-{number}-l.avro"
    with write_manifest_list(version, io.new_output(location), 5, None, 7, case["codec"]) as lists:
        lists.add_manifests([manifest])
    return location


json.dump(
    {
        "lists": [write(number, case) for number, case in enumerate(request["cases"])],
        "snappy": [pa.compress(text.encode(), codec="snappy", asbytes=True).hex() for text in request["texts"]],
    },
    sys.stdout,
)
