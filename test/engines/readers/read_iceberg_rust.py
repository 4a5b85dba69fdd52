"""Reads tables by iceberg-rust under DataFusion (tables.py); where their metadata lies is asked of the catalog."""

import json
from urllib.parse import quote
from urllib.request import Request, urlopen

import pyarrow as pa
from datafusion import SessionContext
from pyiceberg_core.datafusion import IcebergDataFusionTable

from tables import TOKEN, URI, serve, sql_columns, sql_name, sql_where

# SQL's own timestamps are of nanoseconds there, which end in 2262.
TYPES = {
    "long": "BIGINT",
    "int": "INTEGER",
    "string": "VARCHAR",
    "timestamp": "arrow_cast({}, 'Timestamp(Microsecond, None)')",
    "timestamptz": "arrow_cast({}, 'Timestamp(Microsecond, Some(\"+00:00\"))')",
}


def read(request):
    *levels, name = request["name"].split(".")
    address = f"{URI}/v1/namespaces/{quote(chr(31).join(levels))}/tables/{quote(name)}"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {TOKEN}"})) as answer:
        location = json.load(answer)["metadata-location"]
    context = SessionContext()
    context.register_table(name, IcebergDataFusionTable([*levels, name], location, None))
    batches = context.sql(f"SELECT {sql_columns(request)} FROM {sql_name(name)}{sql_where(request, types=TYPES)}").collect()
    fields = [field["name"] for field in request["fields"]]
    return pa.Table.from_batches(batches) if batches else pa.table({field: pa.nulls(0) for field in fields})


serve(read)
