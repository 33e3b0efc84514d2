"""Drafts from a model server: text-generation-inference, or any server that speaks OpenAI's chat API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import httpx2
from huggingface_hub import AsyncInferenceClient, set_async_client_factory

from infra.errors import SettingsError
from retrieval.answers.writer import GeneratorUnavailable, Task
from retrieval.generator.connection import Connection, parse_address
from retrieval.generator.draft import DraftFilter, DraftStream
from retrieval.generator.error import (
    Quirk,
    RequestFailedError,
    RetryError,
    garbage,
    interrupted,
    spent_on_reasoning,
    status_of,
    timed_out,
    unavailable,
)
from retrieval.generator.event import Event, Finish, chat_event, completion_event, token_event
from retrieval.generator.info import ServerHealth, fetch_info
from retrieval.generator.memory import ServerMemory
from retrieval.generator.prompt import COMPLETION_STOPS, Prompt, build_prompt
from retrieval.generator.thinking import ThinkingFilter, opens_reasoning_unseen

_CONNECTION: ContextVar[Connection] = ContextVar("model_server_connection")
# The library makes a new HTTP client for each of its clients; this one borrows our pool, and does not go
# through its request hook, which refuses every address, also of a local model server, when HF_HUB_OFFLINE
# is set.
set_async_client_factory(lambda: _CONNECTION.get().client())

_UNUSED = "unused"  # the connection sets the real credentials; without a key the library would send one it finds
_REQUESTS = 6  # for one draft: each after the first works around one more quirk
# A stream is garbage when its JSON is none, or has another shape than the API's.
_MALFORMED = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits in seconds: to connect, for the first token, between two tokens, for a whole draft."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    between_tokens_s: float = 30.0
    total_s: float = 180.0


class ModelWriter:
    """Writes drafts with a model behind ``base_url``; see ``retrieval.answers.writer.Writer``.

    ``api`` is ``openai`` (chat) or ``tgi`` (the native ``/generate_stream``, with one plain prompt).
    ``model`` may be ``None`` where the server serves one. ``window`` is its context in tokens until the
    server tells another. What a server or model turns out not to know (a chat template, a system role, …)
    is worked around and remembered. One instance writes many drafts at a time; ``aclose()`` it at the end.
    Raises ``SettingsError`` for an address that is none.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        api: Literal["openai", "tgi"] = "openai",
        api_key: str | None = None,
        *,
        timeouts: Timeouts = Timeouts(),
        max_tokens: int = 1024,
        window: int = 8192,
    ) -> None:
        self._address = parse_address(base_url)
        if api_key and self._address.authorization:
            raise SettingsError("Give the model server's API key or a user in its address, not both.")
        self._api = api
        self._timeouts = timeouts
        self._known = ServerMemory(model, window, max_tokens, native=api == "tgi")
        authorization = f"Bearer {api_key}" if api_key else self._address.authorization
        self._connection = Connection(authorization, timeouts.connect_s)

    @property
    def kind(self) -> str:
        """``openai`` or ``tgi``."""
        return self._api

    @property
    def model(self) -> str | None:
        """The model's name as configured or, once the server was asked, as it says."""
        return self._known.model

    @property
    def _native(self) -> bool:
        return self._api == "tgi"

    def write(self, task: Task) -> DraftStream:
        """Stream the draft; it is empty when the passages don't say. Raises ``GeneratorUnavailable`` while
        streaming.
        """
        return DraftStream(lambda draft: self._pieces(task, draft))

    async def health(self, timeout_s: float = 2.0) -> ServerHealth:
        """Whether the server answers within ``timeout_s``; never raises for one that is down."""
        try:
            async with asyncio.timeout(timeout_s), self._connection.client() as client:
                if self._native:
                    (await client.get(f"{self._address.native}/health")).raise_for_status()
                await self._ask(client)
        except TimeoutError:
            return ServerHealth(False, f"The model server did not answer within {timeout_s:g} s.", self.model)
        except httpx2.HTTPError as error:
            return ServerHealth(False, unavailable(error, started=False).detail, self.model)
        except GeneratorUnavailable as error:
            return ServerHealth(False, error.detail, self.model)
        return ServerHealth(True, None, self.model)

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._connection.aclose()

    async def _ask(self, client: httpx2.AsyncClient) -> None:
        self._known.told(await fetch_info(client, self._address, native=self._native, model=self.model))

    # One draft

    async def _pieces(self, task: Task, draft: DraftStream) -> AsyncGenerator[str, None]:
        deadline = asyncio.get_running_loop().time() + self._timeouts.total_s
        if self.model is None and not self._known.asked:
            await self._find_model()
        failed: RequestFailedError | None = None
        for _ in range(_REQUESTS):
            prompt = build_prompt(task, self._known.prompt_tokens())
            draft.passages_used = prompt.passages_used
            try:
                async with aclosing(self._attempt(prompt, draft, deadline, failed)) as pieces:
                    async for piece in pieces:
                        yield piece
            except RetryError as again:
                failed = again.failed or failed
                continue
            return
        raise garbage()

    async def _find_model(self) -> None:
        try:
            async with asyncio.timeout(self._timeouts.connect_s), self._connection.client() as client:
                await self._ask(client)
        except TimeoutError:
            raise timed_out("did not say in time which model it serves") from None
        except httpx2.HTTPError as error:
            raise unavailable(error, started=False) from error

    async def _attempt(
        self, prompt: Prompt, draft: DraftStream, deadline: float, failed_chat: RequestFailedError | None
    ) -> AsyncGenerator[str, None]:
        """One request; a plain prompt where ``failed_chat`` is why this draft could not be had by chat.

        Raises ``RetryError``, before any piece, when what was learned makes another request worth while.
        """
        completes = self._native or self._known.knows(Quirk.NO_CHAT_TEMPLATE) or failed_chat is not None
        thinking = ThinkingFilter(unopened=opens_reasoning_unseen(self.model))
        answer = DraftFilter(COMPLETION_STOPS if completes else ())
        finish: Finish | None = None
        released = understood = False
        async with aclosing(self._timed(prompt, deadline, completes=completes)) as events:
            try:
                async for event in events:
                    understood = True
                    if event.reasoning:
                        thinking.settle()
                    text = answer.feed(thinking.feed(event.text))
                    if thinking.leaked:
                        raise garbage()
                    if text:
                        released = True
                        yield text
                    finish = event.finish or ("stop" if answer.stopped else None)
                    if finish is not None:
                        break
            except RequestFailedError as failed:
                if not released and self._known.learn(failed.error):
                    raise RetryError from None
                if not completes and not self._known.chatted and status_of(failed.error) == 500:
                    raise RetryError(failed) from None  # some servers fail so for want of a chat template
                told = failed_chat or failed
                raise unavailable(told.error, started=told.started, named=self.model is not None) from told.error
        if finish is None:
            raise interrupted() if understood else garbage()
        self._known.chatted = self._known.chatted or not completes
        last = answer.feed(thinking.finish()) + answer.finish()
        if thinking.thought and not released and (thinking.inside or (finish == "length" and not last)):
            if self._known.reasons:
                raise spent_on_reasoning()
            self._known.reasons = True
            raise RetryError
        if last:
            yield last
        draft.cut_off = finish == "length"

    async def _timed(self, prompt: Prompt, deadline: float, *, completes: bool) -> AsyncGenerator[Event, None]:
        """The events of a request within the time limits; its failures come as ``RequestFailedError``."""
        now = asyncio.get_running_loop().time
        limit, what = now() + self._timeouts.first_token_s, "took too long to begin its answer"
        started = False
        async with aclosing(self._request(prompt, completes=completes)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(min(limit, deadline)):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except (
                    httpx2.HTTPError,
                    *_MALFORMED,
                ) as error:  # before TimeoutError: the library's own is both
                    raise RequestFailedError(error, started=started) from error
                except TimeoutError:
                    raise timed_out("took too long for a whole answer" if now() >= deadline else what) from None
                started = True
                if event is not None:
                    if event.text or event.reasoning:
                        limit, what = (
                            now() + self._timeouts.between_tokens_s,
                            "stalled in the middle of the answer",
                        )
                    yield event

    # One request, in each protocol: None once the stream is open and for events that say nothing

    async def _request(self, prompt: Prompt, *, completes: bool) -> AsyncGenerator[Event | None, None]:
        way = self._tokens if self._native else self._completion if completes else self._chat
        async with aclosing(way(prompt)) as events:
            async for event in events:
                yield event

    async def _chat(self, prompt: Prompt) -> AsyncGenerator[Event | None, None]:
        messages = prompt.messages(system_role=not self._known.knows(Quirk.NO_SYSTEM_ROLE))
        async with AsyncInferenceClient(base_url=f"{self._address.openai}/chat/completions", api_key=_UNUSED) as client:
            token = _CONNECTION.set(self._connection)
            try:
                stream = await client.chat_completion(
                    [{"role": message.role, "content": message.content} for message in messages],
                    model=self.model,
                    stream=True,
                    extra_body=self._known.sampling(),
                )
            finally:
                _CONNECTION.reset(token)
            yield None
            async for chunk in stream:
                yield chat_event(chunk)

    async def _tokens(self, prompt: Prompt) -> AsyncGenerator[Event | None, None]:
        path = "" if self._known.knows(Quirk.OTHER_PATH) else "/generate_stream"
        async with AsyncInferenceClient(f"{self._address.native}{path}", api_key=_UNUSED) as client:
            token = _CONNECTION.set(self._connection)
            try:
                stream = await client.text_generation(
                    prompt.completion(),
                    stream=True,
                    details=True,
                    do_sample=False,
                    max_new_tokens=self._known.answer_tokens(),
                    return_full_text=False,
                    stop=list(COMPLETION_STOPS),
                )
            finally:
                _CONNECTION.reset(token)
            yield None
            async for output in stream:
                yield token_event(output)

    async def _completion(self, prompt: Prompt) -> AsyncGenerator[Event | None, None]:
        """OpenAI's older ``/completions``, which the library does not know."""
        body = {"model": self.model, "prompt": prompt.completion(), "stream": True, "stop": COMPLETION_STOPS}
        body = {key: value for key, value in {**body, **self._known.sampling()}.items() if value is not None}
        async with (
            self._connection.client() as client,
            client.sse(f"{self._address.openai}/completions", method="POST", json=body) as source,
        ):
            source.response.raise_for_status()
            yield None
            async for message in source:
                if message.data.strip() == "[DONE]":
                    return
                yield completion_event(message.data)
