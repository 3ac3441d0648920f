"""Decorators, and what they collected: functions and agent types with their methods.

How a message's argument becomes parameters is in `_bind`.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import Any, Callable, TypeVar, overload

from ._bind import Binding
from ._errors import EddyError

_Class = TypeVar("_Class", bound=type)
_Handler = TypeVar("_Handler", bound=Callable[..., Any])

_QUERY = "__eddy_query__"
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Handler:
    """A function or a method that messages reach."""

    __slots__ = ("name", "call", "read_only", "_skipped", "_binding")

    def __init__(self, name: str, call: Callable[..., Any], read_only: bool, skipped: int) -> None:
        self.name = name
        self.call = call
        self.read_only = read_only
        self._skipped = skipped
        self._binding: Binding | None = None

    @property
    def binding(self) -> Binding:
        """How it takes arguments; looked at when it is first needed, because instances start often."""
        if self._binding is None:
            self._binding = Binding(self.name, self.call, self._skipped)
        return self._binding


class AgentType:
    """An agent class and its methods."""

    __slots__ = ("name", "make", "methods")

    def __init__(self, name: str, make: type, methods: dict[str, Handler]) -> None:
        self.name = name
        self.make = make
        self.methods = methods


functions: dict[str, Handler] = {}
agents: dict[str, AgentType] = {}


@overload
def agent(definition: _Class, /) -> _Class: ...
@overload
def agent(*, name: str) -> Callable[[_Class], _Class]: ...
def agent(definition: Any = None, /, *, name: str | None = None) -> Any:
    """Defines an agent type: the public methods of the class, its bases' too, are the agent's methods.

    The type's name is the class's in snake_case, unless `name` says otherwise. The class is made without
    arguments.
    """

    def define(made: _Class) -> _Class:
        if not isinstance(made, type):
            raise TypeError(f"@agent is for a class, not for {made!r}")
        called = name or _WORDS.sub("_", made.__name__).lower()
        if called in agents:
            raise TypeError(f"the agent type {called!r} is defined twice, by {_twice(agents[called].make, made)}")
        agents[called] = AgentType(called, made, _methods(called, made))
        return made

    return define if definition is None else define(definition)


@overload
def fn(handler: _Handler, /) -> _Handler: ...
@overload
def fn(*, name: str) -> Callable[[_Handler], _Handler]: ...
def fn(handler: Any = None, /, *, name: str | None = None) -> Any:
    """Defines a function under its own name, or under `name`."""

    def define(made: _Handler) -> _Handler:
        if isinstance(made, type) or not callable(made):
            raise TypeError(f"@fn is for a function, not for {made!r}")
        called = name or made.__name__
        if called in functions:
            raise TypeError(f"the function {called!r} is defined twice, by {_twice(functions[called].call, made)}")
        functions[called] = Handler(called, made, False, 1)
        return made

    return define if handler is None else define(handler)


def query(method: _Handler, /) -> _Handler:
    """Marks a method as read-only: it needs no commit, and a write in it raises `write-in-query`."""
    if not callable(method):
        raise TypeError(f"@query is for a method, not for {method!r}")
    setattr(method, _QUERY, True)
    return method


def _methods(agent_type: str, made: type) -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for part in reversed(made.__mro__):
        for name, value in vars(part).items():
            if name.startswith("_"):
                continue
            found.pop(name, None)
            if isinstance(value, FunctionType):
                found[name] = Handler(f"{agent_type}.{name}", value, hasattr(value, _QUERY), 2)
    return found


def _twice(first: Any, second: Any) -> str:
    def place(made: Any) -> str:
        return f"{made.__module__}.{made.__qualname__}"

    return f"{place(first)} and {place(second)}"


def function(name: str) -> Handler:
    """The function of this name."""
    try:
        return functions[name]
    except KeyError:
        raise EddyError("unknown-function", f"no function {name!r} is defined") from None


def method(agent_type: str, name: str) -> tuple[AgentType, Handler]:
    """A method of an agent type."""
    kind = agents.get(agent_type)
    if kind is None:
        raise EddyError("unknown-agent-type", f"no agent type {agent_type!r} is defined")
    found = kind.methods.get(name)
    if found is None:
        raise EddyError("unknown-method", f"{agent_type} has no method {name!r}")
    return kind, found
