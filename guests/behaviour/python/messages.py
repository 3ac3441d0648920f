"""Sends, timers, and what instances remember."""

from typing import Any

from eddy import AgentContext, EddyError, agent, query

word: str | None = None


def append(ctx: AgentContext, name: str, note: str) -> None:
    ctx.state[name] = [*ctx.state.get(name, []), note]


@agent
class Inbox:
    def receive(self, ctx: AgentContext, note: str) -> None:
        append(ctx, "received", note)

    @query
    def received(self, ctx: AgentContext) -> Any:
        return ctx.state.get("received", [])

    def pass_on(self, ctx: AgentContext, to: str, notes: list[str]) -> None:
        for note in notes:
            ctx.send("inbox", to, "receive", note=note)

    def pass_on_then_fail(self, ctx: AgentContext, to: str, notes: list[str]) -> None:
        self.pass_on(ctx, to, notes)
        raise EddyError("changed-mind", "nothing of this turn is to stay")


@agent
class Alarm:
    def arm(self, ctx: AgentContext, ms: int, note: str, name: str | None = None) -> None:
        ctx.after(ms, "ring", {"note": note}, name=name)

    def arm_twice(self, ctx: AgentContext, ms: int, first: str, second: str) -> None:
        ctx.after(ms, "ring", {"note": first}, name="twice")
        ctx.after(ms, "ring", {"note": second}, name="twice")

    def arm_then_fail(self, ctx: AgentContext, ms: int, note: str) -> None:
        ctx.after(ms, "ring", {"note": note})
        raise EddyError("changed-mind", "nothing of this turn is to stay")

    def disarm(self, ctx: AgentContext, name: str) -> bool:
        return ctx.cancel(name)

    def ring(self, ctx: AgentContext, note: str) -> None:
        append(ctx, "rung", note)

    @query
    def rung(self, ctx: AgentContext) -> Any:
        return ctx.state.get("rung", [])


@agent
class Cache:
    def remember(self, ctx: AgentContext, word: str) -> None:
        globals()["word"] = word

    @query
    def remembered(self, ctx: AgentContext) -> str | None:
        return word

    def remember_then_fail(self, ctx: AgentContext, word: str) -> None:
        globals()["word"] = word
        ctx.state["word"] = word
        raise EddyError("changed-mind", "nothing of this turn is to stay")
