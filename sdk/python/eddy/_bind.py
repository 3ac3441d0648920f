"""From a message's argument, one JSON value, to a handler's parameters. The rule is in the package's head."""

from __future__ import annotations

import inspect
import sys
from typing import Any, Callable

from ._errors import EddyError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Binding:
    """How one handler takes its argument."""

    __slots__ = ("name", "whole", "optional", "first", "names", "required", "rest", "shown")

    def __init__(self, name: str, handler: Callable[..., Any], skipped: int) -> None:
        self.name = name
        parameters = _parameters(handler)
        self._check_skipped(parameters[:skipped], skipped)
        own = parameters[skipped:]
        #: The one parameter that takes the argument as it is.
        self.whole = any(p.kind is p.POSITIONAL_ONLY for p in own)
        self.optional = False
        #: The parameter that takes what is not an object.
        self.first: str | None = None
        self.names: set[str] = set()
        self.required: list[str] = []
        self.rest = False
        self.shown = ", ".join(map(str, own))
        self._read(own)

    def _check_skipped(self, leading: list[inspect.Parameter], skipped: int) -> None:
        if len(leading) < skipped or any(p.kind not in _POSITIONAL for p in leading):
            wanted = "ctx" if skipped == 1 else "self, ctx"
            raise TypeError(f"{self.name}() must begin with the parameters ({wanted})")

    def _read(self, own: list[inspect.Parameter]) -> None:
        if self.whole:
            if len(own) > 1:
                raise TypeError(
                    f"{self.name}({self.shown}): a parameter before `/` takes the whole argument, so it must be the only one"
                )
            self.optional = own[0].default is not inspect.Parameter.empty
            return
        for parameter in own:
            if parameter.kind is parameter.VAR_POSITIONAL:
                raise TypeError(f"{self.name}({self.shown}): an argument is one JSON value, so `{parameter}` can take nothing")
            if parameter.kind is parameter.VAR_KEYWORD:
                self.rest = True
                continue
            if self.first is None and parameter.kind in _POSITIONAL:
                self.first = parameter.name
            self.names.add(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                self.required.append(parameter.name)

    def arguments(self, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and named arguments for `given`; `invalid-argument` when it does not fit."""
        if self.whole:
            return (() if given is None and self.optional else (given,)), {}
        if not self.names and not self.rest:
            return (), {}
        if given is None:
            named: dict[str, Any] = {}
        elif isinstance(given, dict):
            named = given
        elif self.first is not None:
            named = {self.first: given}
        else:
            raise self._wrong(f"it was given {_kind(given)}")
        for name in self.required:
            if name not in named:
                raise self._wrong(f"{name!r} is missing")
        if self.rest:
            return (), named
        return (), {name: value for name, value in named.items() if name in self.names}

    def _wrong(self, why: str) -> EddyError:
        return EddyError("invalid-argument", f"{self.name} takes ({self.shown}), but {why}", status=400)


def _parameters(handler: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters without their annotations, which are for type checkers and may name what is not there."""
    if sys.version_info >= (3, 14):
        import annotationlib

        signature = inspect.signature(handler, annotation_format=annotationlib.Format.STRING)
    else:
        signature = inspect.signature(handler)
    return [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a string" if isinstance(value, str) else "a list"
