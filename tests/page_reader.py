"""A reader of the page: tabs of a real browser on a real service, which the page's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium
from service import Service, running_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


LEAVE = (
    "😀😀😀 Leave 🏝️\n\nEmployees accrue 1.5 days of paid leave for every full month of service. "
    "Unused leave expires on 31 March of the following year.\n"
)
BADGES = (
    "The badge printer in Hall <script>window.pwned = 1</script> stands on floor seven "
    '<img src=x onerror="window.pwned = 2"> next to the goods lift.'
)
LEAVE_QUESTION = "How many days of paid leave do employees accrue for every full month of service?"
QUOTE = "Employees accrue 1.5 days of paid leave for every full month of service."


@pytest.fixture(scope="session")
def page_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("page")) as running:
        running.put_text("leave.txt", LEAVE, title="Leave 🏝️ <b>policy</b>", url="https://intranet.example/leave")
        running.put_text(
            "badges.txt", BADGES, title="<img src=x onerror=window.pwned=3>", url="javascript:window.pwned=4"
        )
        running.call("POST", "/v1/collections", {"name": "garden", "description": "Plants"})
        running.put_text("roses.txt", "Roses are watered twice a week in July.", collection="garden", title="Roses")
        yield running


# Not longer: while it runs, no other test could run an event loop.
@pytest.fixture(scope="module")
def page_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


class Reader:
    """A reader's tab; it keeps what went wrong in it and which addresses it asked for."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: str = "/") -> Reader:
        self.page.goto(self.url + path)
        return self

    def ask(self, question: str) -> Reader:
        self.page.fill("#question", question)
        self.page.press("#question", "Enter")
        self.page.wait_for_selector("#answer[aria-busy=false] article > :nth-child(2)")
        return self

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def answer_with(self, *events: tuple[str, Any]) -> None:
        """From now on answers are this stream."""
        body = "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in events)
        self.page.unroute("**/v1/answer")
        self.page.route("**/v1/answer", lambda route: route.fulfill(body=body, content_type="text/event-stream"))


OpenReader = Callable[..., Reader]


@pytest.fixture
def open_reader(page_browser: Browser, page_service: Service) -> Iterator[OpenReader]:
    """Opens tabs that share nothing; each must end without an error on its console unless the test took note of it."""
    contexts = []
    readers: list[Reader] = []

    def open_(width: int = 1280, height: int = 900, path: str = "/", **options: Any) -> Reader:
        context = page_browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        readers.append(Reader(context.new_page(), page_service.url))
        return readers[-1].open(path)

    yield open_
    for context in contexts:
        context.close()
    assert [message for reader in readers for message in reader.wrong] == []


def answer_object(**parts: Any) -> dict[str, Any]:
    whole = {
        "id": "ans_1",
        "status": "answered",
        "reason": None,
        "answer": "",
        "sentences": [],
        "citations": [],
        "grounding": {"score": 0.0, "sentences": 0, "supported": 0, "unsupported": 0, "uncheckable": 0},
        "generator": {"kind": "openai", "model": "tiny"},
        "verifier": {"name": "v1", "truncated": False},
        "index": {"generation": 1, "seq": 9},
        "timings_ms": {"encode": 1.0, "search": 1.0, "generate": 1500.0, "verify": 2.0, "total": 1504.0},
        "degraded": [],
    }
    return {**whole, **parts}


def citation(**parts: Any) -> dict[str, Any]:
    document = {"id": "doc_1", "external_id": "long.txt", "version": 2, "title": "Long", "url": None}
    whole = {"n": 1, "chunk_id": "c", "document": document, "heading_path": ["Part", "Chapter"], "page": 7}
    return {**whole, "char_start": 0, "char_end": 4, "quote": "word", **parts}
