"""Applies transforms with PyIceberg: JSON list of {type, transform, value} in, JSON list of texts out, null where refused.

Values are texts: integers for numbers of any kind of time and for unscaled decimals, bytes in hex.
"""

import json
import sys
from decimal import Decimal

from pyiceberg.transforms import parse_transform
from pyiceberg.types import IcebergType
from pydantic import TypeAdapter
from pyiceberg_values import parse

types = TypeAdapter(IcebergType)


def show(kind, value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return str(int(value.scaleb(kind.scale)))
    if isinstance(value, float):
        return "floating"
    return str(value)


def answer(case):
    kind = types.validate_python(case["type"])
    transform = parse_transform(case["transform"])
    if not transform.can_transform(kind):
        return None
    return show(kind, transform.transform(kind)(parse(kind, case["value"])))


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
