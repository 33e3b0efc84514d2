"""What a generator has learned of its server and model: a writer's own, gone at the next start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from retrieval.generator.error import Quirk, pinned_model, quirk_of, window_of
from retrieval.generator.info import ServerInfo

_SMALLEST_WINDOW = 512
_REASONING_FACTOR = 4


@dataclass(slots=True)
class ServerMemory:
    """``model`` is the name to ask for, ``window`` the context and ``max_tokens`` the longest answer, in
    tokens.

    ``native``: TGI's own API is spoken. ``asked``: the server was asked for its model. ``reasons``: the
    model needs room to reason. ``chatted``: the chat API has worked.
    """

    model: str | None
    window: int
    max_tokens: int
    native: bool = False
    asked: bool = False
    reasons: bool = False
    chatted: bool = False
    quirks: set[Quirk] = field(default_factory=set)

    def knows(self, quirk: Quirk) -> bool:
        """Whether the server has shown this quirk."""
        return quirk in self.quirks

    def told(self, info: ServerInfo) -> None:
        """Take in what the server says of itself; a window that proved smaller stays."""
        self.model, self.asked = self.model or info.model, True
        if info.window is not None and not self.knows(Quirk.TOO_LONG):
            self.window = info.window

    def learn(self, error: BaseException) -> bool:
        """Whether ``error`` tells something new, so that another request may succeed."""
        if self.model is None and (name := pinned_model(error)):
            self.model = name
            return True
        quirk = quirk_of(error)
        if quirk is Quirk.TOO_LONG:
            told = window_of(error)
            smaller = told if told is not None and told < self.window else self.window * 2 // 3
            if smaller < _SMALLEST_WINDOW:
                return False
            self.window = smaller
        elif quirk is None or self.knows(quirk) or (quirk is Quirk.OTHER_PATH and not self.native):
            return False
        self.quirks.add(quirk)
        return True

    def answer_tokens(self) -> int:
        """Room for the answer, a quarter of the window at most; for one that reasons first, half of it."""
        wanted = self.max_tokens * (_REASONING_FACTOR if self.reasons else 1)
        return min(wanted, self.window // (2 if self.reasons else 4))

    def prompt_tokens(self) -> int:
        """Room for the prompt."""
        return self.window - self.answer_tokens()

    def sampling(self) -> dict[str, Any]:
        """Greedy decoding, as far as the server knows how to ask for it."""
        limit = "max_completion_tokens" if self.knows(Quirk.MAX_COMPLETION_TOKENS) else "max_tokens"
        temperature = {} if self.knows(Quirk.NO_TEMPERATURE) else {"temperature": 0.0}
        return {limit: self.answer_tokens(), **temperature}
