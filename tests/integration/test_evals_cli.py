"""``footnote eval`` from files to verdict, with the real encoder, index, writer and verifier."""

import json
from math import log2
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from service import CACHE_DIR
from typer.testing import CliRunner

from api.cli.main import app
from infra.errors import FootnoteError, InvalidInput, NotFound

pytestmark = pytest.mark.usefixtures("shared_models")

CORPUS = [
    {"_id": "winch", "title": "Winches", "text": "A winch pulls a load by winding a rope around a drum."},
    {"_id": "tide", "title": "Tides", "text": "The tide rises twice a day because of the moon."},
    {"_id": "bread", "title": "", "text": "Bread rises because yeast makes carbon dioxide."},
    {
        "_id": "leave",
        "title": "Leave",
        "text": "Employees of the ferry company get 25 days of paid leave a year.",
    },
]
QUERIES = [
    {"_id": "q1", "text": "what pulls a load with a rope"},
    {"_id": "q2", "text": "why does dough grow"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\twinch\t1\nq2\tbread\t2\nq2\tgone\t1\n"
GOLD = [
    {
        "id": "leave",
        "question": "How many days of paid leave do employees of the ferry company get?",
        "answerable": True,
        "facts": ["25 days"],
        "evidence": [{"external_id": "leave", "quote": "25 days of paid leave"}],
    },
    {"id": "absent", "question": "Who designed the cathedral of Quito?", "answerable": False},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the corpus in collection ``tiny``, a BEIR gold set ``tiny`` and a gold set
    ``own``.
    """
    folder = tmp_path_factory.mktemp("evals")
    (folder / "beir" / "qrels").mkdir(parents=True)
    for name, rows in {"corpus": CORPUS, "queries": QUERIES}.items():
        (folder / "beir" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "beir" / "qrels" / "test.tsv").write_text(QRELS)
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, GOLD)))
    loaded = footnote(folder, "import", "beir", f"{folder}/beir", "--name", "tiny", "--json")
    assert json.loads(loaded.stdout)["documents"] == 4
    assert footnote(folder, "import", "footnote", str(folder / "own.jsonl"), "--collection", "tiny").exit_code == 0
    return folder


def footnote(home: Path, *words: str) -> Result:
    environment = {"FOOTNOTE_DATA_DIR": str(home / "data"), "FOOTNOTE_CACHE_DIR": str(CACHE_DIR)}
    return CliRunner().invoke(app, ["eval", *words], env=environment)


def run_json(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = footnote(home, "run", *words, "--json")
    return done.exit_code, json.loads(done.stdout)


def refused(done: Result) -> FootnoteError:
    """The error that ``footnote`` prints as one line; the runner hands it on."""
    assert isinstance(done.exception, FootnoteError)
    return done.exception


def test_a_beir_collection_is_ranked_by_document(home: Path) -> None:
    code, body = run_json(home, "tiny")
    assert (code, body["verdict"], body["goldset"]) == (0, "PASS", "tiny")
    # q1 finds its only document first. q2 finds the one of grade 2 first, and the missing one of grade 1 never.
    second = 2 / (2 + 1 / log2(3))
    metric = body["metrics"]["ndcg@10"]
    assert metric["value"] == pytest.approx((1 + second) / 2, abs=1e-6)
    assert metric.keys() == {"value", "ci", "n", "mde"}
    assert (metric["n"], metric["ci"]) == (2, [pytest.approx(second, abs=1e-6), 1.0])
    assert body["metrics"]["recall@10"]["value"] == 0.75
    assert body["metrics"]["mrr@10"]["value"] == 1.0
    assert body["config"]["encoder"].startswith("all-MiniLM-L6-v2")
    assert any("search only" in note for note in body["notes"])
    assert any("1 documents judged relevant are not in the collection" in note for note in body["notes"])


def test_answers_are_judged_and_written_out(home: Path) -> None:
    code, body = run_json(home, "own", "--out", str(home / "out"))
    assert code == 0
    assert body["table"]["answerable"] == {"answered": 1, "partial": 0, "abstained": 0}
    assert body["table"]["unanswerable"] == {"answered": 0, "partial": 0, "abstained": 1}
    for name in ("recall@10", "groundedness", "citation_recall", "answer_facts"):
        assert body["metrics"][name]["value"] == 1.0, name
    assert body["metrics"]["false_answer_rate"]["value"] == 0.0
    assert body["metrics"]["latency_p95_ms"]["value"] > 0
    stored = json.loads((home / "out" / "run.json").read_text())
    assert [item["id"] for item in stored["items"]] == ["leave", "absent"]
    assert stored["metrics"] == body["metrics"]
    assert "| answer_facts | 1.0000 |" in (home / "out" / "table.md").read_text()
    assert "25 days of paid leave" in (home / "out" / "report.html").read_text()
    page = footnote(home, "report", body["run"])
    assert page.stdout.strip() == (home / "out" / "report.html").read_text().strip()


@pytest.mark.parametrize(
    ("gate", "code", "verdict"),
    [
        ('"recall@10" = { min = 0.2 }', 0, "PASS"),
        ("false_answer_rate = { min = 0.9 }", 1, "FAIL"),
        ('"recall@10" = { min = 0.9 }', 2, "INCONCLUSIVE"),
        ('decide_by = "value"\n"recall@10" = { min = 0.9 }', 0, "PASS"),
    ],
)
def test_a_gate_decides_the_exit_code(home: Path, gate: str, code: int, verdict: str) -> None:
    (home / "gate.toml").write_text(gate)
    done, body = run_json(home, "own", "--gate", str(home / "gate.toml"))
    assert (done, body["verdict"]) == (code, verdict)


def test_evidence_that_is_not_in_the_documents_any_more_is_invalid(home: Path) -> None:
    stale = GOLD[0] | {"evidence": [{"external_id": "leave", "quote": "40 days of paid leave"}]}
    (home / "stale.jsonl").write_text(json.dumps(stale))
    footnote(home, "import", "footnote", str(home / "stale.jsonl"), "--collection", "tiny")
    code, body = run_json(home, "stale", "--retrieval-only")
    assert (code, body["verdict"]) == (3, "INVALID")
    assert "the quote '40 days of paid leave' is not in the text of 'leave'" in body["problems"][0]


def test_two_runs_are_compared_item_by_item(home: Path) -> None:
    _, first = run_json(home, "tiny")
    code, second = run_json(home, "tiny", "--mode", "lexical", "--baseline", first["run"])
    assert second["baseline"] == first["run"]
    # "why does dough grow" shares no word with the document about bread, or only stop words.
    assert second["metrics"]["recall@10"]["value"] <= first["metrics"]["recall@10"]["value"]
    assert code == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}[second["verdict"]]
    compared = json.loads(footnote(home, "compare", first["run"], second["run"], "--json").stdout)
    assert compared["settings"] == {"mode": ["hybrid", "lexical"]}
    assert compared["metrics"]["recall@10"]["n"] == 2
    assert "mode: hybrid → lexical" in footnote(home, "compare", first["run"], second["run"]).stdout


def test_bad_input_is_one_sentence_that_names_what_is_allowed(home: Path) -> None:
    broken = home / "broken"
    (broken / "qrels").mkdir(parents=True)
    (broken / "corpus.jsonl").write_text('{"_id": "d1", "text": "x"}\n{"_id": ')
    (broken / "queries.jsonl").write_text('{"_id": "q1", "text": "x"}\n')
    (broken / "qrels" / "test.tsv").write_text(QRELS)
    error = refused(footnote(home, "import", "beir", str(broken)))
    assert "corpus.jsonl, line 2: not valid JSON" in error.detail
    assert isinstance(refused(footnote(home, "run", "broken")), NotFound)  # nothing of it was stored
    assert "allowed: footnote, beir" in refused(footnote(home, "import", "csv", str(broken))).detail
    assert "allowed: hybrid, dense, lexical" in refused(footnote(home, "run", "own", "--mode", "fuzzy")).detail
    assert isinstance(refused(footnote(home, "run", "own", "--gate", str(home / "no.toml"))), InvalidInput)
    assert isinstance(refused(footnote(home, "report", "run_unknown")), NotFound)
    assert footnote(home, "run").exit_code == 2
    assert footnote(home, "run", "own", "--limit", "0").exit_code == 2


def test_a_second_import_changes_no_document(home: Path) -> None:
    before = run_json(home, "tiny")[1]["config"]["seq"]
    again = footnote(home, "import", "beir", str(home / "beir"), "--name", "tiny")
    assert "replaced gold set tiny: 2 questions" in again.stdout
    assert run_json(home, "tiny")[1]["config"]["seq"] == before


def fit(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = footnote(home, "fit-ranking", *words, "--json")
    return done.exit_code, json.loads(done.stdout)


def ranking(home: Path, *words: str) -> dict[str, Any]:
    environment = {"FOOTNOTE_DATA_DIR": str(home / "data"), "FOOTNOTE_CACHE_DIR": str(CACHE_DIR)}
    done = CliRunner().invoke(app, ["collections", *words, "--json"], env=environment)
    shown = json.loads(done.stdout)
    rows = shown if isinstance(shown, list) else [shown]
    found: dict[str, Any] = next(row["ranking"] for row in rows if row["name"] == "codes")
    return found


def test_how_a_collection_ranks_is_fitted_and_applied_only_where_that_is_a_gain(home: Path) -> None:
    code, body = fit(home, "tiny", "--apply")
    assert (code, body["verdict"], body["items"], body["applied"]) == (2, "INCONCLUSIVE", 2, False)
    folder = home / "codes"
    (folder / "qrels").mkdir(parents=True)
    # Codes are found by their letters alone; the vectors of all these texts are about the same.
    corpus = [{"_id": f"d{n}", "text": f"Part QX{n:03} fits the winch."} for n in range(60)]
    queries = [{"_id": f"q{n}", "text": f"what does part QX{n:03} fit"} for n in range(60)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(60))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    assert footnote(home, "import", "beir", str(folder), "--name", "codes").exit_code == 0
    before = ranking(home, "set", "codes", "--ranking", '{"dense_weight": 1, "expand": 1}')
    assert (before["dense_weight"], before["expand"]) == (1.0, 1)
    code, body = fit(home, "codes")
    assert (code, body["verdict"], body["applied"], body["items"]) == (0, "PASS", False, 60)
    assert body["ndcg"][1] == 1.0
    assert body["ci"][0] > 0.0
    assert body["gain"] == pytest.approx(body["ndcg"][1] - body["ndcg"][0])
    assert body["chosen"]["dense_weight"] < 1.0
    assert ranking(home, "list") == before, "without --apply nothing is changed"
    told = footnote(home, "fit-ranking", "codes", "--apply").stdout
    assert "dense_weight: 1.0 →" in told
    assert "The collection ranks so from now on." in told
    assert ranking(home, "list") == {**before, **body["chosen"]}
    assert isinstance(refused(footnote(home, "fit-ranking", "unknown")), NotFound)
