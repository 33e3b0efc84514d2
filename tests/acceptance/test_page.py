"""The page in a real browser, on a real service: what a reader sees, and that documents' text stays text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Route
from page_reader import BADGES, LEAVE, LEAVE_QUESTION, QUOTE, OpenReader, answer_object, citation


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


def test_the_policy_forbids_what_is_not_ours(open_reader: OpenReader, page_service: Service) -> None:
    reader = open_reader()
    policy = reader.page.goto(page_service.url + "/").headers["content-security-policy"]
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


def test_nothing_comes_from_elsewhere(open_reader: OpenReader, page_service: Service) -> None:
    reader = open_reader().ask(LEAVE_QUESTION).open("/schema")

    assert len(reader.asked) > 10
    assert [url for url in reader.asked if not url.startswith(page_service.url + "/")] == []


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


def test_a_problem_is_shown_with_its_request(open_reader: OpenReader, page_service: Service) -> None:
    page_service.call("POST", "/v1/collections", {"name": "short-lived"})
    reader = open_reader()
    page = reader.page
    page.click("#collections-summary")
    page.check("input[value='short-lived']")
    page_service.call("DELETE", "/v1/collections/short-lived")
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
