"""A folder of small files that is edited at random, and what a perfect sync of it would have stored."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from pathlib import Path

FOLDERS = 12


class Tree:
    """``files`` are the contents by key as they lie on the disk. All that happens to them is drawn from ``chance``.

    ``writes`` bounds a document's versions by its key: what was written there, and the moves. ``past`` holds the contents that a
    document of that key ever had. ``reused`` are keys that held more than one file, or one that was moved
    before the eyes of a sync: a move of these need not be recognised. ``names`` are those that a moved file had before.
    """

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root, self.chance = root, chance
        self.files: dict[str, bytes] = {}
        self.writes: defaultdict[str, int] = defaultdict(int)
        self.past: defaultdict[str, set[bytes]] = defaultdict(set)
        self.reused: set[str] = set()
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        self._made = 0
        root.mkdir()

    def grow(self, files: int) -> None:
        for _ in range(files):
            self._new()

    def change(self, times: int, *, live: bool = False) -> None:
        """Do ``times`` random things; ``live`` = while a sync may be at work."""
        operations = [self._edit] * 8 + [self._new] * 3 + [self._delete] * 3 + [self._move] * 3
        operations += [self._touch, self._copy, self._undo, self._spoil, self._mend, self._odd, self._again]
        if not live:
            operations += [self._onto, self._move_folder]
        for _ in range(times):
            before = set(self.files)
            self.chance.choice(operations)()
            if live:
                self.reused |= before ^ set(self.files)

    def readable(self) -> dict[str, str]:
        """The texts of the files that can be read."""
        return {
            key: content.decode()
            for key, content in self.files.items()
            if not key.endswith(".bin") and "\n" not in key and content.startswith(b"# Note")
        }

    def identities(self) -> dict[str, str]:
        """What stays of a file when it is renamed, by key."""
        told = {key: (self.root / key).stat() for key in self.files}
        return {key: f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for key, s in told.items()}

    def _any(self) -> str:
        return self.chance.choice(sorted(self.files))

    def _name(self, suffix: str = "md") -> str:
        self._made += 1
        return f"{self.root.name}-{self.chance.randrange(FOLDERS):02}/n{self._made:05}.{suffix}"

    def _content(self) -> bytes:
        """Three to six parts; half of the parts are shared by many files."""
        self._made += 1
        parts = [f"# Note {self._made}\n\nThis is note {self._made}, begun."]
        for part in range(self.chance.randrange(1, 5)):
            family = self.chance.randrange(40) if self.chance.random() < 0.5 else self._made
            parts.append(
                f"## Part {part}\n\nWhat family {family} keeps for part {part} is the same for all of its notes."
            )
        return ("\n\n".join([*parts, f"This is note {self._made}, ended."]) + "\n").encode()

    def _write(self, key: str, content: bytes, *, anew: bool | None = None) -> None:
        path = self.root / key
        path.parent.mkdir(exist_ok=True, parents=True)
        if self.chance.random() < 0.5 if anew is None else anew:
            beside = path.with_name(f".{path.name}.new")  # as editors do: hidden, then renamed
            beside.write_bytes(content)
            beside.replace(path)
        else:
            path.write_bytes(content)
        self.files[key] = content
        self.writes[key] += 1
        self.past[key].add(content)

    def _rename(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(exist_ok=True, parents=True)
        (self.root / old).rename(self.root / new)
        self._renamed(old, new)

    def _renamed(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)
        self.writes[new] += self.writes[old] + 1
        self.past[new] |= self.past[old]
        self.names[new] |= self.names[old] | {old, new}

    def _new(self) -> None:
        self._write(self._name(), self._content())

    def _edit(self) -> None:
        self._write(self._any(), self._content())

    def _delete(self) -> None:
        key = self._any()
        (self.root / key).unlink()
        del self.files[key]

    def _move(self) -> None:
        self._rename(self._any(), self._name())

    def _onto(self) -> None:
        old, new = self._any(), self._any()
        if old != new:
            self._rename(old, new)
            self.reused |= {old, new}

    def _move_folder(self) -> None:
        folder = self._any().rpartition("/")[0]
        self._made += 1
        target = f"{self.root.name}-moved-{self._made}"
        (self.root / folder).rename(self.root / target)
        for old in [key for key in self.files if key.startswith(f"{folder}/")]:
            self._renamed(old, target + old.removeprefix(folder))

    def _touch(self) -> None:
        os.utime(self.root / self._any())

    def _copy(self) -> None:
        self._write(self._name(), self.files[self._any()])

    def _undo(self) -> None:
        key = self._any()
        self._write(key, self.chance.choice(sorted(self.past[key])))

    def _spoil(self) -> None:
        self._write(self._any(), self.chance.choice([b"BROKEN %d" % self._made, b"\xff\xfe%d" % self._made, b""]))
        self._made += 1

    def _mend(self) -> None:
        readable = self.readable()
        if spoilt := sorted(key for key in self.files if key not in readable and key.endswith("md")):
            self._write(self.chance.choice(spoilt), self._content())

    def _odd(self) -> None:
        self._write(self._name("bin") if self.chance.random() < 0.5 else self._name("odd\nname"), self._content())

    def _again(self) -> None:
        """A new file where an earlier one was."""
        if former := sorted(key for key in self.writes if key not in self.files and "\n" not in key):
            key = self.chance.choice(former)
            self._write(key, self._content())
            self.reused.add(key)
