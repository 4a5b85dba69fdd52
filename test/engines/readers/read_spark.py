"""Reads tables by Spark (tables.py); what it is to do otherwise is a statement of SQL, answered by its rows as texts."""

from spark_session import open_session
from tables import TOKEN, URI, serve, sql_columns, sql_table, sql_where

TYPES = {
    "long": "BIGINT",
    "string": "STRING",
    "uuid": "STRING",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}
session = open_session(URI, TOKEN)


def read(request):
    table = sql_table("dailies", request["name"], "`")
    return session.sql(f"SELECT {sql_columns(request, '`')} FROM {table}{sql_where(request, '`', TYPES)}").toArrow()


def do(statement):
    return [[None if value is None else str(value) for value in row] for row in session.sql(statement).collect()]


serve(read, do)
