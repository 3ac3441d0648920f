"""The error with a code that crosses between guests and the node."""

from __future__ import annotations

from typing import Any


class EddyError(Exception):
    """An error with a code.

    The node raises it (`deadline-exceeded`, `capability-denied`, ...; an error of an agent or function that
    was called has the code `guest-error`, and its `details` say its name), and programs raise it when they
    want their callers to see a code.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        details: Any = None,
    ) -> None:
        super().__init__(message)
        #: The stable code.
        self.code: str = code
        #: What happened, for people.
        self.message: str = message
        #: The HTTP status it asks for, 400 to 599.
        self.status: int | None = status
        #: More about it: any JSON value.
        self.details: Any = details

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"EddyError({self.code!r}, {self.message!r})"
