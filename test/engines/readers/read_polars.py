"""Reads tables by Polars' own reader; PyIceberg finds the files (tables.py)."""

import polars as pl
from pyiceberg.catalog import load_catalog

from tables import TOKEN, URI, serve

catalog = load_catalog("dailies", type="rest", uri=URI, token=TOKEN, warehouse="dailies")


def condition(each):
    column = pl.col(each["column"])
    if each["text"] is None:
        return column.is_null()
    kind = each["type"]
    casts = {
        "boolean": lambda text: pl.lit(text == "true"),
        "int": lambda text: pl.lit(int(text)),
        "long": lambda text: pl.lit(int(text), pl.Int64),
        "float": lambda text: pl.lit(float(text), pl.Float32),
        "double": lambda text: pl.lit(float(text)),
        "decimal": lambda text: pl.lit(text).cast(pl.Decimal(kind["precision"], kind["scale"])),
        "date": lambda text: pl.lit(text).str.to_date(),
        "time": lambda text: pl.lit(text).str.to_time(),
        "timestamp": lambda text: pl.lit(text).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us"),
        "timestamptz": lambda text: pl.lit(text)
        .str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us")
        .dt.convert_time_zone("UTC"),
        "binary": lambda text: pl.lit(bytes.fromhex(text)),
    }
    return column == casts.get(kind["kind"], pl.lit)(each["text"])


def read(request):
    frame = pl.scan_iceberg(catalog.load_table(request["name"]), reader_override="native")
    for each in request["where"] or []:
        frame = frame.filter(condition(each))
    return frame.collect().to_arrow()


serve(read)
