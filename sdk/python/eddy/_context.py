"""What a handler gets: its context, the agent's state, the log, and the response to a fetch."""

from __future__ import annotations

import asyncio
import builtins
import json
import math
import traceback
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Union

from . import _host
from ._errors import EddyError
from ._json import decode, encode
from ._loop import EffectLoop

#: Bytes that state keeps as they are. Reading gives `bytes`.
Bytes = Union[bytes, bytearray, memoryview]
#: What a message carries: JSON. Dataclasses, dates, enums and UUIDs are written as JSON too.
Json = Any

_MISSING: Any = object()
_MOST_ENTRIES = 1000


class _Part:
    """Something that is good until its handler returns."""

    __slots__ = ("_turn",)

    def __init__(self, turn: list[bool]) -> None:
        self._turn = turn

    def _check(self) -> None:
        if not self._turn[0]:
            raise EddyError(
                "context-closed",
                "this context was used after its handler had returned: await everything it starts",
            )


class State(_Part):
    """An agent's own durable state. Reads come from the node, key by key; writes commit with the turn.

    `state[key]`, `state[key] = value`, `del state[key]` and `key in state` work as with a `dict`.
    """

    __slots__ = ()

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, or `default`."""
        self._check()
        found = _host.asked(_host.state.get, _text(key, "the key"))
        return default if found is None else _value(found)

    def set(self, key: str, value: Json | Bytes) -> None:
        """Writes any JSON value, or bytes. Raises `write-in-query` in a query."""
        self._check()
        if isinstance(value, (bytes, bytearray, memoryview)):
            stored = _host.Value_Bytes(bytes(value))
        else:
            stored = _host.Value_Json(encode(value))
        _host.asked(_host.state.set, _text(key, "the key"), stored)

    def delete(self, key: str) -> bool:
        """Removes `key`; says whether it was there."""
        self._check()
        return _host.asked(_host.state.delete, _text(key, "the key"))  # type: ignore[no-any-return]

    def list(self, prefix: str = "", *, after: str | None = None, limit: int = _MOST_ENTRIES) -> builtins.list[tuple[str, Any]]:
        """Entries whose key starts with `prefix`, in byte order of their keys, after the key `after`: at most
        `limit`, at most 1000."""
        self._check()
        if limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        if after is not None:
            _text(after, "after")
        found = _host.asked(_host.state.list, _text(prefix, "the prefix"), after, min(limit, _MOST_ENTRIES))
        return [(key, _value(value)) for key, value in found]

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Json | Bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, _MISSING) is not _MISSING


class Log(_Part):
    """Writes lines to the invocation's log. What is not text is shown as JSON where it can be, exceptions with
    their traceback."""

    __slots__ = ()

    def __call__(self, *values: object) -> None:
        """Writes at level `info`."""
        self._write("INFO", values)

    def trace(self, *values: object) -> None:
        """Writes at level `trace`."""
        self._write("TRACE", values)

    def debug(self, *values: object) -> None:
        """Writes at level `debug`."""
        self._write("DEBUG", values)

    def info(self, *values: object) -> None:
        """Writes at level `info`."""
        self._write("INFO", values)

    def warn(self, *values: object) -> None:
        """Writes at level `warn`."""
        self._write("WARN", values)

    #: The name that `logging` has for it.
    warning = warn

    def error(self, *values: object) -> None:
        """Writes at level `error`."""
        self._write("ERROR", values)

    def _write(self, level: str, values: tuple[object, ...]) -> None:
        self._check()
        _host.context.log(_host.context.LogLevel[level], " ".join(map(_shown, values)))


class Self:
    """An agent's own address."""

    __slots__ = ("type", "key")

    def __init__(self, type: str, key: str) -> None:
        #: The agent type.
        self.type: str = type
        #: The key.
        self.key: str = key

    def __repr__(self) -> str:
        return f"{self.type}/{self.key}"


class Headers(Mapping[str, str]):
    """Header fields of a response. Names are not case-sensitive; values of one name are joined by commas."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields: dict[str, str] = {}
        for name, value in fields:
            name = name.lower()
            self._fields[name] = f"{self._fields[name]}, {value}" if name in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return repr(self._fields)


class FetchResponse:
    """What `ctx.fetch` gives: the last answer, after redirects, with its whole body."""

    __slots__ = ("status", "headers", "url", "_body")

    def __init__(self, url: str, response: Any) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = Headers(response.headers)
        #: The URL that was asked for. Whether and where a redirect led is not told.
        self.url: str = url
        self._body: builtins.bytes = response.body

    @property
    def ok(self) -> bool:
        """Whether the status is from 200 to 299."""
        return 200 <= self.status <= 299

    def bytes(self) -> builtins.bytes:
        """The body."""
        return self._body

    def text(self) -> str:
        """The body as UTF-8; what is not is replaced."""
        return self._body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self._body)


class FunctionContext(_Part):
    """What a function's handler gets, good until the handler returns."""

    __slots__ = ()

    @property
    def now(self) -> int:
        """Milliseconds since 1970 when the turn began; the same all through it."""
        self._check()
        return _host.context.now()  # type: ignore[no-any-return]

    @property
    def invocation(self) -> str:
        """The invocation's id."""
        self._check()
        return _host.context.invocation()  # type: ignore[no-any-return]

    @property
    def log(self) -> Log:
        """Writes to the invocation's log."""
        self._check()
        return Log(self._turn)

    def random(self) -> float:
        """A random number in [0, 1), from the node."""
        self._check()
        return (_host.context.random() >> 11) / (1 << 53)  # type: ignore[no-any-return]

    def env(self, name: str) -> str | None:
        """A variable of the app's environment."""
        self._check()
        return _host.context.env(_text(name, "the name"))  # type: ignore[no-any-return]

    async def call(self, type: str, key: str, method: str, argument: Json = None, /, **named: Json) -> Any:
        """Calls an agent's method and waits for its reply. It starts when it is awaited or made a task.

        The argument is one JSON value, or an object of the named arguments. What the call did stays done even
        if this turn fails afterwards: for money and stock prefer `send`.
        """
        self._check()
        where = _text(type, "the agent type"), _text(key, "the agent key"), _text(method, "the method")
        outcome = await self._effect(_host.effects.call, *where, encode(_argument(argument, named)))
        return decode(outcome.value)

    async def invoke(self, function: str, argument: Json = None, /, **named: Json) -> Any:
        """Invokes a function and waits for its result. It starts when it is awaited or made a task."""
        self._check()
        argument = encode(_argument(argument, named))
        outcome = await self._effect(_host.effects.invoke, _text(function, "the function"), argument)
        return decode(outcome.value)

    def send(self, type: str, key: str, method: str, argument: Json = None, /, **named: Json) -> None:
        """Sends a one-way message: it leaves when the turn commits, and takes effect exactly once."""
        self._check()
        where = _text(type, "the agent type"), _text(key, "the agent key"), _text(method, "the method")
        _host.asked(_host.outbox.send, *where, encode(_argument(argument, named)))

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | Bytes | None = None,
    ) -> FetchResponse:
        """An HTTP request, to hosts that the manifest allows. Up to 10 redirects are followed, within the allowed
        hosts; one that leads elsewhere, or one more, is an error. A body that comes back is at most 8 MiB."""
        self._check()
        content = body.encode() if isinstance(body, str) else None if body is None else bytes(body)
        fields = [(name, value) for name, value in (headers or {}).items()]
        request = _host.effects.HttpRequest(method.upper(), _text(url, "the URL"), fields, content)
        outcome = await self._effect(_host.effects.fetch, request)
        return FetchResponse(url, outcome.value)

    async def _effect(self, start: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, EffectLoop), "there is no other loop in a guest"
        return await loop.effect(start, *arguments)


class AgentContext(FunctionContext):
    """What an agent's method gets, good until the method returns."""

    __slots__ = ("_self",)

    def __init__(self, turn: list[bool], address: Self) -> None:
        super().__init__(turn)
        self._self = address

    @property
    def self(self) -> Self:
        """The agent's own address."""
        self._check()
        return self._self

    @property
    def state(self) -> State:
        """The agent's own durable state."""
        self._check()
        return State(self._turn)

    def after(
        self, milliseconds: float | timedelta, method: str, argument: Json = None, /, *, name: str | None = None
    ) -> None:
        """Sends `method` to this agent after so many milliseconds, or after a `timedelta`: a durable timer, set when
        the turn commits. A timer of the same name is replaced; the name is the method's unless given."""
        self._check()
        if isinstance(milliseconds, timedelta):
            milliseconds = milliseconds / timedelta(milliseconds=1)
        if not isinstance(milliseconds, (int, float)) or not 0 <= milliseconds < math.inf:
            raise ValueError(f"the delay must be a number of milliseconds, 0 or more, not {milliseconds!r}")
        called = _text(method if name is None else name, "the timer's name")
        _host.asked(
            _host.outbox.set_timer, called, math.ceil(milliseconds), _text(method, "the method"), encode(argument)
        )

    def cancel(self, name: str) -> bool:
        """Cancels the timer of that name; says whether it was set."""
        self._check()
        return _host.asked(_host.outbox.cancel_timer, _text(name, "the timer's name"))  # type: ignore[no-any-return]


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{what} must be a string, not {type(value).__name__}")


def _argument(argument: Json, named: dict[str, Json]) -> Json:
    if named and argument is not None:
        raise TypeError("give the argument as one value or by names, not both")
    return named or argument


def _value(stored: Any) -> Any:
    return stored.value if isinstance(stored, _host.Value_Bytes) else decode(stored.value)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseException):
        return "".join(traceback.format_exception(value)).rstrip()
    try:
        return encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return str(value)
