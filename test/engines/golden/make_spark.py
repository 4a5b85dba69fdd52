"""Makes the tables under test/fixtures/golden that Spark writes: test/engines/golden/make runs it.

Each table's history is below; EXPECTED.json tells for each of its snapshots what rows Spark finds, in canonical.py's form.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../readers"))

from canonical import table_rows  # noqa: E402
from spark_session import open_session  # noqa: E402

ROOT = os.environ["GOLDEN_ROOT"]
spark = open_session("http://localhost", "none")
spark.conf.set("spark.sql.catalog.golden", "org.apache.iceberg.spark.SparkCatalog")
spark.conf.set("spark.sql.catalog.golden.type", "hadoop")
spark.conf.set("spark.sql.catalog.golden.warehouse", f"file:{ROOT}")
spark.conf.set("spark.sql.catalog.golden.cache-enabled", "false")
spark.conf.set("spark.sql.shuffle.partitions", "1")
spark.conf.set("spark.sql.leafNodeDefaultParallelism", "1")


def sql(statement):
    return spark.sql(statement)


def create(name, columns, format_version, rest="", **properties):
    settings = {
        "format-version": format_version,
        "write.delete.mode": "merge-on-read",
        "write.update.mode": "merge-on-read",
        "write.merge.mode": "merge-on-read",
        **{key.replace("_", "."): value for key, value in properties.items()},
    }
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in settings.items())
    sql(f"CREATE TABLE golden.db.{name} ({columns}) USING iceberg {rest} TBLPROPERTIES ({listed})")


TYPES = """id BIGINT, flag BOOLEAN, small INT, single FLOAT, twice DOUBLE, price DECIMAL(9, 2), budget DECIMAL(18, 0),
  vast DECIMAL(38, 10), day DATE, local TIMESTAMP_NTZ, instant TIMESTAMP, title STRING, raw BINARY"""
TYPED_ROWS = """
  (1, true, 2147483647, CAST('NaN' AS FLOAT), CAST('-Infinity' AS DOUBLE), 1234567.89, 999999999999999999,
   1234567890123456789012345678.0123456789, DATE '0001-01-01', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999',
   TIMESTAMP '9999-12-31 23:59:59.999999', 'ünïcode 🎬', X'00FF80'),
  (2, false, -2147483648, CAST(-0.0 AS FLOAT), 5e-324D, -0.01, 0, -0.0000000001, DATE '9999-12-31',
   TIMESTAMP_NTZ '0001-01-01 00:00:00', TIMESTAMP '1970-01-01 00:00:00', '', X''),
  (3, null, null, null, null, null, null, null, null, null, null, null, null),
  (4, true, 7, 1.5, 2.5, 1.10, 5, 5.5, DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 12:00:00.000001',
   TIMESTAMP '2024-02-29 12:00:00.000001', repeat('x', 60), X'01')"""


def v1_types():
    create("v1_types", TYPES, 1)
    sql(f"INSERT INTO golden.db.v1_types VALUES {TYPED_ROWS}")
    sql("INSERT INTO golden.db.v1_types (id, title) VALUES (5, 'later')")


def v1_upgraded():
    create("v1_upgraded", "id BIGINT, title STRING, territory STRING", 1, "PARTITIONED BY (territory)")
    sql("INSERT INTO golden.db.v1_upgraded SELECT id, concat('Film ', id), IF(id % 2 = 0, 'US', 'FR') FROM range(8)")
    sql("ALTER TABLE golden.db.v1_upgraded SET TBLPROPERTIES ('format-version' = '2')")
    sql("DELETE FROM golden.db.v1_upgraded WHERE id IN (1, 4)")
    sql("INSERT INTO golden.db.v1_upgraded VALUES (9, null, null)")


def v2_position_deletes():
    create("v2_position_deletes", TYPES, 2)
    sql(f"INSERT INTO golden.db.v2_position_deletes VALUES {TYPED_ROWS}")
    sql("INSERT INTO golden.db.v2_position_deletes (id, title) SELECT id, concat('Film ', id) FROM range(10, 30)")
    sql("DELETE FROM golden.db.v2_position_deletes WHERE id IN (2, 11, 13, 29)")
    sql("UPDATE golden.db.v2_position_deletes SET title = 'updated', small = 1 WHERE id % 5 = 0")
    sql("DELETE FROM golden.db.v2_position_deletes WHERE id = 15")


def v3_deletion_vectors():
    create("v3_deletion_vectors", "id BIGINT, title STRING", 3)
    sql("INSERT INTO golden.db.v3_deletion_vectors SELECT id, concat('Film ', id) FROM range(20)")
    sql("DELETE FROM golden.db.v3_deletion_vectors WHERE id IN (2, 11, 13)")
    sql("UPDATE golden.db.v3_deletion_vectors SET title = 'updated' WHERE id % 5 = 0")
    sql("INSERT INTO golden.db.v3_deletion_vectors VALUES (30, null)")
    sql("DELETE FROM golden.db.v3_deletion_vectors WHERE id IN (10, 30, 19)")


def v2_upgraded():
    create("v2_upgraded", "id BIGINT, title STRING", 2)
    sql("INSERT INTO golden.db.v2_upgraded SELECT id, concat('Film ', id) FROM range(10)")
    sql("DELETE FROM golden.db.v2_upgraded WHERE id IN (2, 3)")
    sql("ALTER TABLE golden.db.v2_upgraded SET TBLPROPERTIES ('format-version' = '3')")
    sql("DELETE FROM golden.db.v2_upgraded WHERE id IN (4)")
    sql("INSERT INTO golden.db.v2_upgraded VALUES (20, 'later')")


def partition_evolution():
    columns = "id BIGINT, title STRING, released DATE, at TIMESTAMP"
    create("partition_evolution", columns, 2, "PARTITIONED BY (months(released))")
    rows = "SELECT id, concat('Film ', id), date_add(DATE '2024-01-30', CAST(id AS INT)), TIMESTAMP '2024-01-01 22:00:00' + make_interval(0, 0, 0, 0, CAST(id AS INT))"
    sql(f"INSERT INTO golden.db.partition_evolution {rows} FROM range(4)")
    sql("ALTER TABLE golden.db.partition_evolution REPLACE PARTITION FIELD months(released) WITH bucket(2, id)")
    sql(f"INSERT INTO golden.db.partition_evolution {rows} FROM range(4, 8)")
    sql("ALTER TABLE golden.db.partition_evolution DROP PARTITION FIELD bucket(2, id)")
    sql("ALTER TABLE golden.db.partition_evolution ADD PARTITION FIELD truncate(6, title)")
    sql("ALTER TABLE golden.db.partition_evolution ADD PARTITION FIELD hours(at)")
    sql(f"INSERT INTO golden.db.partition_evolution {rows} FROM range(8, 11)")
    sql("DELETE FROM golden.db.partition_evolution WHERE id IN (1, 5, 9)")


def renamed_nested():
    create(
        "renamed_nested",
        "id INT, person STRUCT<name: STRING, age: INT, gone: STRING>, credits ARRAY<STRUCT<title: STRING, fee: DECIMAL(9, 2)>>, by_year MAP<STRING, STRUCT<takes: INT>>, old STRING",
        2,
    )
    values = "named_struct('name', concat('N', id), 'age', id, 'gone', 'x'), array(named_struct('title', 'Writer', 'fee', 1.5), null), map('2024', named_struct('takes', id))"
    sql(f"INSERT INTO golden.db.renamed_nested SELECT CAST(id AS INT), {values}, 'old' FROM range(3)")
    for change in (
        "RENAME COLUMN person.name TO full_name",
        "RENAME COLUMN credits.element.title TO job",
        "RENAME COLUMN by_year.value.takes TO shots",
        "RENAME COLUMN person TO director",
        "DROP COLUMN director.gone",
        "ADD COLUMN director.gone INT",
        "ADD COLUMN credits.element.paid BOOLEAN",
        "ALTER COLUMN director.age TYPE BIGINT",
        "ALTER COLUMN id TYPE BIGINT",
        "ALTER COLUMN credits.element.fee TYPE DECIMAL(12, 2)",
        "ALTER COLUMN old FIRST",
        "DROP COLUMN old",
        "ADD COLUMN old INT",
    ):
        sql(f"ALTER TABLE golden.db.renamed_nested {change}")
    sql("INSERT INTO golden.db.renamed_nested (id, director, old) VALUES (5000000000, named_struct('full_name', 'New', 'age', 6000000000, 'gone', 7), 8)")
    sql("DELETE FROM golden.db.renamed_nested WHERE id = 1")


def migrated():
    source = f"{ROOT}/plain"
    sql("SELECT id, concat('Film ', id) AS title, named_struct('takes', CAST(id AS INT)) AS inner FROM range(4)").coalesce(
        1
    ).write.parquet(source)
    create("migrated", "id BIGINT, title STRING, inner STRUCT<takes: INT>", 2)
    sql(f"CALL golden.system.add_files(table => 'db.migrated', source_table => '`parquet`.`{source}`')")
    sql("ALTER TABLE golden.db.migrated RENAME COLUMN title TO name")
    sql("ALTER TABLE golden.db.migrated RENAME COLUMN inner.takes TO shots")
    sql("INSERT INTO golden.db.migrated VALUES (10, 'Own', named_struct('shots', 1))")
    sql("DELETE FROM golden.db.migrated WHERE id = 2")


def gzip_metadata():
    create("gzip_metadata", "id BIGINT, title STRING", 2, write_metadata_compression_codec="gzip")
    sql("ALTER TABLE golden.db.gzip_metadata SET TBLPROPERTIES ('write.metadata.compression-codec' = 'gzip')")
    sql("INSERT INTO golden.db.gzip_metadata VALUES (1, 'a'), (2, 'b')")
    sql("DELETE FROM golden.db.gzip_metadata WHERE id = 1")


def tagged():
    create("tagged", "id BIGINT", 2)
    sql("INSERT INTO golden.db.tagged VALUES (1)")
    sql("ALTER TABLE golden.db.tagged CREATE TAG first")
    sql("ALTER TABLE golden.db.tagged CREATE BRANCH trial")
    sql("INSERT INTO golden.db.tagged VALUES (2)")
    sql("INSERT INTO golden.db.tagged.branch_trial VALUES (100)")


def avro_files():
    create("avro_files", "id BIGINT", 2)
    sql("ALTER TABLE golden.db.avro_files SET TBLPROPERTIES ('write.format.default' = 'avro')")
    sql("INSERT INTO golden.db.avro_files VALUES (1)")


def with_variant():
    create("with_variant", "id BIGINT, anything VARIANT, title STRING", 3)
    sql("INSERT INTO golden.db.with_variant SELECT 1, parse_json('{\"a\": [1, 2]}'), 'one'")


def equality_deletes():
    """Made by make_flink.py."""


def equality_deletes_by_two():
    """Made by make_flink.py."""


KINDS = {
    "bigint": "long",
    "timestamp": "timestamptz",
    "timestamp_ntz": "timestamp",
}


def type_of(kind):
    """A Spark type as JSON of catalog/schemas/schema.ts."""
    name = kind.typeName()
    if name == "struct":
        return {"kind": "struct", "fields": [field_of(field) for field in kind.fields]}
    if name == "array":
        return {"kind": "list", "element": type_of(kind.elementType)}
    if name == "map":
        return {"kind": "map", "key": type_of(kind.keyType), "value": type_of(kind.valueType)}
    if name.startswith("decimal"):
        return {"kind": "decimal", "precision": kind.precision, "scale": kind.scale}
    return {"kind": {"integer": "int", **KINDS}.get(name, name)}


def field_of(field):
    return {"name": field.name, "type": type_of(field.dataType), "required": not field.nullable}


def expected_of(name):
    snapshots = [row[0] for row in sql(f"SELECT snapshot_id FROM golden.db.{name}.snapshots ORDER BY committed_at").collect()]
    states = {}
    for snapshot in snapshots:
        found = sql(f"SELECT * FROM golden.db.{name} VERSION AS OF {snapshot}")
        # What we cannot carry is left out of ours, too.
        kept = [field for field in found.schema.fields if field.dataType.typeName() != "variant"]
        fields = [field_of(field) for field in kept]
        rows = table_rows(found.select(*[f"`{field.name}`" for field in kept]).toArrow(), fields)
        states[str(snapshot)] = {"fields": fields, "rows": sorted(rows, key=lambda row: json.dumps(row, ensure_ascii=False))}
    current = sql(f"SELECT snapshot_id FROM golden.db.{name}.refs WHERE name = 'main'").collect()[0][0]
    return {"current": str(current), "snapshots": states}


TABLES = [
    v1_types,
    v1_upgraded,
    v2_position_deletes,
    v2_upgraded,
    v3_deletion_vectors,
    partition_evolution,
    renamed_nested,
    migrated,
    gzip_metadata,
    tagged,
    avro_files,
    with_variant,
    equality_deletes,
    equality_deletes_by_two,
]
expected = {}
for make in TABLES:
    make()
    print(make.__name__, flush=True)
    expected[make.__name__] = expected_of(make.__name__)
lines = [f"{json.dumps(name)}: {json.dumps(told, ensure_ascii=False)}" for name, told in expected.items()]
with open(f"{ROOT}/EXPECTED.json", "w") as file:
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
