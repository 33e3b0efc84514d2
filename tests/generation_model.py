"""What the generations of a collection are, and which of them a command makes live: the rules, without files or a database."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.chunking import ChunkingSettings


@dataclass(frozen=True, slots=True)
class Content:
    """By which encoder, by its name, and with which settings a generation's chunks were made."""

    encoder: str
    chunking: ChunkingSettings


@dataclass(slots=True)
class GenerationModel:
    """Generations by number, with their states and contents. ``promoted`` are those that were live, the last promoted one last;
    ``last`` is the highest number that was ever given.

    ``contents`` are also of what is live without being a state yet: it is in memory.
    """

    contents: dict[int, Content]
    live: int = 1
    last: int = 1
    states: dict[int, str] = field(default_factory=dict)
    promoted: list[int] = field(default_factory=lambda: [1])

    @property
    def content(self) -> Content:
        """What is live."""
        return self.contents[self.live]

    def begin(self, number: int, state: str, content: Content) -> None:
        """Know of one that was begun, or has gone on."""
        self.states[number], self.contents[number] = state, content
        self.last = max(self.last, number)

    def give_up(self) -> set[int]:
        """Forget what was begun and is not complete; gives the numbers."""
        begun = {number for number, state in self.states.items() if state == "building"}
        for number in begun:
            del self.states[number], self.contents[number]
        return begun

    def ready(self) -> int | None:
        """The one that is promoted where none is named."""
        return max((number for number, state in self.states.items() if state == "ready"), default=None)

    def before(self) -> int | None:
        """The one that a rollback makes live: what was promoted last before the live one."""
        earlier = self.promoted[: self.promoted.index(self.live)]
        return earlier[-1] if earlier else None

    def switch(self, number: int) -> None:
        """Make one live."""
        self.states.setdefault(self.live, "retired")  # what was in memory has its row from now on
        self.states[self.live] = "retired"
        self.states[number] = "live"
        self.live = number

    def promote(self, number: int) -> None:
        """Make one live that a rollback can leave again."""
        self.switch(number)
        if number in self.promoted:
            self.promoted.remove(number)
        self.promoted.append(number)

    def drop(self, number: int) -> None:
        """Forget one that is not live."""
        del self.states[number], self.contents[number]
        if number in self.promoted:
            self.promoted.remove(number)
