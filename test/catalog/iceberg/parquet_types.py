"""Prints the physical and logical type of each leaf column of a Parquet file, and its field id, as JSON."""

import json
import sys

import pyarrow.parquet as pq

file = pq.ParquetFile(sys.argv[1])
columns = {}
for index in range(len(file.schema)):
    column = file.schema.column(index)
    length = f"({column.length})" if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else ""
    columns[column.path] = [column.physical_type + length, str(column.logical_type), column.max_definition_level]
ids = {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in file.schema_arrow}
print(json.dumps({"columns": columns, "ids": ids, "rows": file.read().num_rows}))
