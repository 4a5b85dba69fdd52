"""Values of Iceberg types as texts: integers for numbers of any kind of time and for unscaled decimals, bytes in hex."""

from decimal import Decimal, getcontext
from uuid import UUID

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    StringType,
    UUIDType,
)

getcontext().prec = 60


def parse(kind, text):
    if text is None:
        return None
    if isinstance(kind, BooleanType):
        return text == "true"
    if isinstance(kind, (FloatType, DoubleType)):
        return float(text)
    if isinstance(kind, DecimalType):
        return Decimal(int(text)).scaleb(-kind.scale)
    if isinstance(kind, UUIDType):
        return UUID(text)
    if isinstance(kind, (BinaryType, FixedType)):
        return bytes.fromhex(text)
    return text if isinstance(kind, StringType) else int(text)
