"""The frame of a reader: answers each line of its standard input, a JSON request, by one line of JSON.

Requests to read: {"name": "namespace.table", "fields": [{"name", "type"}], "where": null | [{"column", "type", "text" | null}]}.
Answers: {"rows"}, of canonical.py, or {"error"}. All conditions of `where` hold at once: the
column equals the value of which `text` is the SQL literal's text (bytes in hex), or is NULL.

A request {"do": …} is for engines that also write, in a form of their own; its answer is {"done": …} or {"error"}.
"""

import json
import os
import traceback

from canonical import table_rows

os.environ["TZ"] = "UTC"

# An engine's processes inherit what stands in their place: they print no answers and read no requests.
REQUESTS = os.fdopen(os.dup(0))
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)

URI = os.environ["CATALOG_URI"]
TOKEN = os.environ["CATALOG_TOKEN"]


def serve(read, do=None):
    """`read(request)` gives an Arrow table, or rows of texts; `do(what)` gives JSON."""
    print(json.dumps({"ready": True}), file=ANSWERS, flush=True)
    for line in REQUESTS:
        request = json.loads(line)
        try:
            if "do" in request:
                answer = {"done": do(request["do"])}
            else:
                table = read(request)
                answer = {"rows": table if isinstance(table, list) else table_rows(table, request["fields"])}
        except Exception as error:
            traceback.print_exc()
            told = [line for line in f"{type(error).__name__}: {error}".splitlines() if not line.startswith("\tat ")]
            answer = {"error": "\n".join(told)[:4000]}
        print(json.dumps(answer), file=ANSWERS, flush=True)


# Names of types, or with {} a form of its own for a literal's text.
SQL_TYPES = {
    "int": "INTEGER",
    "long": "BIGINT",
    "string": "VARCHAR",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "binary": "from_hex({})",
}


def sql_name(name, quote='"'):
    return quote + name.replace(quote, quote * 2) + quote


def sql_literal(condition, types=SQL_TYPES):
    kind = condition["type"]
    name = kind["kind"]
    if name == "binary" and name not in types:
        return f"X'{condition['text']}'"
    quoted = "'" + condition["text"].replace("'", "''") + "'"
    typed = f"DECIMAL({kind['precision']}, {kind['scale']})" if name == "decimal" else types.get(name, name.upper())
    return typed.format(quoted) if "{}" in typed else f"CAST({quoted} AS {typed})"


def sql_where(request, quote='"', types=SQL_TYPES):
    conditions = [
        f"{sql_name(each['column'], quote)} IS NULL"
        if each["text"] is None
        else f"{sql_name(each['column'], quote)} = {sql_literal(each, types)}"
        for each in request["where"] or []
    ]
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def sql_columns(request, quote='"'):
    return ", ".join(sql_name(field["name"], quote) for field in request["fields"])


def sql_table(catalog, name, quote='"'):
    return ".".join(sql_name(part, quote) for part in [catalog, *name.split(".")])
