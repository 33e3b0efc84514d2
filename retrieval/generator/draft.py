"""A draft on its way out of a model: which of its text is the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from retrieval.generator.prompt import NO_ANSWER, PROMPT_VERSION, declines, may_decline
from retrieval.generator.thinking import held_back

# Control tokens that a server should keep to itself and some let through: the answer ends there.
CONTROL_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|return|>", "<|end_of_text|>"),
    *("</s>", "<end_of_turn>", "<turn|>", "<｜end▁of▁sentence｜>"),
)


class DraftFilter:
    """Feed it the pieces that are no reasoning; it gives back the answer.

    White space at the beginning goes. The text ends at the first of ``stops``. A beginning that may turn
    out to say "the passages don't say" is held back until that is settled, and dropped if it does; the
    agreed word for it goes wherever it stands.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = (*CONTROL_TOKENS, *stops)
        self._held = (*self._stops, NO_ANSWER)
        self._buffer = ""
        self._released = False
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Take the next piece; return what is now sure to be the answer."""
        if self.stopped:
            return ""
        self._buffer += piece
        self._cut()
        if self.stopped:
            return ""
        if not self._released:
            self._buffer = self._buffer.lstrip()
            if may_decline(self._buffer):
                return ""
        return self._release(len(self._buffer) - held_back(self._buffer, self._held))

    def finish(self) -> str:
        """The stream has ended: return the rest of the answer, or nothing where the draft declines to
        answer.
        """
        if not self._released and declines(self._buffer):
            self._buffer = ""
        if not self._released:
            self._buffer = self._buffer.lstrip()
        return self._release(len(self._buffer)).rstrip()

    def _cut(self) -> None:
        found = [at for stop in self._stops if (at := self._buffer.find(stop)) >= 0]
        if found:
            self._buffer = self._buffer[: min(found)]
            self.stopped = True

    def _release(self, end: int) -> str:
        text = self._buffer[:end].replace(NO_ANSWER, "")
        self._buffer = self._buffer[end:]
        self._released = self._released or bool(text.strip())
        return text


class DraftStream:
    """The pieces of one draft, and what is known of it; nothing is sent before the first piece is asked for.

    ``passages_used``: the first so many passages were shown to the model. ``cut_off``: the draft ended
    because it was too long, so its last sentence may be incomplete. Both are final once the stream has
    ended.
    """

    def __init__(self, write: Callable[[DraftStream], AsyncGenerator[str, None]]) -> None:
        self.passages_used = 0
        self.cut_off = False
        self.prompt_version = PROMPT_VERSION
        self._pieces = write(self)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End the request at once."""
        await self._pieces.aclose()
