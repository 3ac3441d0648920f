"""An event loop for asyncio over the node's effects. One for each instance; a turn that awaits runs on it.

What it cannot do, because a guest has no such thing: threads (`run_in_executor` calls the function at once),
sockets, processes and signals.
"""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import events
from collections import deque
from typing import Any, Callable, Coroutine

from . import _host
from ._errors import EddyError

#: Rounds of ready callbacks after which effects are looked at although nothing waits for them.
_ROUNDS = 64
#: Rounds that what was under way may still run after its handler has returned.
_ROUNDS_AFTER_END = 1_000


class _Effects:
    """What is under way, in the place of a selector."""

    def __init__(self, loop: EffectLoop) -> None:
        self.waiting: dict[asyncio.Future[Any], Any] = {}
        self.closed = False
        self._loop = loop
        self._rounds = 0

    def select(self, timeout: float | None) -> list[tuple[asyncio.Future[Any], Any]]:
        """Waits for effects, at most `timeout` seconds; answers with what has ended."""
        if self.closed:
            return []
        if timeout is not None and timeout <= 0:
            self._rounds += 1
            if not self.waiting or self._rounds % _ROUNDS:
                return []
        futures = list(self.waiting)
        pendings = list(self.waiting.values())
        if timeout is None and not pendings:
            raise EddyError("handler-stalled", "the handler waits for something that nothing can bring")
        return self._wait(futures, pendings, timeout)

    def _wait(
        self, futures: list[asyncio.Future[Any]], pendings: list[Any], timeout: float | None
    ) -> list[tuple[asyncio.Future[Any], Any]]:
        sleep = due = None
        if timeout is not None:
            due = self._loop.time() + timeout
            sleep = _host.asked(_host.effects.sleep, max(0, math.ceil(timeout * 1000)))
            pendings.append(sleep)
        try:
            ready = _host.asked(_host.effects.wait, pendings)
        finally:
            if sleep is not None:
                drop(sleep)
        ended = []
        for position in sorted(ready):
            if due is not None and position == len(futures):
                self._loop.reach(due)
                continue
            future, pending = futures[position], pendings[position]
            ended.append((future, pending.take()))
            self.waiting.pop(future, None)
            drop(pending)
        return ended

    def clear(self) -> None:
        """Gives up everything under way."""
        waiting, self.waiting = self.waiting, {}
        for pending in waiting.values():
            drop(pending)


class EffectLoop(asyncio.BaseEventLoop):
    """asyncio's event loop, waiting with the node's `wait`."""

    _selector: _Effects
    # asyncio's own, which its stubs leave out.
    _ready: deque[Any]
    _scheduled: list[Any]
    _asyncgens: Any

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self._selector = _Effects(self)

    def time(self) -> float:
        return time.monotonic() + self._ahead

    def reach(self, due: float) -> None:
        """A sleep until `due` has ended: by the node's clock it is that late."""
        self._ahead += max(0.0, due - self.time())

    async def effect(self, start: Callable[..., Any], *arguments: Any) -> Any:
        """Starts an effect and waits for what it comes to. Cancelling the wait cancels it."""
        if self._selector.closed:
            raise EddyError("context-closed", "this was started after its handler had returned")
        pending = _host.asked(start, *arguments)
        future = self.create_future()
        self._selector.waiting[future] = pending
        try:
            return await future
        finally:
            if self._selector.waiting.pop(future, None) is not None:
                drop(pending)

    def run_turn(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a handler to its end; what it started and did not wait for is cancelled."""
        # What never suspends needs no round of the loop.
        events._set_running_loop(self)
        try:
            task = asyncio.Task(work, loop=self, eager_start=True)  # type: ignore[call-arg, unused-ignore]
        finally:
            events._set_running_loop(None)
        try:
            if not task.done():
                self.run_until_complete(task)
        finally:
            self._end_turn(task)
        return task.result()

    def _end_turn(self, own: asyncio.Task[Any]) -> None:
        left = [task for task in asyncio.all_tasks(self) if not task.done()]
        if left or self._ready or self._scheduled or self._selector.waiting:
            self._selector.closed = True
            self._selector.clear()
            for task in left:
                task.cancel()
            if self._asyncgens:
                left.append(self.create_task(self.shutdown_asyncgens()))
            for _ in range(_ROUNDS_AFTER_END):
                if not self._ready:
                    break
                self.call_soon(self.stop)
                self.run_forever()
            for task in left:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            self._ready.clear()
            self._scheduled.clear()
            self._timer_cancelled_count = 0
            self._selector.closed = False

    def _process_events(self, event_list: list[tuple[asyncio.Future[Any], Any]]) -> None:
        for future, outcome in event_list:
            if future.done():
                continue
            if outcome is None:
                future.set_exception(EddyError("internal", "the node said that an effect has ended, and it has not"))
            elif isinstance(outcome, _host.Err):
                future.set_exception(_host.error(outcome.value))
            else:
                future.set_result(outcome.value)

    def _write_to_self(self) -> None:
        """There is one thread, so nobody has to be woken."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Calls it at once: there are no threads to hand it to."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def drop(pending: Any) -> None:
    """Gives the resource back, which cancels it when it is still under way."""
    pending.__exit__(None, None, None)
