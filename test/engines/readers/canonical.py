"""Rows as texts that say exactly what is stored, the same from every engine (test/engines/canonical.ts makes ours).

Integers for numbers, for any kind of time (microseconds; nanoseconds where the type says so) and for unscaled decimals; the
bits of floating-point numbers in hex; bytes in hex; structs and lists as lists; maps as lists of pairs, in the order of
their keys' texts. Types come as JSON of catalog/schemas/schema.ts.
"""

import json
import struct
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, getcontext

getcontext().prec = 60

MICROSECOND = timedelta(microseconds=1)


def table_rows(table, fields):
    """Rows of an Arrow table, values in the order of `fields`."""
    columns = [column_texts(table.column(field["name"]), field["type"]) for field in fields]
    return [list(row) for row in zip(*columns)]


def column_texts(column, kind):
    return [text for chunk in column.chunks for text in array_texts(chunk, kind)]


def array_texts(array, kind):
    import pyarrow as pa

    if pa.types.is_null(array.type):
        return [None] * len(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    name = kind["kind"]
    valid = array.is_valid().to_pylist()
    if name == "struct":
        children = [array_texts(array.field(field["name"]), field["type"]) for field in kind["fields"]]
        return [[child[at] for child in children] if valid[at] else None for at in range(len(array))]
    if name == "list":
        if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
            array = array.cast(pa.large_list(array.type.value_field))
        offsets = array.offsets.to_pylist()
        items = array_texts(array.values, kind["element"])
        return [items[offsets[at] : offsets[at + 1]] if valid[at] else None for at in range(len(array))]
    if name == "map":
        if not pa.types.is_map(array.type):  # Polars: a list of structs
            offsets, pairs = array.offsets.to_pylist(), array.values
            keys, values = pairs.field(0), pairs.field(1)
        else:
            offsets, keys, values = array.offsets.to_pylist(), array.keys, array.items
        keys, values = array_texts(keys, kind["key"]), array_texts(values, kind["value"])
        return [
            pairs_text(zip(keys[offsets[at] : offsets[at + 1]], values[offsets[at] : offsets[at + 1]]))
            if valid[at]
            else None
            for at in range(len(array))
        ]
    if pa.types.is_timestamp(array.type) or pa.types.is_time(array.type):
        unit = array.type.unit
        integers = array.cast(pa.int32() if pa.types.is_time32(array.type) else pa.int64()).to_pylist()
        wanted = "ns" if name.endswith("_ns") else "us"
        return [None if value is None else rescaled(value, unit, wanted) for value in integers]
    if pa.types.is_date32(array.type):
        return [None if value is None else str(value) for value in array.cast(pa.int32()).to_pylist()]
    return [value_text(value, kind) for value in array.to_pylist()]


def rescaled(value, unit, wanted):
    powers = {"s": 0, "ms": 3, "us": 6, "ns": 9}
    power = powers[wanted] - powers[unit]
    if power >= 0:
        return str(value * 10**power)
    whole, rest = divmod(value, 10**-power)
    return str(whole) if rest == 0 else f"{value} {unit}"


def pairs_text(pairs):
    return sorted(([key, value] for key, value in pairs), key=lambda pair: json.dumps(pair[0], ensure_ascii=False))


def value_text(value, kind):
    """A Python value as engines without Arrow give it."""
    name = kind["kind"]
    if value is None:
        return None
    if name == "struct":
        fields = kind["fields"]
        values = [value[field["name"]] for field in fields] if isinstance(value, dict) else list(value)
        return [value_text(item, field["type"]) for item, field in zip(values, fields, strict=True)]
    if name == "list":
        return [value_text(item, kind["element"]) for item in value]
    if name == "map":
        pairs = value.items() if isinstance(value, dict) else value
        return pairs_text((value_text(key, kind["key"]), value_text(item, kind["value"])) for key, item in pairs)
    if name == "boolean":
        return "true" if value else "false"
    if name in ("float", "double"):
        return "nan" if value != value else struct.pack(">d", value).hex()
    if name == "decimal":
        return str(int(Decimal(value).scaleb(kind["scale"])))
    if name == "date":
        return str((value - date(1970, 1, 1)).days)
    if name == "time":
        return str((datetime.combine(date.min, value) - datetime.min) // MICROSECOND)
    if name in ("timestamp", "timestamptz"):
        value = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
        return str((value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // MICROSECOND)
    if name == "uuid":
        return str(uuid.UUID(bytes=bytes(value)) if isinstance(value, (bytes, bytearray)) else value)
    if name in ("binary", "fixed"):
        return bytes(value).hex()
    return str(value)
