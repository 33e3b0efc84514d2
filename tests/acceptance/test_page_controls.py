"""What a reader can do on the page besides asking, and how it looks; in a real browser, on a real service."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Route
from page_reader import LEAVE_QUESTION, OpenReader, answer_object, citation


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


def test_the_api_page_lists_every_call_without_a_script(open_reader: OpenReader, page_service: Service) -> None:
    document = page_service.call("GET", "/schema/openapi.json")
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


def test_assets_are_revalidated_and_nothing_else_is_served(page_service: Service) -> None:
    with urllib.request.urlopen(page_service.url + "/assets/app.js") as response:
        tag = response.headers["ETag"]
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"

    assert status_of(page_service.url + "/assets/app.js", {"If-None-Match": tag}) == 304
    for path in ("schema.html", "../app.py", "%2e%2e/app.py"):
        assert status_of(f"{page_service.url}/assets/{path}") == 404


def status_of(url: str, headers: dict[str, str] | None = None) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}))
    error.value.close()
    return error.value.code
