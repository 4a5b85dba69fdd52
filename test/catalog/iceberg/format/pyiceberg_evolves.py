"""Makes a table with PyIceberg through a REST catalog and changes its schema and partitions: pyiceberg_evolves.py URI FORMAT."""

import sys
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform, YearTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

catalog = load_catalog("dailies", type="rest", uri=sys.argv[1], token="secret-of-the-test")
catalog.create_namespace_if_not_exists("desk")
schema = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "title", StringType(), required=False),
    NestedField(3, "price", DecimalType(9, 2), required=False),
    NestedField(4, "at", TimestamptzType(), required=False),
    NestedField(5, "size", IntegerType(), required=False),
    NestedField(
        6,
        "edge",
        StructType(
            NestedField(7, "country", StringType(), required=False),
            NestedField(8, "day", DateType(), required=False),
        ),
        required=False,
    ),
)
spec = PartitionSpec(
    PartitionField(2, 1000, IdentityTransform(), "title"),
    PartitionField(5, 1001, IdentityTransform(), "size"),
)
table = catalog.create_table("desk.film", schema, partition_spec=spec, properties={"format-version": sys.argv[2]})
kinds = {
    "id": pa.int64(),
    "title": pa.string(),
    "price": pa.decimal128(9, 2),
    "at": pa.timestamp("us", "UTC"),
    "size": pa.int32(),
    "edge": pa.struct([("country", pa.string()), ("day", pa.date32())]),
}


def instant(day):
    return datetime(2024, 2, day, 23, 59, 59, 999999, tzinfo=timezone.utc)


def rows(*values, kinds):
    columns = {name: pa.array([row[at] for row in values], kind) for at, (name, kind) in enumerate(kinds.items())}
    return pa.table(columns)


table.append(
    rows(
        (1, "Metropolis", Decimal("12.30"), instant(1), 7, {"country": "DE", "day": date(1927, 1, 10)}),
        (2, "M", None, None, None, None),
        (3, "Münchhausen", Decimal("-0.01"), instant(29), -7, {"country": None, "day": None}),
        kinds=kinds,
    )
)
with table.update_schema() as update:
    update.rename_column("title", "name")
    update.rename_column("edge.country", "land")
    update.update_column("size", LongType())
    update.add_column("note", StringType())
    update.add_column(("edge", "city"), StringType())
with table.update_spec() as update:
    update.remove_field("title")
kinds = {
    "id": pa.int64(),
    "name": pa.string(),
    "price": pa.decimal128(9, 2),
    "at": pa.timestamp("us", "UTC"),
    "size": pa.int64(),
    "edge": pa.struct([("land", pa.string()), ("day", pa.date32()), ("city", pa.string())]),
    "note": pa.string(),
}
table.append(
    rows(
        (4, "Faust", None, instant(2), 1 << 40, {"land": "DE", "day": None, "city": "Berlin"}, "x"),
        (5, None, Decimal("1.00"), None, 7, None, None),
        kinds=kinds,
    )
)
table.delete("id = 3")
# It cannot write by these itself: the next writer does.
with table.update_spec() as update:
    update.add_field("at", YearTransform(), "at_year")
    update.add_field("id", BucketTransform(4), "id_bucket")
    update.add_field("name", TruncateTransform(2), "name_start")
