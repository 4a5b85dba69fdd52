"""Reads tables by Flink SQL (tables.py), whose rows are taken as Java's objects: PyFlink's own rows lose some values."""

import struct
import uuid

from pyflink.java_gateway import get_gateway
from pyflink.table import EnvironmentSettings, TableEnvironment

from canonical import pairs_text, value_text
from tables import TOKEN, URI, serve, sql_columns, sql_table

tables = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
settings = {
    "rest.bind-address": "127.0.0.1",
    "rest.address": "127.0.0.1",
    "rest.bind-port": "0",
    "table.local-time-zone": "UTC",
    "parallelism.default": "1",
}
for key, value in settings.items():
    tables.get_config().set(key, value)
tables.execute_sql(
    "CREATE CATALOG dailies WITH ('type' = 'iceberg', 'catalog-type' = 'rest', 'cache-enabled' = 'false', "
    f"'uri' = '{URI}', 'token' = '{TOKEN}', 'io-impl' = 'org.apache.iceberg.hadoop.HadoopFileIO')"
)
utc = get_gateway().jvm.java.time.ZoneOffset.UTC


def java_text(value, kind):
    name = kind["kind"]
    if value is None:
        return None
    if name == "struct":
        return [java_text(value.getField(at), field["type"]) for at, field in enumerate(kind["fields"])]
    if name == "list":
        return [java_text(item, kind["element"]) for item in value]
    if name == "map":
        entries = value.entrySet().toArray()
        return pairs_text(
            (java_text(entry.getKey(), kind["key"]), java_text(entry.getValue(), kind["value"])) for entry in entries
        )
    if name == "date":
        return str(value.toEpochDay())
    if name == "time":
        return str(value.toNanoOfDay() // 1000)
    if name.startswith("timestamp"):
        instant = value.toInstant(utc) if name in ("timestamp", "timestamp_ns") else value
        nanoseconds = instant.getEpochSecond() * 10**9 + instant.getNano()
        return str(nanoseconds if name.endswith("_ns") else nanoseconds // 1000)
    if name == "float":  # told by its shortest text
        return value_text(struct.unpack("f", struct.pack("f", value))[0], kind)
    if name == "uuid":
        return str(uuid.UUID(bytes=bytes(value)))
    return value_text(value, kind)


def read(request):
    kinds = [field["type"] for field in request["fields"]]
    statement = f"SELECT {sql_columns(request, '`')} FROM {sql_table('dailies', request['name'], '`')}"
    found = tables.execute_sql(statement)._j_table_result.collect()
    rows = []
    try:
        while found.hasNext():
            row = found.next()
            rows.append([java_text(row.getField(at), kind) for at, kind in enumerate(kinds)])
    finally:
        found.close()
    return rows


serve(read)
