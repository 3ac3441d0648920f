"""State, and what queries may not do."""

from typing import Any

from eddy import AgentContext, EddyError, agent, query
from requests import make

_NOTHING = object()


def shown(value: Any) -> dict[str, Any]:
    """A state value in JSON, with its kind."""
    return {"bytes": list(value)} if isinstance(value, bytes) else {"json": value}


@agent
class Notebook:
    def put(self, ctx: AgentContext, key: str, value: Any) -> None:
        ctx.state.set(key, value)

    def put_bytes(self, ctx: AgentContext, key: str, bytes: list[int]) -> None:
        ctx.state[key] = bytearray(bytes)

    def put_many(self, ctx: AgentContext, prefix: str, count: int) -> None:
        for n in range(count):
            ctx.state[f"{prefix}{n:03}"] = n

    def put_large(self, ctx: AgentContext, key: str, bytes: int) -> None:
        ctx.state[key] = "x" * bytes

    def put_and_read(self, ctx: AgentContext, key: str, value: Any) -> dict[str, Any]:
        ctx.state[key] = value
        return shown(ctx.state[key])

    def remove(self, ctx: AgentContext, key: str) -> bool:
        return ctx.state.delete(key)

    @query
    def read(self, ctx: AgentContext, key: str) -> dict[str, Any] | None:
        value = ctx.state.get(key, _NOTHING)
        return None if value is _NOTHING else shown(value)

    @query
    def list(self, ctx: AgentContext, **options: Any) -> Any:
        return [[key, shown(value)] for key, value in ctx.state.list(**options)]

    def put_then_fail(self, ctx: AgentContext, key: str, value: Any) -> None:
        ctx.state[key] = value
        raise EddyError("changed-mind", "nothing of this turn is to stay")

    async def put_and_catch(self, ctx: AgentContext, key: str, value: Any, request: dict[str, Any]) -> str | None:
        ctx.state[key] = value
        try:
            await make(ctx, request)
        except EddyError as error:
            return error.code
        return None

    @query
    def put_in_query(self, ctx: AgentContext, key: str, value: Any) -> None:
        ctx.state[key] = value

    @query
    def remove_in_query(self, ctx: AgentContext, key: str) -> None:
        ctx.state.delete(key)

    @query
    def send_in_query(self, ctx: AgentContext, key: str) -> None:
        ctx.send("worker", key, "tick")

    @query
    def timer_in_query(self, ctx: AgentContext) -> None:
        ctx.after(3_600_000, "put", {"key": "late", "value": 1})

    @query
    def caught_in_query(self, ctx: AgentContext, key: str, value: Any) -> str | None:
        try:
            ctx.state[key] = value
        except EddyError as error:
            return error.code
        return None

    @query
    async def request_in_query(self, ctx: AgentContext, wanted: dict[str, Any], /) -> Any:
        return await make(ctx, wanted)
