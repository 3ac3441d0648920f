"""The behaviour app in Python: see guests/behaviour/README.md. Functions are here and in `failing` and `fetching`,
agents in the other modules."""

import asyncio
from typing import Any

import failing
import fetching
import messages
import notebook
import worker
from eddy import FunctionContext, fn
from requests import attempt, in_time, make


@fn
def greet(ctx: FunctionContext, name: str) -> str:
    return f"Hello, {name}!"


@fn
def echo(ctx: FunctionContext, value: Any, /) -> Any:
    return value


@fn
def nothing(ctx: FunctionContext) -> None:
    pass


@fn
def with_default(ctx: FunctionContext, by: int = 1) -> dict[str, int]:
    return {"by": by}


@fn
def about(ctx: FunctionContext) -> dict[str, Any]:
    return {
        "now": ctx.now,
        "invocation": ctx.invocation,
        "random": [ctx.random(), ctx.random()],
        "greeting": ctx.env("GREETING"),
        "missing": ctx.env("NO_SUCH_NAME"),
    }


@fn
async def same_now(ctx: FunctionContext) -> bool:
    before = ctx.now
    await asyncio.sleep(0.02)
    return ctx.now == before


@fn
def log_lines(ctx: FunctionContext) -> None:
    ctx.log("plain")
    ctx.log.trace("at trace")
    ctx.log.debug("at debug")
    ctx.log.info("at info")
    ctx.log.warn("at warn")
    ctx.log.error("at error")


@fn
def large(ctx: FunctionContext, bytes: int) -> str:
    return "x" * bytes


@fn
async def pause(ctx: FunctionContext, ms: int) -> int:
    await asyncio.sleep(ms / 1000)
    return ms


@fn
async def request(ctx: FunctionContext, wanted: dict[str, Any], /) -> Any:
    return await make(ctx, wanted)


@fn
async def caught(ctx: FunctionContext, wanted: dict[str, Any], /) -> Any:
    return await attempt(make(ctx, wanted))


@fn
async def gather(ctx: FunctionContext, wanted: list[dict[str, Any]], /) -> list[Any]:
    return await asyncio.gather(*(make(ctx, one) for one in wanted))


@fn
async def gather_caught(ctx: FunctionContext, wanted: list[dict[str, Any]], /) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(make(ctx, one))) for one in wanted]
    return [task.result() for task in tasks]


@fn
async def first_of(ctx: FunctionContext, wanted: list[dict[str, Any]], /) -> Any:
    tasks = [asyncio.create_task(make(ctx, one)) for one in wanted]
    done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    return done.pop().result()


@fn
async def within(ctx: FunctionContext, ms: int, request: dict[str, Any]) -> dict[str, Any]:
    return await in_time(ms, make(ctx, request))


@fn
async def forget(ctx: FunctionContext, wanted: dict[str, Any], /) -> str:
    asyncio.create_task(make(ctx, wanted))
    await asyncio.sleep(0)
    return "done"


@fn
async def rendezvous(ctx: FunctionContext, key: str, wanted: int) -> int:
    await ctx.call("worker", key, "tick")
    while True:
        ticks: int = await ctx.call("worker", key, "ticks")
        if ticks >= wanted:
            return ticks
        await asyncio.sleep(0.01)


@fn
def send_to(ctx: FunctionContext, key: str, notes: list[str]) -> None:
    for note in notes:
        ctx.send("inbox", key, "receive", note=note)
