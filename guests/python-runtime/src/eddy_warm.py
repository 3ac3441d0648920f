"""Runs what every program will run, before the snapshot is made: Python fits its bytecode to what it meets and makes
much at first use, and what is in the snapshot already costs an instance neither time nor pages of its own."""

import eddy_program
import eddy_turn
from eddy import _define as define
from wit_world.exports.guest import Target_Function, Target_Method
from wit_world.exports.programs import Module as _Module
from wit_world.imports.types import AgentRef

_ROUNDS = 40
_SOURCE = """
import asyncio
from dataclasses import dataclass
from eddy import EddyError, agent, fn, query

@dataclass
class Item:
    sku: str
    count: int = 1

@agent
class Warm:
    def increment(self, ctx, by=1):
        return {"n": by, "item": Item("a", by)}

    @query
    def value(self, ctx):
        return {"n": [1, 2.5, "three", None, True]}

    async def later(self, ctx, by: int = 1):
        await asyncio.sleep(0)
        return {"n": by}

@fn
def warm_whole(ctx, value, /):
    return value

@fn
async def warm_greet(ctx, name):
    return f"Hello, {name}!"

async def part(n):
    await asyncio.sleep(0)
    return n

@fn
async def warm_together(ctx, *, n=3):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part(k)) for k in range(n)]
    return await asyncio.gather(*(part(task.result()) for task in tasks))
"""


def warm():
    """Loads a small program, runs it, and forgets it."""
    for _ in range(3):
        modules = [_Module("eddy_warmth", "eddy_warmth.py", _SOURCE)]
        eddy_program.load(eddy_program.compile_modules(modules))
        for _ in range(_ROUNDS):
            _run()
        define.functions.clear()
        define.agents.clear()
        eddy_program.forget()
        eddy_turn.forget()


def _run():
    eddy_turn.handle(Target_Function("warm_greet"), b'{"name":"Ada"}')
    eddy_turn.handle(Target_Function("warm_whole"), b'[1,2.5,"three",{"a":null}]')
    eddy_turn.handle(Target_Function("warm_together"), b"null")
    for method, argument in [("increment", b'{"by":2}'), ("value", b"null"), ("later", b"3")]:
        eddy_turn.handle(Target_Method((AgentRef("warm", "key"), method)), argument)
