"""Lexical files: what they find in several languages, crashes while they are built, damage, and several processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lexical_model import in_files, in_memory

from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.file import LexicalFile
from retrieval.lexical.memory import LexicalEntry

SENTENCES = {
    "german": (
        [
            "Die Kündigungsfristen stehen in den Verträgen der Mitarbeiter.",
            "Überstunden werden mit Freizeit ausgeglichen.",
            "Jedes Haus hat einen Hausmeister.",
        ],
        {"Kündigungsfrist Vertrag": [0], "überstunde ausgleichen": [1], "Häuser": [2], "hauser": [2]},
    ),
    "french": (
        [
            "Les salariés posent leurs congés payés avant le mois de mai.",
            "L'entrepôt ferme pendant les fêtes générales.",
            "Chaque facture est vérifiée par deux personnes.",
        ],
        {"congé payé": [0], "fête générale": [1], "vérifier une facture": [2], "entrepot": [1]},
    ),
    "cjk": (
        [
            "社員は年次有給休暇を二十日取得できます。",
            "型番EX-104のポンプは、来月交換します。",
            "员工每年有十五天带薪年假。",
            "仓库在节日期间关闭,请提前订购水泵。",
            "직원은 매년 15일의 연차휴가를 받습니다.",
            "창고는 명절에 문을 닫습니다. See the Handbook.",
        ],
        {
            "有給休暇": [0],
            "ポンプの交換": [1],
            "EX-104": [1],
            "带薪年假": [2],
            "水泵": [3],
            "水": [3],
            "연차휴가": [4],
            "휴가": [4],
            "명절 창고": [5],
            "handbook": [5],
        },
    ),
    "english": (
        ["Annual leave is twenty days.", "有給休暇は二十日です。", "The handbook of the 창고 is in the office."],
        {"leave days": [0], "有給休暇": [1], "창고": [2], "handbooks": [2]},
    ),
}


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_sentences_are_found_by_other_forms_of_their_words(kind, language, tmp_path):
    texts, expected = SENTENCES[language]
    entries = [LexicalEntry(at, "", text) for at, text in enumerate(texts)]
    index = in_memory(entries, language) if kind == "memory" else in_files(tmp_path, entries, language)
    for query, wanted in expected.items():
        assert [at for at, _ in index.search(query, 5)][: len(wanted)] == wanted, query


def entries(start, end):
    return [LexicalEntry(at, "", f"word{at % 7} every") for at in range(start, end)]


def positions(index, query="every"):
    return sorted(at for at, _ in index.search(query, 10_000))


def test_a_build_goes_on_after_its_last_commit(tmp_path):
    builder = LexicalBuilder(tmp_path)
    builder.add(entries(0, 100))
    builder.commit()
    builder.add(entries(100, 150))
    assert builder.count == 150
    del builder  # stopped without a word
    builder = LexicalBuilder(tmp_path)
    assert builder.count == 100
    with pytest.raises(ValueError, match="the next position is 100, and 150 was given"):
        builder.add(entries(150, 151))
    builder.add(entries(100, 120))
    builder.finish()
    index = LexicalFile.open(tmp_path)
    assert index.count == 120
    assert positions(index) == list(range(120))
    assert not (tmp_path / "parts").exists()


def test_truncating_leaves_no_trace(tmp_path):
    builder = LexicalBuilder(tmp_path / "one")
    for start in range(0, 500, 100):
        builder.add(entries(start, start + 100))
        builder.commit()
    builder.add([LexicalEntry(500, "", "uncommitted")])
    assert (builder.truncate(300), builder.count) == (300, 300)
    # Within a part the whole part goes.
    assert (builder.truncate(250), builder.count) == (200, 200)
    builder.add(entries(200, 230))
    builder.finish()
    plain = in_files(tmp_path / "two", entries(0, 230))
    index = LexicalFile.open(tmp_path / "one")
    for query in ("every", "word3", "every word5", "uncommitted"):
        assert index.search(query, 300) == plain.search(query, 300)
        assert index.statistics(query) == plain.statistics(query)
    assert index.lengths == plain.lengths


def test_truncating_can_be_repeated_after_a_crash(tmp_path, monkeypatch):
    builder = LexicalBuilder(tmp_path)
    for start in range(0, 300, 100):
        builder.add(entries(start, start + 100))
        builder.commit()
    remove = shutil.rmtree

    def crash(folder, **options):
        if any(folder.glob("part.json")):  # removing a part's folder, stopped after its first file
            (folder / "part.json").unlink()
            raise KeyboardInterrupt
        remove(folder, **options)

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", crash)
        with pytest.raises(KeyboardInterrupt):
            builder.truncate(200)
    again = LexicalBuilder(tmp_path)
    assert again.count == 200
    again.add(entries(200, 220))
    again.finish()
    assert positions(LexicalFile.open(tmp_path)) == list(range(220))


@pytest.mark.parametrize("step", ["gather", "merge_segments", "put_in_order", "write_durably"])
def test_finishing_can_be_repeated_after_a_crash_at_any_step(tmp_path, monkeypatch, step):
    builder = LexicalBuilder(tmp_path)
    for start in range(0, 1000, 100):
        builder.add(entries(start, start + 100))
        builder.commit()

    def crash(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"retrieval.lexical.build.{step}", crash)
        with pytest.raises(KeyboardInterrupt):
            builder.finish()
    with pytest.raises(FileNotFoundError):
        LexicalFile.open(tmp_path)
    again = LexicalBuilder(tmp_path)
    assert again.count == 1000
    again.finish()
    assert positions(LexicalFile.open(tmp_path)) == list(range(1000))
    # Once more changes nothing but what a crash while parts were removed left of them.
    before = sorted(path.name for path in tmp_path.rglob("*"))
    (tmp_path / "parts/000000000100-100").mkdir(parents=True)
    finished = LexicalBuilder(tmp_path)
    finished.finish()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert finished.count == 1000
    for change in (lambda: finished.add(entries(1000, 1001)), lambda: finished.truncate(5)):
        with pytest.raises(ValueError, match="is finished: build another in a new folder"):
            change()


def test_parts_are_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def link(*args):
        raise PermissionError("no links here")

    synced = set()
    sync = os.fsync

    def watched(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr("os.link", link)
    monkeypatch.setattr("os.fsync", watched)
    assert positions(in_files(tmp_path, entries(0, 100), parts=3)) == list(range(100))
    files = [path for path in (tmp_path / "index").iterdir() if not path.name.startswith(".")]
    assert len(files) > 3
    assert {path.stat().st_ino for path in files} <= synced, "the parts are removed: the copies must be on the disk"


def test_many_parts_are_merged_into_one_in_order(tmp_path):
    index = in_files(tmp_path, entries(0, 1000), parts=10)
    meta = json.loads((tmp_path / "index/meta.json").read_bytes())
    assert len(meta["segments"]) == 1
    assert [at for at, _ in index.search("every", 50)] == list(range(50))
    # Fewer than eight stay apart, and still give equal scores by position.
    builder = LexicalBuilder(tmp_path / "apart")
    for start, end in ((0, 5), (5, 25), (25, 40), (40, 200), (200, 1000)):
        builder.add(entries(start, end))
        builder.commit()
    builder.finish()
    meta = json.loads((tmp_path / "apart/index/meta.json").read_bytes())
    assert [segment["max_doc"] for segment in meta["segments"]] == [5, 20, 15, 160, 800]
    apart = LexicalFile.open(tmp_path / "apart")
    assert [at for at, _ in apart.search("every", 600)] == list(range(600))


def test_another_language_is_not_added_to_parts(tmp_path):
    builder = LexicalBuilder(tmp_path, "german")
    builder.add(entries(0, 5))
    builder.commit()
    with pytest.raises(ValueError, match="parts in another language than english"):
        LexicalBuilder(tmp_path)


def test_a_mask_of_another_length_is_an_error(tmp_path):
    index = in_files(tmp_path, entries(0, 10))
    with pytest.raises(ValueError, match=r"the mask has the shape \(9,\) and must have \(10,\)"):
        index.search("every", 5, np.ones(9, dtype=np.bool_))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


DAMAGES = {
    "header cut": (lambda folder: _cut(folder / "lexical.json"), "lexical.json is damaged"),
    "header of another format": (
        lambda folder: (folder / "lexical.json").write_bytes(
            (folder / "lexical.json").read_bytes().replace(b'"format":1', b'"format":9')
        ),
        "is of format 9, and this version reads 1",
    ),
    "list of segments cut": (lambda folder: _cut(folder / "index/meta.json"), "meta.json is damaged"),
    "list of segments gone": (lambda folder: (folder / "index/meta.json").unlink(), "meta.json is damaged or missing"),
    "segment forgotten": (
        lambda folder: (folder / "index/meta.json").write_bytes(
            json.dumps(json.loads((folder / "index/meta.json").read_bytes()) | {"segments": []}).encode()
        ),
        "its index has 0 chunks and its header says 50",
    ),
    "terms cut": (lambda folder: _cut(next((folder / "index").glob("*.term"))), "is damaged"),
    "postings cut": (lambda folder: _cut(next((folder / "index").glob("*.idx"))), "is damaged"),
    "lengths cut": (lambda folder: _cut(next((folder / "index").glob("*.fieldnorm"))), "is damaged"),
    "positions gone": (lambda folder: next((folder / "index").glob("*.fast")).unlink(), "is damaged"),
    "all gone": (lambda folder: shutil.rmtree(folder / "index"), "damaged or missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_when_the_file_is_opened(tmp_path, damage):
    in_files(tmp_path, entries(0, 50))
    break_it, message = DAMAGES[damage]
    break_it(tmp_path)
    with pytest.raises(ValueError, match=message):
        LexicalFile.open(tmp_path)


def test_an_unfinished_build_is_not_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="was not finished"):
        LexicalFile.open(tmp_path)


def test_opening_changes_nothing_in_the_folder(tmp_path):
    in_files(tmp_path, entries(0, 50))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    first, second = LexicalFile.open(tmp_path), LexicalFile.open(tmp_path)
    assert positions(first) == positions(second) == list(range(50))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


_READER = """
import sys
from pathlib import Path
from retrieval.lexical.file import LexicalFile
index = LexicalFile.open(Path(sys.argv[1]))
print("open", flush=True)
for line in sys.stdin:
    print(len(index.search(line, 1000)), flush=True)
"""

_BUILDER = """
import sys
from pathlib import Path
from retrieval.lexical.memory import LexicalEntry
from retrieval.lexical.build import LexicalBuilder
builder = LexicalBuilder(Path(sys.argv[1]))
for start in range(0, 900, 100):
    builder.add(LexicalEntry(at, "", "every") for at in range(start, start + 100))
    builder.commit()
builder.finish()
print("done", flush=True)
"""


def test_two_processes_read_while_a_third_builds(tmp_path):
    """Each generation has a folder of its own: readers of one see nothing of the next until they open it."""
    in_files(tmp_path / "first", entries(0, 70))

    def start(program: str, folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def answer(process: subprocess.Popen[str], query: str = "") -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        if query:
            process.stdin.write(query + "\n")
            process.stdin.flush()
        return process.stdout.readline().strip()

    readers = [start(_READER, tmp_path / "first") for _ in range(2)]
    builder = start(_BUILDER, tmp_path / "second")
    try:
        assert [answer(reader) for reader in readers] == ["open", "open"]
        while builder.poll() is None:
            assert [answer(reader, "every") for reader in readers] == ["70", "70"]
        assert answer(builder) == "done"
        # A folder that is removed is still read by those who have it open.
        shutil.rmtree(tmp_path / "first")
        assert [answer(reader, "word3") for reader in readers] == ["10", "10"]
        assert positions(LexicalFile.open(tmp_path / "second")) == list(range(900))
    finally:
        for process in (*readers, builder):
            process.communicate(timeout=30)
    assert [process.returncode for process in (*readers, builder)] == [0, 0, 0]
