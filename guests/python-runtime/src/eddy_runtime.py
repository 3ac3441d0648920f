"""The component's exports: what the node calls. Built by componentize-py, which runs this module once and keeps the
memory that it leaves."""

import gc
import random

import eddy_program
import eddy_stdlib
import eddy_turn
import eddy_warm
import wit_world.exports
from eddy import _define as define
from wit_world.exports.guest import AgentType, Definition, Method
from wit_world.imports import context


class Guest(wit_world.exports.Guest):
    """Functions and turns of agents."""

    def describe(self):
        with eddy_turn.failing():
            for handler in define.functions.values():
                handler.binding
            agents = [AgentType(kind.name, _methods(kind)) for kind in define.agents.values()]
            return Definition(list(define.functions), agents)

    def handle(self, target, argument):
        return eddy_turn.handle(target, argument)


class Programs(wit_world.exports.Programs):
    """Compiling and loading programs."""

    def compile(self, modules):
        with eddy_turn.failing():
            return eddy_program.compile_modules(modules)

    def load(self, program):
        with eddy_turn.failing():
            # The snapshot has the state that every instance would begin with.
            random.seed(context.random() << 64 | context.random())
            eddy_program.load(program)
            # What the program made stays: looking through it at each collection would only dirty its pages.
            gc.freeze()


def _methods(kind):
    eddy_turn.check_makeable(kind)
    found = []
    for name, handler in kind.methods.items():
        handler.binding
        found.append(Method(name, handler.read_only))
    return found


eddy_stdlib.preload()
eddy_turn.prepare()
eddy_program.prepare()
eddy_warm.warm()
# The snapshot's objects are never garbage, and a collection that looked at them would write to their pages.
gc.collect()
gc.freeze()
