"""JSON text as the node takes it: UTF-8, no NaN, and the few Python values beyond JSON that have one obvious form."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import uuid
from typing import Any


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"JSON cannot hold {type(value).__name__}")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def encode(value: Any) -> bytes:
    """`value` as JSON text. Dataclasses are objects, dates are ISO 8601, enums their values, UUIDs text."""
    return _encoder.encode(value).encode()


def decode(text: bytes) -> Any:
    """The value of JSON text."""
    return json.loads(text)
