"""Requests to others, and the ways to wait for them."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from eddy import EddyError, FunctionContext


async def make(ctx: FunctionContext, wanted: dict[str, Any]) -> Any:
    """Calls an agent, or invokes a function."""
    argument = wanted.get("argument")
    if "function" in wanted:
        return await ctx.invoke(wanted["function"], argument)
    return await ctx.call(wanted["type"], wanted["key"], wanted["method"], argument)


async def attempt(work: Awaitable[Any]) -> dict[str, Any]:
    """What came of it: a value, or what a caller sees of the error."""
    try:
        return {"value": await work}
    except EddyError as error:
        return caught(error)


def caught(error: EddyError) -> dict[str, Any]:
    """An error of a guest has its own name and details inside of the node's."""
    guest = error.details if error.code == "guest-error" else None
    return {
        "code": error.code,
        "status": error.status,
        "name": guest and guest["name"],
        "details": guest and guest["details"],
    }


async def in_time(ms: int, work: Awaitable[Any]) -> dict[str, Any]:
    """Its value, unless it takes longer."""
    try:
        return {"value": await asyncio.wait_for(work, ms / 1000)}
    except TimeoutError:
        return {"timed_out": True}
