"""Reads tables by PyIceberg (tables.py), and appends: {"append": name, "rows": [{column: JSON value}]}."""

from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import AlwaysTrue, And, EqualTo, IsNull

from tables import TOKEN, URI, serve

catalog = load_catalog("dailies", type="rest", uri=URI, token=TOKEN, warehouse="dailies")

LITERALS = {
    "boolean": lambda text: text == "true",
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "uuid": UUID,
    "binary": bytes.fromhex,
    "fixed": bytes.fromhex,
}


def row_filter(request):
    found = AlwaysTrue()
    for each in request["where"] or []:
        literal = LITERALS.get(each["type"]["kind"], str)
        found = And(
            found,
            IsNull(each["column"]) if each["text"] is None else EqualTo(each["column"], literal(each["text"])),
        )
    return found


def read(request):
    return catalog.load_table(request["name"]).scan(row_filter=row_filter(request)).to_arrow()


def do(request):
    table = catalog.load_table(request["append"])
    table.append(pa.Table.from_pylist(request["rows"], schema=table.schema().as_arrow()))


serve(read, do)
