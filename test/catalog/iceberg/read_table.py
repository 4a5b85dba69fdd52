"""Prints a table's rows as JSON, read by PyIceberg through a REST catalog: read_table.py URI TABLE [FILTER].

Values are texts that say exactly what is stored: integers for numbers of any kind of time and for unscaled decimals,
the bits of floating-point numbers in hex, bytes in hex.
"""

import json
import struct
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import getcontext
from uuid import UUID

from pyiceberg.catalog import load_catalog
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    ListType,
    MapType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

getcontext().prec = 50
MICROSECOND = timedelta(microseconds=1)


def show(kind, value):
    if value is None:
        return None
    if isinstance(kind, StructType):
        return [show(field.field_type, value[field.name]) for field in kind.fields]
    if isinstance(kind, ListType):
        return [show(kind.element_type, item) for item in value]
    if isinstance(kind, MapType):
        return [[show(kind.key_type, key), show(kind.value_type, item)] for key, item in value]
    if isinstance(kind, DecimalType):
        return str(int(value.scaleb(kind.scale)))
    if isinstance(kind, (FloatType, DoubleType)):
        return "nan" if value != value else struct.pack(">d", value).hex()
    if isinstance(kind, DateType):
        return str((value - date(1970, 1, 1)).days)
    if isinstance(kind, TimeType):
        return str((datetime.combine(date.min, value) - datetime.min) // MICROSECOND)
    if isinstance(kind, TimestampType):
        return str((value - datetime(1970, 1, 1)) // MICROSECOND)
    if isinstance(kind, TimestamptzType):
        return str((value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // MICROSECOND)
    if isinstance(kind, UUIDType):
        return str(value if isinstance(value, UUID) else UUID(bytes=value))
    if isinstance(kind, (BinaryType, FixedType)):
        return value.hex()
    return str(value).lower() if isinstance(value, bool) else str(value)


uri, name = sys.argv[1], sys.argv[2]
catalog = load_catalog("dailies", type="rest", uri=uri, token="secret-of-the-test", warehouse="dailies")
table = catalog.load_table(name)
scan = table.scan(row_filter=sys.argv[3]) if len(sys.argv) > 3 else table.scan()
fields = table.schema().fields
rows = [
    [show(field.field_type, row[field.name]) for field in fields] for row in scan.to_arrow().to_pylist()
]
json.dump(
    {
        "namespaces": [".".join(each) for each in catalog.list_namespaces()],
        "tables": [".".join(each) for each in catalog.list_tables(name.rsplit(".", 1)[0])],
        "identifiers": sorted(table.schema().identifier_field_names()),
        "types": [str(field.field_type) for field in fields],
        "rows": rows,
    },
    sys.stdout,
)
