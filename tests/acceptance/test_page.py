"""The page in a real browser, on a real service: what a reader sees, and that documents' text stays text."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium
from service import Service, running_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

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


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("page")) as running:
        running.put_text("leave.txt", LEAVE, title="Leave 🏝️ <b>policy</b>", url="https://intranet.example/leave")
        running.put_text(
            "badges.txt", BADGES, title="<img src=x onerror=window.pwned=3>", url="javascript:window.pwned=4"
        )
        running.call("POST", "/v1/collections", {"name": "garden", "description": "Plants"})
        running.put_text("roses.txt", "Roses are watered twice a week in July.", collection="garden", title="Roses")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
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
def open_reader(browser: Browser, service: Service) -> Iterator[OpenReader]:
    """Opens tabs that share nothing; each must end without an error on its console unless the test took note of it."""
    contexts = []
    readers: list[Reader] = []

    def open_(width: int = 1280, height: int = 900, path: str = "/", **options: Any) -> Reader:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        readers.append(Reader(context.new_page(), service.url))
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


def test_an_answer_carries_footnotes_that_open_the_very_characters_they_quote(open_reader: OpenReader) -> None:
    reader = open_reader()
    page = reader.ask(LEAVE_QUESTION).page

    assert "roven" in reader.text(".verdict")
    assert "Employees accrue 1.5 days of paid leave" in reader.text(".prose")
    assert page.input_value("#question") == ""
    page.hover(".mark[data-n='1']")
    page.wait_for_selector("#popover:not([hidden])")
    assert QUOTE in reader.text("#popover blockquote")
    assert "Leave 🏝️ <b>policy</b>" in reader.text("#popover")
    assert "version 1" in reader.text("#popover")

    page.click(".mark[data-n='1']")
    page.wait_for_selector("#source mark")
    # The emoji before the quote are one character each to the service and two to JavaScript.
    assert page.locator("#source mark").text_content() == QUOTE
    assert page.locator("#source .text span").all_text_contents() == LEAVE.split(QUOTE)
    assert "to the letter" in reader.text("#source .proof")
    assert page.locator("#source a.out").get_attribute("href") == "https://intranet.example/leave"
    assert page.evaluate("document.activeElement.id") == "source-title"
    page.keyboard.press("Escape")
    assert page.locator("#source").is_hidden()
    assert page.evaluate("document.activeElement.dataset.n") == "1"


def test_the_keyboard_is_enough(open_reader: OpenReader) -> None:
    page = open_reader().page
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    assert page.input_value("#question") == "first line\nsecond line"

    page.fill("#question", LEAVE_QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".mark")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className").startswith("mark"):
            break
    page.wait_for_selector("#popover:not([hidden])")
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "popover"
    page.keyboard.press("Escape")
    assert page.locator("#popover").is_hidden()
    page.keyboard.press("Enter")
    page.wait_for_selector("#source mark")


def test_a_documents_markup_stays_text(open_reader: OpenReader) -> None:
    reader = open_reader()
    page = reader.ask("Where does the badge printer stand?").page

    assert "<script>window.pwned = 1</script>" in reader.text("#answer")
    assert "<img src=x onerror=window.pwned=3>" in reader.text("#answer")
    page.locator(".quote").first.click()
    page.wait_for_selector("#source mark")
    assert reader.text("#source .text").strip() == BADGES
    assert reader.text("#source h2") == "<img src=x onerror=window.pwned=3>"
    assert page.locator("#answer script, #answer img, #source script, #source img").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0
    assert page.evaluate("window.pwned") is None


def test_the_policy_forbids_what_is_not_ours(open_reader: OpenReader, service: Service) -> None:
    reader = open_reader()
    policy = reader.page.goto(service.url + "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    refused = "() => { try { document.body.innerHTML = '<p>'; return false } catch { return true } }"
    assert reader.page.evaluate(refused)
    reader.wrong.clear()  # the console tells of the refusal


def test_where_the_documents_dont_say_the_page_says_so(open_reader: OpenReader) -> None:
    reader = open_reader().ask("Who won the chess world championship in 1972?")

    assert reader.text(".abstention h3") == "The documents don't say"
    assert "Rather than guess" in reader.text(".abstention") or "could be proven" in reader.text(".abstention")
    assert reader.page.locator(".mark").count() == 0
    assert reader.text(".closest h3") == "Closest passages, not proof"
    reader.page.locator(".closest .quote").first.click()
    reader.page.wait_for_selector("#source mark")
    assert "to the letter" in reader.text("#source .proof")


def test_nothing_comes_from_elsewhere(open_reader: OpenReader, service: Service) -> None:
    reader = open_reader().ask(LEAVE_QUESTION).open("/schema")

    assert len(reader.asked) > 10
    assert [url for url in reader.asked if not url.startswith(service.url + "/")] == []


def test_an_unproven_sentence_is_marked_in_words_with_its_reason(open_reader: OpenReader) -> None:
    text = "Hello. 😀 Leave is 25 days [1]. Crews get **12** more."
    cuts = [(0, 6, "uncheckable", []), (7, 30, "supported", [1]), (31, 53, "unsupported", [])]
    sentences = [
        {"text": text[start:end], "start": start, "end": end, "verdict": verdict, "score": 0.5, "citations": numbers,
         "reason": "the number 12 is not in the evidence" if verdict == "unsupported" else None}
        for start, end, verdict, numbers in cuts
    ]  # fmt: skip
    grounding = {"score": 0.5, "sentences": 3, "supported": 1, "unsupported": 1, "uncheckable": 1}
    reader = open_reader()
    reader.answer_with(
        ("retrieval", {"results": [], "index": {}}),
        ("done", answer_object(status="partial", answer=text, sentences=sentences, citations=[citation()],
                               grounding=grounding, degraded=["generator_cut_off", "some_new_part"])),
    )  # fmt: skip
    reader.ask("How much leave?")

    assert reader.page.locator(".sentence.supported").inner_text() == "😀 Leave is 25 days1."
    assert reader.text(".sentence.unsupported") == "Crews get 12 more."
    assert reader.text(".sentence.unsupported strong") == "12"
    assert reader.text(".unproven") == "not proven: the number 12 is not in the evidence"
    assert "1 of 2 sentences proven" in reader.text(".verdict")
    assert "length limit" in reader.text(".notices li:first-child")
    assert "some new part" in reader.text(".notices li:last-child")
    assert "page 7" in reader.text(".footnotes .place")
    reader.page.click(".facts summary")
    facts = reader.text(".facts")
    assert "50 % (1 supported, 1 unsupported, 1 uncheckable)" in facts
    assert "language model tiny" in facts
    assert "generate 1.5 s" in facts


def test_a_missing_model_server_is_told_from_missing_knowledge(open_reader: OpenReader) -> None:
    reader = open_reader()
    reader.answer_with(
        ("retrieval", {"results": [], "index": {}}),
        ("done", answer_object(status="abstained", reason="generator_unavailable", degraded=["generator"],
                               detail="The model server refused the connection.")),
    )  # fmt: skip
    reader.ask("Anything?")

    assert reader.text(".abstention h3") == "No answer could be written"
    assert "The model server refused the connection." in reader.text(".abstention")
    assert "language model was not available" in reader.text(".notices")


def test_a_problem_is_shown_with_its_request(open_reader: OpenReader, service: Service) -> None:
    service.call("POST", "/v1/collections", {"name": "short-lived"})
    reader = open_reader()
    page = reader.page
    page.click("#collections-summary")
    page.check("input[value='short-lived']")
    service.call("DELETE", "/v1/collections/short-lived")
    reader.ask("Anything?")

    assert "short-lived" in reader.text(".problem")
    assert re.search(r"Request req_\w+", reader.text(".problem"))
    assert page.input_value("#question") == "Anything?"
    assert reader.wrong == ["Failed to load resource: the server responded with a status of 404 (Not Found)"]
    reader.wrong.clear()


def test_a_lost_connection_is_said_before_and_within_the_stream(open_reader: OpenReader) -> None:
    reader = open_reader()
    reader.page.route("**/v1/answer", lambda route: route.abort())
    reader.ask("Anything?")
    assert "cannot be reached" in reader.text(".problem")
    reader.wrong.clear()

    reader.answer_with(("retrieval", {"results": [], "index": {}}), ("delta", {"text": "Half a"}))
    reader.ask("Anything?")
    assert "cannot be reached" in reader.text(".problem")
    assert "Half a" not in reader.text("#answer")

    reader.answer_with(("error", {"title": "Unavailable", "detail": "The index is rebuilt.", "request_id": "req_9"}))
    reader.ask("Anything?")
    assert "The index is rebuilt." in reader.text(".problem")
    assert "Request req_9" in reader.text(".problem")


def test_stop_ends_a_running_question(open_reader: OpenReader) -> None:
    reader = open_reader()
    page = reader.page
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/v1/answer", hold)
    page.fill("#question", "Will this end?")
    page.press("#question", "Enter")
    page.wait_for_selector(".stages [data-step='search'][data-state='now']")
    assert page.locator("#answer").get_attribute("aria-busy") == "true"
    assert page.locator("#send").is_hidden()

    page.click("#stop")
    page.wait_for_selector(".problem.stopped")
    assert page.locator("#stop").is_hidden()
    assert page.input_value("#question") == "Will this end?"
    assert len(waiting) == 1


def test_the_work_can_be_watched(open_reader: OpenReader) -> None:
    reader = open_reader()
    page = reader.page
    # A stream that stays open after its first events, and whose events are cut in the middle of lines and characters.
    page.evaluate("""() => {
      const events = 'event: retrieval\\r\\ndata: {"results": [{}, {}]}\\r\\n\\r\\n: ping\\n\\n'
        + 'event: delta\\ndata: {"text": "Leave 🏝️ is 25 days."}\\n\\n'
        + 'event: delta\\ndata: {"text": " And"}\\n\\nevent: sentence\\ndata: {"verdict": "supported"}\\n\\n';
      const bytes = new TextEncoder().encode(events);
      window.fetch = async (path, { signal }) => new Response(new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 3) controller.enqueue(bytes.slice(at, at + 3));
          signal.addEventListener("abort", () => controller.error(new DOMException("stopped", "AbortError")));
        },
      }));
    }""")
    page.fill("#question", "How much leave?")
    page.press("#question", "Enter")
    page.wait_for_selector("[data-step='check'][data-state='now']")

    assert page.locator("[data-step='search']").get_attribute("data-state") == "done"
    assert "2 passages" in reader.text("[data-step='search']")
    assert "1 of 1 sentences proven so far" in reader.text("[data-step='check']")
    assert "not checked yet" in reader.text(".draft .label")
    assert reader.text(".draft p:last-child") == "Leave 🏝️ is 25 days. And"
    assert "being answered" in reader.text("#past-list")
    page.click("#stop")
    assert "has not been checked" in reader.text(".problem.stopped")
    assert "Leave 🏝️ is 25 days. And" in reader.text(".problem.stopped")


def test_feedback_reaches_the_answers_record(open_reader: OpenReader) -> None:
    reader = open_reader().ask(LEAVE_QUESTION)
    page = reader.page
    page.click(".thumb[data-rating='down']")
    page.fill("[aria-label='Comment']", "Too short")
    page.fill("[aria-label='The right answer']", "18 days a year")
    with page.expect_response("**/feedback") as sent:
        page.click("text=Send feedback")

    assert sent.value.status == 201
    assert sent.value.request.post_data_json == {
        "rating": "down",
        "comment": "Too short",
        "correction": "18 days a year",
    }
    page.wait_for_selector("text=Thank you")
    assert page.locator(".thumb:enabled").count() == 0


def test_a_key_is_asked_for_kept_for_the_tab_and_sent(open_reader: OpenReader) -> None:
    problem = {
        "title": "Unauthenticated",
        "detail": "Send a key.",
        "code": "missing_key",
        "request_id": "req_1",
        "status": 401,
    }
    sent: list[dict[str, str]] = []

    def guard(route: Route) -> None:
        sent.append(route.request.headers)
        if route.request.headers.get("authorization") == "Bearer fn_secret":
            route.continue_()
        else:
            route.fulfill(status=401, json=problem)

    reader = open_reader()
    page = reader.page
    page.route("**/v1/**", guard)
    reader.open()
    page.wait_for_selector("#access[open]")
    page.fill("[name='key']", "fn_secret")
    page.fill("[name='groups']", "hr, eng")
    page.keyboard.press("Enter")
    page.wait_for_selector("#access:not([open])", state="attached")
    reader.ask(LEAVE_QUESTION)

    assert "1.5 days" in reader.text(".prose")
    assert sent[-1]["x-footnote-groups"] == "hr, eng"
    assert sorted(page.evaluate("Object.values(sessionStorage)")) == ["fn_secret", "hr, eng"]
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"
    reader.wrong.clear()  # the console tells of the 401


def test_chosen_collections_are_the_only_ones_asked(open_reader: OpenReader) -> None:
    reader = open_reader()
    page = reader.page
    page.click("#collections-summary")
    page.check("input[value='garden']")
    page.keyboard.press("Escape")
    assert reader.text("#collections-summary") == "garden"
    page.check("input[value='customer']", force=True)
    with page.expect_request("**/v1/answer") as sent:
        reader.ask(LEAVE_QUESTION)

    body = sent.value.post_data_json
    assert body == {"question": LEAVE_QUESTION, "audience": "customer", "collections": ["garden"], "stream": True}
    assert "Employees" not in reader.page.locator("#answer article > :not(h2)").first.inner_text()


def test_this_sessions_questions_can_be_seen_again(open_reader: OpenReader) -> None:
    reader = open_reader().ask(LEAVE_QUESTION).ask("Who won the chess world championship in 1972?")
    page = reader.page
    assert page.locator("#past-list button").count() == 2
    assert page.locator(".prose").count() == 0

    page.click(f"#past-list button:has-text('{LEAVE_QUESTION}')")
    assert "1.5 days" in reader.text(".prose")
    assert page.locator("#past-list [aria-current]").inner_text().startswith(LEAVE_QUESTION)


def test_a_long_document_opens_around_the_quote(open_reader: OpenReader) -> None:
    before, after = "Some words before, and one 😀. " * 3_000, " and words after" * 5_000
    text = before + "word" + after
    start = len(before)
    cited = citation(char_start=start, char_end=start + 4)
    grounding = {"score": 1.0, "sentences": 1, "supported": 1, "unsupported": 0, "uncheckable": 0}
    sentence = {"text": "Word [1].", "start": 0, "end": 9, "verdict": "supported", "score": 1.0, "citations": [1]}
    reader = open_reader()
    reader.page.route("**/v1/documents/doc_1/text?version=2", lambda route: route.fulfill(body=text))
    done = answer_object(answer="Word [1].", sentences=[sentence], citations=[cited], grounding=grounding)
    reader.answer_with(("done", done))
    page = reader.ask("Which word?").page
    page.click(".mark")
    page.wait_for_selector("#source mark")

    assert page.locator("#source mark").text_content() == "word"
    shown = page.locator("#source .text").text_content() or ""
    assert len(shown) < 81_000
    assert "�" not in shown
    assert page.locator("#source mark").is_visible()
    for _ in range(3):
        if page.locator("text=Show what comes before").is_visible():
            page.click("text=Show what comes before")
    assert page.locator("#source .text span").first.text_content() == before


@pytest.mark.parametrize("width", [360, 1100, 1600])
def test_nothing_overflows(open_reader: OpenReader, width: int) -> None:
    reader = open_reader(width, 740).ask(LEAVE_QUESTION)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert reader.page.evaluate(overflow) == 0
    reader.page.click(".mark")
    reader.page.wait_for_selector("#source mark")
    assert reader.page.evaluate(overflow) == 0
    assert reader.open("/schema").page.evaluate(overflow) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_told_apart(open_reader: OpenReader, scheme: str) -> None:
    pairs = [("ink", "paper"), ("soft", "paper"), ("soft", "sheet"), ("soft", "sunk"), ("accent", "paper"), ("accent", "tint"),
             ("on-accent", "accent"), ("warn", "warn-tint"), ("warn", "paper"), ("bad", "sheet"), ("good", "paper"),
             ("ink", "mark"), ("soft", "tint")]  # fmt: skip
    measure = """(pairs) => pairs.map((pair) => {
      const light = pair.map((name) => {
        const probe = document.createElement("i");
        probe.style.color = `var(--${name})`;
        document.body.append(probe);
        const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
        probe.remove();
        const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      });
      return (Math.max(...light) + 0.05) / (Math.min(...light) + 0.05);
    })"""
    ratios = open_reader(color_scheme=scheme).page.evaluate(measure, pairs)
    # WCAG 2.2, 1.4.3: 4.5 to 1 for text.
    assert {pair: round(ratio, 2) for pair, ratio in zip(pairs, ratios, strict=True) if ratio < 4.5} == {}


def test_the_colours_can_be_switched_and_are_remembered(open_reader: OpenReader) -> None:
    reader = open_reader(color_scheme="light")
    page = reader.page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    reader.open()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.click("#theme")
    assert page.evaluate("[document.documentElement.dataset.theme, localStorage.length]") == [None, 0]


def test_the_api_page_lists_every_call_without_a_script(open_reader: OpenReader, service: Service) -> None:
    document = service.call("GET", "/schema/openapi.json")
    reader = open_reader(path="/schema", java_script_enabled=False)
    calls = [(method.upper(), path) for path, item in document["paths"].items() for method in item]

    heads = [re.sub(r"\s+", " ", text) for text in reader.page.locator(".call h3").all_inner_texts()]
    assert sorted(heads) == sorted(f"{method} {path}" for method, path in calls)
    answer = reader.text("#post-v1-answer")
    assert "question required" in answer
    assert "not empty, at most 10,000 characters" in answer
    assert "Answer from the documents, with a verdict and citations for every sentence" in answer


def test_an_address_can_bring_its_question(open_reader: OpenReader) -> None:
    page = open_reader(path="/#q=How+much+leave%3F").page
    assert page.input_value("#question") == "How much leave?"


def test_assets_are_revalidated_and_nothing_else_is_served(service: Service) -> None:
    with urllib.request.urlopen(service.url + "/assets/app.js") as response:
        tag = response.headers["ETag"]
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"

    assert status_of(service.url + "/assets/app.js", {"If-None-Match": tag}) == 304
    for path in ("schema.html", "../app.py", "%2e%2e/app.py"):
        assert status_of(f"{service.url}/assets/{path}") == 404


def status_of(url: str, headers: dict[str, str] | None = None) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}))
    error.value.close()
    return error.value.code
