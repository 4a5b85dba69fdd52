"""Reads tables by DuckDB's own Iceberg extension (tables.py)."""

import glob
import importlib
import os

import duckdb

from tables import TOKEN, URI, serve, sql_columns, sql_table, sql_where

connection = duckdb.connect()
for name in ("avro", "httpfs", "iceberg"):
    folder = os.path.dirname(importlib.import_module(f"duckdb_extension_{name}").__file__)
    [file] = glob.glob(f"{folder}/extensions/*/*.duckdb_extension")
    connection.execute(f"INSTALL '{file}'")  # under its folder of extensions, where one finds the other
    connection.execute(f"LOAD {name}")
connection.execute("SET TimeZone = 'UTC'")
connection.execute(f"ATTACH 'dailies' AS dailies (TYPE ICEBERG, ENDPOINT '{URI}', TOKEN '{TOKEN}')")


def read(request):
    table = sql_table("dailies", request["name"])
    return connection.sql(f"SELECT {sql_columns(request)} FROM {table}{sql_where(request)}").to_arrow_table()


serve(read)
