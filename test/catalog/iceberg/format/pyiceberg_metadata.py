"""Prints what PyIceberg reads of a metadata file as JSON: pyiceberg_metadata.py LOCATION."""

import json
import sys

from pyiceberg.table import StaticTable

table = StaticTable.from_metadata(sys.argv[1])
metadata = table.metadata


def column(field):
    text = f"{field.field_id}: {field.name}: {'required' if field.required else 'optional'} {field.field_type}"
    if field.doc:
        text += f" ({field.doc})"
    return text if field.initial_default is None else f"{text} default {field.initial_default}"


json.dump(
    {
        "version": metadata.format_version,
        "snapshot": str(table.current_snapshot().snapshot_id),
        "identifiers": sorted(table.schema().identifier_field_names()),
        "columns": [column(field) for field in table.schema().fields],
        "partition": [str(field) for field in table.spec().fields],
        "sort": [str(field) for field in table.sort_order().fields],
        "refs": {name: ref.snapshot_ref_type.value for name, ref in metadata.refs.items()},
        "nextRowId": getattr(metadata, "next_row_id", None),
    },
    sys.stdout,
)
