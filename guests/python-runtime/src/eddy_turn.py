"""Runs a function or a turn of an agent, and turns exceptions into failures with the user's own lines."""

import asyncio
import contextlib
import inspect
import io
import logging
import sys
import textwrap
import traceback

from componentize_py_types import Err
from eddy import AgentContext, EddyError, FunctionContext, Self
from eddy import _define as define
from eddy._json import decode, encode
from eddy._loop import EffectLoop
from wit_world.exports.guest import Target_Function
from wit_world.imports import context
from wit_world.imports.types import Failure

_DEBUG, _INFO, _WARN, _ERROR = (context.LogLevel[name] for name in ("DEBUG", "INFO", "WARN", "ERROR"))
#: Frames of a traceback that are shown of each exception.
_FRAMES = 50

loop = None
#: Objects of agent classes, by address: an instance serves one agent for long.
_objects = {}


def prepare():
    """What every instance begins with."""
    global loop
    loop = EffectLoop()
    sys.stdout, sys.stderr = _Printed(_INFO), _Printed(_WARN)
    root = logging.getLogger()
    root.addHandler(_Handler())
    root.setLevel(logging.INFO)
    # asyncio.run() in a plain handler finds a loop that works here.
    asyncio.events._get_event_loop_policy()._loop_factory = EffectLoop


def check_makeable(kind):
    """A class whose objects need arguments cannot be an agent type."""
    try:
        inspect.signature(kind.make).bind()
    except TypeError as error:
        raise TypeError(f"the agent class {kind.make.__qualname__} must be made without arguments: {error}") from None
    except ValueError:
        pass


def handle(target, argument):
    """One call of a handler; JSON in, JSON out."""
    turn = [True]
    try:
        with failing():
            try:
                value = decode(argument)
            except (ValueError, RecursionError) as error:
                raise EddyError("invalid-json", f"the argument is not JSON: {error}") from None
            return _result(_run(turn, target, value))
    finally:
        turn[0] = False
        sys.stdout.end_line()
        sys.stderr.end_line()


def _run(turn, target, value):
    if isinstance(target, Target_Function):
        handler = define.function(target.value)
        leading = (FunctionContext(turn),)
    else:
        address, method = target.value
        kind, handler = define.method(address.agent_type, method)
        own = Self(address.agent_type, address.key)
        leading = (_object(kind, address.key), AgentContext(turn, own))
    positional, named = handler.binding.arguments(value)
    try:
        result = handler.call(*leading, *positional, **named)
        if inspect.iscoroutine(result):
            return loop.run_turn(result)
        if inspect.isawaitable(result):
            return loop.run_turn(_awaited(result))
        return result
    finally:
        turn[0] = False


async def _awaited(result):
    return await result


def _object(kind, key):
    found = _objects.get((kind.name, key))
    if found is None:
        found = _objects[kind.name, key] = kind.make()
    return found


def _result(value):
    try:
        return encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EddyError("invalid-result", f"the handler's result is not JSON: {error}") from None


@contextlib.contextmanager
def failing():
    """Exceptions in here become failures."""
    try:
        yield
    except BaseException as error:
        failed = failure(error)
        # Frames of the traceback would keep everything alive that the handler had.
        error.__traceback__ = None
        raise Err(failed) from None


def failure(error):
    """What an exception says, for the node."""
    shown = _only(error)
    stack = _stack(error)
    if isinstance(shown, EddyError):
        status = shown.status if isinstance(shown.status, int) and 400 <= shown.status <= 599 else None
        return Failure(str(shown.code), str(shown.message), stack, status, _details(shown.details))
    return Failure(type(shown).__name__, _message(shown), stack, None, None)


def _only(error):
    """The one exception of a group: a task group wraps also a single one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _message(error):
    if isinstance(error, SyntaxError) and error.filename:
        return str(error)
    try:
        return str(error)
    except Exception:
        return "an exception that cannot be shown"


def _details(details):
    if details is None:
        return None
    try:
        return encode(details)
    except (TypeError, ValueError, RecursionError):
        return None


def _stack(error):
    try:
        told = traceback.TracebackException.from_exception(error, lookup_lines=False, compact=True)
        _keep_own(told)
        parts = list(_parts(told))
        if len(parts) > 1:
            return "".join(told.format()).rstrip()
        # Of a single exception the name and the message are known already.
        return textwrap.dedent("".join(told.stack.format())).rstrip() or None
    except RecursionError:
        return None


def _parts(told):
    waiting = [told]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += [cause for cause in (part.__cause__, part.__context__) if cause is not None]
        waiting += part.exceptions or []


def _keep_own(told):
    """Takes out frames that are not the program's, and their number to what helps."""
    for part in _parts(told):
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(("/", "<"))][-_FRAMES:]


class _Printed(io.TextIOBase):
    """Standard output or error as lines of the log."""

    def __init__(self, level):
        self._level = level
        self._line = ""

    def write(self, text):
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            context.log(self._level, line)
        return len(text)

    def end_line(self):
        """Writes what has no end of line yet."""
        if self._line:
            line, self._line = self._line, ""
            context.log(self._level, line)

    def writable(self):
        return True

    @property
    def encoding(self):
        return "utf-8"


class _Handler(logging.Handler):
    """Lines of `logging` with their level."""

    def emit(self, record):
        try:
            text = self.format(record)
        except Exception as error:
            text = f"a log line that cannot be formatted: {error}"
        if record.name != "root":
            text = f"{record.name}: {text}"
        level = record.levelno
        if level >= logging.ERROR:
            shown = _ERROR
        elif level >= logging.WARNING:
            shown = _WARN
        else:
            shown = _INFO if level >= logging.INFO else _DEBUG
        context.log(shown, text)


def forget():
    """Drops the objects of agents."""
    _objects.clear()
