"""Ways in which files break: cut short, bytes flipped, blocks lost, wrong names, pieces of other files."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A broken file: the name it is sent by, its bytes, and what was done to which."""

    name: str
    data: bytes
    story: str


def _truncate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(data: bytes, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 200)):
        if changed:
            changed[chance.randrange(len(changed))] ^= chance.randint(1, 255)
    return bytes(changed)


def _blank(data: bytes, other: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.randint(1, max(1, len(data) // 3)))
    return data[:start] + bytes(end - start) + data[end:]


def _strange_head(data: bytes, other: bytes, chance: random.Random) -> bytes:
    length = chance.randint(1, 600)
    return other[:length] + data[length:]


def _join(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data + other


def _keep(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data


_WAYS: dict[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "cut short": _truncate,
    "bytes flipped": _flip,
    "block of zeros": _blank,
    "head of another": _strange_head,
    "another at its end": _join,
    "wrong name": _keep,
}


def corrupted(files: Mapping[str, bytes], count: int, seed: int) -> list[Corrupted]:
    """``count`` broken files, every file and every way in turn; the same for the same ``seed``."""
    chance = random.Random(seed)
    names = sorted(files)
    endings = sorted({PurePosixPath(name).suffix for name in names})
    made: list[Corrupted] = []
    rounds = 0
    while len(made) < count:
        ways = list(_WAYS)
        chance.shuffle(names)
        for place, name in enumerate(names[: count - len(made)]):
            way = ways[(place + rounds) % len(ways)]
            other = chance.choice(names)
            data = _WAYS[way](files[name], files[other], chance)
            sent = f"{PurePosixPath(name).stem}{chance.choice(endings)}" if way == "wrong name" else name
            made.append(Corrupted(PurePosixPath(sent).name, data, f"{name}, {way} ({other}), sent as {sent}"))
        rounds += 1
    return made
