"""Reading ahead: several threads unpack ciphertexts while others are computed with, and memory holds a few of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from hecc.runtime.streaming import AHEAD

__all__ = ["read_ahead"]

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
