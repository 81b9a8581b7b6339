"""Reading ahead: several threads unpack ciphertexts while others are computed with, and memory holds a few of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from hecc.runtime.ckks.devices.streaming import AHEAD

__all__ = ["Waits", "read_ahead"]

T = TypeVar("T")


def read_ahead(pool: Executor, read: Callable[[int, int], T], wanted: Iterable[tuple[int, int]]) -> Iterator[T]:
    """What ``read`` returns for each pair of arguments, in their order; it is called by the threads of a pool."""
    waiting: deque[Future[T]] = deque()
    for arguments in wanted:
        waiting.append(pool.submit(read, *arguments))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class Waits(Generic[T]):
    """An iterator that knows how many seconds its items were waited for."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        """Itself."""
        return self

    def __next__(self) -> T:
        """Wait for the next item."""
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start
