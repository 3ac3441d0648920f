"""Requests to HTTP servers."""

from typing import Any

from eddy import EddyError, FunctionContext, fn
from requests import in_time


@fn
async def fetch_url(
    ctx: FunctionContext,
    url: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    response = await ctx.fetch(url, method=method, headers=headers, body=body)
    return {
        "status": response.status,
        "ok": response.ok,
        "reply": response.headers.get("x-reply"),
        "text": response.text(),
    }


@fn
async def fetch_json(ctx: FunctionContext, url: str) -> Any:
    return (await ctx.fetch(url)).json()


@fn
async def fetch_caught(ctx: FunctionContext, url: str) -> dict[str, Any]:
    try:
        return await fetch_url(ctx, url)
    except EddyError as error:
        return {"code": error.code}


@fn
async def fetch_within(ctx: FunctionContext, ms: int, url: str) -> dict[str, Any]:
    async def status() -> int:
        return (await ctx.fetch(url)).status

    return await in_time(ms, status())
