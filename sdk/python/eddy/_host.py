"""The node, as the running program reaches it. Present only inside of Eddy; importing `eddy` elsewhere works, so that
editors and unit tests of plain Python know the program, but nothing can be asked of a node there."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from ._errors import EddyError
from ._json import decode

context: Any
effects: Any
outbox: Any
state: Any
Value_Bytes: Any
Value_Json: Any
Err: Any

try:
    from componentize_py_types import Err  # type: ignore[no-redef, import-not-found, unused-ignore]
    from wit_world.imports import context, effects, outbox, state  # type: ignore[no-redef, import-not-found, unused-ignore]
    from wit_world.imports.types import Value_Bytes, Value_Json  # type: ignore[no-redef, import-not-found, unused-ignore]
except ImportError:
    context = effects = outbox = state = Value_Bytes = Value_Json = None
    Err = ()

_T = TypeVar("_T")


def asked(ask: Callable[..., _T], *arguments: Any) -> _T:
    """Calls an import; its failure becomes an `EddyError`."""
    try:
        return ask(*arguments)
    except Err as refused:
        failure: Any = refused.value
    raise error(failure)


def error(failure: Any) -> EddyError:
    """What the node says as an exception."""
    details = None if failure.details is None else decode(failure.details)
    return EddyError(failure.code, failure.message, status=failure.status, details=details)
