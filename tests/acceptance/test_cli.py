"""The command line: what it prints, its JSON, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import structlog
from clients import Client, Keyed
from service import CACHE_DIR, Service

from api.cli.main import main

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("shared_models")

LEAVE = "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work.\n"


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs ``footnote`` on one data folder: in this process, which has the libraries loaded, or in one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        outer = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
        own = {"FOOTNOTE_DATA_DIR": str(folder / "data"), "FOOTNOTE_CACHE_DIR": str(CACHE_DIR), "HF_HUB_OFFLINE": "1"}
        self.environment = {**outer, **own}

    def __call__(self, *arguments: str, **environment: str) -> Completed:
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with (
            mock.patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            mock.patch.object(sys, "argv", ["footnote", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as stop:
                code = stop.code
        structlog.reset_defaults()
        return Completed(int(str(code or 0)), out.getvalue(), err.getvalue())

    def spawn(self, *arguments: str, **environment: str) -> Completed:
        """Run it as a user does."""
        command = [sys.executable, "-m", "api.cli", *arguments]
        environ = {**self.environment, **environment}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=280, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, code: int = 0) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "leave.md").write_text(LEAVE)
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 cut short")
    return folder


@pytest.fixture(scope="module")
def ingested(shell: Shell, files: Path) -> dict[str, Any]:
    """What the first ingest of ``files`` printed: one good, one broken file."""
    printed: dict[str, Any] = shell.json("ingest", str(files), code=1)
    return printed


def one_line(done: Completed, code: int) -> str:
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("footnote: "), done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_ingest_counts_and_fails_for_what_it_could_not_read(ingested: dict[str, Any]) -> None:
    counts = {"scanned": 2, "new": 1, "modified": 0, "unchanged": 0, "deleted": 0, "failed": 1}
    assert ingested["counts"] == counts
    assert [(f["external_id"], f["code"]) for f in ingested["failures"]] == [("broken.docx", "malformed")]


def test_ingest_again_and_prune(shell: Shell, files: Path, ingested: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n\nText.\n")
    assert shell.json("ingest", str(tmp_path), "--collection", "pruned")["counts"]["new"] == 1
    (tmp_path / "other.md").rename(tmp_path / "renamed.md")
    (tmp_path / "more.md").write_text("# More\n\nText.\n")
    counts = shell.json("ingest", str(tmp_path), "--collection", "pruned", "--prune")["counts"]
    assert counts == {"scanned": 2, "new": 1, "modified": 1, "unchanged": 0, "deleted": 0, "failed": 0}
    (tmp_path / "renamed.md").unlink()
    counts = shell.json("ingest", str(tmp_path), "--collection", "pruned", "--prune")["counts"]
    assert (counts["scanned"], counts["unchanged"], counts["deleted"]) == (2, 1, 1)
    assert [d["external_id"] for d in shell.json("documents", "list", "--collection", "pruned")] == ["more.md"]
    listed = shell.json("sources", "list", "--collection", "pruned")
    assert [(s["kind"], s["uri"], s["documents"], s["prune"]) for s in listed] == [
        ("directory", str(tmp_path), 1, True)
    ]


def test_sources(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nSome text.\n")
    (tmp_path / "draft.md").write_text("# Draft\n\nSome text.\n")
    options = ("--collection", "kept")
    added = shell.json("sources", "add", str(tmp_path), "--exclude", "draft*", "--schedule", "0 3 * * *", *options)
    assert (added["kind"], added["exclude"], added["schedule"]) == ("directory", ["draft*"], "0 3 * * *")
    assert shell.json("sources", "sync", added["id"], *options)["counts"]["new"] == 1
    shown = shell.json("sources", "show", added["id"], *options)
    assert (shown["documents"], shown["synced_at"] is not None) == (1, True)
    printed = shell("sources", "list", *options).stdout
    assert "0 3 * * *" in printed
    assert str(tmp_path) in printed
    assert "has a source of that kind" in one_line(shell("sources", "add", str(tmp_path), *options), 1)
    assert "Bad schedule" in one_line(shell("sources", "add", ".", "--schedule", "often", *options), 2)
    assert "no such source" in one_line(shell("sources", "show", "src_none", *options), 1)
    removed = shell.json("sources", "remove", added["id"], "--documents", *options)
    assert removed == {"id": added["id"], "deleted_documents": 1}
    assert shell.json("documents", "list", *options) == []


def test_documents(shell: Shell, ingested: dict[str, Any]) -> None:
    listed = {d["external_id"]: d for d in shell.json("documents", "list")}
    assert {name: d["status"] for name, d in listed.items()} == {"leave.md": "ready", "broken.docx": "failed"}
    assert shell.json("documents", "show", "leave.md") == listed["leave.md"]
    assert "2.25 days" in shell("documents", "show", "leave.md", "--text").stdout
    receipt = shell.json("documents", "delete", "broken.docx")
    assert (receipt["external_id"], receipt["versions"]) == ("broken.docx", 0)
    assert "no such document" in one_line(shell("documents", "show", "broken.docx"), 1)


def test_search_and_ask(shell: Shell, ingested: dict[str, Any]) -> None:
    found = shell.json("search", "days of leave", "--top-k", "1")
    assert [hit["document"]["external_id"] for hit in found["results"]] == ["leave.md"]
    answer = shell.json("ask", "How many days of leave does an engineer accrue each month?")
    assert answer["status"] == "answered"
    assert "2.25" in answer["answer"]
    told = shell("ask", "What is the boiling point of tungsten?")
    assert told.returncode == 0, "not to know is no failure"
    assert "The documents don't say" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("search", " "), "query must not be empty"),
        (("search", "x", "--filter", "[]"), "--filter must be a JSON object"),
        (("ingest", "no/such/path"), "does not exist"),
        (("ingest", ".", "--collection", "Bad Name"), "Bad collection name"),
        (("search", "x", "--server", "127.0.0.1:1"), "--server must be an address"),
    ],
)
def test_wrong_usage_is_exit_2(shell: Shell, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in one_line(shell(*arguments), 2)


@pytest.mark.parametrize("arguments", [("search",), ("nonsense",), ("search", "x", "--mode", "psychic"), ("ingest",)])
def test_unknown_commands_and_options_are_exit_2(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell(*arguments).returncode == 2


def test_failures_are_exit_1(shell: Shell, ingested: dict[str, Any]) -> None:
    assert "no collection 'none'" in one_line(shell("search", "x", "--collection", "none"), 1)
    assert "does not answer" in one_line(shell("search", "x", "--server", "http://127.0.0.1:1"), 1)


def test_a_bad_setting_stops_the_start_with_one_line(shell: Shell) -> None:
    assert "FOOTNOTE_PORT is 'x' (environment)" in one_line(shell.spawn("serve", FOOTNOTE_PORT="x"), 2)
    refused = one_line(shell("serve", FOOTNOTE_AUTH="off", FOOTNOTE_HOST="0.0.0.0"), 2)
    assert "allowed: auth off on a loopback address" in refused
    assert "Did you mean FOOTNOTE_PORT?" in one_line(shell("settings", FOOTNOTE_PROT="1"), 2)


def test_settings(shell: Shell) -> None:
    rows = {row["name"]: row for row in shell.json("settings")}
    assert rows["FOOTNOTE_DATA_DIR"]["value"] == str(shell.folder / "data")
    assert rows["FOOTNOTE_DATA_DIR"]["origin"] == "environment"
    assert rows["FOOTNOTE_PORT"] | {"meaning": ""} == {
        "name": "FOOTNOTE_PORT",
        "value": "8000",
        "origin": "default",
        "meaning": "",
    }


def test_keys(shell: Shell) -> None:
    made = shell.json("keys", "create", "ci", "--scope", "ingest", "--group", "eng")
    assert made["secret"].startswith("fn_")
    assert (made["scopes"], made["groups"]) == (["ingest"], ["eng"])
    plain = shell("keys", "create", "ci2")
    assert plain.stdout.strip().startswith("fn_")
    assert "cannot be shown again" in plain.stderr
    listed = shell.json("keys", "list")
    assert [(key["name"], key["revoked_at"]) for key in listed] == [("ci", None), ("ci2", None)]
    assert made["secret"] not in json.dumps(listed)
    assert shell.json("keys", "revoke", made["id"])["revoked_at"] is not None
    one_line(shell("keys", "revoke", "key_none"), 1)
    one_line(shell("keys", "create", "x", "--scope", "root"), 2)


def test_doctor(shell: Shell, ingested: dict[str, Any]) -> None:
    rows = {row["check"]: row for row in shell.json("doctor")}
    assert set(rows) == {"data folder", "database", "encoder", "index", "integrity", "generator"}
    assert all(row["ok"] for row in rows.values())
    assert re.search(r"(openvino|torch)$", rows["encoder"]["detail"])


def test_verify(shell: Shell, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        {"id": 1, "context": LEAVE, "response": "Engineers accrue 2.25 days of leave each month."},
        {"id": "b", "context": [LEAVE], "response": "Engineers accrue 3.75 days of leave each month.", "extra": True},
    ]
    source.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    assert shell("verify", str(source), str(target)).returncode == 0
    good, bad = (json.loads(line) for line in target.read_text().splitlines())
    assert (good["id"], bad["id"]) == (1, "b")
    assert good["score"] > bad["score"]
    assert bad["sentences"][0]["verdict"] == "unsupported"
    before = target.read_text()
    source.write_text('{"id": 1}\n')
    assert "in.jsonl, line 1" in one_line(shell("verify", str(source), str(target)), 2)
    assert target.read_text() == before


def test_on_a_server(shell: Shell, service: Service, http: Client, collection: str, files: Path) -> None:
    options = ("--server", service.url, "--collection", collection)
    printed = shell.json("ingest", str(files), *options, code=1)
    assert (printed["counts"]["new"], printed["counts"]["failed"]) == (1, 1)
    assert http.found(collection, "days of leave") == ["leave.md"]
    assert shell.json("ingest", str(files / "leave.md"), *options)["counts"]["unchanged"] == 1
    found = shell.json("search", "days of leave", *options)
    assert [hit["document"]["external_id"] for hit in found["results"]] == ["leave.md"]
    asked = shell.json("ask", "How many days of leave does an engineer accrue each month?", *options)
    assert http.ok("GET", f"/v1/answers/{asked['id']}")["answer"] == asked["answer"]
    assert {d["external_id"] for d in shell.json("documents", "list", *options)} == {"leave.md", "broken.docx"}


def test_on_a_server_with_keys(shell: Shell, keyed: Keyed, tmp_path: Path) -> None:
    secret = keyed.client("search").headers["Authorization"].removeprefix("Bearer ")
    (tmp_path / "key").write_text(secret + "\n")
    assert shell.json("search", "x", "--server", keyed.url, "--key", f"@{tmp_path / 'key'}")["results"] == []
    assert "Bearer" in one_line(shell("search", "x", "--server", keyed.url), 1)
    assert "scope" in one_line(shell("ask", "x", "--server", keyed.url, "--key", secret), 1)


def test_version(shell: Shell) -> None:
    assert shell.spawn("--version").stdout.strip()[0].isdigit()


def test_a_collection_is_cut_again_where_its_settings_are_changed(shell: Shell, tmp_path: Path) -> None:
    rules = tmp_path / "rules.md"
    rules.write_text("# Rules\n\n" + " ".join(f"Rule {n} is kept in binder {n} on the top shelf." for n in range(60)))
    assert shell("collections", "create", "rules", "--description", "House rules").returncode == 0
    shell.json("ingest", str(rules), "--collection", "rules")
    before = shell.json("documents", "list", "--collection", "rules")
    given = '{"strategy": "size", "target_tokens": 64, "overlap_tokens": 16}'
    changed = shell.json("collections", "set", "rules", "--chunking", given)
    assert (changed["counts"]["scanned"], changed["counts"]["modified"]) == (1, 1)
    after = shell.json("documents", "list", "--collection", "rules")
    assert after[0]["chunks"] > 2 * before[0]["chunks"]
    assert after[0]["version"] == 1
    listed = {row["name"]: row["chunking"] for row in shell.json("collections", "list")}
    assert (listed["rules"]["overlap_tokens"], listed["default"]["overlap_tokens"]) == (16, 0)
    shown = shell("collections", "set", "rules", "--chunking", "default")
    assert (
        "by title, 160 tokens (at least 80, overlap 0), tables by rows; default ranking; 1 of 1 documents were cut again."
        in shown.stdout
    )
    assert shell.json("documents", "list", "--collection", "rules")[0]["chunks"] == before[0]["chunks"]
    assert shell("index", "rollback", "--collection", "rules").returncode == 0
    assert shell.json("documents", "list", "--collection", "rules")[0]["chunks"] == after[0]["chunks"]
    shell("collections", "set", "rules", "--chunking", "default")
    (status,) = shell.json("index", "status", "--collection", "rules")
    assert [row["state"] for row in status["generations"]] == ["live", "retired", "retired", "retired"]
    for wrong in ("[]", '{"target_tokens": 5}', '{"size": 1}'):
        refused = shell("collections", "set", "rules", "--chunking", wrong)
        assert refused.returncode == 2
        assert "hunking" in refused.stderr
    assert shell("collections", "set", "rules").returncode == 2
    spoken = shell("collections", "set", "rules", "--language", "german")
    assert "rules: german, by title, 160 tokens" in spoken.stdout
    assert "cut again" not in spoken.stdout
    refused = shell("collections", "set", "rules", "--language", "klingon")
    assert refused.returncode == 2
    assert "allowed: arabic" in " ".join(refused.stderr.split())
    assert shell.json("collections", "set", "rules", "--language", "default")["language"] == "english"
    assert shell("collections", "set", "nowhere", "--chunking", "default").returncode == 1


def test_collections_of_a_server(shell: Shell, service: Service, collection: str) -> None:
    changed = shell.json("collections", "set", collection, "--chunking", '{"tables": "whole"}', "--server", service.url)
    assert changed["chunking"]["tables"] == "whole"
    listed = {row["name"]: row["chunking"] for row in shell.json("collections", "list", "--server", service.url)}
    assert listed[collection]["tables"] == "whole"
    made = shell.json("collections", "create", f"{collection}-more", "--chunking", "default", "--server", service.url)
    assert (made["chunking"]["tables"], made["language"]) == ("rows", "english")
    spoken = shell.json("collections", "set", collection, "--language", "cjk", "--server", service.url)
    assert (spoken["language"], spoken["chunking"]["tables"]) == ("cjk", "whole")


def test_index_files_from_build_to_rollback(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "leave.md").write_text(LEAVE, "utf-8")
    on = ("--collection", "filed")
    assert shell("ingest", str(tmp_path / "leave.md"), *on).returncode == 0
    status = shell.json("index", "status", *on)
    assert [(row["collection"], row["live"], row["generations"]) for row in status] == [("filed", 1, [])]
    built = shell("index", "build", *on)
    assert "Built generation 2 of filed: 1 chunks" in built.stdout
    assert "footnote index promote 2 --collection filed" in built.stdout
    assert shell("index", "promote", *on).stdout == "Generation 2 of filed is live.\n"
    found = shell.json("search", "leave", *on)
    assert (found["index"]["generation"], len(found["results"])) == (2, 1)
    assert shell("index", "check", *on).returncode == 0
    (live,) = [row for row in shell.json("index", "status", *on)[0]["generations"] if row["built_at"]]
    assert (live["state"], live["report"]["chunks"], live["report"]["dense"]["recall"]) == ("live", 1, 1.0)
    # Another collection of these tests may have a second generation, too.
    keys = max((shell.folder / "data" / "index").glob("*/2-0/keys.npy"), key=lambda path: path.stat().st_mtime)
    content = bytearray(keys.read_bytes())
    content[-1] ^= 1
    keys.write_bytes(content)
    assert shell.json("index", "check", *on, code=1)[0]["damaged"] == ["2: keys.npy"]
    assert shell("index", "rollback", *on).stdout == "Generation 1 of filed is live.\n"
    assert shell.json("search", "leave", *on)["index"]["generation"] == 1
    assert shell("index", "drop", "2", *on).stdout == "Dropped generation 2 of filed.\n"
    assert not keys.exists()
    again = shell("index", "rollback", *on)
    assert (again.returncode, "no generation to go back to" in again.stderr) == (1, True)
    wrong = shell("index", "build", "--recall", "2", *on)
    assert (wrong.returncode, "recall" in wrong.stderr) == (2, True)


def test_how_a_collection_ranks(shell: Shell, ingested: dict[str, Any]) -> None:
    given = '{"dense_weight": 0.6, "weights": [{"filter": {"mime": "text/plain"}, "weight": 2}], "rerank": true}'
    assert shell("collections", "create", "ranked", "--ranking", given).returncode == 0
    listed = {row["name"]: row["ranking"] for row in shell.json("collections", "list")}
    assert (listed["ranked"]["dense_weight"], listed["default"]["dense_weight"]) == (0.6, 0.5)
    shown = shell("collections", "set", "ranked", "--ranking", '{"expand": 2}').stdout
    assert shown.endswith("; expand 2.\n")
    assert "cut again" not in shown
    assert "; default ranking." in shell("collections", "set", "ranked", "--ranking", "default").stdout
    for wrong in ("[]", '{"dense_weight": 2}', '{"weight": 1}'):
        refused = shell("collections", "set", "ranked", "--ranking", wrong)
        assert refused.returncode == 2
        assert "anking" in refused.stderr
    assert "no reranker is configured" in one_line(shell("search", "leave", "--rerank"), 2)
    read = shell("search", "days of leave", "--rerank", "--json", FOOTNOTE_RERANKER="late-interaction").stdout
    scores = [result["scores"]["rerank"] for result in json.loads(read)["results"]]
    assert scores
    assert all(0.0 < score <= 1.0 for score in scores)
    assert "reranker: ./gone is not a folder" in one_line(shell("search", "leave", FOOTNOTE_RERANKER="./gone"), 2)
    wide = shell.json("search", "days of leave", "--top-k", "1", "--expand", "3")["results"][0]
    assert wide["text"] in wide["context"]["text"]
    assert wide["duplicates"] == []


def test_another_encoder_from_build_to_rollback(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "leave.md").write_text(LEAVE)
    on, int8 = ("--collection", "moved"), {"FOOTNOTE_ENCODER": "all-MiniLM-L6-v2-int8"}
    assert shell("ingest", str(tmp_path / "leave.md"), *on).returncode == 0

    def asked(*arguments: str, **environment: str) -> tuple[int, int]:
        body = json.loads(shell("search", "days of leave", "--json", *on, *arguments, **environment).stdout)
        return body["index"]["generation"], len(body["results"])

    assert asked(**int8) == (1, 1), "a collection goes on with the encoder that it has"
    encoder = next(row for row in json.loads(shell("doctor", "--json", **int8).stdout) if row["check"] == "encoder")
    assert re.search(r"^all-MiniLM-L6-v2-int8@.*still on another one: .*moved \(all-MiniLM-L6-v2@", encoder["detail"])
    built = shell("index", "build", *on, **int8)
    assert re.match(r"Built generation 2 of moved: 1 chunks, exact, recall@10 1\.000\.", built.stdout), built.stderr
    assert [asked(), asked("--generation", "2")] == [(1, 1), (2, 1)]
    assert "with one --collection" in one_line(shell("search", "leave", "--generation", "2"), 2)
    assert shell("index", "promote", *on).stdout == "Generation 2 of moved is live.\n"
    assert shell.json("index", "status", *on)[0]["encoder"].startswith("all-MiniLM-L6-v2-int8@")
    (tmp_path / "gym.md").write_text("# Gym\n\nThe gym is in the basement.\n")
    assert shell("ingest", str(tmp_path / "gym.md"), *on).returncode == 0
    assert shell("index", "rollback", *on).stdout == "Generation 1 of moved is live.\n"
    assert shell.json("search", "where is the gym", "--mode", "dense", *on)["results"][0]["text"].endswith("basement.")
    assert shell("index", "drop", "2", *on).stdout == "Dropped generation 2 of moved.\n"
    assert shell.json("index", "check", *on)[0]["ok"]
    wrong = shell("index", "build", "--chunking", '{"target_tokens": 3}', *on)
    assert "chunking.target_tokens must be a whole number from 32 to 8192" in one_line(wrong, 2)
