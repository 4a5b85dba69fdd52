"""Makes the table of equality deletes, which Flink writes and Spark does not; Spark tells afterwards what it finds."""

import os

from pyflink.table import EnvironmentSettings, TableEnvironment

ROOT = os.environ["GOLDEN_ROOT"]
tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
for key, value in {"rest.bind-address": "127.0.0.1", "rest.address": "127.0.0.1", "rest.bind-port": "0", "parallelism.default": "1"}.items():
    tables.get_config().set(key, value)
tables.execute_sql(f"CREATE CATALOG golden WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = 'file:{ROOT}')")
tables.execute_sql("CREATE DATABASE IF NOT EXISTS golden.db")
for name, key, partition in (("equality_deletes", "id", ""), ("equality_deletes_by_two", "id, territory", "PARTITIONED BY (territory)")):
    tables.execute_sql(
        f"CREATE TABLE golden.db.{name} (id BIGINT, territory STRING, title STRING, PRIMARY KEY ({key}) NOT ENFORCED) {partition} "
        "WITH ('format-version' = '2', 'write.upsert.enabled' = 'true')"
    )
    for rows in (
        "(CAST(1 AS BIGINT), 'US', 'one'), (2, 'US', 'two'), (3, 'FR', 'three'), (4, 'FR', CAST(NULL AS STRING))",
        "(CAST(1 AS BIGINT), 'US', 'one again'), (5, 'FR', 'five')",
        "(CAST(1 AS BIGINT), 'US', 'one at last'), (4, 'FR', 'four'), (4, 'FR', 'four again')",
    ):
        tables.execute_sql(f"INSERT INTO golden.db.{name} VALUES {rows}").wait()
