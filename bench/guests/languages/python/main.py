"""The counter of the benchmarks in Python."""

from eddy import AgentContext, FunctionContext, agent, fn, query

# Another number for each deploy: the benchmark replaces it.
VERSION = 424242


@agent
class Counter:
    def increment(self, ctx: AgentContext, by: int = 1):
        n = ctx.state.get("n", 0) + by
        ctx.state["n"] = n
        return {"n": n}

    def put(self, ctx: AgentContext, key: str):
        ctx.state[key] = "x" * 100

    @query
    def value(self, ctx: AgentContext):
        return {"n": ctx.state.get("n", 0)}


@fn
def hello(ctx: FunctionContext):
    return f"hello from {VERSION}"
