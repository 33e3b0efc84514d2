from html.parser import HTMLParser

from evals.report import render
from evals.result import Check, ItemResult, MetricValue, Retrieved, RunResult
from evals.table import kind_rows, markdown, metric_table

ITEMS = (
    ItemResult(
        id="good",
        gold={"id": "good", "question": "Fine?", "answerable": False},
        scores={"false_answer": 0.0},
        status="abstained",
        reason="no_evidence",
        answer={
            "id": "a",
            "text": "The documents don't say.",
            "sentences": [],
            "citations": [],
            "degraded": [],
        },
    ),
    ItemResult(
        id="bad",
        gold={
            "id": "bad",
            "question": "<script>alert(1)</script>?",
            "answerable": True,
            "facts": ["25 days"],
            "evidence": [{"external_id": "leave.md", "page": 2, "quote": "25 days"}],
        },
        scores={"loss": 1.0},
        retrieved=(Retrieved("leave.md", 0.9, True, 0, 10, 2),),
        status="answered",
        answer={
            "id": "b",
            "text": "20 days.",
            "sentences": [{"text": "20 days.", "verdict": "unsupported", "score": 0.1, "citations": [1]}],
            "citations": [{"n": 1, "external_id": "old.md", "page": None, "quote": "20 days"}],
            "degraded": [],
        },
    ),
)
RESULT = RunResult(
    run="run_1",
    goldset="company",
    collection="docs",
    verdict="FAIL",
    metrics={
        "recall@10": MetricValue(0.5, (0.25, 0.75), 8, 0.36),
        "latency_p95_ms": MetricValue(1234.56, (1, 2), 8, 3),
    },
    table={"answerable": {"answered": 1, "partial": 0, "abstained": 0}},
    kinds={"easy": {"n": 2, "recall@10": 0.5}},
    counts={"items": 2, "answerable": 1, "unanswerable": 1},
    config={"encoder": "mini|lm"},
    checks=(Check("recall@10", ">= 0.9", "FAIL", "recall@10 is 0.5."),),
    notes=("a note",),
    started_at="2026-01-01T00:00:00Z",
    finished_at="2026-01-01T00:01:00Z",
    items=ITEMS,
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = Page(render(RESULT))
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "img", "iframe"}]
    assert not [name for _, attrs in page.tags for name in attrs if name in {"src", "href"} or name.startswith("on")]


def test_wrong_items_come_first_with_answer_verdict_and_gold() -> None:
    text = render(RESULT)
    items = [attrs["id"] for tag, attrs in Page(text).tags if tag == "details"]
    assert items == ["item-bad", "item-good"]
    for shown in (
        '<span class="unsupported" title="unsupported, 0.1">20 days.</span><sup>[1]</sup>',
        "leave.md, page 2: “25 days”",
        "&lt;script&gt;alert(1)&lt;/script&gt;?",
        "The documents don&#39;t say.",
        "no_evidence",
        "0.5000",
        "0.2500 … 0.7500",
        "recall@10 is 0.5.",
        "a note",
        "1 came out wrong",
    ):
        assert shown in text, shown


def test_the_table_page() -> None:
    text = markdown(RESULT)
    assert "# company: FAIL" in text
    assert "| recall@10 | 0.5000 | 0.2500 … 0.7500 | 8 | 0.3600 |" in text
    assert "| encoder | mini\\|lm |" in text
    assert "| answerable | 1 | 0 | 0 |" in text


def test_rows() -> None:
    assert metric_table(RESULT)[1][1] == ("latency_p95_ms", "1234.6", "1.0000 … 2.0000", "8", "3.0000")
    assert kind_rows(RESULT) == (("kind", "items", "recall@10"), [("easy", "2", "0.500")])
