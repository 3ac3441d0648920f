"""Calls between agents, their own address, and what belongs to one turn only."""

import asyncio
from typing import Any

from eddy import AgentContext, agent, query
from requests import make


def count(ctx: AgentContext) -> int:
    ticks: int = ctx.state.get("ticks", 0) + 1
    ctx.state["ticks"] = ticks
    return ticks


@agent
class Worker:
    kept: AgentContext | None = None

    def tick(self, ctx: AgentContext) -> int:
        return count(ctx)

    @query
    def ticks(self, ctx: AgentContext) -> int:
        return ctx.state.get("ticks", 0)  # type: ignore[no-any-return]

    @query
    def address(self, ctx: AgentContext) -> dict[str, str]:
        return {"type": ctx.self.type, "key": ctx.self.key}

    async def work(self, ctx: AgentContext, ms: int, signal: str) -> None:
        await ctx.call("worker", signal, "tick")
        await asyncio.sleep(ms / 1000)
        count(ctx)

    async def request(self, ctx: AgentContext, wanted: dict[str, Any], /) -> Any:
        return await make(ctx, wanted)

    async def forget(self, ctx: AgentContext, wanted: dict[str, Any], /) -> str:
        asyncio.create_task(make(ctx, wanted))
        await asyncio.sleep(0)
        count(ctx)
        return "done"

    async def call_itself(self, ctx: AgentContext) -> Any:
        return await ctx.call(ctx.self.type, ctx.self.key, "tick")

    async def chain(self, ctx: AgentContext, keys: list[str]) -> Any:
        if not keys:
            return count(ctx)
        first, *rest = keys
        return await ctx.call("worker", first, "chain", keys=rest)

    def keep(self, ctx: AgentContext) -> None:
        Worker.kept = ctx

    def use_kept(self, ctx: AgentContext) -> None:
        if Worker.kept is not None:
            Worker.kept.state["ticks"] = 1000
