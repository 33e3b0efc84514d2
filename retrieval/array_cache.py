"""What is derived from arrays that cannot be written to, kept for when the same array comes again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")


class ArrayCache(Generic[T]):
    """The derivations of the ``size`` arrays that were asked for last, by their identity; safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        # With the arrays themselves, so that the identity of each stays its own.
        self._kept: OrderedDict[int, tuple[NDArray[Any], T]] = OrderedDict()
        self._lock = threading.Lock()

    def derived(self, array: NDArray[Any], derive: Callable[[], T]) -> T:
        """What ``derive`` makes of ``array``, or made of it before; anew each time of an array that may change."""
        with self._lock:
            kept = self._kept.get(id(array))
            if kept is not None:
                self._kept.move_to_end(id(array))
                return kept[1]
        made = derive()
        if not array.flags.writeable:
            with self._lock:
                self._kept[id(array)] = (array, made)
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
