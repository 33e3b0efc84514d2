"""What processes note of their commits, one line each, and what others know by it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Journal:
    """Lines that one process appends, each at once and whole."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, *words: object) -> None:
        os.write(self._file, (json.dumps(words) + "\n").encode())


@dataclass(slots=True)
class Tail:
    """Reads what was appended to a journal since the last look."""

    path: Path
    _at: int = 0

    def lines(self) -> Iterator[list[Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._at += len(whole) + len(newline)
        yield from map(json.loads, whole.splitlines())


@dataclass(slots=True)
class Known:
    """What the journals say: every edit that was begun of each document (``None``: its deletion), how many of them are
    committed, and the last change that is.
    """

    tails: Sequence[Tail]
    begun: dict[str, list[int | None]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    seq: int = 0

    def look(self) -> None:
        for tail in self.tails:
            for kind, name, edit, seq in tail.lines():
                if kind == "begin":
                    self.begun.setdefault(name, []).append(edit)
                elif kind == "done":
                    self.done[name] += 1
                    self.seq = max(self.seq, seq)
                else:
                    self.seq = max(self.seq, seq)
