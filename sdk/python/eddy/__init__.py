"""What a program written in Python imports from Eddy.

    from eddy import agent, fn, query

    @agent
    class Counter:
        def increment(self, ctx, by=1):
            n = ctx.state.get("n", 0) + by
            ctx.state.set("n", n)
            return {"n": n}

        @query
        def value(self, ctx):
            return {"n": ctx.state.get("n", 0)}

    @fn
    async def greet(ctx, name):
        return f"Hello, {name}!"

Everything that is decorated when the program has been loaded is part of the app: what the entry module
defines, and what the modules that it imports define. The type of the agents above is `counter`, the
class's name in snake_case.

A message carries one JSON value. How it becomes a handler's parameters (those after `ctx`) depends on
how they are declared:

- Ordinary parameters have names. A JSON object gives them by name; any other value is the first of them;
  null, or no argument, gives none, so that defaults apply. Names that the handler does not have are left out, so
  that callers may know more than it does; `**rest` takes them.
- A single parameter before a `/` has no name for callers: it takes the argument as it is, objects too.
  For null its default applies, or it is `None`.
- A handler without parameters does not look at the argument.

What does not fit is an `EddyError` with the code `invalid-argument` and the status 400.

A handler may be `def` or `async def`. In an `async def`, `asyncio` works as usual (`gather`, `wait_for`,
`sleep`, `TaskGroup`, `timeout`) over the calls and fetches of `ctx`. When the handler returns, its tasks
are cancelled and its `ctx` is closed. `print` and `logging` write to the invocation's log.

`self` in a method is one object of the class for as long as the agent stays in memory: what is kept on it is a cache.
What must stay belongs into `ctx.state`.
"""

from ._context import AgentContext, Bytes, FetchResponse, FunctionContext, Json, Log, Self, State
from ._define import agent, fn, query
from ._errors import EddyError

__all__ = [
    "AgentContext",
    "Bytes",
    "EddyError",
    "FetchResponse",
    "FunctionContext",
    "Json",
    "Log",
    "Self",
    "State",
    "agent",
    "fn",
    "query",
]
