"""Makes and changes a table of its own through PyIceberg, and tries to change one that a pipeline writes.

Usage: pyiceberg_writes.py URI CREDENTIAL; prints what became of it as JSON.
"""

import json
import sys

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.types import IntegerType

uri, credential = sys.argv[1:3]
catalog = load_catalog(
    "dailies", type="rest", uri=uri, credential=credential, warehouse="dailies", **{"oauth2-server-uri": f"{uri}/v1/oauth/tokens"}
)
catalog.create_namespace("pie")
schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("title", pa.string())])
table = catalog.create_table("pie.film", schema, properties={"team": "pie"})
table.append(pa.table({"id": [1, 2, 3], "title": ["a", "b", "c"]}, schema=schema))
table.delete("id = 2")
with table.update_schema() as update:
    update.add_column("year", IntegerType())
with table.manage_snapshots() as snapshots:
    snapshots.create_tag(table.current_snapshot().snapshot_id, "kept")
with catalog.create_table_transaction("pie.staged", schema) as transaction:
    transaction.append(pa.table({"id": [9], "title": ["z"]}, schema=schema))
movie = catalog.load_table("production.movie")
with movie.manage_snapshots() as snapshots:
    snapshots.create_tag(movie.current_snapshot().snapshot_id, "audited")
try:
    movie.append(movie.scan().to_arrow())
    refusal = None
except Exception as error:
    refusal = f"{type(error).__name__}: {error}"
print(
    json.dumps(
        {
            "tables": [".".join(name) for name in catalog.list_tables("pie")],
            "refs": sorted(catalog.load_table("pie.film").refs()),
            "rows": catalog.load_table("pie.film").scan().to_arrow().sort_by("id").to_pylist(),
            "refusal": refusal,
        }
    )
)
