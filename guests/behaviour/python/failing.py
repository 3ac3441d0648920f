"""Errors."""

from typing import Any

from eddy import EddyError, FunctionContext, fn


@fn
def fail(ctx: FunctionContext, code: str, message: str, status: int | None = None, details: Any = None) -> None:
    raise EddyError(code, message, status=status, details=details)


@fn
def fail_plain(ctx: FunctionContext, message: str) -> None:
    raise ValueError(message)
