"""What this file defines is what the app defines: an agent type with a method and a query, and a function."""

from typing import TypedDict

from eddy import AgentContext, EddyError, FunctionContext, agent, fn, query


class Entry(TypedDict):
    at: int
    name: str
    text: str


@agent
class Guestbook:
    """A guest book. Each key (`guestbook/main`, `guestbook/garden`) is a book of its own, with durable state."""

    def sign(self, ctx: AgentContext, name: str, text: str) -> dict[str, int]:
        """Adds an entry. Everything a turn changes commits together, or not at all."""
        if not text:
            raise EddyError("empty-entry", "an entry needs a text", status=422)
        entries = ctx.state.get("count", 0) + 1
        entry: Entry = {"at": ctx.now, "name": name, "text": text}
        ctx.state.set(f"entry/{entries:06}", entry)
        ctx.state.set("count", entries)
        ctx.log(f"{name} signed {ctx.self.key}")
        return {"entries": entries}

    @query
    def entries(self, ctx: AgentContext) -> list[Entry]:
        """A query: it reads, and never writes."""
        return [entry for _, entry in ctx.state.list("entry/")]


@fn
def greet(ctx: FunctionContext, name: str = "world") -> str:
    """A function: no state, any number of them at once."""
    ctx.log.debug(f"greeting {name}")
    return f"Hello, {name}!"
