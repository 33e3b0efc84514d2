"""Takes a model's reasoning out of a stream of text, wherever the stream is split."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAMES = ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad")
_PAIRS = {
    **{f"<{name}>": f"</{name}>" for name in _NAMES},
    "<|channel>thought\n": "<channel|>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",
}
_OPENINGS = tuple(_PAIRS)
_CLOSINGS = tuple(_PAIRS.values())
_ANY = _OPENINGS + _CLOSINGS
_OPENED_BY_TEMPLATE = re.compile(r"(?:^|[^a-z])(?:r1|qwq|thinking|reasoner)(?:[^a-z]|$)", re.IGNORECASE)


def opens_reasoning_unseen(model: str | None) -> bool:
    """Whether a model's name is of those whose chat template opens the reasoning, so that only its end is
    in the stream.

    So do the published templates of DeepSeek-R1, QwQ and Qwen3's Thinking models.
    """
    return bool(model and _OPENED_BY_TEMPLATE.search(model))


def held_back(text: str, tokens: Sequence[str]) -> int:
    """How many characters at the end of ``text`` may be the beginning of one of ``tokens``, and must wait."""
    longest = max((len(token) for token in tokens), default=0)
    for length in range(min(len(text), longest - 1), 0, -1):
        if any(token.startswith(text[-length:]) for token in tokens):
            return length
    return 0


class ThinkingFilter:
    """Feed it a stream's pieces; it gives back those that are no reasoning.

    ``unopened`` is for models whose chat template has already opened the reasoning, so that a stream has
    only the closing tag: nothing is let through until that tag, or, where none comes, until the end.
    ``thought`` says that reasoning was seen, ``leaked`` that a closing tag came without an opening one
    after text had been let through.
    """

    def __init__(self, *, unopened: bool = False) -> None:
        self._buffer = ""
        self._closing: str | None = None
        self._waiting = unopened
        self._released = False
        self.thought = False
        self.leaked = False

    @property
    def inside(self) -> bool:
        """Whether reasoning has begun and not ended."""
        return self._closing is not None

    def settle(self) -> None:
        """The server keeps the reasoning apart: what comes as text is the answer, and need not wait."""
        self.thought = True
        self._waiting = False

    def feed(self, piece: str) -> str:
        """Take the next piece; return the text that is now sure to be no reasoning."""
        self._buffer += piece
        out: list[str] = []
        while self._step(out):
            pass
        return self._release("".join(out))

    def finish(self) -> str:
        """The stream has ended: return what was held back and is no reasoning."""
        text = "" if self.inside else self._buffer
        self._buffer = ""
        return self._release(text)

    def _release(self, text: str) -> str:
        """White space between the reasoning and the answer belongs to neither."""
        if self.thought and not self._released:
            text = text.lstrip()
        self._released = self._released or bool(text.strip())
        return text

    def _step(self, out: list[str]) -> bool:
        """Handle one tag of the buffer; return whether to look for another."""
        if self._closing is not None:
            return self._skip(self._closing)
        tag, at = _first(self._buffer, _ANY)
        if tag is None:
            if not self._waiting:
                keep = held_back(self._buffer, _ANY)
                cut = len(self._buffer) - keep
                out.append(self._buffer[:cut])
                self._buffer = self._buffer[cut:]
            return False
        before, self._buffer = self._buffer[:at], self._buffer[at + len(tag) :]
        self.thought = True
        self._waiting = False
        if tag in _PAIRS:
            out.append(before)
            self._closing = _PAIRS[tag]
        else:
            self.leaked = self._released or bool("".join(out).strip())
        return True

    def _skip(self, closing: str) -> bool:
        at = self._buffer.find(closing)
        if at < 0:
            keep = held_back(self._buffer, (closing,))
            self._buffer = self._buffer[len(self._buffer) - keep :] if keep else ""
            return False
        self._buffer = self._buffer[at + len(closing) :]
        self._closing = None
        return True


def _first(text: str, tags: Sequence[str]) -> tuple[str | None, int]:
    """The tag that comes first in ``text``, and where."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    if not found:
        return None, -1
    at, tag = min(found)
    return tag, at
