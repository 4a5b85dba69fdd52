"""Reads tables by Flink SQL (tables.py). Its values come as texts that Flink makes, where Python's would lose something."""

from pyflink.table import EnvironmentSettings, TableEnvironment

from canonical import value_text
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


def read(request):
    kinds = [field["type"] for field in request["fields"]]
    statement = f"SELECT {sql_columns(request, '`')} FROM {sql_table('dailies', request['name'], '`')}"
    with tables.execute_sql(statement).collect() as rows:
        return [[value_text(value, kind) for value, kind in zip(row, kinds)] for row in rows]


serve(read)
