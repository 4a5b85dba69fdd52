"""Runs statements by DuckDB's own Iceberg extension, signed in with OAuth2's client credentials.

Usage: duckdb_writes.py URI CLIENT_ID CLIENT_SECRET < statements.json; prints [{"rows"} | {"error"}] as JSON.
"""

import glob
import importlib
import json
import os
import sys

import duckdb

uri, client, secret = sys.argv[1:4]
connection = duckdb.connect()
for name in ("avro", "httpfs", "iceberg"):
    folder = os.path.dirname(importlib.import_module(f"duckdb_extension_{name}").__file__)
    [file] = glob.glob(f"{folder}/extensions/*/*.duckdb_extension")
    connection.execute(f"INSTALL '{file}'")
    connection.execute(f"LOAD {name}")
connection.execute(
    f"CREATE SECRET dailies (TYPE ICEBERG, CLIENT_ID '{client}', CLIENT_SECRET '{secret}',"
    f" OAUTH2_SERVER_URI '{uri}/v1/oauth/tokens')"
)
connection.execute(f"ATTACH 'dailies' AS dailies (TYPE ICEBERG, ENDPOINT '{uri}', SECRET dailies)")

answers = []
for statement in json.load(sys.stdin):
    try:
        answers.append({"rows": [[str(value) for value in row] for row in connection.execute(statement).fetchall()]})
    except Exception as error:
        answers.append({"error": f"{type(error).__name__}: {error}"})
print(json.dumps(answers))
